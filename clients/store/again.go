package store

import (
	"errors"
	"time"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Told is the delivery that a desk was told of a message with last, as this device made it.
type Told struct {
	Message  message.Hash
	Envelope envelope.ID
	Counter  uint64 // 0: none was made here
}

// LastTold returns with which delivery of this device a desk was told of a message last.
func (tx *Tx) LastTold(h message.Hash, desk identity.DeskID) (t Told, err error) {
	err = tx.one(`SELECT message, envelope, counter FROM recipient WHERE message=? AND desk=?`, args{h[:], desk}, func(r row1) error {
		t = Told{Message: r.b32(0), Envelope: r.b16(1), Counter: r.num(2)}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return t, err
}

// Forgotten returns messages that a desk stated before a time to have, and that a vector
// of one of its devices does not cover: that device was restored from before them. Each is
// returned until ToldAgain notes that it was made again for that device, and not while a
// delivery of it is under way.
func (tx *Tx) Forgotten(desk identity.DeskID, device identity.DeviceID, before time.Time, v delivery.Received, limit int) (ts []Told, err error) {
	err = tx.each(`SELECT message, envelope, counter FROM recipient WHERE desk=? AND counter>? AND delivered>0 AND delivered<? AND rejected=0
		AND (again IS NULL OR again<>?) AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.message=recipient.message AND outbox.desk=recipient.desk)
		ORDER BY counter`, args{desk, min(v.Contiguous, maxCounter), before, device[:]}, func(r row1) error {
		t := Told{Message: r.b32(0), Envelope: r.b16(1), Counter: r.num(2)}
		if !Covers(v, t.Counter) {
			ts = append(ts, t)
		}
		if len(ts) == limit {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return ts, err
}

// ToldAgain notes that a message was made again for a device, or cannot be.
func (tx *Tx) ToldAgain(h message.Hash, desk identity.DeskID, device identity.DeviceID) error {
	return tx.exec(`UPDATE recipient SET again=? WHERE message=? AND desk=?`, device[:], h[:], desk)
}

// LostAgain returns at most limit recipients at other desks that have the message, or were told
// it again, and whose latest delivery was refused or expired, unconfirmed: it is to be made once
// more, since its number is missing there. No state shows that: the desk has the message.
func (tx *Tx) LostAgain(now time.Time, limit int) ([]Recipient, error) {
	return tx.recipients(` WHERE (state BETWEEN 3 AND 6 OR state>6 AND again IS NOT NULL)
		AND (message,desk) IN (SELECT message,desk FROM outbox WHERE expires<=? AND kind=1)
		AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.message=recipient.message AND outbox.desk=recipient.desk AND outbox.expires>?)
		LIMIT ?`, args{now, now, limit})
}

// Outgoing returns the deliveries to a desk that have not expired at now, oldest first and
// without their bytes, whatever a relay has taken of them.
func (tx *Tx) Outgoing(desk identity.DeskID, now time.Time) ([]Delivery, error) {
	return tx.deliveries(`WHERE desk=? AND expires>? ORDER BY seq`, args{desk, now})
}

// Underway returns what Outgoing does, with the bytes.
func (tx *Tx) Underway(desk identity.DeskID, now time.Time) ([]Delivery, error) {
	ds, err := tx.Outgoing(desk, now)
	for i := range ds {
		if err != nil {
			return nil, err
		}
		ds[i].Raw, err = tx.rawDelivery(ds[i].Envelope)
	}
	return ds, err
}
