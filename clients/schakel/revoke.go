package schakel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// ErrUnknownSubject is wrapped when the register has no such device or person.
var ErrUnknownSubject = errors.New("no such device or person in the register")

// Device is a device of this organisation, as the register has it.
type Device struct {
	ID     identity.DeviceID `json:"id"`
	Desk   identity.DeskID   `json:"desk"`
	Light  bool              `json:"light,omitempty"` // an officer carries it
	Active bool              `json:"active"`          // within its time, and its organisation not suspended
	Until  time.Time         `json:"until"`
	Here   bool              `json:"here"` // this one

	Fingerprint string `json:"fingerprint,omitempty"` // of its keys, which others compare by telephone

	Waits time.Time `json:"waits,omitzero"` // until when this device gives it nothing: see ConfirmDevice
}

// Devices returns the devices of this organisation that are not revoked, those of a
// desk together.
func (n *Node) Devices(ctx context.Context) ([]Device, error) {
	dir, now := n.directory(), n.now()
	var out []Device
	for _, desk := range dir.Desks() {
		if desk.Org() != n.dev.Desk.Org() {
			continue
		}
		for _, d := range dir.DevicesOf(desk) {
			out = append(out, Device{ID: d.ID, Desk: desk, Light: d.Type == trust.DeviceLight, Active: d.UsableAt(now), Until: d.Until, Here: d.ID == n.dev.ID, Fingerprint: deviceFingerprint(d.Device), Waits: n.waitsHere(dir, d, now)})
		}
	}
	slices.SortFunc(out, func(a, b Device) int {
		return cmp.Or(strings.Compare(string(a.Desk), string(b.Desk)), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return out, ctx.Err()
}

// Revoke ends a device ("device/<uuid>") or a person ("person/<uuid>") of this
// organisation for good: nobody seals to it or believes it from that entry of the
// register on. The organisation's key must be on this device, and the relay within
// reach: a revocation that waits is none.
func (n *Node) Revoke(ctx context.Context, subject trust.Subject, reason trust.Reason) error {
	if err := n.mayGovern(); err != nil {
		return err
	}
	dir := n.directory()
	org, err := orgOf(dir, subject)
	if err != nil {
		return err
	}
	if org != n.dev.Desk.Org() {
		return fmt.Errorf("%w: %s is of %s; its own organisation or the root holders revoke it", ErrRegister, subject, org)
	}
	revocation := trust.Revoke{Of: subject, Reason: reason, Effective: n.now()}
	entry, err := revocation.Sign(dir.Next(subject), trust.ByOrg(edKey(n.orgKey())))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	if err := n.post(ctx, entry); err != nil {
		return err
	}
	return n.update(ctx, func(tx *store.Tx) error {
		return tx.Audit("revoked", string(subject), identity.PersonID{}, n.now())
	})
}

func orgOf(dir directory, subject trust.Subject) (identity.OrgID, error) {
	kind, name, _ := strings.Cut(string(subject), "/")
	switch trust.Kind(kind) {
	case trust.KindDevice:
		id, err := identity.ParseDeviceID(name)
		if err != nil {
			return "", err
		}
		if d, ok := dir.Device(id); ok {
			return d.Desk.Org(), nil
		}
	case trust.KindPerson:
		id, err := identity.ParsePersonID(name)
		if err != nil {
			return "", err
		}
		if p, ok := dir.Person(id); ok {
			return p.Desk.Org(), nil
		}
	}
	return "", fmt.Errorf("%w: %.80q", ErrUnknownSubject, subject)
}

// RegisterEntries returns every entry of the register that this device has
// verified, in order: what root holders need to sign what comes next.
func (n *Node) RegisterEntries(ctx context.Context) (entries [][]byte, err error) {
	if err := n.notLight(); err != nil {
		return nil, err
	}
	err = n.store.View(ctx, func(tx *store.Tx) error {
		_, err := tx.Register(func(_ uint64, entry []byte) error {
			entries = append(entries, bytes.Clone(entry))
			return nil
		})
		return err
	})
	return entries, err
}
