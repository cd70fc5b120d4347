package store

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// Device is this installation: who it is and its secrets.
type Device struct {
	ID    identity.DeviceID
	Desk  identity.DeskID
	Sign  ed25519.PrivateKey
	Login ed25519.PrivateKey
	Org   ed25519.PrivateKey // nil unless this device holds the organisation's key
	Relay string             // URL
}

// deviceRecord keeps private keys as their 32-byte seeds.
type deviceRecord struct {
	_     struct{} `cbor:",toarray"`
	ID    identity.DeviceID
	Desk  identity.DeskID
	Sign  []byte
	Login []byte
	Org   []byte
	Relay string
}

const (
	settingDevice = "\x00device" // callers cannot spell names that begin with a zero
	settingPinned = "\x00pinned"
	settingAudit  = "\x00audit"
	maxSetting    = 1 << 20
)

// SetDevice stores this device, replacing what was stored.
func (tx *Tx) SetDevice(d Device) error {
	b, err := encodeDevice(d)
	if err != nil {
		return fmt.Errorf("failed to store the device: %w", err)
	}
	return tx.setSetting(settingDevice, b)
}

func encodeDevice(d Device) ([]byte, error) {
	r := deviceRecord{ID: d.ID, Desk: d.Desk, Relay: d.Relay}
	for _, k := range []struct {
		to   *[]byte
		from ed25519.PrivateKey
		opt  bool
	}{{&r.Sign, d.Sign, false}, {&r.Login, d.Login, false}, {&r.Org, d.Org, true}} {
		if len(k.from) == 0 && k.opt {
			continue
		}
		if len(k.from) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("private key of %d bytes", len(k.from))
		}
		*k.to = k.from.Seed()
	}
	return canon.Marshal(r)
}

// Device returns this device, or ErrNotFound before SetDevice.
func (tx *Tx) Device() (Device, error) {
	b, err := tx.setting(settingDevice)
	if err != nil {
		return Device{}, fmt.Errorf("failed to read the device: %w", err)
	}
	return parseDevice(b)
}

func parseDevice(b []byte) (Device, error) {
	var r deviceRecord
	if err := canon.Unmarshal(b, maxSetting, &r); err != nil {
		return Device{}, fmt.Errorf("%w: device: %w", ErrTampered, err)
	}
	if len(r.Sign) != ed25519.SeedSize || len(r.Login) != ed25519.SeedSize ||
		(len(r.Org) != 0 && len(r.Org) != ed25519.SeedSize) {
		return Device{}, fmt.Errorf("%w: device: key length", ErrTampered)
	}
	d := Device{ID: r.ID, Desk: r.Desk, Relay: r.Relay,
		Sign: ed25519.NewKeyFromSeed(r.Sign), Login: ed25519.NewKeyFromSeed(r.Login)}
	if len(r.Org) != 0 {
		d.Org = ed25519.NewKeyFromSeed(r.Org)
	}
	return d, nil
}

// SetSetting stores a value of at most 1 MiB under a name of the caller's.
func (tx *Tx) SetSetting(name string, value []byte) error {
	if name == "" || name[0] == 0 {
		return fmt.Errorf("failed to store a setting: name %q", name)
	}
	return tx.setSetting(name, value)
}

// Setting returns a stored value, or ErrNotFound.
func (tx *Tx) Setting(name string) ([]byte, error) { return tx.setting(name) }

// DeleteSetting forgets a value, if there is one.
func (tx *Tx) DeleteSetting(name string) error {
	if err := tx.exec(`DELETE FROM setting WHERE name=?`, name); err != nil {
		return err
	}
	tx.destroyed = true
	return tx.drop(kindSetting, []byte(name))
}

func (tx *Tx) setSetting(name string, value []byte) error {
	if len(value) > maxSetting {
		return fmt.Errorf("%w: setting of %d bytes", ErrTooLarge, len(value))
	}
	box, err := tx.put(tx.rows(), kindSetting, []byte(name), value)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO setting(name,box) VALUES(?,?) ON CONFLICT DO UPDATE SET box=excluded.box`, name, box)
}

func (tx *Tx) setting(name string) (value []byte, err error) {
	err = tx.one(`SELECT box FROM setting WHERE name=?`, args{name}, func(r row1) (err error) {
		value, err = tx.get(tx.rows(), kindSetting, []byte(name), r.blob(0))
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil, tx.notRemoved(kindSetting, []byte(name))
	}
	return value, err
}

// notRemoved tells a row that never was from one that was taken away: its seal
// is still there.
func (tx *Tx) notRemoved(k kind, row []byte) error {
	_, had, err := tx.version(k, row)
	if err != nil {
		return err
	}
	if had {
		return fmt.Errorf("%w: row is gone", ErrTampered)
	}
	return ErrNotFound
}
