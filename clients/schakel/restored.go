package schakel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
)

// What stands in the way of a restored store.
var (
	ErrNotRestored = errors.New("this store was not restored from a backup, or that is done")
	ErrRestoring   = errors.New("restoring is not finished: this device is not in the register yet, or the old one still is")
)

const (
	// restoredSoon is how often a restored device states what it has during its first hour:
	// its partners deliver again what is missing, once they have its keys.
	restoredSoon  = time.Minute
	restoredFirst = time.Hour
)

// BeginAgain makes the keys of a new device in a restored store. Where the old device did
// not hold the organisation's key it returns the request that a device with that key must
// vouch for. Called again it returns the same.
func BeginAgain(ctx context.Context, st *store.Store, now time.Time) (request []byte, err error) {
	keys, err := newKeys(now)
	if err != nil {
		return nil, err
	}
	err = st.Update(ctx, func(tx *store.Tx) error {
		o, err := tx.Origin()
		if errors.Is(err, store.ErrNotFound) {
			return ErrNotRestored
		}
		if err != nil {
			return err
		}
		if _, err = tx.Device(); err == nil { // again
			if o.Org == nil {
				request, err = tx.Setting(settingDeviceRequest)
			}
			return err
		}
		dev := store.Device{ID: keys.ID, Desk: o.Desk, Sign: keys.Sign, Login: keys.Login, Org: o.Org, Relay: o.Relay}
		if err := tx.SetDevice(dev); err != nil {
			return err
		}
		for _, setting := range []string{settingShown, settingTold, settingDeviceRequest, settingAdmission,
			settingWitnessKey, settingWitnessSigned} {
			if err := tx.DeleteSetting(setting); err != nil {
				return err
			}
		}
		if o.Org != nil {
			return nil
		}
		request, err = deviceEntry(keys, o.Desk, trust.DevicePerson, now).Request(trust.First(), edKey(keys.Sign), edKey(keys.Login))
		if err != nil {
			return err
		}
		return tx.SetSetting(settingDeviceRequest, request)
	})
	return request, err
}

// Rejoin enters the new device of a restored store into the register, ends the old one
// there, and publishes keys. Until that is done no node runs over the store: two devices
// that each believe to be the one would count the same numbers. It can be called again
// after it was cut short, and refuses with ErrRestoring while something is missing that
// other people must do.
func Rejoin(ctx context.Context, cfg Config) error {
	cfg.Every = 200 * time.Millisecond
	n := newNode(cfg)
	var err error
	if n.spoken, err = protocol.NewVersions(append([]*protocol.Catalogue{n.catalogue}, cfg.Also...)...); err != nil {
		return err
	}
	var origin store.Origin
	err = n.store.View(ctx, func(tx *store.Tx) error {
		if origin, err = tx.Origin(); errors.Is(err, store.ErrNotFound) {
			return ErrNotRestored
		} else if err != nil {
			return err
		}
		if n.dev, err = tx.Device(); err != nil {
			return err
		}
		n.keys = &seal.DeviceKeys{ID: n.dev.ID, Sign: n.dev.Sign, Login: n.dev.Login}
		if n.dir, err = loadDirectory(tx); err != nil {
			return err
		}
		return n.loadEpochs(tx)
	})
	if err != nil {
		return err
	}
	n.ending = origin.Device
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := n.enterAgain(ctx, origin); err != nil {
		return err
	}
	return n.update(ctx, func(tx *store.Tx) error {
		s, err := safety(tx)
		if err != nil {
			return err
		}
		s.Restored, s.Backup, s.Messages = n.now().UTC().Truncate(time.Second), time.Time{}, 0
		if err := errors.Join(keepSafety(tx, s), tx.Audit(actionRestored, origin.Device.String(), identity.PersonID{}, n.now())); err != nil {
			return err
		}
		return tx.ForgetOrigin()
	})
}

func (n *Node) enterAgain(ctx context.Context, origin store.Origin) error {
	if origin.Org != nil {
		entry, err := deviceEntry(n.keys, n.dev.Desk, trust.DevicePerson, n.now()).Sign(trust.First(), edKey(n.orgKey()), edKey(n.dev.Sign), edKey(n.dev.Login))
		if err != nil {
			return err
		}
		if err := n.post(ctx, entry); err != nil && !errors.Is(err, ErrRegister) {
			return err
		}
	}
	err := n.runUntil(ctx, func() bool { // the register in a store that was restored twice may be behind
		dir := n.directory()
		_, here := dir.Device(n.dev.ID)
		last, published := dir.LastEpoch(n.dev.ID)
		return here && published && last.Until.After(n.now()) && (origin.Org != nil || !n.there(origin.Device))
	})
	if err == nil && origin.Org != nil && n.there(origin.Device) {
		// Refused where an earlier try got that far: then waiting for it is enough.
		err = n.Revoke(ctx, trust.Device{ID: origin.Device}.Subject(), trust.ReasonLost)
		if err == nil || errors.Is(err, ErrRegister) {
			err = n.runUntil(ctx, func() bool { return !n.there(origin.Device) })
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnreachable) {
		return n.notRestored(origin.Device)
	}
	return err
}

// notRestored says what is missing still.
func (n *Node) notRestored(old identity.DeviceID) error {
	if _, here := n.directory().Device(n.dev.ID); here && n.there(old) {
		return fmt.Errorf("%w: device %s must be revoked", ErrRestoring, old)
	}
	return fmt.Errorf("%w: %s", ErrRestoring, n.lastError())
}

// there reports whether the register still lets a device in.
func (n *Node) there(id identity.DeviceID) bool {
	d, ok := n.directory().Device(id)
	return ok && d.Active()
}

// statesEvery is how often a desk with an open case hears from this device.
func (n *Node) statesEvery() time.Duration {
	if n.now().Sub(n.restored) < restoredFirst {
		return restoredSoon
	}
	return statementSooner
}

// VerifyRestored checks what only the chain's rules can tell of a restored store: that the
// register in it is one line of entries from the root that was compared by telephone. It
// returns how many entries that is.
func VerifyRestored(ctx context.Context, st *store.Store) (entries uint64, err error) {
	err = st.View(ctx, func(tx *store.Tx) error {
		dir, err := loadDirectory(tx)
		entries = dir.pinned.Size
		return err
	})
	return entries, err
}
