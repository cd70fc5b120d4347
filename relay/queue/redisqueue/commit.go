package redisqueue

import (
	"context"
	"errors"
	"fmt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Commit sends ops as one function call per bucket: to one server as a transaction,
// to a cluster as one pipeline per shard, all shards at once. Expiry and quarantine,
// which read before they write, stand between sendings of their own. Should a
// connection break, what was sent over it is sent again within Config.Patience:
// every operation is idempotent. What then still has no answer is ErrUnconfirmed,
// for its own operations only.
func (s *Store) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		if errors.Is(err, queue.ErrClosed) {
			err = fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
		}
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	if err := queue.CheckBatch(ops); err != nil {
		return nil, err
	}
	b := &batch{s: s, ops: ops, results: make([]queue.Result, len(ops))}
	if err := b.run(ctx); err != nil {
		if !errors.Is(err, queue.ErrIndeterminate) {
			err = fmt.Errorf("%w: failed to commit: %w", queue.ErrIndeterminate, err)
		}
		s.failed.CompareAndSwap(nil, &err)
		return nil, err
	}
	return b.results, nil
}

// batch is one Commit under way.
type batch struct {
	s       *Store
	ops     []queue.Op
	results []queue.Result
}

func (b *batch) run(ctx context.Context) error {
	from := 0
	for i, op := range b.ops {
		var alone func(context.Context) (queue.Result, error)
		switch op := op.(type) {
		case *queue.Expire:
			alone = func(ctx context.Context) (queue.Result, error) { return b.expire(ctx, op) }
		case *queue.Quarantine:
			alone = func(ctx context.Context) (queue.Result, error) { return b.quarantine(ctx, op) }
		default:
			continue
		}
		if err := b.together(ctx, b.ops[from:i], b.results[from:i]); err != nil {
			return err
		}
		var err error
		if b.results[i], err = alone(ctx); err != nil {
			return err
		}
		from = i + 1
	}
	return b.together(ctx, b.ops[from:], b.results[from:])
}

// together writes operations that each concern one desk. Near the quota of an
// organisation one bucket follows the other, so that none oversteps it.
func (b *batch) together(ctx context.Context, ops []queue.Op, results []queue.Result) error {
	calls := b.s.calls(ops, results)
	puts := make(map[identity.OrgID]use)
	for _, c := range calls {
		for org, more := range c.orgs {
			puts[org] = use{puts[org].records + more.records, puts[org].bytes + more.bytes}
		}
	}
	size := len(calls)
	if b.s.shares.close(&b.s.config.Quota, puts) {
		size = 1
	}
	for ; len(calls) > 0; calls = calls[min(size, len(calls)):] {
		part := calls[:min(size, len(calls))]
		if err := b.send(ctx, part); err != nil {
			return err
		}
		for _, c := range part {
			if err := b.s.settle(c, ops, results); err != nil {
				return err
			}
		}
	}
	return nil
}

// send asks for all but what a server cannot do at maxmemory, and then for that once
// more without new envelopes: what makes room must always work.
func (b *batch) send(ctx context.Context, calls []*call) error {
	if err := b.s.send(ctx, "commit", calls); err != nil {
		return err
	}
	var aborted []*call
	for _, c := range calls {
		if errors.Is(c.err, errAborted) {
			aborted = append(aborted, c)
		}
	}
	return b.s.send(ctx, "drain", aborted)
}

func (s *Store) arguments(c *call, within string) []any {
	q := &s.config.Quota
	args := make([]any, 0, 9+3*len(c.orgs)+len(c.args))
	args = append(args, s.marker, s.bell(), s.node, q.DeskRecords, q.DeskBytes, q.SealerRecords, q.SealerBytes, within, len(c.orgs))
	for org := range c.orgs {
		other := s.shares.elsewhere(c.bucket, org)
		args = append(args, string(org), other.records, other.bytes)
	}
	return append(args, c.args...)
}
