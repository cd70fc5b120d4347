package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
)

// Refusals of a public key. A caller decides on ErrKey; the other two say why.
var (
	ErrKey          = errors.New("public key refused")
	ErrKeyLowOrder  = fmt.Errorf("%w: low order", ErrKey)
	ErrKeyEncoding  = fmt.Errorf("%w: not the one encoding of a point of the curve", ErrKey)
	ErrBadSignature = errors.New("signature does not verify")
)

// Key is an Ed25519 public key (RFC 8032) that passed every check of [ParseKey].
// The zero Key verifies nothing.
type Key [ed25519.PublicKeySize]byte

// ParseKey accepts the canonical encoding of a curve point outside the small
// subgroups. Go's verifier alone would also accept low-order keys, for which one
// constant signature verifies every message: whoever registered such a key could
// deny, or have others forge, anything (attacks C18 and F15).
func ParseKey(b []byte) (Key, error) {
	var k Key
	if len(b) != len(k) {
		return k, fmt.Errorf("%w: %d bytes, want %d", ErrKey, len(b), len(k))
	}
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil || !bytes.Equal(p.Bytes(), b) {
		return k, ErrKeyEncoding
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return k, ErrKeyLowOrder
	}
	copy(k[:], b)
	return k, nil
}

// IsZero reports whether the key was never set.
func (k Key) IsZero() bool { return k == Key{} }

// Verify returns nil when sig is a signature by k over msg, and ErrBadSignature
// otherwise. The zero key never verifies. Verify trusts that k came through
// ParseKey, as every decoder of this package does.
func (k Key) Verify(msg, sig []byte) error {
	if k.IsZero() || len(sig) != ed25519.SignatureSize || !ed25519.Verify(k[:], msg, sig) {
		return ErrBadSignature
	}
	return nil
}

// String is the key in standard base64, as register entries carry it.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// MarshalText gives standard base64.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText parses standard base64 and applies every check of ParseKey.
func (k *Key) UnmarshalText(b []byte) (err error) { *k, err = ParseKeyText(string(b)); return err }

// MarshalBinary gives the 32 bytes, as CBOR carries them.
func (k Key) MarshalBinary() ([]byte, error) { return k[:], nil }

// UnmarshalBinary applies every check of ParseKey: a key inside CBOR gets no way
// around them.
func (k *Key) UnmarshalBinary(b []byte) (err error) { *k, err = ParseKey(b); return err }

// ParseKeyText parses the form that String gives, and nothing else.
func ParseKeyText(s string) (Key, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize || base64.StdEncoding.EncodeToString(b) != s {
		return Key{}, fmt.Errorf("%w: not base64 of %d bytes", ErrKey, ed25519.PublicKeySize)
	}
	return ParseKey(b)
}

// Fingerprint turns any public bytes (a key, a genesis note) into eight groups
// of five digits for reading out by telephone: about 132 bits, more than anyone
// can search for a look-alike. purpose separates the uses, so that the
// fingerprint of one thing never matches another.
func Fingerprint(purpose string, public []byte) string {
	h := sha512.New()
	h.Write([]byte("schakel/fingerprint/v1\x00" + purpose + "\x00"))
	h.Write(public)
	sum := h.Sum(nil)
	groups := make([]string, 8)
	for i := range groups {
		groups[i] = fmt.Sprintf("%05d", binary.BigEndian.Uint64(sum[8*i:])%100000)
	}
	return strings.Join(groups, " ")
}

// SameFingerprint compares a fingerprint as a person typed it: spaces, hyphens
// and line ends do not matter, digits do.
func SameFingerprint(want, typed string) bool {
	digits := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, s)
	}
	return len(digits(want)) == 40 && digits(want) == digits(typed)
}
