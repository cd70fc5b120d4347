package redisqueue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// Journal keeps timers beside the mailboxes of a Store: those of a desk in its bucket,
// so that nothing is begun for what was attended. pager.lua says where it stands.
type Journal struct{ s *Store }

var _ oncall.Journal = Journal{}

// Journal returns the journal of the store. It ends with the store.
func (s *Store) Journal() Journal { return Journal{s} }

// What one call brings, and how many buckets are written at once.
const (
	arrivals    = 256 // of each bucket: after a silence of all relays there is very much
	timersAhead = 8
	maxLogged   = 512 // bytes of a row of a log of pages
)

// Hold implements oncall.Journal. This server's clock says what has passed.
func (j Journal) Hold(ctx context.Context, b oncall.Bid) (oncall.Lease, error) {
	var lease oncall.Lease
	followed := int64(0)
	if !b.Steady.IsZero() {
		followed = b.Steady.UnixMilli()
	}
	var fresh [32]byte
	rand.Read(fresh[:])
	reply, err := j.s.call(ctx, registerBucket, "timers_hold", []string{"pager"}, b.Node, b.Span.Milliseconds(), followed, fresh[:])
	if err != nil {
		return lease, err
	}
	four, _ := reply.([]any)
	if len(four) != 4 {
		return lease, fmt.Errorf("%w: %T", errAnswer, reply)
	}
	held, _ := four[0].(int64)
	term, _ := four[1].(int64)
	steady, _ := four[2].(int64)
	key, _ := four[3].(string)
	if len(key) != len(lease.Key) || term < 0 || steady < 0 || steady > queue.MaxTime*1000 {
		return lease, fmt.Errorf("%w: lease", errAnswer)
	}
	return oncall.Lease{Held: held == 1, Term: uint64(term), Steady: time.UnixMilli(steady).UTC(), Key: [32]byte([]byte(key))}, nil
}

// Write implements oncall.Journal. A bucket that is out of reach concerns its own
// changes only.
func (j Journal) Write(ctx context.Context, term uint64, changes []oncall.Change) ([]oncall.Outcome, error) {
	if len(changes) > oncall.MaxChanges {
		return nil, fmt.Errorf("%w: %d changes", queue.ErrInvalid, len(changes))
	}
	outcomes := make([]oncall.Outcome, len(changes))
	byBucket := make(map[int][]int)
	for i, c := range changes {
		byBucket[bucketOf(c.Ref.Desk)] = append(byBucket[bucketOf(c.Ref.Desk)], i)
	}
	var writing sync.WaitGroup
	var mu sync.Mutex // guards lost
	var lost error
	room := make(chan struct{}, timersAhead)
	for bucket, at := range byBucket {
		room <- struct{}{}
		writing.Go(func() {
			defer func() { <-room }()
			if err := j.write(ctx, bucket, term, changes, at, outcomes); err != nil {
				mu.Lock()
				defer mu.Unlock()
				lost = err
			}
		})
	}
	writing.Wait()
	if lost != nil {
		return nil, lost
	}
	return outcomes, nil
}

// write makes the changes of one bucket. Its error is about all.
func (j Journal) write(ctx context.Context, bucket int, term uint64, changes []oncall.Change, at []int, outcomes []oncall.Outcome) error {
	args := []any{term}
	for _, i := range at {
		c := changes[i]
		args = append(args, fieldOf(c.Ref.Desk, c.Ref.ID), c.Before, c.After)
	}
	reply, err := j.s.call(ctx, bucket, "timers_write", []string{"timers"}, args...)
	list, _ := reply.([]any)
	switch {
	case err == nil && reply == int64(0):
		return oncall.ErrLost
	case err == nil && len(list) != len(at):
		err = fmt.Errorf("%w: %d timers of %d", errAnswer, len(list), len(at))
	}
	for n, i := range at {
		if err != nil {
			outcomes[i].Err = err
			continue
		}
		switch said, _ := list[n].(string); {
		case said == "K":
		case said == "G":
			outcomes[i].Err = oncall.ErrGone
		case strings.HasPrefix(said, "S"):
			outcomes[i] = oncall.Outcome{Err: oncall.ErrStale, Now: []byte(said[1:])}
		default:
			outcomes[i].Err = errAnswer
		}
	}
	return nil
}

