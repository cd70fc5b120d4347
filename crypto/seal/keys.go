package seal

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"schakel/crypto/identity"
)

// ErrKey is wrapped by every refusal of a private key, an epoch key or a recipient.
var ErrKey = errors.New("key refused")

// errSecret keeps a key out of JSON and of log lines: encoding it is refused, so
// that a mistake is seen at once and nothing is stored half.
var errSecret = errors.New("a private key is never encoded as text")

const redacted = "[private key]"

// DeviceKeys are the two signing keys of one installation: one per purpose, so
// that a token for the relay can never be a signature on a message.
type DeviceKeys struct {
	ID    identity.DeviceID
	Sign  ed25519.PrivateKey // messages, deliveries, register entries
	Login ed25519.PrivateKey // tokens for the relay, nothing else
}

// NewDeviceKeys makes both keys from 32 bytes of random each.
func NewDeviceKeys(id identity.DeviceID, random io.Reader) (*DeviceKeys, error) {
	sign, err := newKey(random)
	if err != nil {
		return nil, err
	}
	login, err := newKey(random)
	if err != nil {
		return nil, err
	}
	k := &DeviceKeys{ID: id, Sign: sign, Login: login}
	return k, k.check()
}

// SignPublic is the key that others verify this device's messages with.
func (k *DeviceKeys) SignPublic() identity.Key { return public(k.Sign) }

// LoginPublic is the key that the relay verifies this device's tokens with.
func (k *DeviceKeys) LoginPublic() identity.Key { return public(k.Login) }

func (k *DeviceKeys) check() error {
	switch {
	case k == nil:
		return fmt.Errorf("%w: no device keys", ErrKey)
	case k.ID.IsZero():
		return fmt.Errorf("%w: device identifier of zeros", ErrKey)
	case len(k.Sign) != ed25519.PrivateKeySize || len(k.Login) != ed25519.PrivateKeySize:
		return fmt.Errorf("%w: device keys of %d and %d bytes", ErrKey, len(k.Sign), len(k.Login))
	case subtle.ConstantTimeCompare(k.Sign, k.Login) == 1:
		return fmt.Errorf("%w: one key for signing and login", ErrKey)
	}
	return nil
}

// PersonKey is the signing key of one named human.
type PersonKey struct {
	ID  identity.PersonID
	Key ed25519.PrivateKey
}

// NewPersonKey makes a person's key from 32 bytes of random.
func NewPersonKey(id identity.PersonID, random io.Reader) (*PersonKey, error) {
	key, err := newKey(random)
	if err != nil {
		return nil, err
	}
	return &PersonKey{ID: id, Key: key}, nil
}

// Public is the key that others verify this person's signature with.
func (k *PersonKey) Public() identity.Key { return public(k.Key) }

// EpochKey is the age identity of one device for one epoch. The identity is
// parsed once and kept. Dropping the last EpochKey and its stored secret is what
// destroying an epoch means; memory is not claimed to be erased.
type EpochKey struct {
	number    uint64
	identity  *age.HybridIdentity
	recipient string
	hash      [32]byte
}

// NewEpochKey makes an independent random key.
func NewEpochKey(number uint64) (*EpochKey, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("failed to make an epoch key: %w", err)
	}
	return newEpochKey(number, id), nil
}

// ParseEpochKey reads what Secret gives. Other kinds of age identity (X25519,
// scrypt, plugins, SSH) are refused: nothing is ever opened with them.
func ParseEpochKey(number uint64, secret string) (*EpochKey, error) {
	if len(secret) > 128 {
		return nil, fmt.Errorf("%w: epoch key of %d characters", ErrKey, len(secret))
	}
	id, err := age.ParseHybridIdentity(secret)
	if err != nil || id.String() != secret {
		return nil, fmt.Errorf("%w: not a hybrid post-quantum age identity", ErrKey) // age's error may quote the secret
	}
	return newEpochKey(number, id), nil
}

func newEpochKey(number uint64, id *age.HybridIdentity) *EpochKey {
	recipient := id.Recipient().String()
	return &EpochKey{number: number, identity: id, recipient: recipient, hash: sha256.Sum256([]byte(recipient))}
}

// Number is the epoch's number in the device's epoch entries.
func (k *EpochKey) Number() uint64 { return k.number }

// Recipient is the public recipient string, "age1pq1...".
func (k *EpochKey) Recipient() string { return k.recipient }

// RecipientHash is the SHA-256 of the recipient string: what the register logs.
func (k *EpochKey) RecipientHash() [32]byte { return k.hash }

// Secret is the private identity, "AGE-SECRET-KEY-PQ-1...", for the sealed store.
func (k *EpochKey) Secret() string { return k.identity.String() }

func newKey(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("failed to make a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// public gives the zero Key, which verifies nothing, for a private key of another
// size: such a key also signs nothing.
func public(k ed25519.PrivateKey) (pub identity.Key) {
	if len(k) == ed25519.PrivateKeySize {
		copy(pub[:], k[ed25519.SeedSize:])
	}
	return pub
}

// String, GoString and MarshalText keep secrets out of whatever prints or encodes
// a struct that happens to hold one.
func (k DeviceKeys) String() string               { return redacted }
func (k DeviceKeys) GoString() string             { return redacted }
func (k DeviceKeys) MarshalJSON() ([]byte, error) { return nil, errSecret }
func (k PersonKey) String() string                { return redacted }
func (k PersonKey) GoString() string              { return redacted }
func (k PersonKey) MarshalJSON() ([]byte, error)  { return nil, errSecret }
func (k EpochKey) String() string                 { return redacted }
func (k EpochKey) GoString() string               { return redacted }
func (k EpochKey) MarshalJSON() ([]byte, error)   { return nil, errSecret }
