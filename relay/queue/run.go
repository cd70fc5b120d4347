package queue

import (
	"context"
	"errors"
	"fmt"

	"schakel/crypto/identity"
)

// Run writes until ctx ends, then writes what still waits and returns nil. Any
// other return is an error that wraps ErrIndeterminate: the process must end,
// because nobody knows what is on disk. Nothing of a batch that failed so is ever
// announced. Run must be called once.
func (c *Committer) Run(ctx context.Context) error {
	// One batch may wait to be announced while the next is written: signing
	// receipts for one fits into the fsync of the other.
	written := make(chan []Entry, 1)
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		for batch := range written {
			c.announce(batch)
		}
	}()
	err := c.write(ctx, written)
	close(written)
	<-announced
	c.end(err)
	return err
}

func (c *Committer) write(ctx context.Context, written chan<- []Entry) error {
	var ops []Op
	for {
		batch := c.take()
		if len(batch) == 0 {
			select {
			case <-c.wake:
				continue
			case <-ctx.Done():
				if c.close() {
					return nil
				}
				continue
			}
		}
		if ctx.Err() != nil {
			c.close() // or a session that never stops offering would keep Run from ending
		}
		ops = ops[:0]
		for i := range batch {
			ops = append(ops, batch[i].Op)
		}
		// A write that has begun is worth finishing: the batch is bounded.
		results, err := c.store.Commit(context.WithoutCancel(ctx), ops)
		if err := settle(batch, results, err); err != nil {
			fail(batch, err)
			return err
		}
		written <- batch
	}
}

// settle puts results into the entries. When the store was unavailable nothing
// happened, and each op is refused for that; whatever else is indeterminate.
func settle(batch []Entry, results []Result, err error) error {
	switch {
	case errors.Is(err, ErrIndeterminate):
		return fmt.Errorf("failed to commit: %w", err)
	case errors.Is(err, ErrUnavailable):
		for i := range batch {
			batch[i].Result = Result{Err: err}
		}
		return nil
	case err != nil:
		return fmt.Errorf("failed to commit: %w: %w", ErrIndeterminate, err)
	case len(results) != len(batch):
		return fmt.Errorf("%w: %d results for %d operations", ErrIndeterminate, len(results), len(batch))
	}
	for i := range batch {
		batch[i].Result = results[i]
	}
	return nil
}

// take removes the next batch from the queue, within the bounds of one.
func (c *Committer) take() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, 0
	for n < len(c.waiting) && n < c.config.BatchOps && bytes < c.config.BatchBytes {
		if put, ok := c.waiting[n].Op.(*Put); ok {
			bytes += len(put.Envelope)
		}
		n++
	}
	c.bytes -= bytes
	if n == len(c.waiting) {
		batch := c.waiting
		c.waiting = make([]Entry, 0, n)
		return batch
	}
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return batch
}

// close refuses further submits and reports whether nothing waits any more.
func (c *Committer) close() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = ErrClosed
	return len(c.waiting) == 0
}

// end tells everybody who still waits why nothing comes any more.
func (c *Committer) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = ErrClosed
	}
	c.ended = err
	fail(c.waiting, err)
	c.waiting = nil
}

func fail(entries []Entry, err error) {
	for i := range entries {
		if done, ok := entries[i].Owner.(future); ok {
			done <- outcome{err: err}
		}
	}
}

func (c *Committer) announce(batch []Entry) {
	c.recent.keep(batch) // before anybody is told that it can be read
	if c.config.Committed != nil {
		c.config.Committed(batch)
	}
	if c.config.Ring != nil {
		for desk := range grown(batch) {
			c.config.Ring(desk)
		}
	}
	for i := range batch {
		if done, ok := batch[i].Owner.(future); ok {
			done <- outcome{result: batch[i].Result}
		}
	}
}

// grown returns the desks whose mailboxes got records.
func grown(batch []Entry) map[identity.DeskID]struct{} {
	desks := make(map[identity.DeskID]struct{})
	for i := range batch {
		result := &batch[i].Result
		switch op := batch[i].Op.(type) {
		case *Put:
			if result.Err == nil && !result.Duplicate {
				desks[op.Desk] = struct{}{}
			}
		case *Notice:
			if result.Err == nil && result.Position != 0 {
				desks[op.Desk] = struct{}{}
			}
		case *Quarantine:
			if result.Noticed != "" {
				desks[result.Noticed] = struct{}{}
			}
		}
		for _, e := range result.Expired {
			if !e.Delivered && e.SealerDesk != "" {
				desks[e.SealerDesk] = struct{}{}
			}
		}
	}
	return desks
}
