package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// Arrival is one delivery as it came in from a peer's sealing device.
type Arrival struct {
	Device   identity.DeviceID // that sealed it
	Desk     identity.DeskID   // of that device
	Counter  uint64
	Envelope envelope.ID
	Digest   [32]byte // of the delivery
	At       time.Time

	// FromStart says that this device was enrolled before the peer's, so that all
	// its deliveries were sealed to this device too: a first counter above 1 is
	// then a gap and not the history before this device.
	FromStart bool
}

// Verdict on an arrival.
type Verdict int

// Verdicts. A replay is harmless and common: the relay may deliver twice.
// Equivocation is another delivery under a counter that was used: the peer's
// device was rolled back, or lies.
const (
	Fresh Verdict = iota + 1
	Replay
	Equivocation
)

// historyHorizon is when the counters before the first one seen stop mattering:
// nothing sealed back then is under way any more, since an envelope lives for
// seven days and is delivered again under a new counter.
const historyHorizon = 8 * 24 * time.Hour

// maxCounter leaves room to count in signed numbers. No honest device comes near;
// what a peer's device says beyond it gets a verdict like any other lie, and never
// an error, which would stop the transaction that everything else arrives in.
const maxCounter = delivery.MaxCounter

// Arrived notes a delivery and says whether it is new.
func (tx *Tx) Arrived(a Arrival) (Verdict, error) {
	if a.Counter == 0 || a.Counter > maxCounter {
		return Equivocation, nil
	}
	v, marked, err := tx.seenBefore(a)
	if err != nil || v != Fresh {
		return v, err
	}
	if err := tx.exec(`INSERT INTO arriving(device,desk,first,first_at,from_start,contiguous) VALUES(?,?,?,?,?,0)
		ON CONFLICT DO UPDATE SET first=excluded.first, first_at=excluded.first_at, from_start=excluded.from_start WHERE first=0`,
		a.Device[:], a.Desk, a.Counter, a.At, a.FromStart); err != nil {
		return 0, err
	}
	if marked {
		err = tx.exec(`UPDATE arrival SET envelope=?, digest=?, at=? WHERE device=? AND counter=?`,
			a.Envelope[:], a.Digest[:], a.At, a.Device[:], a.Counter)
	} else {
		err = tx.exec(`INSERT INTO arrival(device,counter,envelope,digest,at) VALUES(?,?,?,?,?)`,
			a.Device[:], a.Counter, a.Envelope[:], a.Digest[:], a.At)
	}
	if err != nil {
		return 0, err
	}
	if err := tx.notePeer(a.Desk, "last_in", a.At); err != nil {
		return 0, err
	}
	return Fresh, tx.advance(a.Device)
}

// seenBefore compares with what stands under the counter. A mark of
// MarkSuperseded alone does not make a delivery old: otherwise one device of a
// desk could silence another by claiming to supersede it.
func (tx *Tx) seenBefore(a Arrival) (v Verdict, marked bool, err error) {
	v = Fresh
	err = tx.each(`SELECT envelope, digest FROM arrival WHERE device=? AND counter=?`, args{a.Device[:], a.Counter}, func(r row1) error {
		id, digest := r.blob(0), r.blob(1)
		switch {
		case digest == nil:
			marked = true
		case bytes.Equal(id, a.Envelope[:]) && bytes.Equal(digest, a.Digest[:]):
			v = Replay
		default:
			v = Equivocation
		}
		return nil
	})
	if err != nil || v != Fresh || marked {
		return v, marked, err
	}
	st, err := tx.arriving(a.Device)
	if errors.Is(err, ErrNotFound) {
		return Fresh, false, nil
	}
	if err == nil && a.Counter <= st.contiguous {
		v = Replay // its digest was forgotten: see ForgetArrivals
	}
	return v, false, err
}