// Rows implements oncall.Journal.
func (j Journal) Rows(ctx context.Context, each func(queue.Ref, []byte)) error {
	var errs error
	for first := 0; first < buckets && errs == nil; first += bucketsAtOnce {
		end := min(first+bucketsAtOnce, buckets)
		errs = j.all(ctx, first, end, "fcall_ro", "timers_rows", "timers", nil, func(field, row string) {
			desk, id, ok := strings.Cut(field, "\x00")
			if ok && len(id) == len(envelope.ID{}) {
				each(queue.Ref{Desk: identity.DeskID(desk), ID: envelope.ID([]byte(id))}, []byte(row))
			}
		})
	}
	return errs
}

// Arrived implements oncall.Journal.
func (j Journal) Arrived(ctx context.Context, term uint64) (list []queue.Unattended, err error) {
	err = j.all(ctx, 0, buckets, "fcall", "timers_arrived", "arrived", []any{term, arrivals}, func(field, known string) {
		if u, ok := parseUnattended(field, known); ok {
			list = append(list, u)
		}
	})
	return list, err
}

// all calls a function on every bucket from first up to end, and each with the pairs that
// it answers.
func (j Journal) all(ctx context.Context, first, end int, command, name, key string, args []any, each func(field, value string)) error {
	if err := j.s.usable(); err != nil {
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, j.s.config.Patience)
	defer cancel()
	answers := j.s.reads.ask(ctx, first, end, func(bucket int) []any {
		return append([]any{command, function(name), 2, j.s.metaKey(bucket), j.s.key(bucket, key), j.s.marker}, args...)
	})
	var errs error
	for _, a := range answers[first:end] {
		switch {
		case a.err != nil:
			j.s.mayAskAgain(ctx, a.err) // the caller will
			errs = j.s.readError(a.err)
			continue
		case a.reply == int64(0):
			return oncall.ErrLost
		}
		pairs, _ := a.reply.([]any)
		for i := 0; i+1 < len(pairs); i += 2 {
			field, _ := pairs[i].(string)
			value, _ := pairs[i+1].(string)
			each(field, value)
		}
	}
	return errs
}

// Publish implements oncall.Journal.
func (j Journal) Publish(ctx context.Context, desk identity.DeskID, serial uint64, plan []byte) error {
	reply, err := j.s.call(ctx, bucketOf(desk), "plan_publish", []string{"plans"}, string(desk), fmt.Sprintf("%020d", serial), plan)
	if err == nil && reply != int64(1) {
		return oncall.ErrSerial
	}
	return err
}

// Plan implements oncall.Journal.
func (j Journal) Plan(ctx context.Context, desk identity.DeskID) ([]byte, error) {
	reply, err := j.s.call(ctx, bucketOf(desk), "plan_is", []string{"plans"}, string(desk))
	plan, _ := reply.(string)
	return []byte(plan), err
}

// Remove implements oncall.Journal.
func (j Journal) Remove(ctx context.Context, desk identity.DeskID) (bool, error) {
	reply, err := j.s.call(ctx, bucketOf(desk), "plan_remove", []string{"plans"}, string(desk))
	return reply == int64(1), err
}

// Log implements oncall.Journal.
func (j Journal) Log(ctx context.Context, desk identity.DeskID, pages []wire.Paged) error {
	args := []any{string(desk), oncall.LogRows}
	for _, p := range pages {
		p.Number = 0
		row, err := canon.Marshal(p)
		if err != nil {
			return err
		}
		args = append(args, row)
	}
	_, err := j.s.call(ctx, bucketOf(desk), "paged_log", []string{"logged", "paged:" + string(desk)}, args...)
	return err
}

// Logged implements oncall.Journal.
func (j Journal) Logged(ctx context.Context, desk identity.DeskID, since uint64, limit int) (pages []wire.Paged, err error) {
	reply, err := j.s.call(ctx, bucketOf(desk), "paged_rows", []string{"paged:" + string(desk)}, string(desk), fmt.Sprintf("%020d", since), limit)
	list, _ := reply.([]any)
	for _, raw := range list {
		row, _ := raw.(string)
		var p wire.Paged
		if len(row) < 20 || canon.Unmarshal([]byte(row[20:]), maxLogged, &p) != nil {
			continue
		}
		if p.Number, err = strconv.ParseUint(row[:20], 10, 64); err != nil {
			return nil, errors.Join(errAnswer, err)
		}
		pages = append(pages, p)
	}
	return pages, err
}
