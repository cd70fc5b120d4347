package redisqueue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	randv2 "math/rand/v2"
	"time"

	"schakel/relay/queue"
)

// A bucket is vouched for by its marker and the process that keeps it, both in its
// meta hash, and every function refuses in any other process (see opened in
// mailbox.lua). All buckets have one marker, of which the epoch is a hash. Whoever
// finds a bucket whose process is not the one that was vouched for, and it did not
// simply move there, assumes that something was lost and makes a new marker.
//
// Bucket 0 leads: it gets a new marker first, and a bucket that lost nothing but has
// another marker takes that of bucket 0. Every write compares with what was seen, so
// that of several relays one wins, and whoever ends half-way is made up for by the
// next who looks.

const format = "2"

// vouched is what the server of one bucket said about it.
type vouched struct {
	self   string // who it is: its process, and the history of its data
	former string // whose history it continued when it took over, or zeros
	marker string
	by     string // who was vouched for
	err    error
}

func parseVouched(a answer) vouched {
	fields, ok := a.list(5)
	v := vouched{err: a.err}
	if a.err != nil || !ok {
		v.err = errors.Join(a.err, errAnswerUnless(ok || a.err != nil))
		return v
	}
	var written string
	for i, to := range []*string{&v.self, &v.former, &v.marker, &v.by, &written} {
		*to, _ = fields[i].(string)
	}
	if v.marker != "" && written != format {
		v.err = fmt.Errorf("%w: %q, this program knows %s", queue.ErrVersion, written, format)
	}
	return v
}

func errAnswerUnless(fine bool) error {
	if fine {
		return nil
	}
	return errAnswer
}

func (v *vouched) sound() bool { return v.marker != "" && v.by == v.self }

// continues reports that this server took over from the one that was vouched for.
func (v *vouched) continues() bool {
	return len(v.by) > len(v.former) && v.by[len(v.by)-len(v.former):] == v.former
}

// vouch returns the marker of all buckets that can be reached, after it has made it
// one where it was not.
func (s *Store) vouch(ctx context.Context) (string, error) {
	for {
		seen, err := s.survey(ctx)
		if err != nil {
			return "", err
		}
		err = s.allAnew(ctx, &seen)
		settled := false
		if err == nil {
			settled, err = s.agree(ctx, seen)
		}
		if err != nil && !errors.Is(err, errOther) || settled {
			return seen[0].marker, err
		}
		// Others may be at it: without a pause they would take turns.
		if !pause(ctx, time.Duration(20+randv2.N(60))*time.Millisecond) {
			return "", fmt.Errorf("%w: the buckets do not agree on a marker", queue.ErrUnavailable)
		}
	}
}

// survey asks for all buckets. Those that cannot be reached are left as they are;
// without bucket 0 nothing can be said.
func (s *Store) survey(ctx context.Context) (seen [buckets]vouched, err error) {
	for range 5 {
		moved := false
		answers := s.watches.ask(ctx, 0, buckets, func(bucket int) []any {
			return []any{"fcall_ro", function("vouched"), 1, s.metaKey(bucket)}
		})
		for bucket, a := range answers {
			seen[bucket] = parseVouched(a)
			if errors.Is(seen[bucket].err, queue.ErrVersion) {
				return seen, seen[bucket].err
			}
			moved = moved || a.err != nil && errors.Is(classify(a.err), errElsewhere)
		}
		if !moved {
			break
		}
		s.watches.lookAgain(ctx)
		if !pause(ctx, 50*time.Millisecond) {
			break
		}
	}
	if seen[0].err != nil {
		return seen, fmt.Errorf("%w: failed to read the marker: %w", queue.ErrUnavailable, seen[0].err)
	}
	return seen, nil
}

// agree reports whether all buckets are sound and have the marker of bucket 0, and
// otherwise does something about it.
func (s *Store) agree(ctx context.Context, seen [buckets]vouched) (settled bool, err error) {
	lost, moved := false, false
	var masters map[string]bool
	for bucket := range seen {
		v := &seen[bucket]
		if v.err != nil || v.sound() {
			continue
		}
		if masters == nil {
			if masters, err = s.masters(ctx); err != nil {
				return false, err
			}
		}
		if v.marker != "" && masters[v.by] && !v.continues() {
			moved = true
		} else {
			lost = true
		}
	}
	if moved {
		// Whoever keeps a bucket now must be as safe as who did.
		if err := s.checkServers(ctx); err != nil {
			return false, err
		}
	}
	marker := seen[0].marker
	if lost {
		if marker != "" {
			s.log.Warn("a part of redis was emptied, restarted, restored or taken over: a new epoch begins")
		}
		marker = rand.Text()
		if won, err := s.mark(ctx, 0, &seen[0], marker); err != nil || !won {
			return false, err
		}
		seen[0].marker, seen[0].by = marker, seen[0].self
	}
	settled = !lost
	for bucket := range seen {
		v := &seen[bucket]
		if v.err != nil || v.sound() && v.marker == marker {
			continue
		}
		settled = false
		if _, err := s.mark(ctx, bucket, v, marker); err != nil {
			return false, err
		}
	}
	return settled, nil
}

// mark vouches for the server of a bucket, unless the bucket is no longer as seen: one that
// started again since then is not who was seen.
func (s *Store) mark(ctx context.Context, bucket int, seen *vouched, marker string) (bool, error) {
	client, err := s.watches.of(ctx, bucket)
	if err != nil {
		return false, fmt.Errorf("%w: failed to mark bucket %d: %w", queue.ErrUnavailable, bucket, err)
	}
	done, err := client.FCall(ctx, function("vouch"), []string{s.metaKey(bucket)}, seen.marker, seen.by, seen.self, marker).Int()
	if err != nil && bucket > 0 {
		return false, nil // it is out of reach now, the next look will tell
	} else if err != nil {
		return false, fmt.Errorf("%w: failed to mark the store: %w", queue.ErrUnavailable, err)
	}
	return done == 1, nil
}

// masters returns who takes writes now.
func (s *Store) masters(ctx context.Context) (map[string]bool, error) {
	clients, err := s.watches.all(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: failed to ask who takes writes: %w", queue.ErrUnavailable, err)
	}
	masters := make(map[string]bool)
	for _, client := range clients {
		if s.troubles.isSilent(addressOf(client)) {
			continue
		}
		said := pipelined(ctx, client, [][]any{{"fcall_ro", function("vouched"), 0}})
		if fields, ok := said[0].list(2); ok {
			self, _ := fields[0].(string)
			masters[self] = true
		}
	}
	return masters, nil
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// renewed refuses all further work: only opening the store again tells its epoch.
func (s *Store) renewed() error {
	err := fmt.Errorf("%w: Redis was emptied, restarted, restored or taken over: open it again for its new epoch", queue.ErrIndeterminate)
	s.failed.CompareAndSwap(nil, &err)
	return s.usable()
}

// same ends the store when the marker is no longer the one that was opened.
func (s *Store) same(ctx context.Context) error {
	marker, err := s.vouch(ctx)
	if err != nil {
		return err
	}
	if marker != s.marker {
		return s.renewed()
	}
	return nil
}

// mayBeSame does what same does for an operation that was refused, and reports whether it is
// worth another attempt. While a server writes its file anew it is not; that the watch logs.
func (s *Store) mayBeSame(ctx context.Context) bool {
	err := s.same(ctx)
	if errors.Is(err, errNotYet) || errors.Is(err, errNotAnew) {
		return false
	}
	if err != nil {
		s.log.Warn("redis cannot say who was vouched for", "error", err.Error())
	}
	return true
}
