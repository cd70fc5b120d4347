package seal

import (
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// What a desk keeps from part of its own people is closed to public keys, so that it can
// be closed while nobody who may read it is there. The suite is HPKE (RFC 9180) with
// ML-KEM-768 and X25519 together: what is closed today stays closed if either falls.

// ErrClosed is wrapped by every refusal to open what was closed to a ReadLock.
var ErrClosed = errors.New("this key does not open it")

const (
	readSuite = "schakel/read/v1\x00"
	// ReadOverhead is what closing adds: the encapsulated key and the tag.
	ReadOverhead = 1120 + 16
	readSecret   = 32
)

// ReadKey opens what was closed to its lock: the key of a restricted case, or that of a
// person who may read one.
type ReadKey struct {
	secret []byte
	key    hpke.PrivateKey
	lock   ReadLock
}

// NewReadKey makes an independent random key.
func NewReadKey() (*ReadKey, error) {
	secret := make([]byte, readSecret)
	rand.Read(secret)
	return ParseReadKey(secret)
}

// ParseReadKey makes the key of what Secret gave.
func ParseReadKey(secret []byte) (*ReadKey, error) {
	if len(secret) != readSecret {
		return nil, fmt.Errorf("%w: reading key of %d bytes", ErrKey, len(secret))
	}
	key, err := hpke.MLKEM768X25519().DeriveKeyPair(secret)
	if err != nil {
		return nil, fmt.Errorf("failed to make a reading key: %w", err)
	}
	lock, err := ParseReadLock(key.PublicKey().Bytes())
	return &ReadKey{secret: secret, key: key, lock: lock}, err
}

// ReadKey is what a person reads restricted cases with. It comes from the signing key,
// by a one-way function with a purpose of its own, so that one PIN unlocks both and
// nothing more has to be kept.
func (k *PersonKey) ReadKey() (*ReadKey, error) {
	secret, err := hkdf.Key(sha256.New, k.Key.Seed(), k.ID[:], readSuite+"person", readSecret)
	if err != nil {
		return nil, fmt.Errorf("failed to make a reading key: %w", err)
	}
	return ParseReadKey(secret)
}

// Secret is what ParseReadKey takes, for wrapping.
func (k *ReadKey) Secret() []byte { return k.secret }

// Lock is the public half.
func (k *ReadKey) Lock() ReadLock { return k.lock }

// Open opens what was closed to the lock about the same thing. It refuses with ErrClosed.
func (k *ReadKey) Open(about, closed []byte) ([]byte, error) {
	plain, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), append([]byte(readSuite), about...), closed)
	if err != nil {
		return nil, ErrClosed
	}
	return plain, nil
}

// ReadLock is the public half of a ReadKey. The zero ReadLock closes nothing.
type ReadLock struct {
	key   hpke.PublicKey
	bytes []byte
	id    [32]byte
}

// ParseReadLock reads what Bytes gave, and tries it.
func ParseReadLock(b []byte) (ReadLock, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(b)
	if err != nil {
		return ReadLock{}, fmt.Errorf("%w: public reading key: %w", ErrKey, err)
	}
	l := ReadLock{key: key, bytes: b, id: sha256.Sum256(append([]byte(readSuite+"lock\x00"), b...))}
	if _, err := l.Close(nil, nil); err != nil {
		return ReadLock{}, fmt.Errorf("%w: nothing can be closed to it: %w", ErrKey, err)
	}
	return l, nil
}

// Bytes is the lock as it is kept and told.
func (l ReadLock) Bytes() []byte { return l.bytes }

// ID names the lock.
func (l ReadLock) ID() [32]byte { return l.id }

// Close closes plain so that only the key opens it. about binds it to what it is: it
// opens as nothing else. Nothing says who closed it; a signature inside has to.
func (l ReadLock) Close(about, plain []byte) ([]byte, error) {
	if l.key == nil {
		return nil, fmt.Errorf("%w: no public reading key", ErrKey)
	}
	return hpke.Seal(l.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), append([]byte(readSuite), about...), plain)
}

// String, GoString and MarshalJSON keep the secret out of whatever prints a struct.
func (k ReadKey) String() string               { return redacted }
func (k ReadKey) GoString() string             { return redacted }
func (k ReadKey) MarshalJSON() ([]byte, error) { return nil, errSecret }
