package oncall

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/page"
)

// Silent reports that the loop has not got on, or the journal not answered, for
// Config.DeadMan: nobody may count on pages now.
func (l *Loop) Silent() bool { return l.silence() >= l.config.DeadMan }

func (l *Loop) silence() time.Duration {
	return l.config.Elapsed() - time.Duration(l.beat.Load())
}

// watch is the dead man's alarm. It shares nothing with the loop but the time of its
// latest beat and turn, and counts its own ticks: a process that was stopped as a
// whole need not call anybody when it goes on. A loop that hangs is ended, by ending
// the process; one whose journal is away goes on.
func (l *Loop) watch(ctx context.Context, silent chan<- error) {
	tick := time.NewTicker(l.config.Beat)
	defer tick.Stop()
	var calling sync.WaitGroup
	defer calling.Wait()
	var beat, turn stillness
	alarmed := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		quiet := time.Duration(beat.ticks(l.beat.Load())) * l.config.Beat
		hangs := time.Duration(turn.ticks(l.turned.Load())) * l.config.Beat
		switch {
		case quiet == 0 && alarmed:
			alarmed = false
			l.config.Metrics.silent.Set(0)
			l.log.Info("the loop that pages is back")
		case quiet >= l.config.DeadMan && !alarmed:
			alarmed = true
			l.config.Metrics.silent.Set(1)
			l.log.Error("DEAD MAN: the loop that pages is silent", "seconds", int(quiet.Seconds()))
			calling.Go(func() { l.callOperator(ctx) })
		}
		if hangs >= 2*l.config.DeadMan {
			silent <- fmt.Errorf("%w for %v", ErrSilent, hangs)
			return
		}
	}
}

// stillness counts how often a number was seen unchanged.
type stillness struct {
	last int64
	seen int
}

func (s *stillness) ticks(now int64) int {
	if s.seen++; now != s.last {
		s.last, s.seen = now, 0
	}
	return s.seen
}

// callOperator pages whoever runs the relay: the desks' own contacts cannot help.
func (l *Loop) callOperator(ctx context.Context) {
	p := page.Page{Tier: envelope.TierAcute, Reference: page.Reference([]byte(rand.Text()), nil)}
	results := notify(ctx, l.config.Points, l.config.Patience, p, l.config.Operator)
	l.config.Metrics.operator.Inc()
	l.log.Error("the operator was called about the silence", "reference", p.Reference, "taken", taken(results))
}
