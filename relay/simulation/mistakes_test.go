package simulation_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// mistake is a defence that is left out, to see that the oracle notices.
type mistake struct {
	late  int  // how many commits the store answers before it syncs
	mute  bool // channels never reach anybody
	taps  func(w *world) relay.Tap
	wraps func(queue.Store) queue.Store
}

func (m mistake) tap(w *world) relay.Tap {
	if m.taps == nil {
		return nil
	}
	return m.taps(w)
}

func (m mistake) store(s queue.Store) queue.Store {
	if m.wraps == nil {
		return s
	}
	return m.wraps(s)
}

// A mistake must be noticed within so many seeds, from the first on. That is one in which
// much happens, because time spent until something does shows nothing.
const fruitful, patience = 1012, 40

// TestSimulationNotices leaves out one defence after the other: the oracle must see it, and
// call it by its name.
func TestSimulationNotices(t *testing.T) {
	for name, c := range map[string]struct {
		wrong mistake
		seen  string
	}{
		"answers before the sync":        {mistake{late: 5}, "lost: "},
		"delivers once, and never more":  {mistake{taps: onceOnly}, "lost: "},
		"an ack counts for the desk":     {mistake{wraps: ofOps(ackForAll)}, "lost: "},
		"an ack counts for all there is": {mistake{wraps: eager}, "lost: "},
		"no deduplication":               {mistake{wraps: freshly}, "twice: "},
		"newest first":                   {mistake{wraps: backwards}, "order: "},
		"the wrong desk":                 {mistake{taps: strangers}, "wrong desk: "},
		"a bit flips":                    {mistake{taps: flips}, "damaged: "},
		"another promise":                {mistake{taps: falsely}, "promise: "},
		"nothing expires in words":       {mistake{taps: silently}, "lost: "},
		"nobody is called":               {mistake{mute: true}, "not paged: "},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(patience) {
				w, _, _ := play(t, fruitful+seed, c.wrong)
				for _, f := range w.faults {
					if strings.Contains(f, c.seen) {
						t.Logf("noticed by seed %d: %s", fruitful+seed, f)
						return
					}
				}
			}
			t.Errorf("not noticed within %d seeds", patience)
		})
	}
}

// onceOnly is a relay that never delivers again what it has sent once.
func onceOnly(*world) relay.Tap {
	var mu sync.Mutex
	sent := make(map[string]bool)
	return func(d identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		if deliver, ok := f.(wire.Deliver); ok {
			mu.Lock()
			defer mu.Unlock()
			key := string(d[:]) + string(deliver.Envelope)
			if sent[key] {
				return nil
			}
			sent[key] = true
		}
		return []wire.Frame{f}
	}
}

// strangers is a relay that gives one device what is for another desk, now and then.
func strangers(w *world) relay.Tap {
	var mu sync.Mutex
	var last wire.Deliver
	return func(d identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		deliver, ok := f.(wire.Deliver)
		if !ok {
			return []wire.Frame{f}
		}
		mu.Lock()
		defer mu.Unlock()
		before := last
		if last = deliver; before.Envelope == nil {
			return []wire.Frame{f}
		}
		return []wire.Frame{f, wire.Deliver{Position: deliver.Position, Envelope: before.Envelope}}
	}
}

// flips is a relay that damages what it delivers.
func flips(*world) relay.Tap {
	return func(_ identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		if d, ok := f.(wire.Deliver); ok {
			raw := bytes.Clone(d.Envelope)
			raw[len(raw)-1] ^= 1
			return []wire.Frame{wire.Deliver{Position: d.Position, Envelope: raw}}
		}
		return []wire.Frame{f}
	}
}

// falsely is a relay whose receipts are for something else.
func falsely(*world) relay.Tap {
	return func(_ identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		if s, ok := f.(wire.Stored); ok {
			s.Leaves = slices.Clone(s.Leaves)
			s.Leaves[0].Salt[0] ^= 1
			return []wire.Frame{s}
		}
		return []wire.Frame{f}
	}
}

// silently is a relay that tells nobody that nobody had an envelope.
func silently(*world) relay.Tap {
	return func(_ identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		if n, ok := f.(wire.Notice); ok && n.Kind == wire.NoticeExpired {
			return nil
		}
		return []wire.Frame{f}
	}
}

// ofOps makes a store that understands operations wrongly.
func ofOps(change func([]queue.Op) []queue.Op) func(queue.Store) queue.Store {
	return func(s queue.Store) queue.Store { return &changed{s, change} }
}

type changed struct {
	queue.Store
	change func([]queue.Op) []queue.Op
}

func (s *changed) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	results, err := s.Store.Commit(ctx, s.change(ops))
	if err == nil {
		results = results[:len(ops)]
	}
	return results, err
}

// ackForAll has one device of a desk acknowledge for all of them.
func ackForAll(ops []queue.Op) []queue.Op {
	out := slices.Clone(ops)
	for _, op := range ops {
		if ack, ok := op.(*queue.Ack); ok {
			for _, d := range cast().devices {
				if d.Desk == ack.Desk && d.ID != ack.Device {
					out = append(out, &queue.Ack{Desk: ack.Desk, Device: d.ID, Position: ack.Position})
				}
			}
		}
	}
	return out
}

// eager is a store that takes an acknowledgement of one envelope for one of all that wait.
func eager(s queue.Store) queue.Store { return hasty{s} }

type hasty struct{ queue.Store }

func (s hasty) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	ops = slices.Clone(ops)
	for i, op := range ops {
		if ack, ok := op.(*queue.Ack); ok {
			if c, err := s.Cursor(ctx, ack.Desk, ack.Device); err == nil {
				ops[i] = &queue.Ack{Desk: ack.Desk, Device: ack.Device, Position: max(ack.Position, c.Last)}
			}
		}
	}
	return s.Store.Commit(ctx, ops)
}

// freshly is a store that does not know again what it has.
func freshly(s queue.Store) queue.Store {
	return &unknowing{Store: s, ids: make(map[envelope.ID]envelope.ID)}
}

type unknowing struct {
	queue.Store
	puts byte
	ids  map[envelope.ID]envelope.ID // as stored, to as they were
}

func (s *unknowing) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	ops = slices.Clone(ops)
	for i, op := range ops {
		if put, ok := op.(*queue.Put); ok {
			other := *put
			s.puts++
			other.ID[15] ^= s.puts
			ops[i] = &other
		}
	}
	return s.Store.Commit(ctx, ops)
}

// backwards is a store that gives the newest first.
func backwards(s queue.Store) queue.Store { return reversed{s} }

type reversed struct{ queue.Store }

func (s reversed) Read(ctx context.Context, desk identity.DeskID, after queue.Position, limit queue.Limit) (queue.Page, error) {
	page, err := s.Store.Read(ctx, desk, after, limit)
	for i, j := 0, len(page.Records)-1; i < j; i, j = i+1, j-1 {
		a, b := &page.Records[i], &page.Records[j]
		a.Position, b.Position = b.Position, a.Position
	}
	slices.Reverse(page.Records)
	return page, err
}
