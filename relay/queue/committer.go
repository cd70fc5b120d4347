package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// CommitterConfig is fixed for the life of a Committer. Zero bounds take the
// defaults.
type CommitterConfig struct {
	// Committed is called once per batch, in order of the batches, when its
	// results are durable. Entries stand in the order of submission. It runs
	// beside the writing of the next batch and must not block on a slow peer; the
	// entries are its own to keep.
	Committed func(batch []Entry)
	// Ring is called after Committed for each desk whose mailbox grew. It may
	// ring too often, never too little.
	Ring func(identity.DeskID)

	BatchOps   int // default and at most MaxBatchOps
	BatchBytes int // default 8 MiB, at most MaxBatchBytes less one envelope
	QueueOps   int // waiting ops, default 4 batches
	QueueBytes int // of waiting envelopes, default 64 MiB

	RecentBytes int // of committed envelopes at hand for Recent, default 4 MiB; below 0: none
}

// Entry is one op on its way through the committer, and what came of it.
type Entry struct {
	Owner  any // of the submitter, who finds its own session by it
	Op     Op
	Result Result
}

// Committer is the only writer of a store. What gathers while a batch is being
// written is the next batch: there is no timer, and under load one fsync carries
// hundreds of envelopes.
type Committer struct {
	store  Store
	config CommitterConfig

	recent recent

	wake chan struct{} // capacity 1: something waits

	mu      sync.Mutex // guards what follows; held for appends only
	waiting []Entry
	bytes   int   // of envelopes in waiting
	ended   error // why Submit refuses, once Run has ended
}

// NewCommitter returns a committer that is ready for Run.
func NewCommitter(store Store, config CommitterConfig) *Committer {
	config.BatchOps = bounded(config.BatchOps, MaxBatchOps, MaxBatchOps)
	config.BatchBytes = bounded(config.BatchBytes, 8<<20, MaxBatchBytes-envelope.MaxSize)
	config.QueueOps = bounded(config.QueueOps, 4*config.BatchOps, 1<<20)
	config.QueueBytes = bounded(config.QueueBytes, 64<<20, 1<<30)
	if config.RecentBytes == 0 {
		config.RecentBytes = recentBytes
	}
	return &Committer{
		store: durable(store), config: config, wake: make(chan struct{}, 1),
		recent: recent{most: config.RecentBytes, runs: make(map[identity.DeskID][]Record)},
	}
}

func bounded(value, fallback, most int) int {
	if value <= 0 {
		value = fallback
	}
	return min(value, most)
}

// Submit queues ops, all or none, in order. Their results come to
// Config.Committed with owner. It never blocks: ErrBusy when the queue is too
// full for these ops (envelopes without a tier are refused first, acute ones
// last), ErrClosed or ErrIndeterminate after Run has ended. The ops belong to the
// committer until then.
func (c *Committer) Submit(owner any, ops ...Op) error {
	bytes, share := weigh(ops)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	if len(c.waiting)+len(ops) > c.config.QueueOps*share/100 ||
		c.bytes+bytes > c.config.QueueBytes*share/100 {
		return fmt.Errorf("%w: %d operations", ErrBusy, len(c.waiting))
	}
	c.bytes += bytes
	for _, op := range ops {
		c.waiting = append(c.waiting, Entry{Owner: owner, Op: op})
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// weigh returns the envelope bytes of ops, and how much of the queue they may
// fill, in percent: that of the least urgent among them. What is not a put makes
// room or is rare, and may fill it all.
func weigh(ops []Op) (bytes, share int) {
	share = 100
	for _, op := range ops {
		if put, ok := op.(*Put); ok {
			bytes += len(put.Envelope)
			share = min(share, shareOf(put.Tier))
		}
	}
	return bytes, share
}

func shareOf(tier envelope.Tier) int {
	switch tier {
	case envelope.TierAcute:
		return 98
	case envelope.TierUrgent:
		return 90
	case envelope.TierRoutine:
		return 80
	default:
		return 70
	}
}

// Do submits one op and waits for its result. The error is that of Submit, of
// Run or of ctx, after which the op may still happen; a refusal stands in
// Result.Err. Config.Committed sees the op too, with an Owner of no meaning.
func (c *Committer) Do(ctx context.Context, op Op) (Result, error) {
	done := make(future, 1)
	if err := c.Submit(done, op); err != nil {
		return Result{}, err
	}
	select {
	case outcome := <-done:
		return outcome.result, outcome.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("failed to wait for the store: %w", context.Cause(ctx))
	}
}

type outcome struct {
	result Result
	err    error
}

// future is the Owner of an op submitted by Do; it has room for its one outcome.
type future chan outcome

// Recent is a page of what this committer has just had stored, and false where only Read
// can tell. That it ends says nothing of what other relays wrote to the desk.
func (c *Committer) Recent(desk identity.DeskID, after Position, limit Limit) (Page, bool) {
	return c.recent.page(desk, after, limit)
}

// Read reads a page, and has what Read found damaged quarantined.
func (c *Committer) Read(ctx context.Context, desk identity.DeskID, after Position, limit Limit, now uint64) (Page, error) {
	page, err := c.store.Read(ctx, desk, after, limit)
	if err != nil {
		return page, err
	}
	for _, d := range page.Damaged {
		err := c.Submit(nil, &Quarantine{Desk: desk, Position: d.Position, Now: now})
		if err != nil && !errors.Is(err, ErrBusy) { // when busy, the next Read tries again
			return page, err
		}
	}
	return page, nil
}
