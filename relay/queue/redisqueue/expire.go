package redisqueue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
)

// end is an envelope or notice that is due.
type end struct {
	row    *row
	stored bool
	result queue.Expired
}

// expire sets the clock of all buckets forward, takes the oldest of what is due,
// writes notices to the senders of what nobody read, and only then removes it.
func (b *batch) expire(ctx context.Context, op *queue.Expire) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return queue.Result{Err: err}, nil
	}
	rows, err := b.due(ctx, op)
	if err != nil {
		return queue.Result{}, err
	}
	slices.SortStableFunc(rows, func(x, y *row) int { return cmp.Compare(x.expires, y.expires) })
	ends, err := b.look(ctx, b.oldest(&rows, op.Max))
	if err != nil {
		return queue.Result{}, err
	}
	if err := b.tellSealers(ctx, ends, op.Now); err != nil {
		return queue.Result{}, err
	}
	return b.finish(ctx, ends, rows)
}

func (b *batch) due(ctx context.Context, op *queue.Expire) ([]*row, error) {
	replies, _, err := b.attempts(ctx, b.s.puts.Pipeline, func(ctx context.Context, pipe redis.Pipeliner) {
		for bucket := range buckets {
			pipe.FCall(ctx, function("due"), []string{b.s.metaKey(bucket)}, b.s.marker, op.Now, op.Max)
		}
	})
	if err != nil {
		return nil, err
	}
	var rows []*row
	for bucket, reply := range replies {
		list, changed, err := parts(reply)
		if err != nil {
			return nil, err
		}
		if err := b.s.learn(bucket, changed); err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(list); i += 2 {
			lines, _ := list[i].(string)
			score, _ := list[i+1].(string)
			expires, err := strconv.ParseFloat(score, 64)
			if err != nil {
				return nil, fmt.Errorf("%w: expiry %.40q", errAnswer, score)
			}
			rows = append(rows, &row{bucket: bucket, lines: lines, expires: uint64(max(0, expires))})
		}
	}
	return rows, nil
}

// look leaves of ends those of which something is there, and says what.
func (b *batch) look(ctx context.Context, ends []end) ([]end, error) {
	var calls byBucket
	for i := range ends {
		e := &ends[i].result
		c := calls.of(ends[i].row.bucket)
		c.at = append(c.at, i)
		c.args = append(c.args, "L", string(e.Desk), fieldOf(e.Desk, e.ID), hexPosition(e.Position))
	}
	answers, err := b.drain(ctx, calls.list)
	if err != nil {
		return nil, err
	}
	there := make([]bool, len(ends))
	for n, c := range calls.list {
		for j, i := range c.at {
			if there[i], err = ends[i].learn(answers[n][j]); err != nil {
				return nil, err
			}
		}
	}
	var left []end
	for i := range ends {
		if there[i] {
			left = append(left, ends[i])
		}
	}
	return left, nil
}

// learn takes the answer of look: L, whether known, stored and delivered, and what
// the put said. It reports whether anything is there.
func (e *end) learn(answer any) (bool, error) {
	text, _ := answer.(string)
	if len(text) < 4 || text[0] != 'L' {
		return false, fmt.Errorf("%w: %.40q", errAnswer, answer)
	}
	e.stored = text[2] == '1'
	e.result.Delivered = !e.stored || text[3] == '1'
	if said, ok := parseSaid(text[4:]); ok {
		e.result.Tier = said.tier
		if e.stored {
			e.result.Sealer, e.result.SealerDesk = said.sealer, said.sealerDesk
		}
	}
	return text[1] == '1' || e.stored, nil
}

// tellSealers writes a notice for each envelope that no device acknowledged.
func (b *batch) tellSealers(ctx context.Context, ends []end, now uint64) error {
	var notices []queue.Op
	for i := range ends {
		e := &ends[i].result
		if !ends[i].stored || e.Delivered {
			continue
		}
		if e.SealerDesk == "" { // what is known of its id is damaged
			b.sealerOf(ctx, e)
		}
		if e.SealerDesk != "" {
			notices = append(notices, &queue.Notice{Desk: e.SealerDesk, Device: e.Sealer, Kind: queue.NoticeExpired, ID: e.ID, Created: now})
		}
	}
	results := make([]queue.Result, len(notices))
	return b.together(ctx, notices, results)
}

// sealerOf reads the record itself.
func (b *batch) sealerOf(ctx context.Context, e *queue.Expired) {
	page, err := b.s.Read(ctx, e.Desk, e.Position-1, queue.Limit{Records: 1, Bytes: 1})
	if err == nil && len(page.Records) == 1 && page.Records[0].Position == e.Position {
		e.Sealer, e.SealerDesk, e.Tier = page.Records[0].Sealer, page.Records[0].SealerDesk, page.Records[0].Tier
	}
}

// finish removes ends and what rows say of them.
func (b *batch) finish(ctx context.Context, ends []end, rows []*row) (queue.Result, error) {
	var result queue.Result
	var calls byBucket
	for i := range ends {
		e := &ends[i].result
		c := calls.of(ends[i].row.bucket)
		c.args = append(c.args, "F", string(e.Desk), fieldOf(e.Desk, e.ID), hexPosition(e.Position))
		result.Expired = append(result.Expired, *e)
	}
	for _, r := range rows {
		c := calls.of(r.bucket)
		c.args = append(c.args, "R", "", r.lines, r.left, r.expires)
	}
	_, err := b.drain(ctx, calls.list)
	return result, err
}

// byBucket is a call for each bucket that is asked for.
type byBucket struct {
	calls [buckets]*call
	list  []*call
}

func (m *byBucket) of(bucket int) *call {
	if m.calls[bucket] == nil {
		m.calls[bucket] = &call{bucket: bucket}
		m.list = append(m.list, m.calls[bucket])
	}
	return m.calls[bucket]
}

// drain sends calls that are no ops of the batch, and returns their answers.
func (b *batch) drain(ctx context.Context, calls []*call) ([][]any, error) {
	replies, _, err := b.transact(ctx, "drain", calls)
	if err != nil {
		return nil, err
	}
	list := make([][]any, len(replies))
	for i, reply := range replies {
		answers, changed, err := parts(reply)
		if err == nil && len(answers) < len(calls[i].at) {
			err = errAnswer
		}
		if err != nil {
			return nil, fmt.Errorf("bucket %d: %w", calls[i].bucket, err)
		}
		if err := b.s.learn(calls[i].bucket, changed); err != nil {
			return nil, err
		}
		list[i] = answers
	}
	return list, nil
}
