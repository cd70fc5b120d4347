package store

import (
	"errors"
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// counters of one recipient desk; the last number given out of each sort.
type counters struct {
	_         struct{} `cbor:",toarray"`
	Delivery  uint64
	Statement uint64
}

// NextCounter gives out this device's next delivery counter to a desk: 1, 2, 3
// and so on. Take it in the transaction that puts the delivery: a counter that
// was given out and not sent is a gap at the other end.
func (tx *Tx) NextCounter(desk identity.DeskID) (uint64, error) {
	c, err := tx.bumpCounters(desk, func(c *counters) { c.Delivery++ })
	return c.Delivery, err
}

// NextStatementNumber gives out this device's next statement number to a desk.
func (tx *Tx) NextStatementNumber(desk identity.DeskID) (uint64, error) {
	c, err := tx.bumpCounters(desk, func(c *counters) { c.Statement++ })
	return c.Statement, err
}

// LastCounter returns the last counter given out to a desk; 0 is none.
func (tx *Tx) LastCounter(desk identity.DeskID) (uint64, error) {
	c, err := tx.readCounters(desk)
	return c.Delivery, err
}

func (tx *Tx) bumpCounters(desk identity.DeskID, bump func(*counters)) (counters, error) {
	c, err := tx.readCounters(desk)
	if err != nil {
		return c, err
	}
	bump(&c)
	b, err := canon.Marshal(c)
	if err != nil {
		return c, fmt.Errorf("failed to count: %w", err)
	}
	box, err := tx.put(tx.rows(), kindCounters, []byte(desk), b)
	if err != nil {
		return c, err
	}
	return c, tx.exec(`INSERT INTO counters(desk,box) VALUES(?,?) ON CONFLICT DO UPDATE SET box=excluded.box`, desk, box)
}

// readCounters reads sealed counters: giving one out twice would look like two
// different deliveries under one number, which is how a forger looks.
func (tx *Tx) readCounters(desk identity.DeskID) (c counters, err error) {
	err = tx.one(`SELECT box FROM counters WHERE desk=?`, args{desk}, func(r row1) error {
		b, err := tx.get(tx.rows(), kindCounters, []byte(desk), r.blob(0))
		if err != nil {
			return fmt.Errorf("failed to open the counters of %s: %w", desk, err)
		}
		c, err = parseCounters(b)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		if err = tx.notRemoved(kindCounters, []byte(desk)); errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	return c, err
}

func parseCounters(b []byte) (c counters, err error) {
	if err := canon.Unmarshal(b, 64, &c); err != nil {
		return c, fmt.Errorf("%w: counters: %w", ErrTampered, err)
	}
	return c, nil
}
