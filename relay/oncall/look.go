package oncall

import (
	"context"
	"errors"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// lookPage is how much of what waits is looked at in one turn: what is due of it is paged
// for, and the lease kept, before the rest is looked at.
const lookPage = 4096

// survey is a look at all that waits, on its way.
type survey struct {
	rows  map[queue.Ref][]byte // as they were when it began, of what was not seen yet
	after queue.Ref            // where it goes on
}

// take takes over what others left.
func (l *Loop) take(i inbox) {
	for _, a := range i.answers {
		l.answered(a)
	}
	for _, t := range i.told {
		l.toldSender(t)
	}
	if i.missed {
		l.lookAll = true
	}
	if !l.lease.Held {
		return // whoever takes over looks at all that waits
	}
	for _, desk := range i.republished {
		if p := l.plans[desk]; p != nil {
			p.read = -planAge
		}
	}
	for _, item := range i.news {
		switch item := item.(type) {
		case queue.Unattended:
			l.wait(item, nil, true)
		case queue.Ref:
			if e := l.schedule.byRef[item]; e != nil {
				l.forget(e)
			}
		}
	}
}

// wait enters an envelope that nobody has attended, with its row where there is one.
func (l *Loop) wait(u queue.Unattended, row []byte, fresh bool) {
	if e := l.schedule.byRef[u.Ref]; e != nil {
		e.survey = l.surveys
		return
	}
	e := &entry{Unattended: u, stored: row, place: -1, survey: l.surveys}
	t, err := parseRow(u.Ref, row)
	switch {
	case err == nil:
		e.timer = t.reopened()
	default:
		if row != nil {
			l.damagedRow(u.Ref) // and begins again
		}
		e.timer = timer{}
		e.timer.Since = l.since(u, fresh)
		l.unnoted = append(l.unnoted, u.Ref)
	}
	l.schedule.byRef[u.Ref] = e
	l.expectPlan(u.Desk)
	l.reckon(e)
}

// since is the first moment that an envelope without a row waits: now when it has just
// come, and else when its sender made it, which may be earlier and is not later.
func (l *Loop) since(u queue.Unattended, fresh bool) time.Time {
	now := l.clock.now()
	if fresh {
		return now
	}
	return now.Add(-max(0, l.config.Now().Sub(time.Unix(int64(u.Created), 0))))
}

// reckon puts an entry where its next action is due.
func (l *Loop) reckon(e *entry) {
	_, due, ok := l.ladderOf(e).Next(l.stateOf(e))
	if !ok {
		l.forget(e)
		return
	}
	if e.tell.After(l.clock.now()) && e.tell.Before(due) {
		due = e.tell
	}
	e.due = due
	l.schedule.put(e)
}

// forget ends an entry, and its row with the next writes.
func (l *Loop) forget(e *entry) {
	l.schedule.remove(e)
	if e.stored != nil {
		l.changed[e] = struct{}{}
	} else {
		delete(l.changed, e)
	}
}

// arrive takes what came by other nodes. What a part of the journal gave is not given
// again, so it counts although another part is away.
func (l *Loop) arrive(ctx context.Context) error {
	if now := l.config.Elapsed(); now-l.arrivals < l.config.Beat/4 && !l.lookAll {
		return nil
	}
	l.arrivals = l.config.Elapsed()
	list, err := l.config.Journal.Arrived(ctx, l.lease.Term)
	switch {
	case errors.Is(err, ErrLost):
		l.lose()
		return nil
	case err != nil:
		l.lookAll = true
	}
	for _, u := range list {
		l.wait(u, nil, true)
	}
	return err
}

// look goes through all that waits, a part in each turn: when this node has taken over,
// when it may have missed something, and once per Config.Rescan.
func (l *Loop) look(ctx context.Context) error {
	if !l.lease.Held || l.survey == nil && !l.lookAll && l.config.Elapsed()-l.scanned < l.config.Rescan {
		return nil
	}
	if l.survey == nil {
		rows := make(map[queue.Ref][]byte)
		err := l.config.Journal.Rows(ctx, func(ref queue.Ref, row []byte) { rows[ref] = append([]byte(nil), row...) })
		if err != nil {
			return err
		}
		l.survey, l.lookAll = &survey{rows: rows}, false
		l.surveys++
	}
	list, err := l.config.Waiting.Waiting(ctx, l.survey.after, lookPage)
	if err != nil {
		return err
	}
	for _, u := range list {
		l.wait(u, l.survey.rows[u.Ref], false)
		delete(l.survey.rows, u.Ref)
	}
	if len(list) > 0 {
		l.survey.after = list[len(list)-1].Ref
		return nil
	}
	l.sweep()
	l.survey, l.scanned = nil, l.config.Elapsed()
	return nil
}

// sweep forgets what a survey that has ended did not see, rows of nothing, and plans of
// desks for which nothing waits. What came meanwhile counts as seen.
func (l *Loop) sweep() {
	waits := make(map[identity.DeskID]bool)
	for _, e := range l.schedule.byRef {
		if e.survey != l.surveys {
			l.forget(e)
			continue
		}
		waits[e.Desk] = true
	}
	for ref, row := range l.survey.rows {
		if l.schedule.byRef[ref] == nil {
			l.changed[&entry{Unattended: queue.Unattended{Ref: ref}, stored: row, place: -1}] = struct{}{}
		}
	}
	for desk := range l.plans {
		if !waits[desk] {
			delete(l.plans, desk)
		}
	}
}
