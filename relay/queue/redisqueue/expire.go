package redisqueue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// end is an envelope or notice that is due.
type end struct {
	expires uint64
	stored  bool
	result  queue.Expired
}

// expire sets the clock of all buckets forward, takes the oldest of what is due,
// writes notices to the senders of what nobody read, and only then removes it.
func (b *batch) expire(ctx context.Context, op *queue.Expire) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return queue.Result{Err: err}, nil
	}
	ends, err := b.due(ctx, op)
	if err != nil {
		return queue.Result{}, err
	}
	slices.SortFunc(ends, func(x, y end) int {
		return cmp.Or(cmp.Compare(x.expires, y.expires), cmp.Compare(x.result.Desk, y.result.Desk),
			cmp.Compare(x.result.Position, y.result.Position))
	})
	ends = ends[:min(op.Max, len(ends))]
	if err := b.tellSealers(ctx, ends, op.Now); err != nil {
		return queue.Result{}, err
	}
	return b.finish(ctx, ends)
}

func (b *batch) due(ctx context.Context, op *queue.Expire) ([]end, error) {
	replies, _, err := b.attempts(ctx, b.s.puts.Pipeline, func(ctx context.Context, pipe redis.Pipeliner) {
		for bucket := range buckets {
			pipe.FCall(ctx, function("due"), []string{b.s.metaKey(bucket)}, b.s.marker, op.Now, op.Max)
		}
	})
	if err != nil {
		return nil, err
	}
	var ends []end
	for bucket, reply := range replies {
		list, changed, err := parts(reply)
		if err != nil {
			return nil, err
		}
		if err := b.s.learn(bucket, changed); err != nil {
			return nil, err
		}
		for _, row := range list {
			more, damaged, err := parseRow(row)
			if err != nil {
				return nil, fmt.Errorf("bucket %d: %w", bucket, err)
			}
			if damaged > 0 {
				b.s.log.Error("lines of ends are damaged", "lines", damaged)
			}
			ends = append(ends, more...)
		}
	}
	return ends, nil
}

// parseRow takes a row of ends as due gives it: when, how many lines are damaged,
// and of the others those of which something is left.
func parseRow(row any) (ends []end, damaged int64, err error) {
	three, _ := row.([]any)
	if len(three) != 3 {
		return nil, 0, errAnswer
	}
	score, _ := three[0].(string)
	damaged, _ = three[1].(int64)
	lines, _ := three[2].([]any)
	expires, err := strconv.ParseFloat(score, 64)
	if err != nil || len(lines)%4 != 0 {
		return nil, 0, errAnswer
	}
	for ; len(lines) > 0; lines = lines[4:] {
		if e, ok := parseEnd(lines); ok {
			e.expires = uint64(max(0, expires))
			ends = append(ends, e)
		} else {
			damaged++
		}
	}
	return ends, damaged, nil
}

func parseEnd(line []any) (end, bool) {
	position, _ := line[0].(string)
	field, _ := line[1].(string)
	flags, _ := line[2].(string)
	row, _ := line[3].(string)
	desk, id, ok := strings.Cut(field, "\x00")
	if !ok || len(id) != 16 || len(flags) != 3 {
		return end{}, false
	}
	e := end{stored: flags[1] == '1'}
	e.result = queue.Expired{
		Ref:      queue.Ref{Desk: identity.DeskID(desk), ID: envelope.ID([]byte(id))},
		Position: queue.Position(unhex(position)), Delivered: !e.stored || flags[2] == '1',
	}
	if said, ok := parseSaid(row); ok {
		e.result.Tier = said.tier
		if e.stored {
			e.result.Sealer, e.result.SealerDesk = said.sealer, said.sealerDesk
		}
	}
	return e, true
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

func (b *batch) finish(ctx context.Context, ends []end) (queue.Result, error) {
	var result queue.Result
	byBucket := make(map[int]*call)
	var calls []*call
	for i := range ends {
		e := &ends[i].result
		bucket := bucketOf(e.Desk)
		c := byBucket[bucket]
		if c == nil {
			c = &call{bucket: bucket}
			byBucket[bucket], calls = c, append(calls, c)
		}
		c.args = append(c.args, "F", string(e.Desk), fieldOf(e.Desk, e.ID), hexPosition(e.Position))
		result.Expired = append(result.Expired, *e)
	}
	return result, b.drain(ctx, calls)
}

// drain sends calls whose answers say nothing.
func (b *batch) drain(ctx context.Context, calls []*call) error {
	replies, _, err := b.transact(ctx, "drain", calls)
	if err != nil {
		return err
	}
	for i, reply := range replies {
		_, changed, err := parts(reply)
		if err != nil {
			return fmt.Errorf("bucket %d: %w", calls[i].bucket, err)
		}
		if err := b.s.learn(calls[i].bucket, changed); err != nil {
			return err
		}
	}
	return nil
}
