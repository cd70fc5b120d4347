package relay_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/relaytest"
)

// stuck is a store that a test lets never answer.
type stuck struct {
	*faulty
	held atomic.Pointer[chan struct{}]
}

func (s *stuck) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	if held := s.held.Load(); held != nil {
		<-*held
	}
	return s.faulty.Commit(ctx, ops)
}

// Fault 9: parts of the relay that wait for each other are noticed, wherever that is, and
// a store that is only away is not taken for it.
func TestWorksNoticesWhatIsStuck(t *testing.T) {
	s := &stuck{faulty: new(faulty)}
	w := relaytest.New(t, relaytest.Config{Store: func(under queue.Store) queue.Store {
		s.Store = under
		return s
	}})
	works := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return w.Running().Works(ctx)
	}
	sound := func(when string) {
		t.Helper()
		if err := works(relaytest.Patience); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	deadlocked := func(when string) {
		t.Helper()
		if err := works(time.Second); !errors.Is(err, relay.ErrStuck) {
			t.Errorf("%s: %v", when, err)
		}
	}
	sound("at first")
	away := fmt.Errorf("%w: away", queue.ErrUnavailable)
	s.commit.Store(&away)
	sound("while the store is away")
	s.commit.Store(nil)

	free := w.Running().Hold()
	deadlocked("while nobody gets the hub's lock")
	free()
	sound("when the lock is free")

	held := make(chan struct{})
	s.held.Store(&held)
	deadlocked("while the committer waits for ever")
	s.held.Store(nil)
	close(held)
	sound("when the committer goes on")
}
