package redisqueue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
)

// load is a relay whose senders put to many desks until they are stopped, and offer
// again what was not answered. It opens its store again when that has ended, as a
// relay does that is started again.
type load struct {
	config redisqueue.Config
	stop   context.CancelFunc
	ended  chan error

	mu       sync.Mutex // guards what follows
	answered map[int]bool
	refused  int           // operations that nobody answered for
	opened   int           // how often the store was opened
	last     time.Time     // when something was answered
	longest  time.Duration // without any answer
}

const (
	loadDesks = 40
	loadBatch = 20 // new envelopes
	loadMost  = 200_000
)

func deskOf(n int) identity.DeskID {
	return identity.DeskID(fmt.Sprintf("politie/wacht-%d", n%loadDesks))
}

// loadPut is the nth envelope of a load.
func loadPut(n int) *queue.Put {
	op := put(n)
	op.Desk = deskOf(n)
	op.ID = envelope.ID{8, byte(n >> 16), byte(n >> 8), byte(n)}
	return op
}

// begin starts a load that ends with the test, if not before.
func begin(t *testing.T, c redisqueue.Config) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{config: c, stop: stop, ended: make(chan error, 1), answered: make(map[int]bool), last: time.Now()}
	go func() { l.ended <- l.run(ctx) }()
	t.Cleanup(stop)
	return l
}

func (l *load) run(ctx context.Context) error {
	var pending []int
	for next := 0; next < loadMost; {
		store, err := redisqueue.Open(ctx, l.config)
		if ctx.Err() != nil {
			return errors.Join(closeStore(store))
		}
		if err != nil {
			return err
		}
		l.note(func() { l.opened++ })
		next, pending, err = l.serve(ctx, store, next, pending)
		if err = errors.Join(err, store.Close()); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d envelopes", loadMost)
}

func closeStore(store *redisqueue.Store) error {
	if store == nil {
		return nil
	}
	return store.Close()
}

// serve puts until the store ends.
func (l *load) serve(ctx context.Context, store queue.Store, next int, pending []int) (int, []int, error) {
	for ctx.Err() == nil && next < loadMost {
		again := min(len(pending), 4*loadBatch)
		batch := slices.Clone(pending[:again])
		for range loadBatch {
			batch = append(batch, next)
			next++
		}
		pending = pending[again:]
		var ops []queue.Op
		for _, n := range batch {
			ops = append(ops, loadPut(n))
		}
		results, err := store.Commit(ctx, ops)
		if errors.Is(err, queue.ErrIndeterminate) || errors.Is(err, queue.ErrUnavailable) {
			return next, append(pending, batch...), nil
		}
		if err != nil {
			return next, pending, err
		}
		left, err := l.take(batch, results)
		if err != nil {
			return next, pending, err
		}
		pending = append(pending, left...)
		<-time.After(20 * time.Millisecond) // what this is about is not speed
	}
	return next, pending, nil
}

// take counts the answers, and returns what was not answered.
func (l *load) take(batch []int, results []queue.Result) (left []int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range batch {
		switch {
		case results[i].Err == nil:
			l.answered[n] = true
			l.longest = max(l.longest, time.Since(l.last))
			l.last = time.Now()
		case unanswered(results[i].Err):
			l.refused++
			left = append(left, n)
		default:
			return nil, fmt.Errorf("envelope %d: %w", n, results[i].Err)
		}
	}
	return left, nil
}

func (l *load) note(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
}

// count returns how many envelopes were answered, for some desks only if wanted.
func (l *load) count(of func(identity.DeskID) bool) (count int) {
	l.note(func() {
		for n := range l.answered {
			if of == nil || of(deskOf(n)) {
				count++
			}
		}
	})
	return count
}

// goesOn waits until so many more were answered.
func (l *load) goesOn(t *testing.T, more int, of func(identity.DeskID) bool) {
	t.Helper()
	from := l.count(of)
	within(t, time.Minute, fmt.Sprintf("%d more envelopes are answered", more), func() bool { return l.count(of) >= from+more })
}

// end stops the load and looks for all that it was answered for.
func (l *load) end(t *testing.T) error {
	t.Helper()
	l.stop()
	if err := <-l.ended; err != nil {
		return err
	}
	t.Logf("%d envelopes answered, %d answers refused, store opened %d times, at most %v without any answer",
		len(l.answered), l.refused, l.opened, l.longest.Round(time.Millisecond))
	return l.verify(mustOpen(t, l.config))
}

// verify wants every answered envelope exactly once.
func (l *load) verify(store queue.Store) error {
	seen := make(map[envelope.ID]bool)
	for n := range loadDesks {
		if err := readInto(store, deskOf(n), seen); err != nil {
			return err
		}
	}
	lost := 0
	for n := range l.answered {
		if !seen[loadPut(n).ID] {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%w: %d of %d", errLost, lost, len(l.answered))
	}
	return nil
}

var errLost = errors.New("what was answered is lost")

func readInto(store queue.Store, desk identity.DeskID, seen map[envelope.ID]bool) error {
	for after := queue.Position(0); ; {
		page, err := store.Read(context.Background(), desk, after, queue.Limit{Records: 500, Bytes: 4 << 20})
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if seen[r.ID] {
				return fmt.Errorf("%x is there twice", r.ID)
			}
			seen[r.ID] = true
		}
		if after = page.Next; !page.More {
			return nil
		}
	}
}
