package delivery_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"testing"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func record() delivery.Record {
	return delivery.Record{
		Version: 1, Kind: delivery.RecordNote, Desk: "vt20/crisis", Device: identity.DeviceID{1}, Person: bytes.Repeat([]byte{2}, 16),
		Case: message.CaseRef{3}, Follows: []message.Hash{{1}, {2}}, Created: 1790000000, Content: []byte("notitie"),
	}
}

func signedRecord(t testing.TB, r delivery.Record) delivery.SignedRecord {
	t.Helper()
	payload, tbs, err := r.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	s, err := delivery.AssembleRecord(payload, ed25519.Sign(private, tbs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecordRoundTrip(t *testing.T) {
	s := signedRecord(t, record())
	got, err := delivery.ParseRecord(s.Raw)
	if err != nil || !reflect.DeepEqual(got.Record, record()) || got.Hash() != s.Hash() {
		t.Fatalf("comes back as %+v, %v", got, err)
	}
	if err := got.Verify(public); err != nil {
		t.Error(err)
	}
	if err := got.Verify(identity.Key{1}); err == nil {
		t.Error("verifies with another key")
	}
	changed := bytes.Replace(s.Raw, []byte("notitie"), []byte("NOTITIE"), 1)
	if got, err := delivery.ParseRecord(changed); err != nil || got.Verify(public) == nil {
		t.Errorf("a changed record verifies: %v", err)
	}
}

func TestRecordRefuses(t *testing.T) {
	for name, change := range map[string]func(*delivery.Record){
		"version 2":         func(r *delivery.Record) { r.Version = 2 },
		"kind 0":            func(r *delivery.Record) { r.Kind = 0 },
		"kind 99":           func(r *delivery.Record) { r.Kind = 99 },
		"rota of a device":  func(r *delivery.Record) { r.Kind, r.Person = delivery.RecordRoster, nil },
		"no desk":           func(r *delivery.Record) { r.Desk = "vt20" },
		"no device":         func(r *delivery.Record) { r.Device = identity.DeviceID{} },
		"note of a device":  func(r *delivery.Record) { r.Person = nil },
		"log of a person":   func(r *delivery.Record) { r.Kind = delivery.RecordLog },
		"half a person":     func(r *delivery.Record) { r.Person = r.Person[8:] },
		"after all time":    func(r *delivery.Record) { r.Created = 1 << 60 },
		"too much":          func(r *delivery.Record) { r.Content = make([]byte, delivery.MaxRecordContent+1) },
		"follows twice":     func(r *delivery.Record) { r.Follows = []message.Hash{{1}, {1}} },
		"follows unsorted":  func(r *delivery.Record) { r.Follows = []message.Hash{{2}, {1}} },
		"follows 65 others": func(r *delivery.Record) { r.Follows = make([]message.Hash, 65) },
	} {
		r := record()
		change(&r)
		if _, _, err := r.ToBeSigned(); !errors.Is(err, delivery.ErrFormat) {
			t.Errorf("%s: built: %v", name, err)
		}
		payload, err := canon.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := delivery.ParseRecord(sign(t, cose.KindRecord, payload, nil)); !errors.Is(err, delivery.ErrFormat) {
			t.Errorf("%s: parsed: %v", name, err)
		}
	}
	payload, _, err := record().ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := delivery.ParseRecord(sign(t, cose.KindDelivery, payload, nil)); !errors.Is(err, delivery.ErrFormat) {
		t.Errorf("a delivery passes for a record: %v", err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(signedRecord(f, record()).Raw)
	f.Add([]byte{0x84})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := delivery.ParseRecord(raw)
		if err != nil {
			return
		}
		payload, _, err := s.Record.ToBeSigned()
		if err != nil {
			t.Fatalf("parsed, and not built: %v", err)
		}
		s1, err := cose.Parse(cose.KindRecord, raw, delivery.MaxRecord)
		if err != nil || !bytes.Equal(payload, s1.Payload) {
			t.Fatalf("two encodings of one record: %v", err)
		}
	})
}
