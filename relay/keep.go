package relay

import (
	"context"
	"math/rand/v2"
	"time"

	"schakel/relay/queue"
	"schakel/relay/wire"
)

// sweepParts is in how many portions a sweep goes round, so that ten thousand
// sessions do not read their mailboxes in the same instant.
const sweepParts = 5

// sweep ends sessions whose time is over, rings every session once per Limits.Sweep in
// case a ring was missed, and looks for devices that acknowledge nothing.
func (r *Relay) sweep(ctx context.Context) {
	tick := time.NewTicker(r.config.Limits.Sweep / sweepParts)
	defer tick.Stop()
	for round := 0; ; round++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := r.config.Now()
		// Each session has its own turn: by their order in the map some would have none for
		// many rounds.
		r.hub.each(func(s *session) { s.sweep(now, s.turn == round%sweepParts) })
		r.hub.forgetMeters(time.Now())
		r.lookAtDebts(now)
		r.hub.posters.forget(time.Now())
	}
}

func (s *session) sweep(now time.Time, ring bool) {
	s.mu.Lock()
	entered := s.shared.entered
	s.mu.Unlock()
	switch {
	case !entered:
	case !now.Before(s.rights.Ends):
		s.end(wire.CloseEnded)
	case ring && !s.relay.active(s.rights.Device): // suspended by the operator
		s.end(wire.CloseRevoked)
	case ring:
		s.lookAgain()
	}
}

// expireSlice bounds one transaction of the housekeeping.
const expireSlice = 256

// expire removes envelopes past their expiry, a slice at a time, so that putting
// never waits long for it. The committer rings the senders' desks for the notices.
func (r *Relay) expire(ctx context.Context) {
	tick := time.NewTicker(r.config.Limits.Expire)
	defer tick.Stop()
	for {
		n, err := 0, error(nil)
		if r.housekeeps(ctx) {
			n, err = r.expireOnce(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Warn("expiry is late", "error", err.Error())
		}
		if n == expireSlice && err == nil {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// keptStore is a store of several relays, which say which of them looks for what
// expired: doing it twice loses nothing, and tells senders twice.
type keptStore interface {
	Housekeep(ctx context.Context, upto time.Duration) (bool, error)
}

// missedExpiries is after how many looks that did not come another relay takes over.
const missedExpiries = 3

func (r *Relay) housekeeps(ctx context.Context) bool {
	kept, ok := r.config.Store.(keptStore)
	if !ok {
		return true
	}
	does, err := kept.Housekeep(ctx, missedExpiries*r.config.Limits.Expire)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("expiry is late", "error", err.Error())
	}
	return does
}

func (r *Relay) expireOnce(ctx context.Context) (int, error) {
	result, err := r.committer.Do(ctx, &queue.Expire{Now: r.seconds(), Max: expireSlice})
	if err == nil {
		err = result.Err
	}
	for _, e := range result.Expired {
		delivered := "yes"
		if !e.Delivered {
			delivered = "no"
		}
		r.metrics.expired.WithLabelValues(delivered).Inc()
		r.log.Debug("envelope expired", "id", e.ID.String(), "delivered", e.Delivered)
	}
	return len(result.Expired), err
}

// drain lets everybody go without losing an answer: devices hear when to come
// back, the committer writes what it has taken, its receipts go out, and then the
// sessions close. What is left after Limits.Drain is cut.
func (r *Relay) drain(stopCommits context.CancelFunc, committed <-chan struct{}) {
	limit := time.NewTimer(r.config.Limits.Drain)
	defer limit.Stop()
	r.log.Info("relay drains", "sessions", r.hub.size())
	r.hub.refuse()
	r.hub.each(func(s *session) {
		s.goAway(time.Duration(rand.Int64N(int64(r.config.Limits.Return)) + 1))
	})
	stopCommits()
	select {
	case <-committed:
	case <-limit.C:
		r.log.Error("drain ran out of time while writing")
		return
	}
	r.hub.each(func(s *session) { s.end(wire.CloseRestart) })
	gone := make(chan struct{})
	go func() {
		r.hub.wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-limit.C:
		r.hub.each(func(s *session) { _ = s.conn.CloseNow() })
		<-gone
	}
}

// goAway tells the device when to come back.
func (s *session) goAway(after time.Duration) {
	s.mu.Lock()
	s.shared.goAway = max(after, time.Millisecond)
	s.mu.Unlock()
	signal(s.wake)
}
