package redisqueue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// end is an envelope or notice that is due.
type end struct {
	member  string // as the functions name it
	expires uint64
	stored  bool
	row     bool
	result  queue.Expired
}

// expire sets the clock of all buckets forward, takes the oldest of what is due,
// writes notices to the senders of what nobody read, and only then removes it.
func (b *batch) expire(ctx context.Context, op *queue.Expire) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return queue.Result{Err: err}, nil
	}
	ends, behind, late, err := b.due(ctx, op)
	if err != nil {
		return queue.Result{}, err
	}
	slices.SortFunc(ends, func(x, y end) int {
		return cmp.Or(cmp.Compare(x.expires, y.expires), cmp.Compare(x.member, y.member))
	})
	ends = ends[:min(op.Max, len(ends))]
	if ends, err = b.tellSealers(ctx, ends, op.Now); err != nil {
		return queue.Result{}, err
	}
	result, err := b.finish(ctx, ends, behind)
	result.Err = cmp.Or(result.Err, late)
	return result, err
}

// due returns what has expired in the buckets that answer, and desks whose deletions
// are behind. The others are late, and have their turn when they are back.
func (b *batch) due(ctx context.Context, op *queue.Expire) (ends []end, behind []identity.DeskID, late, err error) {
	var calls []*call
	for bucket := range buckets {
		calls = append(calls, &call{bucket: bucket, args: []any{b.s.marker, op.Now, op.Max}})
	}
	if err := b.s.send(ctx, "due", calls); err != nil {
		return nil, nil, nil, err
	}
	for _, c := range calls {
		if c.err != nil {
			late = c.err
			continue
		}
		list, names, err := parts(c.reply)
		if err != nil {
			return nil, nil, nil, err
		}
		for _, name := range names {
			desk, _ := name.(string)
			behind = append(behind, identity.DeskID(desk))
		}
		for i := 0; i+3 < len(list); i += 4 {
			if e, ok := parseEnd(list[i : i+4]); ok {
				ends = append(ends, e)
			} else {
				b.s.log.Error("row of ends is damaged")
			}
		}
	}
	return ends, behind, late, nil
}

func parseEnd(row []any) (end, bool) {
	member, _ := row[0].(string)
	score, _ := row[1].(string)
	flags, _ := row[2].(string)
	row3, _ := row[3].(string)
	desk, rest, ok := strings.Cut(member, "\x00")
	if !ok || len(rest) != 30 || len(flags) != 3 {
		return end{}, false
	}
	expires, err := strconv.ParseFloat(score, 64)
	e := end{member: member, expires: uint64(max(0, expires)), row: flags[0] == '1', stored: flags[1] == '1'}
	e.result = queue.Expired{
		Ref:      queue.Ref{Desk: identity.DeskID(desk), ID: envelope.ID([]byte(rest[14:]))},
		Position: queue.Position(unhex(rest[:14])), Delivered: !e.stored || flags[2] == '1',
	}
	if said, ok := parseSaid(row3); ok {
		e.result.Tier = said.tier
		if e.stored {
			e.result.Sealer, e.result.SealerDesk = said.sealer, said.sealerDesk
		}
	}
	return e, err == nil
}

// tellSealers writes a notice for each envelope that no device acknowledged, and
// returns those that may be removed: a sealer must be told first. A notice that only
// lacks the confirmation of a replica will do: should it be lost, then with an epoch,
// and the sealer hears of the expiry when it offers again.
func (b *batch) tellSealers(ctx context.Context, ends []end, now uint64) ([]end, error) {
	var notices []queue.Op
	var of []int // which end each is about
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
			of = append(of, i)
		}
	}
	results := make([]queue.Result, len(notices))
	if err := b.together(ctx, notices, results); err != nil {
		return nil, err
	}
	untold := make(map[int]bool)
	for n := range results {
		untold[of[n]] = unanswered(results[n].Err)
	}
	var told []end
	for i := range ends {
		if !untold[i] {
			told = append(told, ends[i])
		}
	}
	return told, nil
}

// sealerOf reads the record itself.
func (b *batch) sealerOf(ctx context.Context, e *queue.Expired) {
	page, err := b.s.Read(ctx, e.Desk, e.Position-1, queue.Limit{Records: 1, Bytes: 1})
	if err == nil && len(page.Records) == 1 && page.Records[0].Position == e.Position {
		e.Sealer, e.SealerDesk, e.Tier = page.Records[0].Sealer, page.Records[0].SealerDesk, page.Records[0].Tier
	}
}

func (b *batch) finish(ctx context.Context, ends []end, behind []identity.DeskID) (queue.Result, error) {
	var byBucket [buckets]*call
	var calls []*call
	of := func(desk identity.DeskID) *call {
		c := byBucket[bucketOf(desk)]
		if c == nil {
			c = &call{bucket: bucketOf(desk)}
			byBucket[c.bucket], calls = c, append(calls, c)
		}
		c.of(desk)
		return c
	}
	for _, desk := range behind {
		c := of(desk)
		c.args = append(c.args, "B", string(desk))
	}
	for i := range ends {
		e := &ends[i].result
		c := of(e.Desk)
		c.args = append(c.args, "F", string(e.Desk), hexPosition(e.Position), e.ID[:])
	}
	result := queue.Result{}
	var err error
	if result.Err, err = b.drain(ctx, calls); err != nil {
		return queue.Result{}, err
	}
	for i := range ends {
		c := byBucket[bucketOf(ends[i].result.Desk)]
		if (ends[i].stored || ends[i].row) && c.err == nil {
			result.Expired = append(result.Expired, ends[i].result)
		}
	}
	return result, nil
}

// drain sends calls whose answers say nothing. The first error is of those that
// were not confirmed, the second of all.
func (b *batch) drain(ctx context.Context, calls []*call) (unconfirmed, err error) {
	if err := b.s.send(ctx, "drain", calls); err != nil {
		return nil, err
	}
	for _, c := range calls {
		if c.err != nil {
			unconfirmed = c.err
			continue
		}
		unconfirmed = cmp.Or(unconfirmed, c.short.about(nil))
		_, changed, err := parts(c.reply)
		if err != nil {
			return nil, fmt.Errorf("bucket %d: %w", c.bucket, err)
		}
		if err := b.s.learn(c.bucket, changed); err != nil {
			return nil, err
		}
	}
	return unconfirmed, nil
}
