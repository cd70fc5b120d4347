package oncall

import (
	"context"
	"errors"
	"slices"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/queue"
	"schakel/relay/rota"
)

// Bounds of one round of climbing, and for how long a journal that does not answer
// keeps a page from going out.
const (
	mostRungs = MaxChanges
	grace     = 2 * time.Second
	tellAgain = 2 * time.Second
)

// rung is what is due for one entry: the contacts of all steps that are, each once.
type rung struct {
	entry    *entry
	after    timer
	contacts []contactKey
	tell     bool
}

// climb begins what is due: rows first, then pages. After an outage that may be very much,
// and the lease must be kept, and what comes taken, in between.
func (l *Loop) climb(ctx, pages context.Context) error {
	for began := l.config.Elapsed(); l.lease.Held && l.config.Elapsed()-began < l.config.Beat/4; {
		now := l.clock.now()
		due := l.schedule.take(now, mostRungs)
		if len(due) == 0 {
			return nil
		}
		rungs := make([]rung, 0, len(due))
		for _, e := range due {
			rungs = append(rungs, l.rungOf(ctx, e, now))
		}
		if err := l.begin(ctx, pages, rungs, now); err != nil {
			return err
		}
	}
	return nil
}

// rungOf finds what is due for an entry.
func (l *Loop) rungOf(ctx context.Context, e *entry, now time.Time) rung {
	plan := l.planOf(ctx, e.Desk)
	e.noPlan = !plan.has
	climbs := l.ladderOf(e)
	state, after := l.stateOf(e), e.timer
	r := rung{entry: e}
	for {
		action, due, ok := climbs.Next(state)
		if !ok || due.After(now) {
			break
		}
		if action.Kind == ladder.Alarm {
			r.tell, state.Alarmed = true, true
			continue
		}
		e.level = action.Level
		state.Rungs, state.Last, state.Unreached = state.Rungs+1, now, false
		r.add(l.contactsOf(e, plan, action.Level)...)
	}
	after.Rungs, after.Last, after.Unreached = state.Rungs, state.Last, state.Unreached
	r.after = after
	return r
}

func (r *rung) add(contacts ...contactKey) {
	for _, c := range contacts {
		if !slices.Contains(r.contacts, c) {
			r.contacts = append(r.contacts, c)
		}
	}
}

// contactsOf is whom a level means now; the operator where there is no plan, or where
// a plan has turned out to reach nobody. The rota goes by the clock on the wall: that
// is what people go by.
func (l *Loop) contactsOf(e *entry, plan *deskPlan, level int) (list []contactKey) {
	if plan.has {
		for _, c := range plan.plan.OnCall(l.config.Now(), level) {
			list = append(list, contactKey{e.Desk, c})
		}
	}
	if !plan.has || e.nobody {
		list = append(list, operator)
	}
	return list
}

// begin writes what is due as begun, and hands it on to be paged. A journal that does
// not answer keeps nobody from being called for longer than grace.
func (l *Loop) begin(ctx, pages context.Context, rungs []rung, now time.Time) error {
	list, rows := make([]*entry, len(rungs)), make([][]byte, len(rungs))
	for i, r := range rungs {
		list[i], rows[i] = r.entry, r.after.row(r.entry.Ref)
	}
	errs, err := l.write(ctx, list, rows)
	switch {
	case !l.lease.Held:
		return nil
	case errors.Is(err, queue.ErrIndeterminate):
		return err
	case err == nil && !l.sure(): // it took long: what is open is paged if it is still ours
		for _, r := range rungs {
			if l.schedule.has(r.entry) {
				r.entry.timer = r.after.reopened()
				l.reckon(r.entry)
			}
		}
		l.lease.Held = false // until the journal says otherwise
		l.asked = -l.config.Beat
		return nil
	}
	for i, r := range rungs {
		failed := err
		if failed == nil {
			failed = errs[i]
		}
		switch e := r.entry; {
		case !l.schedule.has(e), errors.Is(failed, ErrStale): // gone, or reckoned anew
		case failed == nil:
			l.start(pages, r)
		case now.Sub(e.due) < grace:
			l.schedule.put(e)
			err = failed
		default:
			l.config.Metrics.unjournaled.Inc()
			l.start(pages, r)
			l.changed[e] = struct{}{}
			err = failed
		}
	}
	return err
}

// start has the contacts of a rung called, and the sender told.
func (l *Loop) start(pages context.Context, r rung) {
	e := r.entry
	began := r.after.Rungs > e.timer.Rungs
	if began && r.after.Last.Sub(e.due) > lateAfter {
		l.config.Metrics.late.Inc()
	}
	e.timer = r.after
	if r.tell {
		e.alarming = true
		l.workers.Go(func() {
			err := l.config.Tell(pages, e.Unattended)
			l.leave(func(i *inbox) { i.told = append(i.told, told{e, err}) })
		})
	}
	if began {
		if e.noPlan {
			l.config.Metrics.plans.Inc()
		}
		if e.calls == 0 {
			e.reached = false
		}
		for _, key := range r.contacts {
			c := l.contacts[key]
			if c == nil {
				c = &contact{key: key, last: -time.Hour}
				l.contacts[key] = c
			}
			if !slices.Contains(c.pending, e) {
				c.pending = append(c.pending, e)
				e.calls++
			}
		}
		if len(r.contacts) == 0 {
			l.finish(e)
		}
	}
	if l.schedule.has(e) {
		l.reckon(e)
	}
}

// lateAfter is what a page may be late without being counted as late.
const lateAfter = 5 * time.Second

// told is what became of telling a sender.
type told struct {
	entry *entry
	err   error
}

func (l *Loop) toldSender(t told) {
	e := t.entry
	e.alarming = false
	if !l.schedule.has(e) {
		return
	}
	if t.err != nil {
		l.log.Warn("a sender is not told yet that nobody attends", "id", e.ID.String(), "error", t.err.Error())
		e.tell = l.clock.now().Add(tellAgain)
	} else {
		l.config.Metrics.alarms.Inc()
		l.log.Info("a sender was told that nobody attends", "id", e.ID.String())
		e.timer.Alarmed = true
		l.changed[e] = struct{}{}
	}
	l.reckon(e)
}

// finish notes that all contacts of the latest rung have answered.
func (l *Loop) finish(e *entry) {
	e.timer.settled, e.timer.Unreached = e.timer.Rungs, !e.reached
	if !e.reached {
		l.config.Metrics.unreached.Inc()
	}
	if !e.reached && (e.level == ladder.Everyone || e.noPlan) {
		e.nobody = true
	}
	l.changed[e] = struct{}{}
}

// operator is called for whom nobody else can be.
var operator = contactKey{}

// contactKey names a contact of a desk.
type contactKey struct {
	desk    identity.DeskID
	contact rota.Contact
}
