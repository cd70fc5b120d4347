package cose_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
)

var (
	kinds     = []cose.Kind{cose.KindMessage, cose.KindDelivery, cose.KindRecord}
	signature = bytes.Repeat([]byte{0x5a}, 64)
)

// TestBytes pins the encoding: written by hand after RFC 9052, 4.2 and 4.4.
func TestBytes(t *testing.T) {
	protected := "a20132" + "10" + "7823" + hex.EncodeToString([]byte("application/vnd.schakel.msg.v1+cbor"))
	if got := hex.EncodeToString(cose.KindMessage.Protected()); got != protected {
		t.Errorf("protected header %s, want %s", got, protected)
	}
	raw, err := cose.Assemble(cose.KindMessage, []byte("abc"), signature)
	want := "84" + "5829" + protected + "a0" + "43616263" + "5840" + strings.Repeat("5a", 64)
	if err != nil || hex.EncodeToString(raw) != want {
		t.Errorf("structure %x, %v; want %s", raw, err, want)
	}
	tbs, err := cose.ToBeSigned(cose.KindMessage, []byte("aad"), []byte("abc"))
	want = "84" + "6a" + hex.EncodeToString([]byte("Signature1")) + "5829" + protected + "43616164" + "43616263"
	if err != nil || hex.EncodeToString(tbs) != want {
		t.Errorf("to be signed %x, %v; want %s", tbs, err, want)
	}
}

// TestToBeSigned: what is written by hand is what the library gives, at every size of a length.
func TestToBeSigned(t *testing.T) {
	for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536, 200_000} {
		payload, aad := make([]byte, n), make([]byte, n/3)
		want, err := canon.Marshal(struct {
			_                            struct{} `cbor:",toarray"`
			Context                      string
			Protected, External, Payload []byte
		}{Context: "Signature1", Protected: cose.KindRecord.Protected(), External: aad, Payload: payload})
		got, err2 := cose.ToBeSigned(cose.KindRecord, aad, payload)
		if err != nil || err2 != nil || !bytes.Equal(got, want) || cap(got) > len(got)+len(got)/4+64 {
			t.Errorf("%d bytes: %d in %d, want %d: %v %v", n, len(got), cap(got), len(want), err, err2)
		}
	}
}

func TestSize(t *testing.T) {
	for _, k := range kinds {
		for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536, 200_000} {
			raw, err := cose.Assemble(k, make([]byte, n), signature)
			if err != nil || len(raw) != cose.Size(k, n) {
				t.Errorf("%s, %d bytes: %d, Size says %d, %v", k, n, len(raw), cose.Size(k, n), err)
			}
			s1, err := cose.Parse(k, raw, len(raw))
			if err != nil || s1.Kind != k || len(s1.Payload) != n || !bytes.Equal(s1.Signature, signature) {
				t.Errorf("%s, %d bytes: parsed %+v, %v", k, n, s1, err)
			}
		}
	}
}

// TestRefuses covers downgrade and confusion (A23): the header of another kind, of
// another algorithm, with more in it, or with anything unprotected.
func TestRefuses(t *testing.T) {
	raw, err := cose.Assemble(cose.KindMessage, []byte("abc"), signature)
	if err != nil {
		t.Fatal(err)
	}
	honest := string(raw)
	edit := func(old, new string) string {
		if !strings.Contains(honest, old) {
			t.Fatalf("%x is not there", old)
		}
		return strings.Replace(honest, old, new, 1)
	}
	for name, s := range map[string]string{
		"tagged":                 "\xd2" + honest,
		"cut":                    honest[:len(honest)-1],
		"bytes behind":           honest + "\x00",
		"alg -8, EdDSA":          edit("\xa2\x01\x32\x10", "\xa2\x01\x27\x10"),
		"alg in the open":        edit("\xa0\x43abc", "\xa1\x01\x32\x43abc"),
		"kid in the open":        edit("\xa0\x43abc", "\xa1\x04\x41x\x43abc"),
		"crit":                   edit("\x58\x29\xa2", "\x58\x2c\xa3\x02\x81\x10"),
		"empty protected header": edit("\x58\x29"+string(cose.KindMessage.Protected()), "\x40"),
		"payload detached":       edit("\x43abc", "\xf6"),
		"signature of 63":        edit("\x58\x40Z", "\x58\x3f"),
		"no signature":           edit("\x58\x40"+string(signature), "\x40"),
		"three elements":         edit("\x84", "\x83"),
	} {
		if _, err := cose.Parse(cose.KindMessage, []byte(s), 1000); !errors.Is(err, cose.ErrFormat) {
			t.Errorf("A23 %s: %v", name, err)
		}
	}
	if _, err := cose.Parse(cose.KindDelivery, raw, 1000); !errors.Is(err, cose.ErrFormat) {
		t.Errorf("message as delivery: %v", err)
	}
	if _, err := cose.Parse(cose.KindMessage, raw, len(raw)-1); !errors.Is(err, cose.ErrFormat) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := cose.Assemble(cose.KindMessage, nil, signature[1:]); !errors.Is(err, cose.ErrFormat) {
		t.Errorf("assembled with half a signature: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, k := range kinds {
		raw, err := cose.Assemble(k, []byte("abc"), signature)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, k := range kinds {
			s1, err := cose.Parse(k, raw, 1<<16)
			if err != nil {
				continue
			}
			if again, err := cose.Assemble(k, s1.Payload, s1.Signature); err != nil || !bytes.Equal(again, raw) {
				t.Fatalf("%x comes back as %x, %v", raw, again, err)
			}
		}
	})
}
