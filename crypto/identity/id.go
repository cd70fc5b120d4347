// Package identity names who takes part in the chain and checks what they signed.
//
// It holds organisations, desks, devices and persons by their identifiers,
// public keys with every check that makes one acceptable, and fingerprints that
// two people can compare by telephone. It holds no secrets: the relay imports it.
package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ErrInvalid is wrapped by every refusal of an identifier, a role or a name.
var ErrInvalid = errors.New("invalid identifier")

// uuid is the 16 bytes of a UUID (RFC 9562). Device, person, message and case
// identifiers share its text form and differ in type, so that one can never
// stand where another is meant.
type uuid [16]byte

// DeviceID names one installation with its own keys.
type DeviceID uuid

// PersonID names one human, opaquely: the name of the human is only ever inside
// messages.
type PersonID uuid

// OrgID names an organisation: a short ASCII slug, such as "politie-mn".
type OrgID string

// DeskID names a desk (bureau): the organisation's slug, a slash, the desk's
// slug, such as "knooppunt/piket".
type DeskID string

// NewUUIDv7 returns the 16 bytes of a version 7 UUID (RFC 9562, 5.7) for the
// instant now, with its random bits read from random. It is written here because
// the usual library reads the clock itself, and imports net to do so.
func NewUUIDv7(now time.Time, random io.Reader) ([16]byte, error) {
	var u [16]byte
	if _, err := io.ReadFull(random, u[6:]); err != nil {
		return u, fmt.Errorf("failed to read random bits for a UUID: %w", err)
	}
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6] = 0x70 | u[6]&0x0f
	u[8] = 0x80 | u[8]&0x3f
	return u, nil
}

// FormatUUID returns the canonical text form: 36 characters, lower case.
func FormatUUID(u [16]byte) string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseUUID accepts the canonical text form and nothing else: one spelling, so
// that text may be compared where identifiers are compared.
func ParseUUID(s string) ([16]byte, error) {
	var u [16]byte
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || s != strings.ToLower(s) {
		return u, fmt.Errorf("%w: %q is not a UUID in lower case with hyphens", ErrInvalid, clip(s))
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(u) {
		return u, fmt.Errorf("%w: %q is not a UUID", ErrInvalid, clip(s))
	}
	copy(u[:], b)
	return u, nil
}

// ParseDeviceID parses the canonical text form of a device identifier.
func ParseDeviceID(s string) (DeviceID, error) {
	u, err := ParseUUID(s)
	return DeviceID(u), err
}

// ParsePersonID parses the canonical text form of a person identifier.
func ParsePersonID(s string) (PersonID, error) {
	u, err := ParseUUID(s)
	return PersonID(u), err
}

func (d DeviceID) String() string { return FormatUUID(d) }
func (p PersonID) String() string { return FormatUUID(p) }

// MarshalText and UnmarshalText give identifiers their canonical text form in JSON.
func (d DeviceID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the canonical text form.
func (d *DeviceID) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDeviceID(string(b))
	return err
}

// MarshalText gives the canonical text form.
func (p PersonID) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses the canonical text form.
func (p *PersonID) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePersonID(string(b))
	return err
}

// IsZero reports whether the identifier was never set.
func (d DeviceID) IsZero() bool { return d == DeviceID{} }

// IsZero reports whether the identifier was never set.
func (p PersonID) IsZero() bool { return p == PersonID{} }

const maxSlug = 31

// validSlug accepts lower-case ASCII only: a name that looks like another in
// some other script (attack C17) cannot be spelled at all.
func validSlug(s string) bool {
	if len(s) == 0 || len(s) > maxSlug || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// ParseOrgID accepts 1 to 31 characters of a-z, 0-9 and inner hyphens.
func ParseOrgID(s string) (OrgID, error) {
	if !validSlug(s) {
		return "", fmt.Errorf("%w: organisation %q: use 1 to %d of a-z, 0-9 and inner hyphens", ErrInvalid, clip(s), maxSlug)
	}
	return OrgID(s), nil
}

// ParseDeskID accepts "organisation/desk", both as in [ParseOrgID].
func ParseDeskID(s string) (DeskID, error) {
	org, desk, ok := strings.Cut(s, "/")
	if !ok || !validSlug(org) || !validSlug(desk) {
		return "", fmt.Errorf("%w: desk %q: write it as organisation/desk, such as knooppunt/piket", ErrInvalid, clip(s))
	}
	return DeskID(s), nil
}

// Org returns the organisation a valid desk belongs to.
func (d DeskID) Org() OrgID {
	org, _, _ := strings.Cut(string(d), "/")
	return OrgID(org)
}

// clip keeps a hostile identifier from filling a log line or a screen.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
