// Package envelope is what the relay reads: the header of a sealed delivery.
//
//	offset  size  meaning
//	0       4     "SKE1"
//	4       2     big endian H, the length of the header, at most MaxHeader
//	6       H     header, canonical CBOR map (see Header)
//	6+H     A     the age file, A as the header states it
//
// The relay learns from it which desk writes to which, when, roughly how large,
// and how urgently somebody must look. It cannot learn more, because it holds no
// key and does not contain the code to use one.
package envelope

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// Limits of an envelope. An age file for 64 devices and the largest padded
// delivery fits MaxSize.
const (
	Magic      = "SKE1"
	MaxHeader  = 8192
	MaxTargets = 64
	MaxTime    = 1 << 40          // seconds since 1970: no time is later, so arithmetic on times never overflows
	MaxLife    = 7 * 24 * 60 * 60 // seconds between created and expires
	MaxSize    = 1 << 20
	MinAge     = 200 // no age file with one stanza and a body is shorter
	prefixSize = len(Magic) + 2
)

// ErrFormat is wrapped by every refusal to parse or build an envelope. ErrVersion is wrapped
// as well where it says that it is of another version: whoever gets one must update, or
// somebody under way pretends so. Nothing is read in another way for it (attack A09).
var (
	ErrFormat  = errors.New("malformed envelope")
	ErrVersion = fmt.Errorf("%w of another version", ErrFormat)
)

// version is the only one that this program reads and writes.
const version = 1

// ID names one envelope: a version 7 UUID made by the sealing device. Putting the
// same envelope twice under the same ID stores it once.
type ID [16]byte

func (id ID) String() string { return identity.FormatUUID(id) }

// MarshalText gives the canonical text form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses the canonical text form.
func (id *ID) UnmarshalText(b []byte) error {
	u, err := identity.ParseUUID(string(b))
	*id = ID(u)
	return err
}

// Tier is the attention that an envelope asks for: what the relay's ladder goes by.
type Tier uint8

// The tiers, as the protocol's urgencies map to them. Receipts, statements,
// acknowledgements and tests are TierNone: nothing pages for them.
const (
	TierNone    Tier = 0
	TierRoutine Tier = 1
	TierUrgent  Tier = 2
	TierAcute   Tier = 3
)

// Target is one device that can open the envelope, and the epoch of the key it
// was sealed to. The position of a target is the position of its age stanza.
type Target struct {
	_      struct{} `cbor:",toarray"`
	Device identity.DeviceID
	Epoch  uint64
}

// Header is what stands between the magic and the age file. Times are seconds
// since 1970.
type Header struct {
	Version   uint64            `cbor:"1,keyasint"`
	ID        ID                `cbor:"2,keyasint"`
	Sealer    identity.DeviceID `cbor:"3,keyasint"` // the device that sealed it
	Desk      identity.DeskID   `cbor:"4,keyasint"` // the desk it is for
	Targets   []Target          `cbor:"5,keyasint"` // devices of that desk, sorted, unique
	Created   uint64            `cbor:"6,keyasint"`
	Expires   uint64            `cbor:"7,keyasint"`
	AgeLength uint64            `cbor:"8,keyasint"`
	Tier      Tier              `cbor:"9,keyasint"`
	Attended  []byte            `cbor:"10,keyasint"` // SHA-256 of the attended token, or empty
}

// Envelope is a parsed envelope. Its slices point into the bytes it was parsed from.
type Envelope struct {
	Header Header
	Prefix []byte // magic, length and header, as received: what the delivery's signature covers
	Sealed []byte // the age file
}

// Prefix checks h and returns the bytes that stand before the age file.
func (h Header) Prefix() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	body, err := canon.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(body) > MaxHeader {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrFormat, len(body))
	}
	out := make([]byte, 0, prefixSize+len(body))
	out = append(out, Magic...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)))
	return append(out, body...), nil
}

// Parse reads a whole envelope strictly: known version, one encoding, exact
// lengths, nothing behind. It allocates no more than the header asks for.
func Parse(raw []byte) (e Envelope, err error) {
	if len(raw) > MaxSize {
		return e, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(raw), MaxSize)
	}
	if e.Header, e.Sealed, err = ParsePrefix(raw); err != nil {
		return Envelope{}, err
	}
	e.Prefix = raw[:len(raw)-len(e.Sealed)]
	if uint64(len(e.Sealed)) != e.Header.AgeLength {
		return Envelope{}, fmt.Errorf("%w: %d sealed bytes, header says %d", ErrFormat, len(e.Sealed), e.Header.AgeLength)
	}
	return e, nil
}

