package queuetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/sync/errgroup"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// checkLinearizability has callers put, acknowledge and read at the same time, and wants
// an order of what they did, one at a time and each between its call and its return, in
// which a mailbox would have answered all of it so.
func checkLinearizability(w *world) {
	const rounds, callers, each = 12, 5, 9
	for round := range rounds {
		began := time.Now()
		done := make([][]porcupine.Operation, callers)
		var calling errgroup.Group
		for n := range callers {
			luck := rand.New(rand.NewPCG(uint64(round), uint64(n)))
			calling.Go(func() error {
				for range each {
					did := drawn(luck, round, n)
					call := time.Since(began)
					said, err := did.ask(w.store)
					if err != nil {
						return err
					}
					done[n] = append(done[n], porcupine.Operation{ClientId: n, Input: did, Call: int64(call), Output: said, Return: int64(time.Since(began))})
				}
				return nil
			})
		}
		if err := calling.Wait(); err != nil {
			w.fail("round %d: %w", round, err)
		}
		// Illegal is a proof; that there was no time for one is none.
		if porcupine.CheckOperationsTimeout(mailboxes, slices.Concat(done...), time.Minute) == porcupine.Illegal {
			w.fail("round %d: no order of what was done at the same time explains the answers", round)
		}
	}
}

// deed is what a caller asks of one mailbox: a put, an acknowledgement or else a read.
type deed struct {
	desk identity.DeskID
	put  *queue.Put
	ack  *queue.Ack
}

// answer is what the store said.
type answer struct {
	queue.Result
	found []queue.Position // by a read
}

// drawn draws a deed. The desks are those of one round, so that a round begins with empty
// mailboxes; few identifiers and positions, so that callers meet.
func drawn(luck *rand.Rand, round, caller int) deed {
	desk := identity.DeskID(fmt.Sprintf("org-%d/desk-%d", round, luck.IntN(2)))
	d := deed{desk: desk}
	switch luck.IntN(5) {
	case 0, 1:
		d.put = newPut(desk, uint64(1+luck.IntN(12)), 2, 100)
		d.put.Salt = [16]byte{byte(caller), byte(luck.Uint32()), byte(luck.Uint32())}
		if luck.IntN(6) == 0 {
			d.put.Digest[0] ^= 1
		}
	case 2:
		d.ack = &queue.Ack{Desk: desk, Device: device(desk, byte(1+luck.IntN(2))), Position: queue.Position(luck.IntN(10))}
	}
	return d
}

func (d deed) ask(s queue.Store) (a answer, err error) {
	ctx := context.Background()
	var op queue.Op
	switch {
	case d.put != nil:
		op = d.put
	case d.ack != nil:
		op = d.ack
	default:
		page, err := s.Read(ctx, d.desk, 0, queue.Limit{Records: 1000, Bytes: 1 << 20})
		for _, r := range page.Records {
			a.found = append(a.found, r.Position)
		}
		return a, err
	}
	results, err := s.Commit(ctx, []queue.Op{op})
	if err == nil {
		a.Result = results[0]
	}
	return a, err
}

// shelf is a mailbox as one caller at a time would find it. It is never changed.
type shelf struct {
	last    queue.Position
	known   map[envelope.ID]kept
	cursors map[identity.DeviceID]queue.Position
}

type kept struct {
	digest   [32]byte
	salt     [16]byte
	position queue.Position
}

// mailboxes is the model: each desk by itself.
var mailboxes = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byDesk := make(map[identity.DeskID][]porcupine.Operation)
		for _, op := range history {
			desk := op.Input.(deed).desk
			byDesk[desk] = append(byDesk[desk], op)
		}
		return slices.Collect(maps.Values(byDesk))
	},
	Init: func() any { return shelf{} },
	Step: func(state, input, output any) (bool, any) { return state.(shelf).step(input.(deed), output.(answer)) },
	Equal: func(a, b any) bool {
		x, y := a.(shelf), b.(shelf)
		return x.last == y.last && maps.Equal(x.known, y.known) && maps.Equal(x.cursors, y.cursors)
	},
}

func (s shelf) step(d deed, a answer) (ok bool, next shelf) {
	switch {
	case d.put != nil:
		return s.put(d.put, a)
	case d.ack != nil:
		return s.ack(d.ack, a)
	}
	return s.shows(d.desk, a.found), s
}

func (s shelf) put(p *queue.Put, a answer) (bool, shelf) {
	first, again := s.known[p.ID]
	switch {
	case again && first.digest != p.Digest:
		return errors.Is(a.Err, queue.ErrConflict), s
	case again:
		return a.Err == nil && a.Duplicate && a.Position == first.position && a.Salt == first.salt, s
	case a.Err != nil || a.Duplicate || a.Position <= s.last || a.Salt != p.Salt:
		return false, s
	}
	s.last, s.known = a.Position, maps.Clone(s.known)
	if s.known == nil {
		s.known = make(map[envelope.ID]kept)
	}
	s.known[p.ID] = kept{p.Digest, p.Salt, a.Position}
	return true, s
}

func (s shelf) ack(op *queue.Ack, a answer) (bool, shelf) {
	if op.Position > s.last && errors.Is(a.Err, queue.ErrAhead) {
		return true, s
	}
	// A store may know of greater positions than it gave: then it takes more.
	s.cursors = maps.Clone(s.cursors)
	if s.cursors == nil {
		s.cursors = make(map[identity.DeviceID]queue.Position)
	}
	s.cursors[op.Device] = max(s.cursors[op.Device], op.Position)
	return a.Err == nil, s
}

// shows reports whether a read may have found that: all that somebody has still to
// acknowledge, in its order, and of the rest what is still there.
func (s shelf) shows(desk identity.DeskID, found []queue.Position) bool {
	read := min(s.cursors[device(desk, 1)], s.cursors[device(desk, 2)])
	if !slices.IsSorted(found) || len(slices.Compact(slices.Clone(found))) != len(found) {
		return false
	}
	known := make(map[queue.Position]bool)
	for _, k := range s.known {
		known[k.position] = true
		if k.position > read && !slices.Contains(found, k.position) {
			return false
		}
	}
	return !slices.ContainsFunc(found, func(p queue.Position) bool { return !known[p] })
}
