// Package message is what was said: a heading and a body, signed once, permanent.
//
// Its hash is its identity. How it travels to one desk is a delivery, which may
// be made again without changing the message. The package holds no secrets: who
// has the keys signs the bytes of [Message.ToBeSigned].
package message

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/identity"
)

// Limits of a message. Version is the only layout this program reads and writes;
// Protocol is the version of the collaboration protocol that it begins with.
const (
	Version        = 1
	Protocol       = "schakel/1"
	MaxBody        = 128 << 10
	MaxAddressed   = 32
	MaxAttachments = 64
	// MaxAttachment is the largest content of an attachment: sealed, it fits in 2 GiB.
	MaxAttachment = 1984 << 20
	MaxEnclosed   = 8
	maxTime       = 1 << 40   // seconds since 1970, as in the envelope
	MaxSize       = 256 << 10 // a whole signed message, enclosed originals included
)

// protocolName is how a version of the collaboration protocol is named. Which ones
// are spoken is for clients/protocol to say: a message of one that this program does
// not speak still is a message, with signatures that verify and a sender to answer.
var protocolName = regexp.MustCompile(`^schakel/[1-9][0-9]{0,3}$`)

// ErrFormat is wrapped by every refusal to parse or build a message.
var ErrFormat = errors.New("malformed message")

// ID names a message before its hash is known; a version 7 UUID.
type ID [16]byte

// CaseRef names a case (zaak); random, and never seen by the relay.
type CaseRef [16]byte

// Hash is the identity of a message: what receipts, heads and evidence refer to.
type Hash [32]byte

// Urgency is one of the four urgencies of the protocol, in its spelling.
type Urgency string

// The urgencies.
const (
	Acute   Urgency = "acuut"
	Urgent  Urgency = "spoed"
	Routine Urgency = "regulier"
	Info    Urgency = "ter-kennisname"
)

// Ref refers to another message by both its names.
type Ref struct {
	_    struct{} `cbor:",toarray"`
	ID   ID       `json:"id"`
	Hash Hash     `json:"hash"`
}

// Heading (kop) says what kind of message this is and what it answers. What the
// message already states elsewhere (sender, addressed desks, identifiers, time)
// is not repeated in it: there is one truth.
type Heading struct {
	Protocol string  `cbor:"1,keyasint"`
	Class    string  `cbor:"2,keyasint"`
	Urgency  Urgency `cbor:"3,keyasint"`
	Answers  []Ref   `cbor:"4,keyasint"` // antwoordOp: none or one
	RestsOn  []Ref   `cbor:"5,keyasint"` // steuntOp
	Outcome  string  `cbor:"6,keyasint"` // uitkomst of a besluit, or empty
	Expires  uint64  `cbor:"7,keyasint"` // vervaltOp: until when the sender keeps trying, seconds since 1970
	// Exercise (oefening) marks a message of an exercise. It stands in what is signed,
	// so nobody can take it off or put it on. Where it is false it is not there at all:
	// a program from before exercises refuses to parse one, and so never shows an
	// exercise as a real case.
	Exercise bool `cbor:"8,keyasint,omitempty"`
	// Stale marks an acute message that a named person sent although the sender could not
	// know whether its register is current; who reads it must know. As with Exercise it is
	// signed, by that person too, and not there at all where it is nil: a program from before
	// refuses such a message, which its sender hears.
	Stale *Stale `cbor:"9,keyasint,omitempty"`
}

// Stale is what a person answers for who sends by an old register: a revocation may be
// missing from it, so somebody else may read along.
type Stale struct {
	_      struct{} `cbor:",toarray"`
	Since  uint64   `json:"since"`  // when the register was vouched for last, seconds since 1970; 0: never
	Called string   `json:"called"` // the telephone number that was called as well
}

// telephone is a number as it stands in the register and in messages.
var telephone = regexp.MustCompile(`^\+[0-9]{6,15}$`)

// Sender is the desk and the device that a message comes from.
type Sender struct {
	_      struct{} `cbor:",toarray"`
	Desk   identity.DeskID
	Device identity.DeviceID
}