// ParsePrefix reads what Prefix gives, at the beginning of raw, and returns the rest.
func ParsePrefix(raw []byte) (h Header, rest []byte, err error) {
	if len(raw) < prefixSize || string(raw[:len(Magic)]) != Magic {
		if otherMagic(raw) {
			return h, nil, fmt.Errorf("%w: %q at its start; this program knows %s", ErrVersion, raw[:len(Magic)], Magic)
		}
		return h, nil, fmt.Errorf("%w: no %s at its start", ErrFormat, Magic)
	}
	n := int(binary.BigEndian.Uint16(raw[len(Magic):]))
	if n > MaxHeader || len(raw) < prefixSize+n {
		return h, nil, fmt.Errorf("%w: header length %d", ErrFormat, n)
	}
	if v, other := otherVersion(raw[prefixSize : prefixSize+n]); other {
		return Header{}, nil, fmt.Errorf("%w: version %d; this program knows version %d", ErrVersion, v, version)
	}
	if err := canon.Unmarshal(raw[prefixSize:prefixSize+n], MaxHeader, &h); err != nil {
		return Header{}, nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	if err := h.check(); err != nil {
		return Header{}, nil, err
	}
	return h, raw[prefixSize+n:], nil
}

// otherMagic reports whether bytes begin as envelopes of a later layout would.
func otherMagic(raw []byte) bool {
	last := len(Magic) - 1
	return len(raw) > last && string(raw[:last]) == Magic[:last] && raw[last] > Magic[last] && raw[last] <= '9'
}

// otherVersion is the version at the start of a header, where that is a small number and not
// ours. The rest of such a header may be anything: it is not looked at.
func otherVersion(header []byte) (v byte, other bool) {
	const mapOf, firstKey, oneByte = 5, 1, 24 // as CBOR writes a map, the key 1, and numbers below 24
	if len(header) < 3 || header[0]>>5 != mapOf || header[1] != firstKey || header[2] >= oneByte {
		return 0, false
	}
	return header[2], header[2] != version
}

// Index returns the position of device among the targets, or -1.
func (h Header) Index(device identity.DeviceID) int {
	for i := range h.Targets {
		if h.Targets[i].Device == device {
			return i
		}
	}
	return -1
}

func (h Header) check() error {
	switch {
	case h.Version != version:
		return fmt.Errorf("%w: version %d; this program knows version %d", ErrVersion, h.Version, version)
	case len(h.Targets) == 0 || len(h.Targets) > MaxTargets:
		return fmt.Errorf("%w: %d targets, want 1 to %d", ErrFormat, len(h.Targets), MaxTargets)
	case h.ID == ID{}, h.Sealer.IsZero(), h.Targets[0].Device.IsZero(): // sorted: zeros come first
		return fmt.Errorf("%w: identifier of zeros", ErrFormat)
	case h.Expires > MaxTime || h.Expires <= h.Created || h.Expires-h.Created > MaxLife:
		return fmt.Errorf("%w: lives %d s, want 1 to %d", ErrFormat, int64(h.Expires-h.Created), MaxLife)
	case h.AgeLength < MinAge || h.AgeLength > MaxSize:
		return fmt.Errorf("%w: age file of %d bytes", ErrFormat, h.AgeLength)
	case h.Tier > TierAcute:
		return fmt.Errorf("%w: tier %d", ErrFormat, h.Tier)
	case len(h.Attended) != 0 && len(h.Attended) != 32:
		return fmt.Errorf("%w: attended hash of %d bytes", ErrFormat, len(h.Attended))
	}
	if _, err := identity.ParseDeskID(string(h.Desk)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for i := 1; i < len(h.Targets); i++ {
		if bytes.Compare(h.Targets[i-1].Device[:], h.Targets[i].Device[:]) >= 0 {
			return fmt.Errorf("%w: targets not sorted or not unique", ErrFormat)
		}
	}
	return nil
}
