package message_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

var (
	deviceKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	personKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
)

func public(p ed25519.PrivateKey) identity.Key { return identity.Key(p.Public().(ed25519.PublicKey)) }

func honest() message.Message {
	return message.Message{
		Version: 1, ID: message.ID{1}, Case: message.CaseRef{2},
		Heading: message.Heading{
			Protocol: message.Protocol, Class: "melding", Urgency: message.Acute, Expires: 1_795_086_400,
			Answers: []message.Ref{{ID: message.ID{7}}}, RestsOn: []message.Ref{{ID: message.ID{8}}, {ID: message.ID{9}}},
		},
		Body: []byte("{}"), Sender: message.Sender{Desk: "vt20/crisis", Device: identity.DeviceID{3}},
		Addressed: []identity.DeskID{"knooppunt/piket", "politie-mn/spoed"}, Created: 1_795_000_000,
		Attachments: []message.Attachment{attachment(1), attachment(2)},
		Enclosed:    [][]byte{{1, 2}}, Person: bytes.Repeat([]byte{4}, 16),
	}
}

func sign(t testing.TB, m message.Message) message.Signed {
	t.Helper()
	payload, tbs, err := m.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	var person []byte
	if len(m.Person) > 0 {
		person = ed25519.Sign(personKey, tbs)
	}
	s, err := message.Assemble(payload, ed25519.Sign(deviceKey, tbs), person)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	alone := honest()
	alone.Person, alone.Attachments, alone.Enclosed, alone.Heading.Answers = []byte{}, []message.Attachment{}, [][]byte{}, []message.Ref{}
	exercise := honest()
	exercise.Heading.Exercise, exercise.Heading.Protocol = true, "schakel/2"
	for _, m := range []message.Message{honest(), alone, exercise} {
		s := sign(t, m)
		again, err := message.Parse(s.Raw)
		if err != nil || !reflect.DeepEqual(again.Message, m) || again.Hash() != s.Hash() {
			t.Fatalf("comes back as %+v, %v", again.Message, err)
		}
		if err := errors.Join(again.VerifyDevice(public(deviceKey))); err != nil {
			t.Error(err)
		}
		if err := again.VerifyPerson(public(personKey)); (err == nil) != (len(m.Person) > 0) {
			t.Errorf("person's signature: %v", err)
		}
	}
}

// TestHash: over protected header and payload, so that it names what was said,
// whoever signed it and however often.
func TestHash(t *testing.T) {
	s := sign(t, honest())
	payload, _, err := honest().ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(slices.Concat([]byte("schakel/msg-hash/v1"), cose.KindMessage.Protected(), payload))
	if s.Hash() != message.Hash(want) || s.Ref() != (message.Ref{ID: message.ID{1}, Hash: want}) {
		t.Errorf("hash %s, want %x", s.Hash(), want)
	}
	other := honest()
	other.Body = []byte("[]")
	if sign(t, other).Hash() == s.Hash() {
		t.Error("another body, the same hash")
	}
}

