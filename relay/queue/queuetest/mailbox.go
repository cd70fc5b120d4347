package queuetest

import (
	"fmt"
	"slices"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

func checkIdempotence(w *world) {
	p := w.envelopeFor(wacht)
	at := w.put(p)
	again := *p
	again.Salt = [16]byte{9}
	twice := w.envelopeFor(wacht)
	results := w.do(&again, twice, twice)
	if r := results[0]; !r.Duplicate || r.Position != at || r.Salt != p.Salt {
		w.fail("second put gave %+v, want the position and salt of the first", r)
	}
	if first, second := results[1], results[2]; first.Duplicate || !second.Duplicate || first.Position != second.Position {
		w.fail("twice in one batch gave %+v and %+v", first, second)
	}
	w.holds(wacht, p, twice)
	w.reopen()
	if r := w.do(&again)[0]; !r.Duplicate || r.Position != at || r.Salt != p.Salt {
		w.fail("put after reopen gave %+v", r)
	}
	w.holds(wacht, p, twice)
}

func checkIdempotenceAfterDelivery(w *world) {
	p := w.envelopeFor(wacht)
	at := w.put(p)
	w.ack(wacht, 1, at)
	w.ack(wacht, 2, at)
	w.holds(wacht)
	for range 2 {
		if r := w.do(p)[0]; !r.Duplicate || r.Position != at || r.Salt != p.Salt {
			w.fail("put after delivery gave %+v", r)
		}
		w.holds(wacht)
		w.reopen()
	}
}

func checkConflict(w *world) {
	p := w.envelopeFor(wacht)
	w.put(p)
	other := *p
	other.Envelope = content(999, 80)
	other.Digest = [32]byte{1}
	w.refused(&other, queue.ErrConflict)
	w.holds(wacht, p)
	other.Expires += 60
	w.refused(&other, queue.ErrConflict)
	w.holds(wacht, p)
}

func checkOrder(w *world) {
	var puts []*queue.Put
	var last queue.Position
	for range 5 {
		var ops []queue.Op
		for range 9 {
			p := w.envelopeFor(wacht)
			puts, ops = append(puts, p), append(ops, p, w.envelopeFor(vt))
		}
		for i, r := range w.do(ops...) {
			if i%2 == 1 {
				continue
			}
			if r.Position <= last {
				w.fail("position %d after %d", r.Position, last)
			}
			last = r.Position
		}
		w.reopen()
	}
	w.holds(wacht, puts...)
	w.ack(wacht, 1, last)
	w.ack(wacht, 2, last)
	w.reopen()
	if p := w.put(w.envelopeFor(wacht)); p <= last {
		w.fail("position %d again after an emptied mailbox was reopened", p)
	}
}

func checkPages(w *world) {
	var puts []*queue.Put
	for range 20 {
		p := w.envelopeFor(wacht)
		puts = append(puts, p)
		w.put(p)
	}
	for _, limit := range []queue.Limit{{Records: 1, Bytes: 1}, {Records: 3, Bytes: 1 << 20}, {Records: 100, Bytes: 400}, {Records: 20, Bytes: 1 << 20}} {
		records, err := readAll(w.store, wacht, 0, limit)
		if err != nil {
			w.fail("limit %+v: %w", limit, err)
		}
		if len(records) != len(puts) {
			w.fail("limit %+v: %d records of %d", limit, len(records), len(puts))
		}
		page, err := w.store.Read(ctx(), wacht, 0, limit)
		size := 0
		for _, r := range page.Records {
			size += len(r.Envelope)
		}
		if err != nil || len(page.Records) > limit.Records || size > limit.Bytes && len(page.Records) > 1 {
			w.fail("limit %+v gave %d records of %d bytes, %v", limit, len(page.Records), size, err)
		}
	}
	if _, err := w.store.Read(ctx(), wacht, 0, queue.Limit{}); err == nil {
		w.fail("a read without a limit was answered")
	}
}

func checkIsolation(w *world) {
	desks := []identity.DeskID{wacht, vt, "politie/wacht-2", "politie/wach", "a/b"}
	puts := make(map[identity.DeskID][]*queue.Put)
	for range 6 {
		for _, desk := range desks {
			p := w.envelopeFor(desk)
			puts[desk] = append(puts[desk], p)
			w.put(p)
		}
	}
	for _, desk := range desks {
		w.holds(desk, puts[desk]...)
	}
	w.holds("politie/unknown")
	at := w.read(wacht, 0)[5].Position
	// A device of another desk: its cursor is its own desk's.
	w.do(&queue.Ack{Desk: wacht, Device: device(vt, 1), Position: at}, &queue.Ack{Desk: wacht, Device: device(vt, 2), Position: at})
	for _, desk := range desks {
		w.holds(desk, puts[desk]...)
	}
	same := w.envelopeFor(wacht)
	w.put(same)
	other := newPut(vt, 77_000, 2, 100)
	other.ID = same.ID
	w.put(other)
	w.holds(vt, append(puts[vt], other)...)
}

func checkCursors(w *world) {
	w.refused(&queue.Ack{Desk: wacht, Device: device(wacht, 1), Position: 1}, queue.ErrAhead)
	var at []queue.Position
	for range 5 {
		at = append(at, w.put(w.envelopeFor(wacht)))
	}
	if c := w.cursor(wacht, 1); c.Position != 0 || c.Last < at[4] || c.Dropped {
		w.fail("cursor of a new device is %+v", c)
	}
	w.refused(&queue.Ack{Desk: wacht, Device: device(wacht, 1), Position: w.cursor(wacht, 1).Last + 1}, queue.ErrAhead)
	w.ack(wacht, 1, at[2])
	w.ack(wacht, 1, at[1])
	w.ack(wacht, 1, 0)
	for range 2 {
		if one, two := w.cursor(wacht, 1), w.cursor(wacht, 2); one.Position != at[2] || two.Position != 0 {
			w.fail("cursors are %+v and %+v, want %d and 0", one, two, at[2])
		}
		w.reopen()
	}
	if n := len(w.read(wacht, at[2])); n != 2 {
		w.fail("%d records after the cursor, want 2", n)
	}
}

// checkManyDesks moves the cursors of many desks in each of many batches.
func checkManyDesks(w *world) {
	const desks, rounds = 50, 300
	name := func(i int) identity.DeskID { return identity.DeskID(fmt.Sprintf("org-%d/desk", i)) }
	var at [desks]queue.Position
	for round := range rounds {
		var puts, acks []queue.Op
		for i := range desks {
			puts = append(puts, newPut(name(i), uint64(round*desks+i+1), 1, 64))
		}
		for i, r := range w.do(puts...) {
			at[i] = r.Position
			acks = append(acks, &queue.Ack{Desk: name(i), Device: device(name(i), 1), Position: at[i]})
		}
		w.do(acks[:desks-round%desks]...)
		if round%40 == 39 {
			w.reopen()
		}
	}
	for i := range desks {
		left := w.read(name(i), 0)
		if c := w.cursor(name(i), 1); len(left) > 0 && left[0].Position <= c.Position || len(left) == 0 && c.Position != at[i] {
			w.fail("cursor of desk %d is %+v, its last position %d", i, c, at[i])
		}
		w.ack(name(i), 1, at[i])
		w.holds(name(i))
	}
}

func checkDeletion(w *world) {
	both, first := w.envelopeFor(wacht), w.envelopeFor(wacht)
	first.Targets = first.Targets[:1]
	a, b := w.put(both), w.put(first)
	w.ack(wacht, 2, b)
	w.holds(wacht, both, first)
	w.ack(wacht, 1, a)
	w.holds(wacht, first)
	w.ack(wacht, 1, b)
	w.holds(wacht)
	w.reopen()
	w.holds(wacht)
	third := w.envelopeFor(wacht)
	at := w.put(third)
	w.do(&queue.Ack{Desk: wacht, Device: device(wacht, 1), Position: at}, &queue.Ack{Desk: wacht, Device: device(wacht, 2), Position: at})
	w.holds(wacht)
}

// checkDeletionWithin deletes all but the first and last of a mailbox.
func checkDeletionWithin(w *world) {
	var puts []*queue.Put
	var last queue.Position
	for i := range 120 {
		p := w.envelopeFor(wacht)
		p.Targets = p.Targets[:1]
		if i == 0 || i == 119 {
			p.Targets = []identity.DeviceID{device(wacht, 2)}
		}
		puts = append(puts, p)
		last = w.put(p)
	}
	w.ack(wacht, 1, last)
	w.holds(wacht, puts[0], puts[119])
	another := w.envelopeFor(wacht)
	w.put(another)
	w.holds(wacht, puts[0], puts[119], another)
	w.reopen()
	w.holds(wacht, puts[0], puts[119], another)
	w.ack(wacht, 2, last)
	w.holds(wacht, another)
}

func checkDropDevice(w *world) {
	p, q := w.envelopeFor(wacht), w.envelopeFor(wacht)
	at, end := w.put(p), w.put(q)
	w.ack(wacht, 1, at)
	drop := &queue.DropDevice{Desk: wacht, Device: device(wacht, 2)}
	w.do(drop)
	w.holds(wacht, q)
	w.do(drop)
	w.reopen()
	w.refused(&queue.Ack{Desk: wacht, Device: device(wacht, 2), Position: at}, queue.ErrDropped)
	if !w.cursor(wacht, 2).Dropped {
		w.fail("cursor does not say that the device was dropped")
	}
	w.ack(wacht, 1, end)
	w.holds(wacht)
	r := w.envelopeFor(wacht) // still names the dropped device
	w.ack(wacht, 1, w.put(r))
	w.holds(wacht)
	w.do(&queue.DropDevice{Desk: "new/desk", Device: device("new/desk", 1)})
}

func checkDroppedUnread(w *world) {
	p := w.envelopeFor(wacht)
	w.put(p)
	w.do(&queue.DropDevice{Desk: wacht, Device: device(wacht, 1)}, &queue.DropDevice{Desk: wacht, Device: device(wacht, 2)})
	w.holds(wacht, p)
	gone := w.expire(p.Expires)
	if len(gone) != 1 || gone[0].Delivered {
		w.fail("expiry of an envelope that nobody read gave %+v", gone)
	}
	if n := w.read(piket, 0); len(n) != 1 {
		w.fail("%d notices for its sealer, want 1", len(n))
	}
}

// checkLongBacklog has one device acknowledge more than a commit deletes.
func checkLongBacklog(w *world) {
	const total = 12_000
	var last queue.Position
	for range total / 1000 {
		var ops []queue.Op
		for range 1000 {
			ops = append(ops, newPut(wacht, uint64(len(ops))+w.serial, 1, 64))
		}
		w.serial += 1000
		results := w.do(ops...)
		last = results[len(results)-1].Position
	}
	w.ack(wacht, 1, last)
	w.reopen()
	for i := 0; len(w.read(wacht, 0)) > 0; i++ {
		if i > 20 {
			w.fail("records that all devices passed are not deleted")
		}
		w.expire(start)
	}
	w.put(w.envelopeFor(wacht))
	if n := len(w.read(wacht, last)); n != 1 {
		w.fail("%d records after the backlog, want 1", n)
	}
}

func checkSound(w *world) {
	p := w.envelopeFor(wacht)
	at := w.put(p)
	w.refused(&queue.Quarantine{Desk: wacht, Position: at, Now: start}, queue.ErrSound)
	w.do(&queue.Quarantine{Desk: wacht, Position: at + 1, Now: start}, &queue.Quarantine{Desk: vt, Position: 1, Now: start})
	w.holds(wacht, p)
}

func checkNotices(w *world) {
	p := w.envelopeFor(wacht)
	notice := &queue.Notice{Desk: wacht, Device: device(wacht, 1), Kind: queue.NoticeDamaged, ID: p.ID, Created: start}
	results := w.do(notice, p)
	records := w.read(wacht, 0)
	if len(records) != 2 || records[0].Position != results[0].Position {
		w.fail("%d records, want a notice and an envelope", len(records))
	}
	n := records[0]
	if n.Kind != queue.KindNotice || n.Notice != notice.Kind || n.ID != p.ID || !slices.Equal(n.Targets, []identity.DeviceID{notice.Device}) || n.Expires != start+queue.NoticeLife {
		w.fail("notice came back as %+v", n)
	}
	w.ack(wacht, 1, n.Position)
	w.holds(wacht, p)
	w.do(&queue.DropDevice{Desk: wacht, Device: device(wacht, 2)})
	notice.Device = device(wacht, 2)
	if r := w.do(notice)[0]; r.Position != 0 {
		w.fail("a dropped device got a notice at %d", r.Position)
	}
}
