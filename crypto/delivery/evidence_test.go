package delivery_test

import (
	"bytes"
	"errors"
	"testing"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// shown is a delivery as evidence, with a header that it fits.
func shown(t testing.TB) delivery.Evidence {
	t.Helper()
	d := honest()
	d.Attended = nil
	h := envelope.Header{Version: 1, ID: envelope.ID{1}, Sealer: identity.DeviceID{7}, Desk: "vt20/crisis", Created: 1, Expires: 2, AgeLength: envelope.MinAge}
	for _, k := range d.Keys {
		h.Targets = append(h.Targets, envelope.Target{Device: k.Device, Epoch: k.Epoch})
	}
	p, err := h.Prefix()
	if err != nil {
		t.Fatal(err)
	}
	old := prefix
	prefix = p
	defer func() { prefix = old }()
	return delivery.Evidence{Prefix: p, Signed: signed(t, d)}
}

// What was signed shows itself without the envelope; one bit anywhere, or another header,
// and it does not.
func TestEvidence(t *testing.T) {
	raw, err := shown(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	proves := func(raw []byte) bool {
		e, err := delivery.ParseEvidence(raw)
		if err != nil {
			return false
		}
		_, err = e.Verify(public)
		return err == nil
	}
	if !proves(raw) {
		t.Fatal("evidence proves nothing")
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if proves(changed) {
			t.Fatalf("byte %d changed, and it proves", i)
		}
	}
	bare, err := shown(t).Bare()
	if err != nil {
		t.Fatal(err)
	}
	small, err := bare.Encode()
	if err != nil || len(small) >= len(raw) {
		t.Errorf("without its content it has %d bytes of %d, %v", len(small), len(raw), err)
	}
	if bare, err = delivery.ParseBare(small); err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{honest().Content, []byte("something else")} {
		whole, err := bare.With(content)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := whole.Verify(public); (err == nil) != bytes.Equal(content, honest().Content) {
			t.Errorf("whole with %q: %v", content, err)
		}
	}
	e := shown(t)
	e.Prefix = append(e.Prefix, 0)
	if _, err := e.Verify(public); !errors.Is(err, envelope.ErrFormat) && !errors.Is(err, delivery.ErrFormat) {
		t.Errorf("something behind the header: %v", err)
	}
}

func FuzzEvidence(f *testing.F) {
	raw, err := shown(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := delivery.ParseEvidence(raw)
		if err != nil {
			return
		}
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%x gives %x, %v", raw, again, err)
		}
		_, _ = e.Verify(public)
	})
}
