package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// EpochKey is one epoch key of this device: who has it opens what was sealed to
// that epoch.
type EpochKey struct {
	Number uint64
	Secret string // an age hybrid identity
	From   time.Time
	Until  time.Time
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// PutEpochKey stores an epoch key. A number once used stays with its key:
// another key under it is refused with ErrConflict.
func (tx *Tx) PutEpochKey(k EpochKey) error {
	old, err := tx.EpochKey(k.Number)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil && old.Secret != k.Secret {
		return fmt.Errorf("%w: epoch %d", ErrConflict, k.Number)
	}
	box, err := tx.put(tx.rows(), kindEpoch, number(k.Number), []byte(k.Secret))
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO epoch(number,starts,ends,box) VALUES(?,?,?,?)
		ON CONFLICT DO UPDATE SET starts=excluded.starts, ends=excluded.ends, box=excluded.box`, k.Number, k.From, k.Until, box)
}

const selectEpoch = `SELECT number, starts, ends, box FROM epoch`

// EpochKey returns one epoch key, or ErrNotFound.
func (tx *Tx) EpochKey(n uint64) (k EpochKey, err error) {
	err = tx.one(selectEpoch+` WHERE number=?`, args{n}, func(r row1) (err error) {
		k, err = tx.readEpoch(r)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = tx.notRemoved(kindEpoch, number(n))
	}
	return k, err
}

// EpochKeys returns all epoch keys by number.
func (tx *Tx) EpochKeys() (ks []EpochKey, err error) {
	err = tx.each(selectEpoch+` ORDER BY number`, nil, func(r row1) error {
		k, err := tx.readEpoch(r)
		ks = append(ks, k)
		return err
	})
	return ks, err
}

func (tx *Tx) readEpoch(r row1) (EpochKey, error) {
	k := EpochKey{Number: r.num(0), From: r.time(1), Until: r.time(2)}
	secret, err := tx.get(tx.rows(), kindEpoch, number(k.Number), r.blob(3))
	if err != nil {
		return k, fmt.Errorf("failed to open epoch key %d: %w", k.Number, err)
	}
	k.Secret = string(secret)
	return k, nil
}

// DestroyEpochKeys deletes the keys of epochs that ended before t, overwrites
// their pages with zeros, and returns their number. The disk below, its snapshots
// and earlier backups may still hold the sealed rows: whoever has one of those
// and the data key has the epoch key.
func (tx *Tx) DestroyEpochKeys(endedBefore time.Time) (int, error) {
	var gone []uint64
	err := tx.each(`SELECT number FROM epoch WHERE ends<?`, args{endedBefore}, func(r row1) error {
		gone = append(gone, r.num(0))
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, n := range gone {
		if err := tx.exec(`DELETE FROM epoch WHERE number=?`, n); err != nil {
			return 0, err
		}
		if err := tx.drop(kindEpoch, number(n)); err != nil {
			return 0, err
		}
	}
	tx.destroyed = tx.destroyed || len(gone) > 0
	return len(gone), nil
}
