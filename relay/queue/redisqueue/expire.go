package redisqueue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"schakel/crypto/identity"
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
	rows, behind, late, err := b.due(ctx, op)
	if err != nil {
		return queue.Result{}, err
	}
	slices.SortStableFunc(rows, func(x, y *row) int { return cmp.Compare(x.expires, y.expires) })
	ends := b.oldest(&rows, op.Max)
	if ends, err = b.look(ctx, ends, &rows); err != nil {
		return queue.Result{}, err
	}
	if ends, err = b.tellSealers(ctx, ends, op.Now); err != nil {
		return queue.Result{}, err
	}
	result, err := b.finish(ctx, ends, rows, behind)
	result.Err = cmp.Or(result.Err, late)
	return result, err
}

// due returns rows that have expired in the buckets that answer, and desks whose
// deletions are behind. The others are late, and have their turn when they are back.
func (b *batch) due(ctx context.Context, op *queue.Expire) (rows []*row, behind []identity.DeskID, late, err error) {
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
		for i := 0; i+1 < len(list); i += 2 {
			r, err := parseRow(c.bucket, list[i], list[i+1])
			if err != nil {
				return nil, nil, nil, err
			}
			rows = append(rows, r)
		}
	}
	return rows, behind, late, nil
}

func parseRow(bucket int, member, score any) (*row, error) {
	lines, _ := member.(string)
	text, _ := score.(string)
	expires, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: expiry %.40q", errAnswer, score)
	}
	return &row{bucket: bucket, lines: lines, expires: uint64(max(0, expires))}, nil
}

// look leaves of ends those of which something is there, and says what; of rows those
// whose bucket answered.
func (b *batch) look(ctx context.Context, ends []end, rows *[]*row) ([]end, error) {
	var calls byBucket
	for i := range ends {
		e := &ends[i].result
		c := calls.of(ends[i].row.bucket)
		c.of(e.Desk)
		c.at = append(c.at, i)
		c.args = append(c.args, "L", string(e.Desk), fieldOf(e.Desk, e.ID), hexPosition(e.Position))
	}
	if err := b.s.send(ctx, "drain", calls.list); err != nil {
		return nil, err
	}
	there := make([]bool, len(ends))
	for _, c := range calls.list {
		if c.err != nil {
			*rows = slices.DeleteFunc(*rows, func(r *row) bool { return r.bucket == c.bucket })
			continue
		}
		answers, _, err := parts(c.reply)
		if err != nil || len(answers) != len(c.at) {
			return nil, fmt.Errorf("bucket %d: %d answers: %w", c.bucket, len(answers), cmp.Or(err, errAnswer))
		}
		for j, i := range c.at {
			if there[i], err = ends[i].learn(answers[j]); err != nil {
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

// tellSealers writes a notice for each envelope that no device acknowledged, and
// returns those that may be removed: a sealer must be told first, and until then the
// line stays. A notice that only
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
		if untold[i] {
			ends[i].row.left = appendLine(ends[i].row.left, &ends[i].result)
			continue
		}
		told = append(told, ends[i])
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

// finish removes ends and what rows say of them, and goes on with deletions.
func (b *batch) finish(ctx context.Context, ends []end, rows []*row, behind []identity.DeskID) (queue.Result, error) {
	var calls byBucket
	for _, desk := range behind {
		c := calls.of(bucketOf(desk))
		c.of(desk)
		c.args = append(c.args, "B", string(desk))
	}
	for i := range ends {
		e := &ends[i].result
		c := calls.of(ends[i].row.bucket)
		c.of(e.Desk)
		c.args = append(c.args, "F", string(e.Desk), fieldOf(e.Desk, e.ID), hexPosition(e.Position))
	}
	for _, r := range rows {
		c := calls.of(r.bucket)
		c.args = append(c.args, "R", "", r.lines, r.left, r.expires)
	}
	var result queue.Result
	var err error
	if result.Err, err = b.drain(ctx, calls.list); err != nil {
		return queue.Result{}, err
	}
	for i := range ends {
		if calls.of(ends[i].row.bucket).err == nil {
			result.Expired = append(result.Expired, ends[i].result)
		}
	}
	return result, nil
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