// MarkSuperseded notes that a counter will never be used again, because a later
// delivery took its place: it is no gap.
func (tx *Tx) MarkSuperseded(device identity.DeviceID, desk identity.DeskID, counter uint64, at time.Time) error {
	if counter == 0 || counter > maxCounter {
		return nil
	}
	if err := tx.exec(`INSERT INTO arriving(device,desk,first,first_at,from_start,contiguous) VALUES(?,?,0,0,0,0) ON CONFLICT DO NOTHING`,
		device[:], desk); err != nil {
		return err
	}
	st, err := tx.arriving(device)
	if err != nil || counter <= st.contiguous {
		return err
	}
	if err := tx.exec(`INSERT INTO arrival(device,counter,at) VALUES(?,?,?) ON CONFLICT DO NOTHING`, device[:], counter, at); err != nil {
		return err
	}
	return tx.advance(device)
}

// Reached notes that a peer's device has given out counters up to and including
// counter, as its statements and other uncounted deliveries say: what is missing
// at the end is then a gap too, and silence is seen (attack B02). Of a device that
// nothing came from yet, that is the history before this device, unless fromStart.
func (tx *Tx) Reached(device identity.DeviceID, desk identity.DeskID, counter uint64, at time.Time, fromStart bool) error {
	counter = min(counter, maxCounter)
	first := counter + 1
	if fromStart {
		first = 1
	}
	return tx.exec(`INSERT INTO arriving(device,desk,first,first_at,from_start,contiguous,reached,reached_at) VALUES(?,?,?,?,?,0,?,?)
		ON CONFLICT DO UPDATE SET reached=excluded.reached, reached_at=excluded.reached_at,
		from_start=CASE WHEN first=0 THEN excluded.from_start ELSE from_start END,
		first=CASE WHEN first=0 THEN excluded.first ELSE first END WHERE excluded.reached>reached`,
		device[:], desk, first, at, fromStart, counter, at)
}

// arrivingState is what is known of one peer device.
type arrivingState struct {
	device            identity.DeviceID
	desk              identity.DeskID
	first, contiguous uint64 // first is 0 while only marks of MarkSuperseded are known
	firstAt           time.Time
	fromStart         bool
	stated            uint64 // number of its newest statement
	reached           uint64 // highest counter that it says it gave out
	reachedAt         time.Time
}

func (tx *Tx) arriving(d identity.DeviceID) (st arrivingState, err error) {
	err = tx.one(selectArriving+` WHERE device=?`, args{d[:]}, func(r row1) error {
		st = readArriving(r)
		return nil
	})
	return st, err
}

const selectArriving = `SELECT device, desk, first, first_at, from_start, contiguous, reached, reached_at,
	coalesce((SELECT number FROM stated s WHERE s.device=arriving.device),0) FROM arriving`

func readArriving(r row1) arrivingState {
	return arrivingState{device: identity.DeviceID(r.b16(0)), desk: r.desk(1), first: r.num(2), firstAt: r.time(3),
		fromStart: r.bool(4), contiguous: r.num(5), reached: r.num(6), reachedAt: r.time(7), stated: r.num(8)}
}

