package store

import (
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// HashOf returns the hash of the message with an identifier, or ErrNotFound.
func (tx *Tx) HashOf(id message.ID) (h message.Hash, err error) {
	err = tx.one(`SELECT hash FROM message WHERE id=? LIMIT 1`, args{id[:]}, func(r row1) error {
		h = r.b32(0)
		return nil
	})
	return h, err
}

// Undelivered returns, oldest first and at most limit, the recipients that no
// statement of their desk has confirmed and that have no delivery in the outbox
// which is still good at now: for each a delivery is to be made, or made again.
func (tx *Tx) Undelivered(now time.Time, limit int) ([]Recipient, error) {
	return tx.recipients(` WHERE state<=2 AND NOT EXISTS (SELECT 1 FROM outbox
		WHERE outbox.message=recipient.message AND outbox.desk=recipient.desk AND outbox.expires>?)
		ORDER BY pending, message, desk LIMIT ?`, args{now, limit})
}

// Unstated returns, oldest first and at most limit, the recipients that were
// pending before t and that no statement of their desk has confirmed.
func (tx *Tx) Unstated(t time.Time, limit int) ([]Recipient, error) {
	return tx.recipients(` WHERE state<=2 AND pending<=? ORDER BY pending LIMIT ?`, args{t, limit})
}

// Retire makes a delivery count as expired at the given time, so that another is
// made in its place. Its row stays: the next delivery supersedes it by name.
func (tx *Tx) Retire(id envelope.ID, at time.Time) error {
	return tx.exec(`UPDATE outbox SET expires=min(expires,?) WHERE envelope=?`, at, id[:])
}

// NotAtRelay returns how many deliveries good at now no relay with that store
// epoch has taken, and when the oldest of them was made; with the zero epoch, which
// nobody knows while there is no connection, how many no relay has ever taken.
func (tx *Tx) NotAtRelay(epoch [16]byte, now time.Time) (n int, oldest time.Time, err error) {
	err = tx.one(`SELECT count(*), coalesce(min(created),0) FROM outbox WHERE (accepted IS NULL OR accepted<>coalesce(?,accepted)) AND expires>?`, args{orNil16(epoch), now}, func(r row1) error {
		n, oldest = r.int(0), r.time(1)
		return nil
	})
	return n, oldest, err
}

// Uncovered returns the deliveries of a sealing device to a desk with a counter
// below the given one that some relay took and that were made before t: after
// Confirmed they are the ones that a peer's vector shows to be missing.
func (tx *Tx) Uncovered(desk identity.DeskID, sealer identity.DeviceID, below uint64, t time.Time) (ids []envelope.ID, err error) {
	err = tx.each(`SELECT envelope FROM outbox WHERE desk=? AND sealer=? AND counter<? AND accepted IS NOT NULL AND created<=?`,
		args{desk, sealer[:], below, t}, func(r row1) error {
			ids = append(ids, r.b16(0))
			return nil
		})
	return ids, err
}
