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
	maxRule     = 32
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
	Rule         string // the protocol's rule ("R09") or a word of docs/crypto.md, where Rejected is set; never free text
}

// Statement is what one desk declares to have received, opened, acknowledged and
// rejected from another: cumulative, so that the newest one replaces all before
// it, and sent at least hourly while a case is open, so that silence is noticed.
// It is also the request to send again: a counter that is neither contiguous nor
// beyond is one that never arrived.
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
func Encode[C Statement | Copy](c C) ([]byte, error) { return canon.Marshal(c) }

// ParseStatement reads the content of a delivery of KindStatement.
func ParseStatement(b []byte) (Statement, error) {
	var s Statement
	if err := parse(b, &s, &s.Version); err != nil {
		return s, err
	}
	if len(s.Peers) > MaxPeers || len(s.Statuses) > MaxStatuses {
		return s, fmt.Errorf("%w: statement too long", ErrFormat)
	}
	for _, st := range s.Statuses {
		if len(st.Rule) > maxRule || (st.Rejected != 0) != (st.Rule != "") {
			return s, fmt.Errorf("%w: statement: a rejection names a rule, and nothing else does", ErrFormat)
		}
	}
	for _, p := range s.Peers {
		if len(p.Beyond) > MaxMissing || !slices.IsSorted(p.Beyond) {
			return s, fmt.Errorf("%w: statement: counters beyond the gap", ErrFormat)
		}
	}
	return s, nil
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
