package delivery

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Limits of a statement: what does not fit is stated in the next one, oldest first; of the
// counters beyond a gap the newest are stated.
const (
	MaxPeers    = 64
	MaxMissing  = 1024
	MaxStatuses = 1000
	maxRule     = 32

	MaxUnreadable = 64
	MaxSpoken     = 4
	maxVersion    = 9999
)

// Received says which deliveries of one peer device have arrived: all up to
// Contiguous, and those in Beyond. Stated is the number of its newest statement
// seen here, so that it need not repeat what that one said.
type Received struct {
	_          struct{} `cbor:",toarray"`
	Device     identity.DeviceID
	Contiguous uint64
	Beyond     []uint64 // sorted, each above Contiguous+1
	Stated     uint64
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
	Rule         string // why it was rejected, the protocol's rule ("R09") or a word of docs/crypto.md; without Rejected, which one it broke and was taken all the same; never free text
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

	// Unreadable lists envelopes that claim to come from To and did not open here,
	// once: their sender makes them again at once instead of waiting (attack F10).
	Unreadable []envelope.ID `cbor:"9,keyasint"`

	// Spoken is the versions of the protocol that the sealing device reads and writes,
	// sorted; left out by a device that speaks only the one of the agreement.
	Spoken []uint64 `cbor:"10,keyasint,omitempty"`
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

// content is what a delivery of another kind than KindMessage and KindTest carries.
type content interface {
	Statement | Copy | Checkpoint | History
	check() error
}

// Encode checks c and returns its canonical bytes: what is not accepted from
// others is not sent to them either.
func Encode[C content](c C) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return canon.Marshal(c)
}

// ParseStatement reads the content of a delivery of KindStatement.
func ParseStatement(b []byte) (Statement, error) { return parse[Statement](b) }

// ParseCopy reads the content of a delivery of KindCopy. The message inside is
// still to be parsed.
func ParseCopy(b []byte) (Copy, error) { return parse[Copy](b) }

func parse[C content](b []byte) (C, error) {
	var c, none C
	if err := canon.Unmarshal(b, MaxSize, &c); err != nil {
		return none, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := c.check(); err != nil {
		return none, err
	}
	return c, nil
}

func (s Statement) check() error {
	if err := errors.Join(checkVersion(s.Version), checkDesk(s.From), checkDesk(s.To)); err != nil {
		return err
	}
	if len(s.Peers) > MaxPeers || len(s.Statuses) > MaxStatuses || len(s.Unreadable) > MaxUnreadable {
		return fmt.Errorf("%w: statement on %d devices and %d messages", ErrFormat, len(s.Peers), len(s.Statuses))
	}
	if n := len(s.Spoken); n > MaxSpoken || !increasing(s.Spoken, cmp.Compare) || n > 0 && (s.Spoken[0] == 0 || s.Spoken[n-1] > maxVersion) {
		return fmt.Errorf("%w: statement: versions of the protocol not sorted, not unique, or too many", ErrFormat)
	}
	if !increasing(s.Peers, func(a, b Received) int { return bytes.Compare(a.Device[:], b.Device[:]) }) ||
		!increasing(s.Statuses, func(a, b Status) int { return bytes.Compare(a.Message[:], b.Message[:]) }) {
		return fmt.Errorf("%w: statement: devices or messages not sorted or not unique", ErrFormat)
	}
	for _, p := range s.Peers {
		if err := p.check(); err != nil {
			return err
		}
	}
	if s.Number == 0 || s.Number > MaxCounter || s.At > envelope.MaxTime || s.Next > envelope.MaxTime {
		return fmt.Errorf("%w: statement: number or time out of bounds", ErrFormat)
	}
	for _, st := range s.Statuses {
		if max(st.Received, st.Opened, st.Acknowledged, st.Rejected) > envelope.MaxTime {
			return fmt.Errorf("%w: statement: time out of bounds", ErrFormat)
		}
		if !validRule(st.Rule) || st.Rejected != 0 && st.Rule == "" {
			return fmt.Errorf("%w: statement: a rejection names a rule, and a rule is a short word", ErrFormat)
		}
	}
	return nil
}

func (r Received) check() error {
	if len(r.Beyond) > MaxMissing || !increasing(r.Beyond, cmp.Compare) {
		return fmt.Errorf("%w: statement: counters beyond the gap not sorted or not unique", ErrFormat)
	}
	if max(r.Contiguous, r.Stated) > MaxCounter || len(r.Beyond) > 0 && r.Beyond[len(r.Beyond)-1] > MaxCounter {
		return fmt.Errorf("%w: statement: counter out of bounds", ErrFormat)
	}
	if len(r.Beyond) > 0 && r.Beyond[0] <= r.Contiguous+1 {
		return fmt.Errorf("%w: statement: counter %d is not beyond a gap", ErrFormat, r.Beyond[0])
	}
	return nil
}

// validRule accepts letters, digits and hyphens: a rule cannot carry free text.
func validRule(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(s) <= maxRule
}

func (c Copy) check() error {
	if err := checkVersion(c.Version); err != nil {
		return err
	}
	if len(c.Message) == 0 || len(c.Message) > message.MaxSize || len(c.Sent) > message.MaxAddressed {
		return fmt.Errorf("%w: copy: message of %d bytes, sent to %d desks", ErrFormat, len(c.Message), len(c.Sent))
	}
	for _, s := range c.Sent {
		if err := checkDesk(s.Desk); err != nil {
			return err
		}
	}
	if !increasing(c.Sent, func(a, b Sent) int { return cmp.Compare(a.Desk, b.Desk) }) {
		return fmt.Errorf("%w: copy: desks not sorted or not unique", ErrFormat)
	}
	return nil
}

func checkVersion(v uint64) error {
	if v != Version {
		return fmt.Errorf("%w: version %d; this program knows version %d", ErrFormat, v, Version)
	}
	return nil
}

func checkDesk(d identity.DeskID) error {
	if _, err := identity.ParseDeskID(string(d)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// increasing reports whether s is sorted without duplicates: one order, so that a
// set has one encoding.
func increasing[E any](s []E, compare func(a, b E) int) bool {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			return false
		}
	}
	return true
}
