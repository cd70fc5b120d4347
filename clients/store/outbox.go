package store

import (
	"errors"
	"fmt"
	"time"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Delivery is a sealed envelope in the outbox. It stays until a signed statement
// of the recipient desk confirms it, whatever the relay says.
type Delivery struct {
	Seq      uint64 // order of putting; given by the store
	Envelope envelope.ID
	Kind     delivery.Kind
	Message  message.Hash // zero unless it carries a message
	Desk     identity.DeskID
	Counter  uint64
	Sealer   identity.DeviceID
	Created  time.Time
	Expires  time.Time
	Tier     envelope.Tier
	Raw      []byte // the whole envelope; lists other than Offers leave it nil

	AcceptedEpoch [16]byte // store epoch of the relay that took it; zero: not taken
	Receipt       []byte   // the relay's custody receipt, or nil
}

// PutDelivery puts an envelope in the outbox: a delivery of a counted kind, since
// its counter is what confirms it. It refuses an identifier or a counter that was
// used, with ErrConflict.
func (tx *Tx) PutDelivery(d Delivery) error {
	if len(d.Raw) == 0 || len(d.Raw) > envelope.MaxSize || d.Counter > maxCounter {
		return fmt.Errorf("%w: envelope of %d bytes, counter %d", ErrTooLarge, len(d.Raw), d.Counter)
	}
	if err := tx.exec(`INSERT INTO outbox(envelope,kind,message,desk,counter,sealer,created,expires,tier,accepted,receipt,box)
		VALUES(?,?,?,?,?,?,?,?,?,?,?,x'') ON CONFLICT DO NOTHING`,
		d.Envelope[:], uint64(d.Kind), orNil32(d.Message), d.Desk, d.Counter, d.Sealer[:], d.Created, d.Expires, uint64(d.Tier),
		orNil16(d.AcceptedEpoch), d.Receipt); err != nil {
		return err
	}
	if tx.changes() == 0 {
		return fmt.Errorf("%w: envelope %s or counter %d to %s", ErrConflict, d.Envelope, d.Counter, d.Desk)
	}
	box, err := tx.put(tx.rows(), kindDelivery, d.Envelope[:], d.Raw)
	if err != nil {
		return err
	}
	if err := tx.exec(`UPDATE outbox SET box=? WHERE envelope=?`, box, d.Envelope[:]); err != nil {
		return err
	}
	if err := tx.exec(`UPDATE recipient SET counter=?, envelope=? WHERE message=? AND desk=?`, d.Counter, d.Envelope[:], d.Message[:], d.Desk); err != nil {
		return err
	}
	return tx.notePeer(d.Desk, "last_out", d.Created)
}

const selectDelivery = `SELECT seq,envelope,kind,message,desk,counter,sealer,created,expires,tier,accepted,receipt FROM outbox `

func readDelivery(r row1) Delivery {
	return Delivery{Seq: r.num(0), Envelope: r.b16(1), Kind: delivery.Kind(r.num(2)), Message: r.b32(3), Desk: r.desk(4), Counter: r.num(5),
		Sealer: r.b16(6), Created: r.time(7), Expires: r.time(8), Tier: envelope.Tier(r.num(9)), AcceptedEpoch: r.b16(10), Receipt: r.blob(11)}
}

func (tx *Tx) deliveries(where string, a args) (ds []Delivery, err error) {
	err = tx.each(selectDelivery+where, a, func(r row1) error {
		ds = append(ds, readDelivery(r))
		return nil
	})
	return ds, err
}

// Offers returns, oldest first and with their bytes, at most limit deliveries
// after the Seq after that a relay with this store epoch has not taken and that
// have not expired at now. A relay that lost its store has a new epoch, and is
// offered everything again.
func (tx *Tx) Offers(epoch [16]byte, now time.Time, after uint64, limit int) ([]Delivery, error) {
	ds, err := tx.deliveries(`WHERE seq>? AND (accepted IS NULL OR accepted<>?) AND expires>? ORDER BY seq LIMIT ?`,
		args{after, epoch[:], now, limit})
	if err != nil {
		return nil, err
	}
	for i := range ds {
		if ds[i].Raw, err = tx.rawDelivery(ds[i].Envelope); err != nil {
			return nil, err
		}
	}
	return ds, nil
}

func (tx *Tx) rawDelivery(id envelope.ID) (raw []byte, err error) {
	err = tx.one(`SELECT box FROM outbox WHERE envelope=?`, args{id[:]}, func(r row1) (err error) {
		if raw, err = tx.get(tx.rows(), kindDelivery, id[:], r.blob(0)); err != nil {
			return fmt.Errorf("failed to open envelope %s: %w", id, err)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		err = tx.notRemoved(kindDelivery, id[:])
	}
	return raw, err
}

// Delivery returns one delivery of the outbox with its bytes, or ErrNotFound.
func (tx *Tx) Delivery(id envelope.ID) (Delivery, error) {
	ds, err := tx.deliveries(`WHERE envelope=?`, args{id[:]})
	if err != nil {
		return Delivery{}, err
	}
	if len(ds) == 0 {
		return Delivery{}, tx.notRemoved(kindDelivery, id[:])
	}
	ds[0].Raw, err = tx.rawDelivery(id)
	return ds[0], err
}

// Accepted notes that the relay with this store epoch took a delivery, and its
// custody receipt; the recipient is AtRelay. It returns the delivery without its bytes.
// One that was confirmed in the meantime is ErrNotFound, which harms nothing.
func (tx *Tx) Accepted(id envelope.ID, epoch [16]byte, receipt []byte, at time.Time) (Delivery, error) {
	ds, err := tx.deliveries(`WHERE envelope=?`, args{id[:]})
	if err != nil {
		return Delivery{}, err
	}
	if len(ds) == 0 {
		return Delivery{}, ErrNotFound
	}
	if err := tx.exec(`UPDATE outbox SET accepted=?, receipt=? WHERE envelope=?`, epoch[:], receipt, id[:]); err != nil {
		return Delivery{}, err
	}
	return ds[0], tx.arrivedAt(ds[0], AtRelay, at)
}

// arrivedAt notes a state of the recipient of a delivery, if it has one.
func (tx *Tx) arrivedAt(d Delivery, state RecipientState, at time.Time) error {
	err := tx.SetRecipient(d.Message, d.Desk, state, at, "")
	if errors.Is(err, ErrNotFound) {
		return nil // sent by another device of this desk, before this one kept recipients
	}
	return err
}

// Confirmed applies the vector of a desk's statement: deliveries to that desk
// that it covers leave the outbox, their recipients are Delivered, and the statuses
// of this device's statements up to the one it has seen are confirmed. It returns them, without bytes.
//
// ahead is true when the vector covers a counter of this device that it never
// gave out: the peer lies, or this device is a restored copy (attack C24, where
// the side file was restored with it).
func (tx *Tx) Confirmed(desk identity.DeskID, vector []delivery.Received, at time.Time) (gone []Delivery, ahead bool, err error) {
	for _, v := range vector {
		ds, err := tx.deliveries(`WHERE desk=? AND sealer=? AND counter<=? ORDER BY counter`, args{desk, v.Device[:], min(highest(v), maxCounter)})
		if err != nil {
			return gone, ahead, err
		}
		for _, d := range ds {
			if !Covers(v, d.Counter) {
				continue
			}
			if err := tx.confirm(d, at); err != nil {
				return gone, ahead, err
			}
			gone = append(gone, d)
		}
		over, err := tx.confirmOwn(desk, v)
		if err != nil {
			return gone, ahead, err
		}
		ahead = ahead || over
	}
	return gone, ahead, nil
}

// outdone is when a delivery expired that some device of its desk is not among: not a
// time, which clocks can be set past, but none.
var outdone time.Time

func (tx *Tx) confirm(d Delivery, at time.Time) error {
	if !d.Expires.Equal(outdone) {
		if err := tx.arrivedAt(d, Delivered, at); err != nil {
			return err
		}
	}
	return tx.DeleteDelivery(d.Envelope)
}

// confirmOwn handles what a vector says about this device itself.
func (tx *Tx) confirmOwn(desk identity.DeskID, v delivery.Received) (ahead bool, err error) {
	d, err := tx.Device()
	if errors.Is(err, ErrNotFound) || err == nil && d.ID != v.Device {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	last, err := tx.LastCounter(desk)
	if err != nil {
		return false, err
	}
	return highest(v) > last, tx.confirmStatuses(desk, v.Stated)
}

// highest returns the highest counter that a vector covers.
func highest(v delivery.Received) uint64 {
	if n := len(v.Beyond); n > 0 {
		return max(v.Contiguous, v.Beyond[n-1])
	}
	return v.Contiguous
}

// DeleteDelivery takes a delivery out of the outbox, such as one that another
// superseded.
func (tx *Tx) DeleteDelivery(id envelope.ID) error {
	if err := tx.exec(`DELETE FROM outbox WHERE envelope=?`, id[:]); err != nil {
		return err
	}
	return tx.drop(kindDelivery, id[:])
}

// DeliveriesOf returns the deliveries of a message to a desk, oldest first and
// without bytes: what a new one supersedes.
func (tx *Tx) DeliveriesOf(h message.Hash, desk identity.DeskID) ([]Delivery, error) {
	return tx.deliveries(`WHERE message=? AND desk=? ORDER BY seq`, args{h[:], desk})
}

// Expired returns at most limit deliveries that expired before now, oldest first
// and without bytes: they are to be delivered again, or given up.
func (tx *Tx) Expired(now time.Time, limit int) ([]Delivery, error) {
	return tx.deliveries(`WHERE expires<=? ORDER BY expires, seq LIMIT ?`, args{now, limit})
}

// OutboxSize returns how many deliveries wait for confirmation.
func (tx *Tx) OutboxSize() (n int, err error) {
	err = tx.one(`SELECT count(*) FROM outbox`, nil, func(r row1) error {
		n = r.int(0)
		return nil
	})
	return n, err
}
