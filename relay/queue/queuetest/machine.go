package queuetest

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// checkModel runs random batches against the store and the model, with reopening
// in between, and compares every mailbox after each.
func checkModel(t *testing.T, b Backend) {
	root := t.TempDir()
	var runs atomic.Uint64
	rapid.Check(t, func(t *rapid.T) {
		w := &world{backend: b, dir: filepath.Join(root, fmt.Sprint(runs.Add(1)))}
		if err := mkdir(w.dir); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if w.store != nil {
				w.store.Close()
			}
			if r := recover(); r != nil {
				if broken, ok := r.(broken); ok {
					t.Fatal(broken.error)
				}
				panic(r)
			}
		}()
		w.open()
		machine := &machine{w: w, m: newModel(), now: start}
		t.Repeat(map[string]func(*rapid.T){
			"commit": machine.commit,
			"expire": machine.expire,
			"reopen": func(*rapid.T) { w.reopen() },
			"":       machine.compare,
		})
	})
}

// machine draws what happens.
type machine struct {
	w    *world
	m    *model
	now  uint64
	puts []*queue.Put
}

var modelDesks = []identity.DeskID{piket, wacht, vt}

func (x *machine) commit(t *rapid.T) {
	var ops []queue.Op
	for range rapid.IntRange(1, 6).Draw(t, "ops") {
		ops = append(ops, x.draw(t))
	}
	results := x.w.commit(ops...)
	for i, op := range ops {
		if err := x.m.apply(op, results[i]); err != nil {
			t.Fatalf("operation %d, %T: %v", i, op, err)
		}
	}
}

// expire is a batch of its own, because the model does not know the positions of
// the notices that it makes.
func (x *machine) expire(t *rapid.T) {
	x.now += rapid.Uint64Range(0, 400).Draw(t, "seconds")
	op := &queue.Expire{Now: x.now, Max: 1000}
	if err := x.m.apply(op, x.w.commit(op)[0]); err != nil {
		t.Fatal(err)
	}
}

func (x *machine) draw(t *rapid.T) queue.Op {
	desk := rapid.SampledFrom(modelDesks).Draw(t, "desk")
	place := device(desk, rapid.ByteRange(1, 3).Draw(t, "device"))
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0, 1, 2, 3:
		return x.drawPut(t, desk)
	case 4, 5, 6:
		return &queue.Ack{Desk: desk, Device: place, Position: x.drawPosition(t, desk)}
	case 7:
		return x.drawAttend(t)
	case 8:
		return &queue.DropDevice{Desk: desk, Device: place}
	default:
		return &queue.Notice{Desk: desk, Device: place, Kind: queue.NoticeDamaged, ID: envelope.ID{9}, Created: x.now}
	}
}

func (x *machine) drawPut(t *rapid.T, desk identity.DeskID) *queue.Put {
	if len(x.puts) > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
		again := *rapid.SampledFrom(x.puts).Draw(t, "earlier put")
		again.Salt[0] ^= 1
		if rapid.Bool().Draw(t, "other bytes") {
			again.Digest[0] ^= 1
		}
		return &again
	}
	x.w.serial++
	p := newPut(desk, x.w.serial, rapid.IntRange(1, 3).Draw(t, "targets"), rapid.IntRange(64, 9000).Draw(t, "size"))
	p.SealerDesk = rapid.SampledFrom(modelDesks).Draw(t, "sealer's desk")
	p.Sealer = device(p.SealerDesk, rapid.ByteRange(1, 3).Draw(t, "sealer"))
	p.Created, p.Expires = x.now, x.now+rapid.Uint64Range(1, 1000).Draw(t, "life")
	if tier := envelope.Tier(rapid.ByteRange(0, 3).Draw(t, "tier")); tier != envelope.TierNone {
		withToken(p, tier, tokenOf(p.ID, 0))
	}
	x.puts = append(x.puts, p)
	return p
}

// drawPosition mostly draws one that the desk has, sometimes one that nobody was given.
func (x *machine) drawPosition(t *rapid.T, desk identity.DeskID) queue.Position {
	last := uint64(x.m.box(desk).last)
	return queue.Position(rapid.Uint64Range(last-min(last, 12), last+1).Draw(t, "position"))
}

func (x *machine) drawAttend(t *rapid.T) queue.Op {
	if len(x.puts) == 0 {
		return &queue.Attend{Desk: vt, ID: envelope.ID{1}}
	}
	p := rapid.SampledFrom(x.puts).Draw(t, "attended put")
	wrong := rapid.ByteRange(0, 1).Draw(t, "wrong")
	return &queue.Attend{Desk: p.Desk, ID: p.ID, Token: tokenOf(p.ID, wrong)}
}

func tokenOf(id envelope.ID, wrong byte) (token [32]byte) {
	copy(token[:], id[:])
	token[31] = wrong
	return token
}

func (x *machine) compare(t *rapid.T) {
	for _, desk := range modelDesks {
		if err := x.m.compare(desk, x.w.read(desk, 0)); err != nil {
			t.Fatal(err)
		}
		box := x.m.box(desk)
		for n := byte(1); n <= 3; n++ {
			if got, want := x.w.cursor(desk, n), box.cursors[device(desk, n)]; got.Position != want || got.Dropped != box.dropped[device(desk, n)] {
				t.Fatalf("cursor of device %d of %s is %+v, want %d", n, desk, got, want)
			}
		}
	}
	for _, n := range x.m.expected {
		if !x.m.box(n.desk).dropped[n.device] {
			t.Fatalf("notice %+v is missing", n)
		}
	}
	x.m.expected = nil
	want := x.m.waiting()
	for _, u := range x.w.waiting() {
		if !want[u.Ref] {
			t.Fatalf("%s waits, and should not", u.ID)
		}
		delete(want, u.Ref)
	}
	if len(want) > 0 {
		t.Fatalf("%d envelopes should wait and do not", len(want))
	}
}