// Message is the signed content. Created is in seconds since 1970.
type Message struct {
	Version     uint64            `cbor:"1,keyasint"`
	ID          ID                `cbor:"2,keyasint"`
	Case        CaseRef           `cbor:"3,keyasint"`
	Heading     Heading           `cbor:"4,keyasint"`
	Body        []byte            `cbor:"5,keyasint"` // travels byte-identical
	Sender      Sender            `cbor:"6,keyasint"`
	Addressed   []identity.DeskID `cbor:"7,keyasint"` // sorted, unique
	Created     uint64            `cbor:"8,keyasint"`
	Attachments []Attachment      `cbor:"9,keyasint"`
	Enclosed    [][]byte          `cbor:"10,keyasint"` // signed originals that this message rests on
	Person      []byte            `cbor:"11,keyasint"` // 16 bytes, or empty: no person signed
}

// Signed is a message with its signatures, as parsed from its permanent bytes.
type Signed struct {
	Message   Message
	Raw       []byte // the permanent bytes
	payload   []byte
	deviceSig []byte
	personSig []byte
}

// wire is the permanent form: a standard COSE_Sign1 by the device and, beside it,
// the person's signature over the same Sig_structure. COSE_Sign1 has room for one.
type wire struct {
	_         struct{} `cbor:",toarray"`
	Sign1     []byte
	PersonSig []byte
}

// ToBeSigned checks m and returns its payload and the bytes that the device, and
// the person where m names one, sign.
func (m Message) ToBeSigned() (payload, tbs []byte, err error) {
	if err := m.check(); err != nil {
		return nil, nil, err
	}
	if payload, err = canon.Marshal(m); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	tbs, err = cose.ToBeSigned(cose.KindMessage, nil, payload)
	return payload, tbs, err
}

// Assemble returns the signed message for a payload and the signatures over it.
// personSig is nil exactly where the message names no person.
func Assemble(payload, deviceSig, personSig []byte) (Signed, error) {
	sign1, err := cose.Assemble(cose.KindMessage, payload, deviceSig)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	raw, err := canon.Marshal(wire{Sign1: sign1, PersonSig: personSig})
	if err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return Parse(raw)
}

// Parse reads the permanent bytes of a message strictly. It verifies no
// signature: VerifyDevice and VerifyPerson do, with keys that the register proves.
func Parse(raw []byte) (Signed, error) {
	var w wire
	if err := canon.Unmarshal(raw, MaxSize, &w); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	s1, err := cose.Parse(cose.KindMessage, w.Sign1, MaxSize)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	s := Signed{Raw: raw, payload: s1.Payload, deviceSig: s1.Signature, personSig: w.PersonSig}
	if err := canon.Unmarshal(s1.Payload, MaxSize, &s.Message); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := s.Message.check(); err != nil {
		return Signed{}, err
	}
	if named, signed := len(s.Message.Person) > 0, len(w.PersonSig) == 64; named != signed || (!signed && len(w.PersonSig) != 0) {
		return Signed{}, fmt.Errorf("%w: a person is named exactly where a person signs", ErrFormat)
	}
	return s, nil
}

// Hash is SHA-256 over the protected header and the payload, never over a signature.
func (s Signed) Hash() Hash {
	h := sha256.New()
	h.Write([]byte("schakel/msg-hash/v1"))
	h.Write(cose.KindMessage.Protected())
	h.Write(s.payload)
	return Hash(h.Sum(nil))
}

// VerifyDevice checks the sending device's signature.
func (s Signed) VerifyDevice(k identity.Key) error { return s.verify(k, s.deviceSig) }

// VerifyPerson checks the person's signature. A message that names no person
// fails: a missing signature is not a valid one.
func (s Signed) VerifyPerson(k identity.Key) error { return s.verify(k, s.personSig) }

func (s Signed) verify(k identity.Key, sig []byte) error {
	tbs, err := cose.ToBeSigned(cose.KindMessage, nil, s.payload)
	if err != nil {
		return err
	}
	return k.Verify(tbs, sig)
}

// Ref returns the reference by which other messages name this one.
func (s Signed) Ref() Ref { return Ref{ID: s.Message.ID, Hash: s.Hash()} }

// AddressedTo reports whether the message was signed for that desk. A recipient
// checks it for its own desk; that stops surreptitious forwarding (attack F01).
func (m Message) AddressedTo(d identity.DeskID) bool { return slices.Contains(m.Addressed, d) }

func (h Hash) String() string    { return hex.EncodeToString(h[:]) }
func (id ID) String() string     { return identity.FormatUUID(id) }
func (c CaseRef) String() string { return identity.FormatUUID(c) }

