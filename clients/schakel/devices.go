package schakel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

const settingDeviceRequest = "device-request"

// RequestDevice makes the keys of a further device for a desk that is in the
// register already, in an empty store, and returns the file that a device with the
// organisation's key vouches for. After that the device joins with the desk's
// invitation like the first one. Called again it returns the same file. A store that
// only a person opens makes it the request of a light device.
func RequestDevice(ctx context.Context, st *store.Store, desk identity.DeskID, now time.Time) (request []byte, err error) {
	err = st.View(ctx, func(tx *store.Tx) (err error) {
		request, err = tx.Setting(settingDeviceRequest)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return request, err
	}
	keys, err := newKeys(now)
	if err != nil {
		return nil, err
	}
	kind := trust.DevicePerson
	if st.Attended() {
		kind = trust.DeviceLight
	}
	request, err = deviceEntry(keys, desk, kind, now).Request(trust.First(), edKey(keys.Sign), edKey(keys.Login))
	if err != nil {
		return nil, err
	}
	return request, st.Update(ctx, func(tx *store.Tx) error {
		dev := store.Device{ID: keys.ID, Desk: desk, Sign: keys.Sign, Login: keys.Login}
		if err := tx.SetDevice(dev); err != nil {
			return err
		}
		return tx.SetSetting(settingDeviceRequest, request)
	})
}

// DeviceFingerprint is what two people compare by telephone before one of them
// vouches for the other's device.
func DeviceFingerprint(request []byte) (string, error) {
	d, err := requestedDevice(request)
	if err != nil {
		return "", err
	}
	return deviceFingerprint(d), nil
}

// RequestsLight reports whether a request is that of a light device.
func RequestsLight(request []byte) bool {
	d, err := requestedDevice(request)
	return err == nil && d.Type == trust.DeviceLight
}

func requestedDevice(request []byte) (trust.Device, error) {
	e, err := trust.ParseEntry(request)
	if err != nil {
		return trust.Device{}, fmt.Errorf("%w: %w", ErrRegister, err)
	}
	d, ok := e.Body.(trust.Device)
	if !ok {
		return trust.Device{}, fmt.Errorf("%w: not the request of a device", ErrRegister)
	}
	return d, nil
}

// Vouch enters a further device of this organisation into the register. The caller
// has compared its fingerprint by telephone: whoever holds the request's keys reads
// everything that is sent to the desk from now on. The organisation's key must be
// on this device.
func (n *Node) Vouch(ctx context.Context, request []byte) error {
	if err := n.mayGovern(); err != nil {
		return err
	}
	d, err := requestedDevice(request)
	if err != nil {
		return err
	}
	if d.Desk.Org() != n.dev.Desk.Org() {
		return fmt.Errorf("%w: desk %s is of another organisation", ErrRegister, d.Desk)
	}
	entry, err := trust.Cosign(request, trust.ByOrg(edKey(n.orgKey())))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	if err := n.vouchedHere(ctx, d.ID); err != nil {
		return err
	}
	if err := n.post(ctx, entry); err != nil {
		return err
	}
	return n.update(ctx, func(tx *store.Tx) error {
		return tx.Audit("vouched", d.ID.String(), identity.PersonID{}, n.now())
	})
}
