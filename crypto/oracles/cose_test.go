package oracles_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"io"
	"testing"

	"github.com/veraison/go-cose"

	ours "schakel/crypto/cose"
)

var private = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))

// algEd25519 is -19 (RFC 9864), which go-cose knows no name for.
const algEd25519 cose.Algorithm = -19

// signer and verifier are Ed25519 under that number.
type signer struct{ ed25519.PrivateKey }

func (s signer) Algorithm() cose.Algorithm { return algEd25519 }

func (s signer) Sign(_ io.Reader, content []byte) ([]byte, error) {
	return s.PrivateKey.Sign(nil, content, crypto.Hash(0))
}

type verifier struct{ ed25519.PublicKey }

func (v verifier) Algorithm() cose.Algorithm { return algEd25519 }

func (v verifier) Verify(content, signature []byte) error {
	if !ed25519.Verify(v.PublicKey, content, signature) {
		return cose.ErrVerification
	}
	return nil
}

// kinds and what travels outside: nothing for a message, the prefix for a delivery.
var kinds = map[ours.Kind][]byte{ours.KindMessage: nil, ours.KindDelivery: []byte("SKE1 the received header")}

// TestSameBytes: for one payload go-cose and we write the same COSE_Sign1, for
// both kinds and every length of a length.
func TestSameBytes(t *testing.T) {
	for kind, aad := range kinds {
		for _, n := range []int{1, 23, 24, 255, 256, 65535, 65536} {
			payload := bytes.Repeat([]byte{0xa5}, n)
			theirs := cose.UntaggedSign1Message{
				Headers: cose.Headers{Protected: cose.ProtectedHeader{cose.HeaderLabelAlgorithm: algEd25519, cose.HeaderLabelType: string(kind)}},
				Payload: payload,
			}
			must(t, (*cose.Sign1Message)(&theirs).Sign(nil, aad, signer{private}))
			want, err := theirs.MarshalCBOR()
			must(t, err)
			tbs, err := ours.ToBeSigned(kind, aad, payload)
			must(t, err)
			got, err := ours.Assemble(kind, payload, ed25519.Sign(private, tbs))
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes: %.80x, go-cose %.80x", kind, n, got, want)
			}
			if s1, err := ours.Parse(kind, want, len(want)); err != nil || !bytes.Equal(s1.Payload, payload) {
				t.Errorf("%s, %d bytes: we do not read what go-cose wrote: %v", kind, n, err)
			}
			theyVerify(t, got, aad, true)
			theyVerify(t, got, append(bytes.Clone(aad), 0), false)
		}
	}
}

// theyVerify has go-cose read and verify our bytes.
func theyVerify(t *testing.T, raw, aad []byte, want bool) {
	t.Helper()
	var m cose.UntaggedSign1Message
	must(t, m.UnmarshalCBOR(raw))
	err := (*cose.Sign1Message)(&m).Verify(aad, verifier{private.Public().(ed25519.PublicKey)})
	if (err == nil) != want {
		t.Errorf("go-cose verifies: %v, want %v", err, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