// advance moves the contiguous number over what has arrived.
func (tx *Tx) advance(d identity.DeviceID) error {
	st, err := tx.arriving(d)
	if err != nil {
		return err
	}
	to := st.contiguous
	err = tx.each(`SELECT counter FROM arrival WHERE device=? AND counter>? ORDER BY counter`, args{d[:], to}, func(r row1) error {
		if r.num(0) != to+1 {
			return errStop
		}
		to++
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	if to == st.contiguous {
		return nil
	}
	return tx.exec(`UPDATE arriving SET contiguous=? WHERE device=?`, to, d[:])
}

// errStop ends a loop over rows early; it never leaves this package.
var errStop = errors.New("enough rows")

// Received returns what to state to a desk about its devices, sorted by device:
// at most delivery.MaxPeers devices and delivery.MaxMissing counters beyond the
// gap, the newest: earlier ones stood in earlier statements, and what its sender did
// not hear of it makes again. Counters before the first one seen count as received only when they can
// no longer be under way: a statement must never confirm what is not here.
func (tx *Tx) Received(desk identity.DeskID, now time.Time) ([]delivery.Received, error) {
	var states []arrivingState
	err := tx.each(selectArriving+` WHERE desk=? ORDER BY device LIMIT ?`, args{desk, delivery.MaxPeers}, func(r row1) error {
		states = append(states, readArriving(r))
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]delivery.Received, 0, len(states))
	for _, st := range states {
		v, err := tx.vector(st, now)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (tx *Tx) vector(st arrivingState, now time.Time) (delivery.Received, error) {
	v := delivery.Received{Device: st.device, Contiguous: st.contiguous, Stated: st.stated}
	if st.pastHistory(now) {
		v.Contiguous = max(v.Contiguous, st.first-1)
	}
	err := tx.each(`SELECT counter FROM arrival WHERE device=? AND counter>? ORDER BY counter`, args{st.device[:], v.Contiguous}, func(r row1) error {
		if r.num(0) != v.Contiguous+1 {
			return errStop
		}
		v.Contiguous++
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return v, err
	}
	v.Beyond = []uint64{}
	err = tx.each(`SELECT counter FROM arrival WHERE device=? AND counter>? ORDER BY counter DESC LIMIT ?`,
		args{st.device[:], v.Contiguous, delivery.MaxMissing}, func(r row1) error {
			v.Beyond = append(v.Beyond, r.num(0))
			return nil
		})
	slices.Reverse(v.Beyond)
	return v, err
}

func (st arrivingState) pastHistory(now time.Time) bool {
	return !st.fromStart && st.first > 0 && now.Sub(st.firstAt) > historyHorizon
}

// Gap is a counter that a peer device gave out and that has not arrived.
type Gap struct {
	Counter uint64
	Since   time.Time // when this device learned that it was given out
}

// Gaps returns at most delivery.MaxMissing missing counters of a device, lowest
// first. What came before the first counter seen is the history before this
// device, and no gap, unless the arrivals were FromStart.
func (tx *Tx) Gaps(device identity.DeviceID) (gaps []Gap, err error) {
	st, err := tx.arriving(device)
	if errors.Is(err, ErrNotFound) || err == nil && st.first == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	next := st.contiguous + 1
	if !st.fromStart {
		next = max(next, st.first)
	}
	missing := func(until uint64, since time.Time) error {
		for ; next < until; next++ {
			if len(gaps) == delivery.MaxMissing {
				return errStop
			}
			gaps = append(gaps, Gap{Counter: next, Since: since})
		}
		return nil
	}
	err = tx.each(`SELECT counter, at FROM arrival WHERE device=? AND counter>=? ORDER BY counter`, args{device[:], next}, func(r row1) error {
		if err := missing(r.num(0), r.time(1)); err != nil {
			return err
		}
		next = r.num(0) + 1
		return nil
	})
	if err == nil && st.reached > 0 {
		err = missing(st.reached+1, st.reachedAt)
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	return gaps, err
}

// PeerDevices returns the devices of a desk that something arrived from.
func (tx *Tx) PeerDevices(desk identity.DeskID) (ds []identity.DeviceID, err error) {
	err = tx.each(`SELECT device FROM arriving WHERE desk=? ORDER BY device`, args{desk}, func(r row1) error {
		ds = append(ds, identity.DeviceID(r.b16(0)))
		return nil
	})
	return ds, err
}

// ForgetArrivals drops the digests of arrivals before t that lie within the
// contiguous part. A delivery under such a counter is a Replay from then on,
// even where it is an Equivocation. Keep at least eight days: no envelope lives
// longer.
func (tx *Tx) ForgetArrivals(t time.Time) (int, error) {
	err := tx.exec(`DELETE FROM arrival WHERE at<? AND counter<=(SELECT contiguous FROM arriving a WHERE a.device=arrival.device)`, t)
	if err != nil {
		return 0, fmt.Errorf("failed to forget arrivals: %w", err)
	}
	return tx.changes(), nil
}

// Covers reports whether a vector says that a counter arrived.
func Covers(v delivery.Received, counter uint64) bool {
	if counter <= v.Contiguous {
		return counter > 0
	}
	_, found := slices.BinarySearch(v.Beyond, counter)
	return found
}
