package queuetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// checkConcurrency has senders put, twice each, while the devices of four desks
// read and acknowledge by the doorbell: everything must arrive once and in the
// order of its sender, and leave an empty store.
func checkConcurrency(w *world) {
	const senders, each = 8, 60
	desks := []identity.DeskID{wacht, vt, "a/b", "c/d"}
	bells := make(map[identity.DeskID]chan struct{})
	for _, desk := range desks {
		bells[desk] = make(chan struct{}, 1)
	}
	c := queue.NewCommitter(w.store, queue.CommitterConfig{BatchOps: 32, Ring: func(desk identity.DeskID) {
		select {
		case bells[desk] <- struct{}{}:
		default:
		}
	}})
	run, stop := context.WithCancel(ctx())
	timed, cancel := context.WithTimeout(ctx(), time.Minute)
	defer cancel()
	var committing errgroup.Group
	committing.Go(func() error { return c.Run(run) })
	working, limited := errgroup.WithContext(timed)
	for n := range senders {
		working.Go(func() error { return sendAll(limited, c, desks, n, each) })
	}
	for _, desk := range desks {
		working.Go(func() error {
			return receiveAll(limited, w.store, c, desk, bells[desk], senders*each/len(desks))
		})
	}
	err := working.Wait()
	stop()
	if err := errors.Join(err, committing.Wait()); err != nil {
		w.fail("%w", err)
	}
	for _, desk := range desks {
		w.holds(desk)
	}
}

func sendAll(ctx context.Context, c *queue.Committer, desks []identity.DeskID, sender, count int) error {
	for i := range count {
		p := newPut(desks[i%len(desks)], uint64(sender)<<32|uint64(i), 1, 100)
		for try := range 2 {
			r, err := c.Do(ctx, p)
			if err = errors.Join(err, r.Err); err != nil || r.Duplicate != (try == 1) {
				return fmt.Errorf("put %d of sender %d, try %d: %+v, %w", i, sender, try, r, err)
			}
		}
	}
	return nil
}

func receiveAll(ctx context.Context, s queue.Store, c *queue.Committer, desk identity.DeskID, bell <-chan struct{}, want int) error {
	var at queue.Position
	last := make(map[uint64]uint64) // per sender, the time-ordered front of the latest id
	for got := 0; got < want; {
		select {
		case <-bell:
		case <-ctx.Done():
			return fmt.Errorf("%s received %d of %d and then no bell", desk, got, want)
		}
		records, err := readAll(s, desk, at, queue.Limit{Records: 10, Bytes: 1 << 20})
		if err != nil {
			return err
		}
		for _, r := range records {
			serial := serialOf(r.ID)
			if previous, ok := last[serial>>32]; ok && serial <= previous {
				return fmt.Errorf("%s received %d after %d of one sender", desk, serial, previous)
			}
			last[serial>>32] = serial
			at = r.Position
			got++
		}
		if r, err := c.Do(ctx, &queue.Ack{Desk: desk, Device: device(desk, 1), Position: at}); err != nil || r.Err != nil {
			return fmt.Errorf("ack: %w", errors.Join(err, r.Err))
		}
	}
	return nil
}
