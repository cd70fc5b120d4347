package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Commit sends ops as one transaction of one function call per bucket. Expiry and
// quarantine, which read before they write, stand between transactions of their
// own. Should the connection break, it goes over the batch again within
// Config.Patience: every operation is idempotent.
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
	err := b.run(ctx)
	switch {
	case err == nil:
		return b.results, nil
	case errors.Is(err, queue.ErrUnavailable) && !b.written:
		return nil, err
	}
	err = fmt.Errorf("%w: failed to commit: %w", queue.ErrIndeterminate, err)
	s.failed.CompareAndSwap(nil, &err)
	return nil, err
}

// batch is one Commit under way.
type batch struct {
	s       *Store
	ops     []queue.Op
	results []queue.Result
	written bool // a part of it may have been written
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
		replies, again, err := b.send(ctx, part)
		if err != nil {
			return err
		}
		for i, c := range part {
			if err := b.s.settle(c, replies[i], ops, results, again); err != nil {
				return err
			}
		}
	}
	return nil
}

// send asks for a transaction, and at maxmemory once more for all but the puts:
// what makes room must always work.
func (b *batch) send(ctx context.Context, calls []*call) (replies []any, again bool, err error) {
	replies, again, err = b.transact(ctx, "commit", calls)
	if errors.Is(err, errAborted) {
		replies, _, err = b.transact(ctx, "drain", calls)
	}
	return replies, again, err
}

func (b *batch) transact(ctx context.Context, name string, calls []*call) (replies []any, again bool, err error) {
	pipe := b.s.puts.TxPipeline
	if name == "drain" { // at maxmemory Redis takes nothing between MULTI and EXEC
		pipe = b.s.puts.Pipeline
	}
	return b.attempts(ctx, pipe, func(ctx context.Context, pipe redis.Pipeliner) {
		for _, c := range calls {
			pipe.FCall(ctx, function(name), []string{b.s.metaKey(c.bucket)}, b.s.arguments(c)...)
		}
	})
}

func (s *Store) arguments(c *call) []any {
	q := &s.config.Quota
	args := make([]any, 0, 8+3*len(c.orgs)+len(c.args))
	args = append(args, s.marker, s.bell(), s.node, q.DeskRecords, q.DeskBytes, q.SealerRecords, q.SealerBytes, len(c.orgs))
	for org := range c.orgs {
		other := s.shares.elsewhere(c.bucket, org)
		args = append(args, string(org), other.records, other.bytes)
	}
	return append(args, c.args...)
}

// errAborted is a transaction that Redis refused as a whole: it is out of memory,
// or cannot write to its disk.
var errAborted = fmt.Errorf("%w: redis refused the transaction", queue.ErrUnavailable)

// attempts sends calls until they were answered. again says that an earlier
// attempt may have been carried out.
func (b *batch) attempts(ctx context.Context, begin func() redis.Pipeliner, fill func(context.Context, redis.Pipeliner)) (replies []any, again bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.s.config.Patience)
	defer cancel()
	for {
		pipe := begin()
		fill(ctx, pipe)
		replies, err = once(ctx, pipe)
		switch {
		case err == nil:
			b.written = true
			return replies, again, nil
		case errors.Is(err, errRenewed):
			return nil, again, b.s.renewed()
		case errors.Is(err, queue.ErrIndeterminate), errors.Is(err, errAborted), errors.Is(err, queue.ErrUnavailable) && !again:
			return nil, again, err
		}
		b.written, again = true, true
		b.s.log.Warn("connection to redis broke during a batch", "error", err.Error())
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, again, fmt.Errorf("no answer from redis in %s: %w", b.s.config.Patience, err)
		}
		if b.s.same(ctx) == nil && b.s.usable() != nil {
			return nil, again, b.s.usable()
		}
	}
}

var errRenewed = errors.New("another store than the one that was opened")

// once sends one pipeline. ErrUnavailable: it was not carried out. An error that
// is neither that nor ErrIndeterminate: it may have been, and can be tried again.
func once(ctx context.Context, pipe redis.Pipeliner) ([]any, error) {
	if pipe.Len() == 0 {
		return nil, nil
	}
	answers, err := pipe.Exec(ctx)
	if err != nil {
		return nil, classify(err)
	}
	replies := make([]any, len(answers))
	for i, answer := range answers {
		replies[i] = answer.(*redis.Cmd).Val()
	}
	return replies, nil
}

func classify(err error) error {
	var reply redis.Error
	var dial *net.OpError
	switch text := err.Error(); {
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	case !errors.As(err, &reply):
		return err
	case strings.HasPrefix(text, "EPOCH"), strings.HasPrefix(text, "READONLY"):
		return fmt.Errorf("%w: %w", errRenewed, err)
	case strings.HasPrefix(text, "EXECABORT"), strings.HasPrefix(text, "OOM"), strings.HasPrefix(text, "MISCONF"):
		return fmt.Errorf("%w: %w", errAborted, err)
	case strings.HasPrefix(text, "LOADING"), strings.HasPrefix(text, "NOAUTH"), strings.HasPrefix(text, "WRONGPASS"),
		strings.HasPrefix(text, "NOPERM"), strings.HasPrefix(text, "BUSY"), strings.HasPrefix(text, "ERR max number of clients"):
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	default: // a function failed half-way
		return fmt.Errorf("%w: %w", queue.ErrIndeterminate, err)
	}
}
