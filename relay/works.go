package relay

import (
	"context"
	"errors"
	"fmt"

	"schakel/relay/queue"
)

// ErrStuck means that parts of this relay wait for each other: it answers connections and
// does nothing else. Starting again helps; the store has what was promised.
var ErrStuck = errors.New("the relay does not work")

// Works returns nil once this relay's own parts have answered: the hub that knows all
// sessions, and the committer, which has carried an operation that changes nothing to the
// store and back. A store that refuses or is away has answered: against that a new start
// does not help. What is stuck keeps a goroutine until the process ends.
func (r *Relay) Works(ctx context.Context) error {
	answered := make(chan error, 1)
	go func() {
		r.hub.size()
		_, err := r.committer.Do(ctx, &queue.Expire{}) // refused: of nothing, at no time
		answered <- err
	}()
	select {
	case err := <-answered:
		if !errors.Is(err, queue.ErrBusy) && ctx.Err() == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", ErrStuck, err)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrStuck, context.Cause(ctx))
	}
}
