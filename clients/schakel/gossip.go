package schakel

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Every delivery states the register as its sealing device sees it. What the relay shows to
// one desk and not to another comes out as soon as the two write to each other: a root that
// contradicts ours at a size that we have, or a size that nobody shows us.

const (
	reasonAhead = "register-ahead"
	reasonOld   = "register-old"
	// proveWithin is how long a size may stay unproven before somebody is told (F16).
	proveWithin = 10 * time.Minute
	// oldest is how far behind ours a register may be when something is sealed by it (F17).
	// A device that is further behind fetches first; an acute message is never kept apart
	// for that.
	oldest = 72 * time.Hour
	// Deliveries that wait for the register: of one device, of all, and their bytes.
	maxAheadOfOne = 16
	maxAhead      = 256
	maxAheadBytes = 16 << 20
	// What alarms of register-loopt-uiteen say: codeAhead of deliveries that wait, codeOld of
	// an acute message.
	codeAhead = "ahead"
	codeOld   = "old"

	settingSeen  = "register-seen"
	maxSightings = 512
)

// sighting is a size that this device knew the register to have, and when it first did.
type sighting struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	At   uint64
}

// sighted adds what the register is now. There are never many: what is older than any
// envelope that may still come is one row, and the older half is thinned out, which only
// makes this device more lenient.
func sighted(before []sighting, size uint64, now time.Time) []sighting {
	if n := len(before); n > 0 && before[n-1].Size >= size {
		return before
	}
	past := unix(now.Add(-max(oldest+life+clockSlack, newDevice)))
	var out []sighting
	for i, s := range before {
		switch {
		case i+1 < len(before) && before[i+1].At < past:
		case len(before) >= maxSightings && i < len(before)/2 && i%2 == 1:
		default:
			out = append(out, s)
		}
	}
	return append(out, sighting{Size: size, At: unix(now)})
}

// outdated reports whether a register of size was already older than the oldest that is
// believed when something was sealed by it.
func (d directory) outdated(size, created uint64) bool {
	for _, s := range d.seen {
		if s.Size > size {
			return created > s.At+uint64(oldest/time.Second)
		}
	}
	return false
}

// compareView compares what the sealing device saw with what this one has. Whoever lies, the
// relay or that device, the delivery itself is what the device said: it is taken in, since it
// may be acute, and somebody is told.
func (in *intake) compareView(a *arrival) error {
	dir, said := in.n.directory(), a.delivery.Register
	own, known := dir.RootAt(said.Size)
	if !known || own == said.Root {
		return nil
	}
	if err := in.keepEvidence(viewAgainst(dir, a), a.header.Sealer.String(), nil); err != nil {
		return err
	}
	in.stops = true
	in.answer(a.from, said.Size)
	return in.raise(AlarmView, string(a.from), string(a.from))
}

// compareAge tells of an acute message that was sealed by a register of long ago: its sender
// may not know what was revoked since.
func (in *intake) compareAge(a *arrival) error {
	if a.from == in.n.dev.Desk || !in.n.directory().outdated(a.delivery.Register.Size, a.header.Created) {
		return nil
	}
	return in.raise(AlarmAhead, string(a.from), codeOld)
}

// hold keeps a delivery that names a larger register than this device has, until it has that.
// It waits apart: nobody can stop the queue of a desk by naming a size that there is not.
func (in *intake) hold(a *arrival) (held bool, err error) {
	if a.header.Expires < unix(in.now) {
		return false, nil
	}
	of, _, err := in.tx.WeighKept(store.ShelfAhead, a.header.Sealer[:])
	if err != nil {
		return false, err
	}
	all, size, err := in.tx.WeighKept(store.ShelfAhead, nil)
	if err != nil || of >= maxAheadOfOne || all >= maxAhead || size+len(a.raw) > maxAheadBytes {
		return false, err
	}
	if a.delivery.Kind == delivery.KindCheckpoint {
		in.answer(a.from, in.n.directory().Size()) // it takes us for the one that differs
		// What the log signed proves itself, however far ahead who shows it is: the desk whose
		// branch is the shorter would otherwise never hear that there are two.
		if shown, bad := delivery.ParseCheckpoint(a.delivery.Content); bad == nil {
			a.checkpoint = shown
			if err := in.checkpoint(a); err != nil {
				return false, err
			}
		}
	}
	since := in.now
	if !a.since.IsZero() {
		since = a.since
	}
	return true, in.tx.Keep(store.ShelfAhead, store.Kept{ID: aheadID(a), At: since, Content: a.raw})
}

