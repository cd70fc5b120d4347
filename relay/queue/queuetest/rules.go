package queuetest

import (
	"context"
	"errors"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

func ctx() context.Context { return context.Background() }

// with opens the check's store again with a quota.
func (w *world) with(quota queue.Quota) {
	w.quota = quota
	w.reopen()
}

func checkDeskQuota(w *world) {
	w.with(queue.Quota{DeskRecords: 3, DeskBytes: 400})
	a := newPut(wacht, 1, 1, 100)
	at := w.put(a)
	w.put(newPut(wacht, 2, 1, 100))
	w.refused(newPut(wacht, 3, 1, 201), queue.ErrFullDesk)
	w.put(newPut(wacht, 4, 1, 100))
	w.refused(newPut(wacht, 5, 1, 64), queue.ErrFullDesk)
	if r := w.do(a)[0]; !r.Duplicate {
		w.fail("a full desk refuses what it has")
	}
	w.put(newPut(vt, 6, 1, 100))
	w.do(&queue.Notice{Desk: wacht, Device: device(wacht, 1), Kind: queue.NoticeExpired, ID: a.ID, Created: start})
	w.reopen()
	w.refused(newPut(wacht, 5, 1, 64), queue.ErrFull)
	w.ack(wacht, 1, at)
	w.put(newPut(wacht, 5, 1, 100))
	w.expire(start + 3600)
	late := newPut(wacht, 7, 1, 300)
	late.Expires += 3600
	w.put(late)
}

func checkSealerQuota(w *world) {
	w.with(queue.Quota{SealerRecords: 4, SealerBytes: 500})
	first := newPut(wacht, 1, 1, 100)
	at := w.put(first)
	other := newPut(vt, 2, 1, 100)
	other.SealerDesk = "knooppunt/dag"
	w.put(other)
	w.refused(newPut(vt, 3, 1, 301), queue.ErrFullSealer)
	w.put(newPut(wacht, 4, 1, 100))
	w.put(newPut(vt, 5, 1, 100))
	w.reopen()
	w.refused(newPut(vt, 6, 1, 64), queue.ErrFullSealer)
	elsewhere := newPut(vt, 7, 1, 100)
	elsewhere.SealerDesk = "raad/landelijk"
	w.put(elsewhere)
	w.ack(wacht, 1, at)
	w.put(newPut(vt, 6, 1, 100))
}

func checkExpiry(w *world) {
	unread, read, half, longer := w.envelopeFor(wacht), w.envelopeFor(vt), w.envelopeFor(vt), w.envelopeFor(wacht)
	longer.Expires += 1000
	w.do(unread, read, half, longer)
	records := w.read(vt, 0)
	w.ack(vt, 1, records[1].Position)
	w.ack(vt, 2, records[0].Position)
	if gone := w.expire(start + 3599); len(gone) != 0 {
		w.fail("%d expired a second too early", len(gone))
	}
	gone := w.expire(start + 3600)
	if len(gone) != 3 {
		w.fail("%d expired, want 3", len(gone))
	}
	for _, e := range gone {
		if e.Delivered == (e.ID == unread.ID) {
			w.fail("expired %s, delivered %v", e.ID, e.Delivered)
		}
	}
	w.reopen()
	w.holds(vt)
	w.holds(wacht, longer)
	notices := w.read(piket, 0)
	if len(notices) != 1 || notices[0].Kind != queue.KindNotice || notices[0].Notice != queue.NoticeExpired ||
		notices[0].ID != unread.ID || len(notices[0].Targets) != 1 || notices[0].Targets[0] != unread.Sealer {
		w.fail("notices for the sealer: %+v", notices)
	}
	if gone := w.expire(start + 3600); len(gone) != 0 {
		w.fail("%d expired again", len(gone))
	}
	w.ack(piket, 1, notices[0].Position)
	w.holds(piket)
}

func checkExpirySlices(w *world) {
	var ops []queue.Op
	for i := range 10 {
		p := w.envelopeFor(wacht)
		p.Expires = start + uint64(100-i)
		ops = append(ops, p)
	}
	w.do(ops...)
	total := 0
	for range 4 {
		gone := w.do(&queue.Expire{Now: start + 100, Max: 3})[0].Expired
		for _, e := range gone {
			total++
			if want := ops[len(ops)-total].(*queue.Put).ID; e.ID != want || e.SealerDesk != piket {
				w.fail("expiry %d is of %s, want the oldest, %s", total, e.ID, want)
			}
		}
		if len(gone) > 3 {
			w.fail("a slice of %d, want at most 3", len(gone))
		}
	}
	w.holds(wacht)
	if n := len(w.read(piket, 0)); total != 10 || n != 10 {
		w.fail("%d expired with %d notices, want 10", total, n)
	}
}

// checkExpiryClock steps the clock back: what was expired stays so.
func checkExpiryClock(w *world) {
	p := w.envelopeFor(wacht)
	w.put(p)
	w.ack(wacht, 1, w.read(wacht, 0)[0].Position)
	w.expire(p.Expires)
	w.refused(p, queue.ErrExpired)
	w.expire(start)
	w.reopen()
	w.refused(p, queue.ErrExpired)
	notice := &queue.Notice{Desk: wacht, Device: device(wacht, 1), Kind: queue.NoticeExpired, ID: p.ID, Created: start}
	w.do(notice)
	gone := w.expire(start + queue.NoticeLife)
	if len(gone) != 1 || !gone[0].Delivered {
		w.fail("end of an unread notice gave %+v", gone)
	}
	w.holds(wacht)
}

func checkAttend(w *world) {
	token := [32]byte{1, 2, 3}
	p := withToken(w.envelopeFor(wacht), envelope.TierAcute, token)
	plain := w.envelopeFor(wacht)
	at := w.do(p, plain)[1].Position
	wrong := [32]byte{1, 2, 4}
	w.refused(&queue.Attend{Desk: wacht, ID: p.ID, Token: wrong}, queue.ErrToken)
	w.refused(&queue.Attend{Desk: vt, ID: p.ID, Token: token}, queue.ErrToken)
	w.refused(&queue.Attend{Desk: wacht, ID: plain.ID}, queue.ErrToken)
	w.refused(&queue.Attend{Desk: wacht, ID: envelope.ID{7}, Token: token}, queue.ErrToken)
	if len(w.waiting()) != 1 {
		w.fail("refused tokens changed what waits")
	}
	w.ack(wacht, 1, at)
	w.ack(wacht, 2, at)
	for range 2 {
		w.do(&queue.Attend{Desk: wacht, ID: p.ID, Token: token})
		w.reopen()
		if n := len(w.waiting()); n != 0 {
			w.fail("%d wait after the attended token", n)
		}
	}
	if r := w.do(p)[0]; !r.Duplicate || r.Salt != p.Salt {
		w.fail("put after attend gave %+v", r)
	}
	w.refused(&queue.Attend{Desk: wacht, ID: p.ID, Token: wrong}, queue.ErrToken)
	w.expire(p.Expires)
	w.refused(&queue.Attend{Desk: wacht, ID: p.ID, Token: token}, queue.ErrToken)
}

func checkWaiting(w *world) {
	waits := make(map[queue.Ref]*queue.Put)
	for i := range 12 {
		desk := []identity.DeskID{wacht, vt, "a/b"}[i%3]
		p := withToken(w.envelopeFor(desk), envelope.Tier(i%4), [32]byte{byte(i)})
		at := w.put(p)
		if p.Tier != envelope.TierNone {
			waits[queue.Ref{Desk: desk, ID: p.ID}] = p
		}
		w.ack(desk, 1, at)
		w.ack(desk, 2, at)
	}
	w.reopen()
	seen := make(map[queue.Ref]bool)
	for _, u := range w.waiting() {
		p := waits[u.Ref]
		if p == nil || seen[u.Ref] || u.Tier != p.Tier || u.Created != p.Created || u.Expires != p.Expires || u.Position == 0 ||
			u.Sealer != p.Sealer || u.SealerDesk != p.SealerDesk {
			w.fail("waiting lists %+v", u)
		}
		seen[u.Ref] = true
	}
	if len(seen) != len(waits) {
		w.fail("%d wait, want %d", len(seen), len(waits))
	}
	w.expire(start + 3600)
	if n := len(w.waiting()); n != 0 {
		w.fail("%d wait after their end", n)
	}
}

func checkEpoch(w *world) {
	before, err := w.store.State(ctx())
	if err != nil || before.Epoch == ([16]byte{}) {
		w.fail("state %+v, %v", before, err)
	}
	w.put(w.envelopeFor(wacht))
	w.reopen()
	if after, err := w.store.State(ctx()); err != nil || after != before {
		w.fail("state after reopen is %+v, was %+v: %v", after, before, err)
	}
}

func checkBounds(w *world) {
	bad := map[string]func(p *queue.Put){
		"id of zeros":      func(p *queue.Put) { p.ID = envelope.ID{} },
		"sealer of zeros":  func(p *queue.Put) { p.Sealer = identity.DeviceID{} },
		"no targets":       func(p *queue.Put) { p.Targets = nil },
		"many targets":     func(p *queue.Put) { p.Targets = make([]identity.DeviceID, envelope.MaxTargets+1) },
		"no envelope":      func(p *queue.Put) { p.Envelope = nil },
		"large envelope":   func(p *queue.Put) { p.Envelope = make([]byte, envelope.MaxSize+1) },
		"desk":             func(p *queue.Put) { p.Desk = "nobody" },
		"sealer's desk":    func(p *queue.Put) { p.SealerDesk = "No/Body" },
		"tier":             func(p *queue.Put) { p.Tier = 9 },
		"short token hash": func(p *queue.Put) { p.AttendedHash = []byte{1} },
		"far future":       func(p *queue.Put) { p.Expires = queue.MaxTime + 1 },
		"life":             func(p *queue.Put) { p.Expires = p.Created },
	}
	for name, change := range bad {
		p := w.envelopeFor(wacht)
		change(p)
		if r := w.commit(p)[0]; !errors.Is(r.Err, queue.ErrInvalid) {
			w.fail("%s: %v, want ErrInvalid", name, r.Err)
		}
	}
	w.refused(&queue.Expire{Now: start}, queue.ErrInvalid)
	w.refused(&queue.Ack{Desk: wacht}, queue.ErrInvalid)
	w.refused(&queue.DropDevice{Desk: "x", Device: device(wacht, 1)}, queue.ErrInvalid)
	w.refused(&queue.Notice{Desk: wacht, Device: device(wacht, 1)}, queue.ErrInvalid)
	w.holds(wacht)
	largest := newPut(wacht, 1, envelope.MaxTargets, envelope.MaxSize)
	w.put(largest)
	w.holds(wacht, largest)
	if _, err := w.store.Commit(ctx(), make([]queue.Op, queue.MaxBatchOps+1)); !errors.Is(err, queue.ErrUnavailable) {
		w.fail("too large a batch gave %v, want ErrUnavailable", err)
	}
	if results := w.commit(); len(results) != 0 {
		w.fail("an empty batch gave results")
	}
	cancelled, cancel := context.WithCancel(ctx())
	cancel()
	if _, err := w.store.Commit(cancelled, []queue.Op{w.envelopeFor(wacht)}); !errors.Is(err, queue.ErrUnavailable) {
		w.fail("a commit with an ended context gave %v, want ErrUnavailable", err)
	}
	w.holds(wacht, largest)
}

func checkClosed(w *world) {
	p := w.envelopeFor(wacht)
	w.put(p)
	if err := w.store.Close(); err != nil {
		w.fail("failed to close: %w", err)
	}
	if err := w.store.Close(); err != nil {
		w.fail("second close: %w", err)
	}
	_, err1 := w.store.Commit(ctx(), []queue.Op{p})
	_, err2 := w.store.Read(ctx(), wacht, 0, queue.Limit{Records: 1, Bytes: 1})
	_, err3 := w.store.Cursor(ctx(), wacht, device(wacht, 1))
	_, err4 := w.store.Waiting(ctx(), queue.Ref{}, 1)
	_, err5 := w.store.State(ctx())
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, queue.ErrClosed) {
			w.fail("method %d of a closed store gave %v", i+1, err)
		}
	}
	w.open()
	w.holds(wacht, p)
}
