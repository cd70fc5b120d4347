package store

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
)

// Reader is a key that opens what was closed for it: of a person, derived from the
// signing key that only the PIN unlocks, or of a restricted case. The key agreement is
// hybrid (X25519 and ML-KEM-768), as everywhere in Schakel.
type Reader struct {
	key hpke.PrivateKey
}

const readerSize = 32

// ReaderOf returns the reading key of the person with that signing key.
func ReaderOf(person ed25519.PrivateKey) (Reader, error) {
	if len(person) != ed25519.PrivateKeySize {
		return Reader{}, fmt.Errorf("failed to derive a reading key: person key of %d bytes", len(person))
	}
	seed, err := hkdf.Key(sha256.New, person.Seed(), nil, "schakel/store/v1/reader", readerSize)
	if err != nil {
		return Reader{}, fmt.Errorf("failed to derive a reading key: %w", err)
	}
	return parseReader(seed)
}

func newReader() (Reader, error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	return Reader{key}, err
}

func parseReader(secret []byte) (Reader, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(secret)
	if err != nil {
		return Reader{}, fmt.Errorf("failed to read a reading key: %w", err)
	}
	return Reader{key}, nil
}

func (r Reader) secret() ([]byte, error) { return r.key.Bytes() }

// Public is what others close for this reader with.
func (r Reader) Public() []byte { return r.key.PublicKey().Bytes() }

// closeFor encrypts plain to a public key, bound to the purpose.
func closeFor(public, purpose, plain []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("failed to use a reading key: %w", err)
	}
	return hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), purpose, plain)
}

func (r Reader) open(purpose, closed []byte) ([]byte, error) {
	return hpke.Open(r.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), purpose, closed)
}
