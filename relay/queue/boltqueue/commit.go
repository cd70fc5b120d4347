package boltqueue

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"schakel/relay/queue"
)

// batch is one transaction on its way to disk. It changes the writer's memory as
// it goes, which is right because a batch that is not written ends the store.
type batch struct {
	s                      *Store
	tx                     *bolt.Tx
	log, ids, ends, ladder rows
	tallied                tallies // as the file has them
	full                   bool    // the disk is below its watermark
	dirtyDesks             map[*desk]struct{}
	dirtyDevices           map[*device]struct{}
}

// Commit writes ops in one transaction and returns after fdatasync.
func (s *Store) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		return nil, errors.Join(err, indeterminate(err))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	if err := queue.CheckBatch(ops); err != nil {
		return nil, err
	}
	full, err := s.full()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	results := make([]queue.Result, len(ops))
	err = s.guard(func() error {
		b, err := s.begin(full)
		if err != nil {
			return err
		}
		if err := b.applyAll(ops, results); err != nil {
			return err
		}
		return b.tx.Commit()
	})
	if err != nil {
		// No rollback: bbolt would walk the whole file for it, in a goroutine that
		// panics on damage. The process ends anyway.
		err = fmt.Errorf("%w: failed to commit: %w", queue.ErrIndeterminate, err)
		s.fail(err)
		return nil, err
	}
	s.committed.Store(s.sequence)
	return results, nil
}

// full reports whether puts must be refused. Pages that are free within the file
// count as free, or a store that filled the disk once would stay full when it is
// empty again. Only down to a quarter of the watermark, though: a large envelope
// may not fit into the gaps.
func (s *Store) full() (bool, error) {
	free, err := s.config.Free()
	if err != nil {
		return false, err
	}
	within := uint64(s.db.Stats().FreePageN) * uint64(s.db.Info().PageSize)
	return free < s.config.MinFree/4 || free+within < s.config.MinFree, nil
}

// indeterminate marks the refusal of a store that failed before: its caller did
// not take the first hint to end.
func indeterminate(err error) error {
	if errors.Is(err, queue.ErrClosed) {
		return queue.ErrUnavailable
	}
	return queue.ErrIndeterminate
}

func (s *Store) begin(full bool) (*batch, error) {
	tx, err := s.db.Begin(true)
	if err != nil {
		return nil, err
	}
	b := &batch{
		s: s, tx: tx, full: full,
		log:        rows{tx.Bucket(bucketLog), &s.tallies.log, placeOf},
		ids:        rows{tx.Bucket(bucketIDs), &s.tallies.ids, wholeKey},
		ends:       rows{tx.Bucket(bucketEnds), &s.tallies.ends, wholeKey},
		ladder:     rows{tx.Bucket(bucketWaiting), &s.tallies.ladder, wholeKey},
		tallied:    s.tallies,
		dirtyDesks: make(map[*desk]struct{}), dirtyDevices: make(map[*device]struct{}),
	}
	// These grow at one edge: half-full pages would only double the writing.
	b.log.FillPercent, b.ids.FillPercent, b.ends.FillPercent = 1, 0.9, 0.9
	s.arena = s.arena[:0]
	return b, nil
}

func (b *batch) applyAll(ops []queue.Op, results []queue.Result) error {
	for i, op := range ops {
		result, err := b.apply(op)
		if err != nil {
			return err
		}
		results[i] = result
	}
	if err := b.sweep(len(ops)); err != nil {
		return err
	}
	return b.flush()
}

// apply returns a result with an Err when it refuses op, and an error when the
// transaction cannot go on.
func (b *batch) apply(op queue.Op) (queue.Result, error) {
	switch op := op.(type) {
	case *queue.Put:
		return b.put(op)
	case *queue.Ack:
		return b.ack(op)
	case *queue.Attend:
		return b.attend(op)
	case *queue.DropDevice:
		return b.dropDevice(op)
	case *queue.Notice:
		return b.notice(op)
	case *queue.Expire:
		return b.expire(op)
	case *queue.Quarantine:
		return b.quarantine(op)
	default:
		return refuse(queue.ErrInvalid)
	}
}

func refuse(err error) (queue.Result, error) { return queue.Result{Err: err}, nil }

// rent returns room for n bytes that stays until the transaction ends: bbolt
// refers to the values it is given until it has written them.
func (s *Store) rent(n int) []byte {
	const block = 1 << 20
	if cap(s.arena)-len(s.arena) < n {
		s.arena = make([]byte, 0, max(n, min(2*cap(s.arena), 16*block), block))
	}
	at := len(s.arena)
	s.arena = s.arena[:at+n]
	return s.arena[at : at : at+n]
}
