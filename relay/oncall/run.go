package oncall

import (
	"context"
	"errors"
	"time"

	"schakel/relay/queue"
)

// How the loop waits: until something comes, not shorter than the least for what is due,
// and longer after a failure.
const (
	leastWait   = 5 * time.Millisecond
	failureWait = 200 * time.Millisecond
	lastPages   = 3 * time.Second // for pages that are on their way when Run ends
)

// Run keeps the timers until ctx ends, gives them up to the next node, and returns
// nil. It returns an error that wraps queue.ErrIndeterminate when the journal failed,
// or ErrSilent: then the process must end, and start again.
func (l *Loop) Run(ctx context.Context) error {
	l.beat.Store(int64(l.config.Elapsed()))
	ended := make(chan error, 1)
	go func() { ended <- l.loop(ctx) }()
	silent := make(chan error, 1)
	watched, stop := context.WithCancel(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		l.watch(watched, silent)
	}()
	defer func() { stop(); <-watching }()
	select {
	case err := <-ended:
		return err
	case err := <-silent: // the loop is left where it hangs
		return err
	}
}

func (l *Loop) loop(ctx context.Context) error {
	defer l.workers.Wait()
	pages, hurry := context.WithCancel(context.WithoutCancel(ctx))
	defer hurry()
	for ctx.Err() == nil {
		err := l.turn(ctx, pages)
		l.turned.Store(int64(l.config.Elapsed()))
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, queue.ErrIndeterminate):
			return err
		case err != nil:
			l.log.Warn("timers are late", "error", err.Error())
		}
		l.pause(ctx, err != nil)
	}
	time.AfterFunc(lastPages, hurry)
	l.workers.Wait()
	l.giveUp(context.WithoutCancel(ctx))
	return nil
}

// turn does what is to be done now.
func (l *Loop) turn(ctx, pages context.Context) error {
	err := l.ask(ctx)
	l.take(l.collect())
	if !l.lease.Held { // of pages that were on their way the desk reads all the same
		return errors.Join(err, l.writeLog(ctx))
	}
	for _, step := range [...]func(context.Context) error{l.arrive, l.look, l.refreshPlans} {
		err = errors.Join(err, step(ctx))
	}
	if !l.lease.Held {
		return err
	}
	err = errors.Join(err, l.climb(ctx, pages), l.call(ctx, pages))
	err = errors.Join(err, l.settle(ctx, l.config.Beat/4), l.note(ctx), l.writeLog(ctx))
	l.config.Metrics.waiting.Set(float64(len(l.schedule.byRef)))
	return err
}

// ask bids for the timers once per Config.Beat.
func (l *Loop) ask(ctx context.Context) error {
	asked := l.config.Elapsed()
	if asked-l.asked < l.config.Beat {
		return nil
	}
	l.asked = asked
	ctx, cancel := context.WithTimeout(ctx, l.config.DeadMan/3)
	defer cancel()
	lease, err := l.config.Journal.Hold(ctx, Bid{Node: l.node, Span: l.config.Lease, Steady: l.clock.now(), Wall: l.config.Now()})
	if err != nil {
		if !l.lease.Held { // leave the timers to whoever has them: it asks again sooner
			l.asked = asked + l.config.Lease - l.config.Beat
		}
		return err
	}
	l.beat.Store(int64(l.config.Elapsed()))
	l.clock.set(lease.Steady)
	before := l.lease
	if !lease.Held || lease.Term != before.Term { // also where it was only unsure
		l.lose()
	}
	l.lease = lease
	if !lease.Held {
		return nil
	}
	l.heard = asked
	l.config.Metrics.owner.Set(1)
	l.config.Metrics.beat.Set(float64(l.config.Now().Unix()))
	if !before.Held || lease.Term != before.Term {
		l.log.Info("this relay keeps the timers", "term", lease.Term)
		l.config.Metrics.takeovers.Inc()
		l.lookAll = true
	}
	return nil
}

// sure reports that no other node can have taken over: what was written as begun may
// be sent. A process that was stopped for a while finds itself unsure.
func (l *Loop) sure() bool {
	return l.lease.Held && l.config.Elapsed()-l.heard < l.config.Lease
}

// lose forgets all: another node keeps the timers.
func (l *Loop) lose() {
	if l.lease.Held {
		l.log.Warn("another relay keeps the timers")
	}
	l.lease.Held = false
	l.survey = nil
	l.schedule.clear()
	clear(l.contacts)
	clear(l.plans)
	clear(l.changed)
	l.unnoted = nil
	l.config.Metrics.owner.Set(0)
	l.config.Metrics.waiting.Set(0)
}

func (l *Loop) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastPages)
	defer cancel()
	l.take(l.collect())
	err := errors.Join(l.settle(ctx, lastPages), l.writeLog(ctx))
	if l.lease.Held {
		err = errors.Join(err, l.noteRows(ctx))
	}
	if l.lease.Held { // noting may have found that it is not
		_, held := l.config.Journal.Hold(ctx, Bid{Node: l.node, Steady: l.clock.now(), Wall: l.config.Now()})
		err = errors.Join(err, held)
	}
	if err != nil {
		l.log.Warn("timers were not given up", "error", err.Error())
	}
	l.lose()
}

// pause waits until something is due or comes.
func (l *Loop) pause(ctx context.Context, failed bool) {
	wait := l.config.Beat - (l.config.Elapsed() - l.asked)
	if l.lease.Held {
		wait = min(wait, l.config.Beat/4)
		now := l.clock.now()
		if due, ok := l.schedule.next(); ok {
			wait = min(wait, due.Sub(now))
		}
		wait = min(wait, l.nextCall())
		if len(l.changed)+len(l.unnoted)+len(l.unlogged) > 0 {
			wait = min(wait, failureWait)
		}
		if l.survey != nil || len(l.changed) > MaxChanges {
			wait = 0
		}
	}
	least := leastWait
	if failed {
		least = failureWait
	}
	timer := time.NewTimer(max(wait, least))
	defer timer.Stop()
	if failed {
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return
	}
	select {
	case <-timer.C:
	case <-l.wake:
	case <-ctx.Done():
	}
}
