package trust

import (
	"fmt"
	"time"

	"schakel/crypto/identity"
)

// DeviceType says what an installation is for.
type DeviceType string

// The types of device.
const (
	DevicePerson  DeviceType = "person"  // people work on it
	DeviceGateway DeviceType = "gateway" // connects another system
	DeviceArchive DeviceType = "archive" // keeps the desk's copies
	DeviceLight   DeviceType = "light"   // an officer carries it; keeps nothing for the desk
)

// Device is one installation at a desk. Desk, type and signing key never change;
// validity and login key may, by a further entry.
type Device struct {
	ID          identity.DeviceID
	Desk        identity.DeskID
	Type        DeviceType
	SignKey     identity.Key // signs messages, deliveries, epochs
	LoginKey    identity.Key // signs login tokens, nothing else
	From, Until time.Time    // whole seconds; valid at From, no longer at Until
}

// Kind is KindDevice.
func (Device) Kind() Kind { return KindDevice }

// Subject is "device/" and the id.
func (b Device) Subject() Subject { return Subject("device/" + b.ID.String()) }

func (Device) signers() []string { return []string{asOrg, asDevice, asLogin} }

// Sign makes the entry. The organisation vouches; both keys of the device prove
// that they are its own, so that nobody can register another's key first.
func (b Device) Sign(at Place, org, sign, login Signer) ([]byte, error) {
	b.From, b.Until = seconds(b.From), seconds(b.Until)
	return signEntry(b, at, ByOrg(org), By{asDevice, sign}, By{asLogin, login})
}

// Request makes the entry as far as the device itself can sign it: what a further
// device of a desk hands to whoever holds the organisation's key, who adds that
// signature with [Cosign] and [ByOrg]. It does not count before that.
func (b Device) Request(at Place, sign, login Signer) ([]byte, error) {
	b.From, b.Until = seconds(b.From), seconds(b.Until)
	return signEntry(b, at, By{asDevice, sign}, By{asLogin, login})
}

// ValidAt reports whether t is in the device's validity.
func (b Device) ValidAt(t time.Time) bool { return within(t, b.From, b.Until) }

func (b Device) write(w *writer) {
	w.text("desk", string(b.Desk))
	w.text("type", string(b.Type))
	w.text("sign", b.SignKey.String())
	w.text("login", b.LoginKey.String())
	w.time("from", b.From)
	w.time("until", b.Until)
}

func readDevice(s Subject, r *reader) Device {
	return Device{
		ID:       subjectID(r, s, KindDevice, identity.ParseDeviceID),
		Desk:     take(r, "desk", maxName, identity.ParseDeskID),
		Type:     DeviceType(r.text("type", 16)),
		SignKey:  r.key("sign"),
		LoginKey: r.key("login"),
		From:     r.time("from"),
		Until:    r.time("until"),
	}
}

func (b Device) check() error {
	if _, err := identity.ParseDeskID(string(b.Desk)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	switch {
	case b.ID.IsZero():
		return fmt.Errorf("%w: device id of zeros", ErrFormat)
	case b.Type != DevicePerson && b.Type != DeviceGateway && b.Type != DeviceArchive && b.Type != DeviceLight:
		return fmt.Errorf("%w: device type %q", ErrFormat, clip(string(b.Type)))
	case !b.From.Before(b.Until):
		return fmt.Errorf("%w: device valid until before from", ErrFormat)
	}
	return distinct(b.SignKey, b.LoginKey)
}

func within(t, from, until time.Time) bool { return !t.Before(from) && t.Before(until) }