// TestSignatures flips every bit position's byte of a signed message: nothing that
// still parses verifies as both persons'.
func TestSignatures(t *testing.T) {
	raw := sign(t, honest()).Raw
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		s, err := message.Parse(changed)
		if err != nil {
			if !errors.Is(err, message.ErrFormat) {
				t.Fatalf("byte %d: untyped: %v", i, err)
			}
			continue
		}
		if s.VerifyDevice(public(deviceKey)) == nil && s.VerifyPerson(public(personKey)) == nil {
			t.Fatalf("byte %d: changed, and both signatures verify", i)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(m *message.Message){
		"version 2":          func(m *message.Message) { m.Version = 2 },
		"no protocol":        func(m *message.Message) { m.Heading.Protocol = "" },
		"other protocol":     func(m *message.Message) { m.Heading.Protocol = "mail/1" },
		"protocol zero":      func(m *message.Message) { m.Heading.Protocol = "schakel/01" },
		"id of zeros":        func(m *message.Message) { m.ID = message.ID{} },
		"case of zeros":      func(m *message.Message) { m.Case = message.CaseRef{} },
		"device of zeros":    func(m *message.Message) { m.Sender.Device = identity.DeviceID{} },
		"sender no desk":     func(m *message.Message) { m.Sender.Desk = "vt20" },
		"no body":            func(m *message.Message) { m.Body = nil },
		"body too long":      func(m *message.Message) { m.Body = make([]byte, message.MaxBody+1) },
		"nobody addressed":   func(m *message.Message) { m.Addressed = nil },
		"addressed unsorted": func(m *message.Message) { slices.Reverse(m.Addressed) },
		"addressed twice":    func(m *message.Message) { m.Addressed[1] = m.Addressed[0] },
		"addressed no desk":  func(m *message.Message) { m.Addressed[0] = "ALLE" },
		"33 addressed":       func(m *message.Message) { m.Addressed = slices.Repeat(m.Addressed, 17)[:33] },
		"too many enclosed":  func(m *message.Message) { m.Enclosed = make([][]byte, message.MaxEnclosed+1) },
		"attachments":        func(m *message.Message) { m.Attachments = make([]message.Attachment, message.MaxAttachments+1) },
		"person of 15 bytes": func(m *message.Message) { m.Person = m.Person[1:] },
		"expires at once":    func(m *message.Message) { m.Heading.Expires = m.Created },
		"no class":           func(m *message.Message) { m.Heading.Class = "" },
		"class too long":     func(m *message.Message) { m.Heading.Class = strings.Repeat("x", 65) },
		"unknown urgency":    func(m *message.Message) { m.Heading.Urgency = "haast" },
		"two answers":        func(m *message.Message) { m.Heading.Answers = make([]message.Ref, 2) },
		"rests on 17":        func(m *message.Message) { m.Heading.RestsOn = make([]message.Ref, 17) },
		"time of 2^64-1":     func(m *message.Message) { m.Created = math.MaxUint64 },
		"expires never":      func(m *message.Message) { m.Heading.Expires = 1<<40 + 1 },
	} {
		m := honest()
		change(&m)
		if _, _, err := m.ToBeSigned(); !errors.Is(err, message.ErrFormat) {
			t.Errorf("%s: built: %v", name, err)
		}
		payload, err := canon.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := message.Assemble(payload, make([]byte, 64), make([]byte, 64)); !errors.Is(err, message.ErrFormat) {
			t.Errorf("%s: parsed: %v", name, err)
		}
	}
}

// TestH10ExerciseCannotBeStripped: the mark is signed, has one encoding each way, and is
// unknown to a program from before it, which then refuses the message whole.
func TestH10ExerciseCannotBeStripped(t *testing.T) {
	m := honest()
	m.Heading.Exercise = true
	s := sign(t, m)
	real, _, err := honest().ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	marked, _, err := m.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	sig := deviceSignature(t, s)
	stripped, err := message.Assemble(real, sig, make([]byte, 64))
	if err != nil || stripped.VerifyDevice(public(deviceKey)) == nil {
		t.Errorf("without its mark it still verifies (%v)", err)
	}
	// Control: with the mark the same signature holds.
	if again, err := message.Assemble(marked, sig, make([]byte, 64)); err != nil || again.VerifyDevice(public(deviceKey)) != nil {
		t.Errorf("control: it never verified: %v", err)
	}
	// false written out is a second encoding of "no exercise", and refused.
	end := bytes.LastIndex(marked, []byte{0x08, 0xf5})
	falsely := bytes.Clone(marked)
	falsely[end+1] = 0xf4
	if _, err := message.Assemble(falsely, sig, make([]byte, 64)); !errors.Is(err, message.ErrFormat) {
		t.Errorf("the mark written as false is read: %v", err)
	}
	// A program from before: the heading as it was then.
	var before struct {
		Heading struct {
			Protocol string          `cbor:"1,keyasint"`
			Class    string          `cbor:"2,keyasint"`
			Urgency  message.Urgency `cbor:"3,keyasint"`
			Answers  []message.Ref   `cbor:"4,keyasint"`
			RestsOn  []message.Ref   `cbor:"5,keyasint"`
			Outcome  string          `cbor:"6,keyasint"`
			Expires  uint64          `cbor:"7,keyasint"`
		}
	}
	if raw, err := canon.Marshal(m.Heading); err != nil || canon.Unmarshal(raw, 1<<16, &before.Heading) == nil {
		t.Errorf("a program from before reads an exercise: %v", err)
	}
	if raw, err := canon.Marshal(honest().Heading); err != nil || canon.Unmarshal(raw, 1<<16, &before.Heading) != nil {
		t.Errorf("control: a program from before reads nothing: %v", err)
	}
}

// deviceSignature returns the device's signature of a signed message, made anew.
func deviceSignature(t *testing.T, s message.Signed) []byte {
	t.Helper()
	_, tbs, err := s.Message.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.Sign(deviceKey, tbs)
}

// TestPersonAndSignature: a person is named exactly where a person signs, so a
// signature can be neither stripped nor added.
func TestPersonAndSignature(t *testing.T) {
	named, alone := honest(), honest()
	alone.Person = nil
	for name, c := range map[string]struct {
		m   message.Message
		sig []byte
	}{
		"stripped": {named, nil}, "added": {alone, make([]byte, 64)}, "cut": {named, make([]byte, 63)},
		"one byte added": {alone, make([]byte, 1)},
	} {
		payload, _, err := c.m.ToBeSigned()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := message.Assemble(payload, make([]byte, 64), c.sig); !errors.Is(err, message.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	m := honest()
	m.Body = make([]byte, message.MaxBody)
	m.Enclosed = [][]byte{make([]byte, 140<<10)}
	payload, _, err := m.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := message.Assemble(payload, make([]byte, 64), make([]byte, 64)); !errors.Is(err, message.ErrFormat) {
		t.Errorf("message of %d bytes: %v", len(payload), err)
	}
}

// TestNamesInJSON: text in JSON and back; the signed bytes do not change (vectors).
func TestNamesInJSON(t *testing.T) {
	type names struct {
		Ref  message.Ref
		Case message.CaseRef
	}
	in := names{sign(t, honest()).Ref(), message.CaseRef{2}}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out names
	if err := json.Unmarshal(raw, &out); err != nil || out != in || !bytes.Contains(raw, []byte(in.Ref.Hash.String())) {
		t.Errorf("%s comes back as %v, %v", raw, out, err)
	}
	for _, bad := range []string{`{"Ref":{"hash":"00"}}`, `{"Ref":{"hash":"` + strings.Repeat("g", 64) + `"}}`, `{"Ref":{"id":"x"}}`, `{"Case":"x"}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestAddressedTo(t *testing.T) {
	if m := honest(); !m.AddressedTo("knooppunt/piket") || m.AddressedTo("knooppunt/pike") || m.AddressedTo("") {
		t.Error("wrong desks addressed")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sign(f, honest()).Raw)
	alone := honest()
	alone.Person = nil
	f.Add(sign(f, alone).Raw)
	f.Add(sign(f, despite()).Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := message.Parse(raw)
		if err != nil {
			if !errors.Is(err, message.ErrFormat) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		payload, _, err := s.Message.ToBeSigned()
		if err != nil || !bytes.Contains(raw, payload) {
			t.Fatalf("the message comes back as %x, %v", payload, err)
		}
		if s.VerifyDevice(identity.Key{}) == nil {
			t.Fatal("a zero key verified")
		}
	})
}
