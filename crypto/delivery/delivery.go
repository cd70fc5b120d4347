// Package delivery is how something travels to one desk: a message, a statement,
// a test, or a copy or a record for one's own desk, signed by the device that seals it.
//
// A delivery may be made again, by any device of the sending desk, without
// changing the message inside. The signature covers the envelope's header, so the
// relay can change neither. The package holds no secrets.
package delivery

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// ErrFormat is wrapped by every refusal to parse or build a delivery.
var ErrFormat = errors.New("malformed delivery")

// Version is the only version this program reads and writes.
const Version = 1

// MaxSize bounds a signed delivery: what is left of an envelope of 64 devices
// after its stanzas and the padding.
const MaxSize = 512 << 10

// MaxSuperseded bounds the earlier envelopes that one delivery takes the place of.
const MaxSuperseded = 256

// MaxCounter bounds counters and statement numbers: no device ever gets there, and
// a store can hold every one below it.
const MaxCounter = 1 << 48

// MaxHeads bounds the heads that one delivery names.
const MaxHeads = 64

// Kind says what a delivery carries.
type Kind uint64

// The kinds of delivery.
const (
	KindMessage   Kind = 1 // the permanent bytes of a message.Signed
	KindStatement Kind = 2 // a Statement: receipt and heartbeat in one
	KindTest      Kind = 3 // free bytes; pages nobody, enters no case
	KindCopy      Kind = 4 // a Copy, to the sending desk's own other devices
	KindRecord    Kind = 5 // a signed Record, to the sending desk's own other devices

	KindCheckpoint Kind = 6 // a Checkpoint, to a desk that seems to see another register
	KindHistory    Kind = 7 // a History, between a desk that lost all its devices and a partner
)

// KeyUse states which key a device was sealed to, so that the device notices when
// the sender was given another key for it (attack C01).
type KeyUse struct {
	_         struct{} `cbor:",toarray"`
	Device    identity.DeviceID
	Epoch     uint64
	Recipient [32]byte // SHA-256 of the recipient string
}

// Counted reports whether a delivery of that kind takes a counter of its own. The
// others repeat the last one taken, 0 before the first: they may be lost without
// leaving a gap, and each shows whether anything before it was (attack B02).
func (k Kind) Counted() bool { return k == KindMessage || k == KindCopy || k == KindRecord }

// Superseded names an earlier envelope that this delivery takes the place of, and
// the counter that it used, so that the gap it leaves is known not to be one.
type Superseded struct {
	_        struct{} `cbor:",toarray"`
	Envelope envelope.ID
	Sealer   identity.DeviceID
	Counter  uint64
}

// RegisterView is the register as the sealing device saw it: gossip that makes a
// split view visible.
type RegisterView struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	Root [32]byte
}

// Delivery is the signed content of an envelope.
type Delivery struct {
	Version    uint64         `cbor:"1,keyasint"`
	Kind       Kind           `cbor:"2,keyasint"`
	Content    []byte         `cbor:"3,keyasint"`
	Counter    uint64         `cbor:"4,keyasint"` // 1, 2, 3 ... per sealing device and recipient desk; see Kind.Counted
	Keys       []KeyUse       `cbor:"5,keyasint"` // in the order of the header's targets
	Heads      []message.Hash `cbor:"6,keyasint"` // of conversations that the recipient desk was addressed in; of a statement, its messages whose files are all here
	Supersedes []Superseded   `cbor:"7,keyasint"`
	Register   RegisterView   `cbor:"8,keyasint"`
	Attended   []byte         `cbor:"9,keyasint"` // the token whose hash the header carries, or empty
}

// Payload checks d and returns its canonical bytes.
func (d Delivery) Payload() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	payload, err := canon.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return payload, nil
}

// ToBeSigned returns the payload of d and the bytes that the sealing device signs
// for it to travel under that envelope prefix.
func (d Delivery) ToBeSigned(prefix []byte) (payload, tbs []byte, err error) {
	if payload, err = d.Payload(); err != nil {
		return nil, nil, err
	}
	tbs, err = cose.ToBeSigned(cose.KindDelivery, prefix, payload)
	return payload, tbs, err
}

// Verify checks the signature of a raw delivery over the received bytes and the
// received prefix, and only then parses it: nothing unsigned is ever parsed.
func Verify(raw, prefix []byte, sealer identity.Key) (Delivery, error) {
	s1, err := cose.Parse(cose.KindDelivery, raw, MaxSize)
	if err != nil {
		return Delivery{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	tbs, err := cose.ToBeSigned(cose.KindDelivery, prefix, s1.Payload)
	if err != nil {
		return Delivery{}, err
	}
	if err := sealer.Verify(tbs, s1.Signature); err != nil {
		return Delivery{}, err
	}
	var d Delivery
	if err := canon.Unmarshal(s1.Payload, MaxSize, &d); err != nil {
		return Delivery{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := d.check(); err != nil {
		return Delivery{}, err
	}
	return d, nil
}

// Matches checks what header and delivery state twice: targets and keys, and the
// attended token and its hash.
func (d Delivery) Matches(h envelope.Header) error {
	if len(d.Keys) != len(h.Targets) {
		return fmt.Errorf("%w: %d keys for %d targets", ErrFormat, len(d.Keys), len(h.Targets))
	}
	for i, k := range d.Keys {
		if k.Device != h.Targets[i].Device || k.Epoch != h.Targets[i].Epoch {
			return fmt.Errorf("%w: key %d is not that of target %d", ErrFormat, i, i)
		}
	}
	if len(d.Attended) == 0 && len(h.Attended) == 0 {
		return nil
	}
	if sum := sha256.Sum256(d.Attended); len(d.Attended) != 32 || string(sum[:]) != string(h.Attended) {
		return fmt.Errorf("%w: attended token does not fit its hash", ErrFormat)
	}
	return nil
}

func (d Delivery) check() error {
	switch {
	case d.Version != Version:
		return fmt.Errorf("%w: version %d; this program knows version %d", ErrFormat, d.Version, Version)
	case d.Kind < KindMessage || d.Kind > KindHistory:
		return fmt.Errorf("%w: kind %d", ErrFormat, d.Kind)
	case d.Counter > MaxCounter:
		return fmt.Errorf("%w: counter %d", ErrFormat, d.Counter)
	case d.Counter == 0 && d.Kind.Counted():
		return fmt.Errorf("%w: counters start at 1", ErrFormat)
	case len(d.Keys) == 0 || len(d.Keys) > envelope.MaxTargets:
		return fmt.Errorf("%w: %d keys", ErrFormat, len(d.Keys))
	case len(d.Heads) > MaxHeads || len(d.Supersedes) > MaxSuperseded:
		return fmt.Errorf("%w: too many heads or superseded envelopes", ErrFormat)
	case len(d.Attended) != 0 && len(d.Attended) != 32:
		return fmt.Errorf("%w: attended token of %d bytes", ErrFormat, len(d.Attended))
	}
	for _, old := range d.Supersedes {
		if old.Counter == 0 || old.Counter > MaxCounter {
			return fmt.Errorf("%w: supersedes counter %d", ErrFormat, old.Counter)
		}
	}
	return nil
}