// unshelve takes a delivery that waited off its shelf; it may have to go back there.
func (in *intake) unshelve(a *arrival) error {
	if a.waited == nil {
		return nil
	}
	return in.tx.Forget(store.ShelfAhead, a.waited)
}

// aheadID names a delivery that waits: its sealing device, its envelope, and the size.
func aheadID(a *arrival) []byte {
	id := append(append([]byte{}, a.header.Sealer[:]...), a.header.ID[:]...)
	return binary.BigEndian.AppendUint64(id, a.delivery.Register.Size)
}

type waiting struct {
	id    []byte
	from  identity.DeskID
	size  uint64
	since time.Time
}

func (n *Node) aheadRows(tx *store.Tx) (out []waiting, err error) {
	rows, err := tx.KeptRows(store.ShelfAhead)
	for _, k := range rows {
		if len(k.ID) != 40 {
			continue
		}
		w := waiting{id: k.ID, size: binary.BigEndian.Uint64(k.ID[32:]), since: k.At}
		if d, ok := n.directory().Device(identity.DeviceID(k.ID[:16])); ok {
			w.from = d.Desk
		}
		out = append(out, w)
	}
	return out, err
}

// watchAhead tells of sizes that nobody proved in time, and takes that back once somebody did.
func (in *intake) watchAhead() error {
	rows, err := in.n.aheadRows(in.tx)
	if err != nil {
		return err
	}
	late := map[identity.DeskID]bool{}
	for _, w := range rows {
		if w.size <= in.n.directory().Size() || in.now.Sub(w.since) < proveWithin {
			continue
		}
		if !late[w.from] {
			if err := in.tellAhead(w); err != nil {
				return err
			}
		}
		late[w.from] = true
	}
	alarms, err := in.tx.Alarms()
	for _, a := range alarms {
		if err == nil && AlarmKind(a.Kind) == AlarmAhead && a.Code == codeAhead && !late[identity.DeskID(a.Subject)] {
			err = in.clear(AlarmAhead, a.Subject)
		}
	}
	return err
}

func (in *intake) tellAhead(w waiting) error {
	fresh, err := in.tx.RaiseAlarm(string(AlarmAhead), string(w.from), codeAhead, in.now)
	if err != nil || !fresh {
		return err
	}
	in.events = append(in.events, Event{Kind: EventAlarm, Message: string(w.from), At: in.now})
	k, err := in.tx.Kept(store.ShelfAhead, w.id)
	if err != nil {
		return err
	}
	dir := in.n.directory()
	a := in.n.judge(k.Content, dir, in.now)
	in.answer(w.from, dir.Size()) // if there are two registers, that desk can see it by ours
	return in.keepEvidence(viewAgainst(dir, &a), a.header.Sealer.String(), nil)
}

// judgeAhead judges again what waited for a register that is here now, and what waited too
// long to be of use.
func (n *Node) judgeAhead(ctx context.Context) error {
	dir, now := n.directory(), n.now()
	var arrivals []arrival
	err := n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := n.aheadRows(tx)
		for _, w := range rows {
			if err != nil || len(arrivals) == maxAheadOfOne {
				break
			}
			if w.size > dir.Size() && now.Sub(w.since) < life+clockSlack {
				continue
			}
			var k store.Kept
			if k, err = tx.Kept(store.ShelfAhead, w.id); err == nil {
				a := n.judge(k.Content, dir, now)
				a.waited, a.since = w.id, w.since
				arrivals = append(arrivals, a)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return n.take(ctx, arrivals)
}

// logSigned reports whether a log that the register names, now or before, signed a checkpoint.
func (d directory) logSigned(c trust.Checkpoint) bool {
	for _, relay := range d.Relays() {
		if c.SignedBy(relay.Log) == nil {
			return true
		}
	}
	return false
}

// contradicts reports whether an error says that the register which came is not the one
// that was there before.
func contradicts(err error) bool {
	return errors.Is(err, trust.ErrFork) || errors.Is(err, trust.ErrRollback) || errors.Is(err, trust.ErrProof) || errors.Is(err, trust.ErrEntries)
}