// The names are text in JSON; CBOR keeps their bytes.
func (h Hash) MarshalText() ([]byte, error)    { return []byte(h.String()), nil }
func (id ID) MarshalText() ([]byte, error)     { return []byte(id.String()), nil }
func (c CaseRef) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("%w: a hash is %d hexadecimal digits", ErrFormat, 2*len(h))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("%w: hash: %w", ErrFormat, err)
	}
	return nil
}

// UnmarshalText reads a UUID.
func (id *ID) UnmarshalText(text []byte) error {
	u, err := identity.ParseUUID(string(text))
	*id = ID(u)
	return err
}

// UnmarshalText reads a UUID.
func (c *CaseRef) UnmarshalText(text []byte) error {
	u, err := identity.ParseUUID(string(text))
	*c = CaseRef(u)
	return err
}

func (m Message) check() error {
	switch {
	case m.Version != Version:
		return fmt.Errorf("%w: version %d; this program knows version %d", ErrFormat, m.Version, Version)
	case !protocolName.MatchString(m.Heading.Protocol):
		return fmt.Errorf("%w: protocol %.40q, want schakel/ and a number", ErrFormat, m.Heading.Protocol)
	case m.ID == ID{} || m.Case == CaseRef{} || m.Sender.Device.IsZero():
		return fmt.Errorf("%w: identifier of zeros", ErrFormat)
	case len(m.Body) == 0 || len(m.Body) > MaxBody:
		return fmt.Errorf("%w: body of %d bytes, want 1 to %d", ErrFormat, len(m.Body), MaxBody)
	case len(m.Addressed) == 0 || len(m.Addressed) > MaxAddressed:
		return fmt.Errorf("%w: %d addressed desks, want 1 to %d", ErrFormat, len(m.Addressed), MaxAddressed)
	case len(m.Attachments) > MaxAttachments || len(m.Enclosed) > MaxEnclosed:
		return fmt.Errorf("%w: too many attachments or enclosed messages", ErrFormat)
	case len(m.Person) != 0 && len(m.Person) != 16:
		return fmt.Errorf("%w: person identifier of %d bytes", ErrFormat, len(m.Person))
	case m.Heading.Expires <= m.Created || m.Heading.Expires > maxTime:
		return fmt.Errorf("%w: expires before it was created", ErrFormat)
	}
	if err := errors.Join(m.checkStale(), m.checkAttachments()); err != nil {
		return err
	}
	return m.checkNames()
}

// checkStale: nobody sends by an old register but a named person, acute, who telephoned.
func (m Message) checkStale() error {
	stale := m.Heading.Stale
	switch {
	case stale == nil:
		return nil
	case m.Heading.Urgency != Acute || len(m.Person) == 0:
		return fmt.Errorf("%w: sent by an old register without a named person, or not acute", ErrFormat)
	case !telephone.MatchString(stale.Called) || stale.Since > m.Created:
		return fmt.Errorf("%w: sent by an old register, and nobody was called or the register is of later", ErrFormat)
	}
	return nil
}

func (m Message) checkNames() error {
	if _, err := identity.ParseDeskID(string(m.Sender.Desk)); err != nil {
		return fmt.Errorf("%w: sender: %w", ErrFormat, err)
	}
	for i, d := range m.Addressed {
		if _, err := identity.ParseDeskID(string(d)); err != nil {
			return fmt.Errorf("%w: addressed: %w", ErrFormat, err)
		}
		if i > 0 && m.Addressed[i-1] >= d {
			return fmt.Errorf("%w: addressed desks not sorted or not unique", ErrFormat)
		}
	}
	return m.Heading.check()
}

func (h Heading) check() error {
	switch {
	case len(h.Class) == 0 || len(h.Class) > 64 || len(h.Outcome) > 64:
		return fmt.Errorf("%w: class or outcome empty or too long", ErrFormat)
	case !slices.Contains([]Urgency{Acute, Urgent, Routine, Info}, h.Urgency):
		return fmt.Errorf("%w: urgency %.40q", ErrFormat, h.Urgency)
	case len(h.Answers) > 1 || len(h.RestsOn) > 16:
		return fmt.Errorf("%w: answers %d messages, rests on %d", ErrFormat, len(h.Answers), len(h.RestsOn))
	}
	return nil
}
