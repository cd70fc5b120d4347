package schakel

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"schakel/relay/wire"
)

// Waits between two tries to connect: full jitter over a doubling window, so that
// ten thousand devices that lost the same relay do not come back as one.
const (
	backoffFirst = 250 * time.Millisecond
	backoffMost  = 15 * time.Second
	// awayMost bounds how long a relay can send this device away: it is told when to
	// come back, not whether.
	awayMost = time.Minute
	// steady is how long a session must have stood before its end counts as the
	// first, when the relay closed it: two copies of one device take turns slowly.
	steady = 30 * time.Second
)

// goAwayError ends a session because the relay asked for it.
type goAwayError struct{ after time.Duration }

func (goAwayError) Error() string { return "relay asked to come back later" }

// stayConnected keeps one session after another until ctx ends.
func (n *Node) stayConnected(ctx context.Context) error {
	window := backoffFirst
	for {
		started := n.now()
		err := n.runSession(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if fatal := new(fatalError); errors.As(err, &fatal) {
			return err
		}
		// A connection that stood and broke is no sign of a relay to be spared: what is
		// too much for it, it refuses before. A restart costs about what it takes.
		code, closed := wire.CloseCodeOf(err)
		// A relay that ended the session of a revoked device refuses its next login, for no
		// reason that it names: a laptop that was off when it was revoked hears only that.
		if code == wire.CloseRevoked || code == wire.CloseLogin {
			if err := n.refusedByRelay(ctx); err != nil {
				return err
			}
		}
		if stood := n.setDisconnected(err); stood && !closed || n.now().Sub(started) > steady {
			window = backoffFirst
		}
		wait := rand.N(window)
		if away := new(goAwayError); errors.As(err, away) {
			wait = min(away.after, awayMost)
		}
		n.log.Info("session ended", "err", err, "again_in", wait)
		window = min(2*window, backoffMost)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// fatalError ends Run: the store failed, and going on could break a promise.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// connection is what Status tells about the line to the relay.
type connection struct {
	up      bool
	since   time.Time
	lastErr string
	lost    time.Time // when the latest one that stood was found to be over
	before  time.Time // the same, while another one stands
}

func (n *Node) setConnected() {
	n.mu.Lock()
	n.conn = connection{up: true, since: n.now(), before: n.conn.lost}
	n.mu.Unlock()
	n.moves.again(moveKey{})
	n.publish(EventConnection, "", "")
}

// setDisconnected reports whether there had been a connection at all.
func (n *Node) setDisconnected(err error) (was bool) {
	n.mu.Lock()
	was = n.conn.up
	n.conn = connection{lastErr: reasonOf(err), lost: n.conn.lost}
	if was {
		n.conn.lost = n.now()
	}
	n.mu.Unlock()
	if was {
		n.publish(EventConnection, "", "")
	}
	return was
}

// reasonOf is what Status may show of why a session ended.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	if code, ok := wire.CloseCodeOf(err); ok {
		return "relay closed the connection: " + code.String()
	}
	return err.Error()
}
