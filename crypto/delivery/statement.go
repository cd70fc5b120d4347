package delivery

import (
	"fmt"
	"slices"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Limits of a statement: what does not fit is stated in the next one, oldest first.
const (
	MaxPeers    = 64
	MaxMissing  = 1024
	MaxStatuses = 1000
)

// Received says which deliveries of one peer device have arrived: all up to
// Contiguous, and those in Beyond.
type Received struct {
	_          struct{} `cbor:",toarray"`
	Device     identity.DeviceID
	Contiguous uint64
	Beyond     []uint64 // sorted, each above Contiguous+1
}

// Status says how far one message of the peer desk has come here. Times are
// seconds since 1970; 0 means not yet. Acknowledged repeats what a person-signed
// ontvangstbevestiging says elsewhere; only that proves it.
type Status struct {
	_            struct{} `cbor:",toarray"`
	Message      message.Hash
	Received     uint64
	Opened       uint64
	Acknowledged uint64
	Rejected     uint64
}

// Statement is what one desk declares to have received, opened and acknowledged
// from another: cumulative, so that the newest one replaces all before it, and
// sent at least hourly while a case is open, so that silence is noticed.
type Statement struct {
	Version  uint64          `cbor:"1,keyasint"`
	From     identity.DeskID `cbor:"2,keyasint"`
	To       identity.DeskID `cbor:"3,keyasint"`
	Number   uint64          `cbor:"4,keyasint"` // increases with every statement of the sealing device to that desk
	At       uint64          `cbor:"5,keyasint"`
	Peers    []Received      `cbor:"6,keyasint"` // devices of To, sorted
	Statuses []Status        `cbor:"7,keyasint"` // sorted by message hash
	Next     uint64          `cbor:"8,keyasint"` // when the next statement is due at the latest
}

// Has reports whether the statement confirms the delivery with that counter.
func (s Statement) Has(device identity.DeviceID, counter uint64) bool {
	for _, p := range s.Peers {
		if p.Device == device {
			return counter <= p.Contiguous || slices.Contains(p.Beyond, counter)
		}
	}
	return false
}

// Resend asks for deliveries that a gap in the counters shows to be missing.
type Resend struct {
	Version uint64            `cbor:"1,keyasint"`
	Device  identity.DeviceID `cbor:"2,keyasint"` // the device whose counters these are
	Missing []uint64          `cbor:"3,keyasint"` // sorted
}

// Rejection refuses a message under a named rule. Rule is one of the protocol's
// ("R09") or a code of this package's documentation; never free text, so that it
// cannot carry anything else.
type Rejection struct {
	Version uint64       `cbor:"1,keyasint"`
	Message message.Hash `cbor:"2,keyasint"`
	Rule    string       `cbor:"3,keyasint"`
	At      uint64       `cbor:"4,keyasint"`
}

// Sent says under which envelope and counter a message first travelled to a desk.
type Sent struct {
	_        struct{} `cbor:",toarray"`
	Desk     identity.DeskID
	Envelope envelope.ID
	Counter  uint64
}

// Copy tells the other devices of the sending desk what was sent and how, so that
// any of them can make a delivery again when the sealing device is gone.
type Copy struct {
	Version uint64 `cbor:"1,keyasint"`
	Message []byte `cbor:"2,keyasint"` // permanent bytes
	Sent    []Sent `cbor:"3,keyasint"` // sorted by desk
}

// Encode returns the canonical bytes of what a delivery of another kind than
// KindMessage and KindTest carries.
func Encode[C Statement | Resend | Rejection | Copy](c C) ([]byte, error) { return canon.Marshal(c) }

// ParseStatement reads the content of a delivery of KindStatement.
func ParseStatement(b []byte) (Statement, error) {
	var s Statement
	if err := parse(b, &s, &s.Version); err != nil {
		return s, err
	}
	if len(s.Peers) > MaxPeers || len(s.Statuses) > MaxStatuses {
		return s, fmt.Errorf("%w: statement too long", ErrFormat)
	}
	for _, p := range s.Peers {
		if len(p.Beyond) > MaxMissing || !slices.IsSorted(p.Beyond) {
			return s, fmt.Errorf("%w: statement: counters beyond the gap", ErrFormat)
		}
	}
	return s, nil
}

// ParseResend reads the content of a delivery of KindResend.
func ParseResend(b []byte) (Resend, error) {
	var r Resend
	if err := parse(b, &r, &r.Version); err != nil {
		return r, err
	}
	if len(r.Missing) == 0 || len(r.Missing) > MaxMissing || !slices.IsSorted(r.Missing) {
		return r, fmt.Errorf("%w: resend: %d counters", ErrFormat, len(r.Missing))
	}
	return r, nil
}

// ParseRejection reads the content of a delivery of KindRejection.
func ParseRejection(b []byte) (Rejection, error) {
	var r Rejection
	if err := parse(b, &r, &r.Version); err != nil {
		return r, err
	}
	if len(r.Rule) == 0 || len(r.Rule) > 32 {
		return r, fmt.Errorf("%w: rejection names no rule", ErrFormat)
	}
	return r, nil
}

// ParseCopy reads the content of a delivery of KindCopy.
func ParseCopy(b []byte) (Copy, error) {
	var c Copy
	if err := parse(b, &c, &c.Version); err != nil {
		return c, err
	}
	if len(c.Sent) > message.MaxAddressed {
		return c, fmt.Errorf("%w: copy: sent to %d desks", ErrFormat, len(c.Sent))
	}
	return c, nil
}

func parse(b []byte, v any, version *uint64) error {
	if err := canon.Unmarshal(b, MaxSize, v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if *version != Version {
		return fmt.Errorf("%w: version %d; this program knows version %d", ErrFormat, *version, Version)
	}
	return nil
}
