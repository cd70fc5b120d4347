package delivery

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// RecordKind says what the devices of one desk tell each other.
type RecordKind uint64

// The kinds of record.
const (
	RecordPerson RecordKind = 1 // a person's particulars and locked key
	RecordAssign RecordKind = 2 // who has a case
	RecordNote   RecordKind = 3 // an internal note on a case
	RecordDraft  RecordKind = 4 // a version of a message that is still being written
	RecordLog    RecordKind = 5 // lines of a device's access log

	RecordReading  RecordKind = 6  // the public key that restricted cases are closed to for a person
	RecordRestrict RecordKind = 7  // who may read a case
	RecordRoster   RecordKind = 8  // who of the desk is on call, and how they are reached
	RecordShares   RecordKind = 9  // the key of a restricted case, wrapped for those who may read it
	RecordClosed   RecordKind = 10 // a note or draft of a restricted case, closed
	RecordGlass    RecordKind = 11 // somebody opened a restricted case with the emergency passphrase
	RecordPaged    RecordKind = 12 // a device paged somebody: the others need not
	RecordConfirm  RecordKind = 13 // a further person of the desk confirms a message that one acknowledged
)

// known are the kinds of this version.
var known = []RecordKind{RecordPerson, RecordAssign, RecordNote, RecordDraft, RecordLog,
	RecordReading, RecordRestrict, RecordRoster, RecordShares, RecordClosed, RecordGlass, RecordPaged, RecordConfirm}

// ofDevice reports whether the device signs records of this kind, and no person.
func (k RecordKind) ofDevice() bool {
	return k == RecordPerson || k == RecordLog || k == RecordClosed || k == RecordPaged
}

// Limits of a record: one always fits a delivery.
const (
	MaxRecord        = 256 << 10
	MaxRecordContent = 192 << 10
	MaxFollows       = 64
	maxClosing       = 8 << 10
)

// room is how much content a record of this kind holds: a closed one holds another whole.
func (k RecordKind) room() int {
	if k == RecordClosed {
		return MaxRecordContent + maxClosing
	}
	return MaxRecordContent
}

// Record is what a desk keeps to itself: it travels to the desk's own devices only
// and is signed by the person who wrote it, or by the device where it names none.
// Records of one thread name the ones that they were written in sight of, so every
// device finds the same newest ones, in whatever order they arrive.
type Record struct {
	Version uint64            `cbor:"1,keyasint"`
	Kind    RecordKind        `cbor:"2,keyasint"`
	Desk    identity.DeskID   `cbor:"3,keyasint"`
	Device  identity.DeviceID `cbor:"4,keyasint"` // on which it was made
	Person  []byte            `cbor:"5,keyasint"` // 16 bytes, or empty: the device speaks
	Case    message.CaseRef   `cbor:"6,keyasint"` // zeros: of no case
	Thread  [16]byte          `cbor:"7,keyasint"` // which draft; zeros where a case has one thread of the kind
	Follows []message.Hash    `cbor:"8,keyasint"` // sorted
	Created uint64            `cbor:"9,keyasint"` // seconds since 1970
	Content []byte            `cbor:"10,keyasint"`
}

// SignedRecord is a record with its signature, as parsed from its permanent bytes.
type SignedRecord struct {
	Record    Record
	Raw       []byte
	payload   []byte
	signature []byte
}

// ToBeSigned checks r and returns its payload and the bytes that its author signs.
func (r Record) ToBeSigned() (payload, tbs []byte, err error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	if payload, err = canon.Marshal(r); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	tbs, err = cose.ToBeSigned(cose.KindRecord, nil, payload)
	return payload, tbs, err
}

// AssembleRecord puts a payload and the signature over it together.
func AssembleRecord(payload, signature []byte) (SignedRecord, error) {
	raw, err := cose.Assemble(cose.KindRecord, payload, signature)
	if err != nil {
		return SignedRecord{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return ParseRecord(raw)
}

// ParseRecord reads a record without verifying it: the caller knows who may have
// signed it.
func ParseRecord(raw []byte) (SignedRecord, error) {
	s1, err := cose.Parse(cose.KindRecord, raw, MaxRecord)
	if err != nil {
		return SignedRecord{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	s := SignedRecord{Raw: raw, payload: s1.Payload, signature: s1.Signature}
	if err := canon.Unmarshal(s1.Payload, MaxRecord, &s.Record); err != nil {
		return SignedRecord{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return s, s.Record.check()
}

// Verify checks the signature with the key of the person named in it, or else of
// its device.
func (s SignedRecord) Verify(author identity.Key) error {
	tbs, err := cose.ToBeSigned(cose.KindRecord, nil, s.payload)
	if err != nil {
		return err
	}
	return author.Verify(tbs, s.signature)
}

// Hash is the identity of a record: of what was signed, not of the signature.
func (s SignedRecord) Hash() message.Hash { return sha256.Sum256(s.payload) }

func (r Record) check() error {
	if err := checkVersion(r.Version); err != nil {
		return err
	}
	if err := checkDesk(r.Desk); err != nil {
		return err
	}
	switch {
	case !slices.Contains(known, r.Kind):
		return fmt.Errorf("%w: record of kind %d", ErrFormat, r.Kind)
	case r.Device.IsZero():
		return fmt.Errorf("%w: record of no device", ErrFormat)
	case len(r.Person) != 0 && len(r.Person) != len(identity.PersonID{}):
		return fmt.Errorf("%w: record: person of %d bytes", ErrFormat, len(r.Person))
	case len(r.Person) == 0 != r.Kind.ofDevice():
		return fmt.Errorf("%w: record of kind %d signed by the wrong sort of key", ErrFormat, r.Kind)
	case r.Created > envelope.MaxTime:
		return fmt.Errorf("%w: record: time out of bounds", ErrFormat)
	case len(r.Content) > r.Kind.room() || len(r.Follows) > MaxFollows:
		return fmt.Errorf("%w: record of %d bytes that follows %d", ErrFormat, len(r.Content), len(r.Follows))
	case !increasing(r.Follows, func(a, b message.Hash) int { return bytes.Compare(a[:], b[:]) }):
		return fmt.Errorf("%w: record: what it follows is not sorted or not unique", ErrFormat)
	}
	return nil
}
