package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// ask calls a function that only reads, in the bucket of desk.
func (s *Store) ask(ctx context.Context, name string, desk identity.DeskID, args ...any) (any, error) {
	keys := &s.keys[bucketOf(desk)]
	return s.one(ctx, "fcall_ro", name, bucketOf(desk), append(slices.Clone(keys.fixed), keys.mail+string(desk)), args)
}

// one makes a single call about one bucket, outside the order of batches, and makes
// it again when the bucket moves or has moved: it was not carried out then.
func (s *Store) one(ctx context.Context, command, name string, bucket int, keys, args []any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	words := append(append([]any{command, function(name), len(keys)}, keys...), s.marker)
	words = append(words, args...)
	for {
		if err := s.usable(); err != nil {
			return nil, err
		}
		client, err := s.reads.of(ctx, bucket)
		if err != nil {
			return nil, s.readError(err)
		}
		reply, err := client.Do(ctx, words...).Result()
		if err == nil {
			return reply, nil
		}
		if !s.mayAskAgain(ctx, err) {
			return nil, s.readError(err)
		}
	}
}

// mayAskAgain does something about a bucket that moves or moved, and reports whether
// the same question may be answered now.
func (s *Store) mayAskAgain(ctx context.Context, err error) bool {
	switch err := classify(err); {
	case errors.Is(err, errRenewed):
		if !s.mayBeSame(ctx) {
			return false
		}
	case !errors.Is(err, errElsewhere):
		return false
	}
	s.reads.lookAgain(ctx)
	return s.usable() == nil && pause(ctx, 20*time.Millisecond)
}

func (s *Store) readError(err error) error {
	if err := s.usable(); err != nil {
		return err
	}
	return fmt.Errorf("%w: failed to read the queue: %w", queue.ErrUnavailable, err)
}

// Read returns a page. What an operator or an accident wrote into a mailbox comes
// as damaged.
func (s *Store) Read(ctx context.Context, desk identity.DeskID, after queue.Position, limit queue.Limit) (queue.Page, error) {
	page := queue.Page{Next: after}
	if limit.Records < 1 || limit.Bytes < 1 {
		return page, fmt.Errorf("%w: read limit %+v", queue.ErrInvalid, limit)
	}
	reply, err := s.ask(ctx, "page", desk, string(desk), uint64(after), limit.Records, limit.Bytes)
	if err != nil {
		return page, err
	}
	both, ok := reply.([]any)
	if !ok || len(both) != 2 {
		return page, fmt.Errorf("%w: %T", errAnswer, reply)
	}
	entries, _ := both[0].([]any)
	more, _ := both[1].(int64)
	for _, raw := range entries {
		page.Next = max(page.Next, take(&page, desk, raw))
	}
	page.More = more > 0 && page.Next > after
	return page, nil
}

// take returns the position of an entry.
func take(page *queue.Page, desk identity.DeskID, raw any) queue.Position {
	e, err := parseEntry(raw, desk)
	if err == nil {
		e.record.Position = e.position
		page.Records = append(page.Records, e.record)
		return e.position
	}
	n := len(page.Damaged)
	if n > 0 && page.Damaged[n-1].Position == e.position {
		return e.position // two foreign entries of one position
	}
	page.Damaged = append(page.Damaged, queue.Damaged{Position: e.position, Reason: err.Error()})
	return e.position
}

// entry is one of a mailbox's stream.
type entry struct {
	position queue.Position
	id       envelope.ID // as the slip says, zero when there is none
	record   queue.Record
}

// parseEntry verifies an entry. The position is the server's: it is not within the
// checksum.
func parseEntry(raw any, desk identity.DeskID) (entry, error) {
	var e entry
	pair, _ := raw.([]any)
	if len(pair) != 2 {
		return e, errForeign
	}
	name, _ := pair[0].(string)
	fields, _ := pair[1].([]any)
	place, sequence, _ := strings.Cut(name, "-")
	p, err := strconv.ParseUint(place, 10, 64)
	e.position = queue.Position(p)
	if err != nil || sequence != "0" || len(fields) != 2 || fields[0] != "e" {
		return e, errForeign
	}
	content, _ := fields[1].(string)
	e.id, e.record, err = decode(desk, []byte(content))
	return e, err
}

// Cursor returns the place of a device.
func (s *Store) Cursor(ctx context.Context, desk identity.DeskID, device identity.DeviceID) (queue.Cursor, error) {
	reply, err := s.ask(ctx, "cursor", desk, string(desk), device[:])
	if err != nil {
		return queue.Cursor{}, err
	}
	three, _ := reply.([]any)
	if len(three) != 3 {
		return queue.Cursor{}, fmt.Errorf("%w: %T", errAnswer, reply)
	}
	position, _ := three[0].(int64)
	last, _ := three[1].(int64)
	dropped, _ := three[2].(int64)
	return queue.Cursor{Position: queue.Position(position), Last: queue.Position(last), Dropped: dropped == 1}, nil
}

// Waiting goes through the buckets in their order. An envelope of which nothing is
// known any more is reported as acute: a page too many is better than one too few.
func (s *Store) Waiting(ctx context.Context, after queue.Ref, limit int) ([]queue.Unattended, error) {
	if limit < 1 {
		return nil, fmt.Errorf("%w: at most %d waiting", queue.ErrInvalid, limit)
	}
	if err := s.usable(); err != nil {
		return nil, err
	}
	first, from := 0, "-"
	if after != (queue.Ref{}) {
		first, from = bucketOf(after.Desk), "("+string(after.Desk)+"\x00"+string(after.ID[:])
	}
	var list []queue.Unattended
	for many := 1; first < buckets && len(list) < limit; {
		end, before := min(first+many, buckets), len(list)
		answers := s.reads.ask(ctx, first, end, func(bucket int) []any {
			start := "-"
			if bucket == first {
				start = from
			}
			keys := &s.keys[bucket]
			return []any{"fcall_ro", function("waiting"), 3, keys.meta, keys.fixed[2], keys.fixed[4], s.marker, start, limit - len(list)}
		})
		for _, answer := range answers[first:end] {
			if answer.err != nil {
				s.mayAskAgain(ctx, answer.err) // the caller will
				return nil, s.readError(answer.err)
			}
			pairs, _ := answer.reply.([]any)
			for i := 0; i+1 < len(pairs) && len(list) < limit; i += 2 {
				if u, ok := parseUnattended(pairs[i], pairs[i+1]); ok {
					list = append(list, u)
				}
			}
		}
		// Each bucket may have as much as is asked for, and what is too much was read in
		// vain: several at once only where there is little.
		many *= 4
		if len(list)-before > limit/buckets {
			many = 1
		}
		first, from = end, "-"
	}
	return list, nil
}

// bucketsAtOnce bounds what one look at all timers brings at once.
const bucketsAtOnce = 8

func parseUnattended(field, row any) (queue.Unattended, bool) {
	name, _ := field.(string)
	said, _ := row.(string)
	desk, id, ok := strings.Cut(name, "\x00")
	if !ok || len(id) != 16 {
		return queue.Unattended{}, false
	}
	u := queue.Unattended{Ref: queue.Ref{Desk: identity.DeskID(desk), ID: envelope.ID([]byte(id))}, Tier: envelope.TierAcute}
	if known, ok := parseKnown(said); ok {
		u.Tier, u.Created, u.Expires, u.Position = known.tier, known.created, known.expires, known.position
		u.Sealer, u.SealerDesk = known.sealer, known.sealerDesk
	}
	return u, true
}
