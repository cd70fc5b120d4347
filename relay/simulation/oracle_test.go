package simulation_test

import (
	"fmt"
	"slices"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/ladder"
	"schakel/relay/oncall"
	"schakel/relay/wire"
)

// What the promises allow.
const (
	within = 5*time.Second + 2*time.Second // of a deadline, and for a receipt that is late
	begins = 20 * time.Second              // a relay that has just started, or whose store has just come back
)

// outages is when something was away that a page needs.
type outages struct {
	list  [][2]time.Time
	since time.Time
}

// now says whether something is away from now on.
func (o *outages) now(away bool) {
	switch {
	case away && o.since.IsZero():
		o.since = time.Now()
	case !away && !o.since.IsZero():
		o.list, o.since = append(o.list, [2]time.Time{o.since, time.Now()}), time.Time{}
	}
}

// by is by when something must have happened that is due at a moment: who was away has to
// come back first.
func (o *outages) by(due time.Time) time.Time {
	by := due.Add(within + oncall.Gap(envelope.TierAcute))
	for _, gap := range o.list {
		if by.After(gap[0]) && due.Before(gap[1].Add(begins+ladder.Retry)) {
			by = gap[1].Add(begins + ladder.Retry)
		}
	}
	return by
}

// tally is what a simulation had to show.
type tally struct {
	letters, stored, delivered, again, expired, attended, pages, deaths int

	simulated time.Duration
}

func (n *tally) add(m tally) {
	n.letters, n.stored, n.delivered, n.again = n.letters+m.letters, n.stored+m.stored, n.delivered+m.delivered, n.again+m.again
	n.expired, n.attended, n.pages, n.deaths = n.expired+m.expired, n.attended+m.attended, n.pages+m.pages, n.deaths+m.deaths
	n.simulated += m.simulated
}

// judge adds to the faults what is wrong with what everybody saw.
func (w *world) judge() (n tally) {
	n.deaths, n.simulated = w.deaths, time.Since(w.began)
	n.pages = len(w.calls)
	for _, d := range w.devices {
		for _, l := range d.outbox {
			n.letters++
			w.judgeOffer(l, &n)
			if !l.stored.IsZero() {
				w.judgeDelivery(l, &n)
				w.judgePages(l, &n)
			}
		}
		for _, a := range d.arrived {
			n.delivered++
			n.again += a.times - 1
		}
		w.judgeOrder(d)
	}
	return n
}

func (w *world) find(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// mayExpire reports that the relay's clock has been past the end of a letter.
func (w *world) mayExpire(l *letter) bool { return !l.expires.After(w.latest) }

// judgeOffer: once nothing is wrong any more, everything is stored.
func (w *world) judgeOffer(l *letter, n *tally) {
	switch {
	case !l.stored.IsZero():
		n.stored++
	case l.refused == wire.CodeExpired && w.mayExpire(l):
		n.expired++
	case l.refused != wire.CodeOK:
		w.find("refused: %s of device %d: %v", l.id, l.from.number, l.refused)
	default:
		w.find("stuck: %s of device %d is not stored; offered at %v", l.id, l.from.number, w.since(l.offered))
	}
}

// judgeDelivery: what was promised was delivered, to every device; or its time was over,
// and its sender was told where nobody had it.
func (w *world) judgeDelivery(l *letter, n *tally) {
	got := 0
	for _, d := range w.devices {
		if slices.Contains(l.targets, d.ID) && d.arrived[l.id] != nil {
			got++
		}
	}
	switch {
	case got == len(l.targets):
	case w.mayExpire(l) && (got > 0 || l.late):
		n.expired++
	default:
		w.find("lost: %s of device %d for %s, promised at %v, came to %d of %d", l.id, l.from.number, l.desk, w.since(l.stored), got, len(l.targets))
	}
}

// settled reports that nothing more is to come that judge would look for.
func (w *world) settled() bool {
	for _, d := range w.devices {
		d.mu.Lock()
		defer d.mu.Unlock()
	}
	for _, d := range w.devices {
		for _, l := range d.outbox {
			if w.underWay(l) {
				return false
			}
		}
	}
	return true
}

func (w *world) underWay(l *letter) bool {
	if l.stored.IsZero() {
		return l.refused == wire.CodeOK
	}
	if w.mayExpire(l) {
		return time.Since(w.began) < troubled+time.Minute // for the word that it did
	}
	for _, d := range w.devices {
		if slices.Contains(l.targets, d.ID) && d.arrived[l.id] == nil {
			return true
		}
	}
	_, shown := w.shown(l)
	return l.tier == envelope.TierAcute && !shown && !time.Now().After(w.outages.by(l.stored.Add(climbs.Alarm)).Add(begins))
}

// judgeOrder: what was promised before the next was offered arrives before it.
func (w *world) judgeOrder(d *device) {
	for _, to := range w.devices {
		var before *letter // of those that were promised, the one with the greatest position
		list := slices.Clone(d.outbox)
		list = slices.DeleteFunc(list, func(l *letter) bool { return l.stored.IsZero() || to.arrived[l.id] == nil })
		slices.SortStableFunc(list, func(a, b *letter) int { return a.first.Compare(b.first) })
		for i, l := range list {
			for _, earlier := range list[:i] {
				if earlier.stored.Before(l.first) && (before == nil || to.arrived[earlier.id].position > to.arrived[before.id].position) {
					before = earlier
				}
			}
			if before != nil && to.arrived[before.id].position >= to.arrived[l.id].position {
				w.find("order: %s was promised before %s was offered, and came after it", before.id, l.id)
			}
		}
	}
}

// shown is when a token was shown first; false: never.
func (w *world) shown(l *letter) (first time.Time, ok bool) {
	for _, d := range w.devices {
		if a := d.arrived[l.id]; a != nil && !a.shown.IsZero() && (!ok || a.shown.Before(first)) {
			first, ok = a.shown, true
		}
	}
	return first, ok
}

// judgePages: people were called for what nobody attended, step by step, and its sender
// was told.
func (w *world) judgePages(l *letter, n *tally) {
	if l.tier != envelope.TierAcute || w.mayExpire(l) {
		return
	}
	shown, ok := w.shown(l)
	if ok {
		n.attended++
	}
	waitsAt := func(t time.Time) bool { return (!ok || shown.After(t)) && t.Before(time.Now()) }
	for i, step := range climbs.Steps {
		by := w.outages.by(l.stored.Add(step.After))
		if !waitsAt(by) {
			break
		}
		for _, c := range contacts(step.Level) {
			if !w.called(l, by, func(x call) bool { return x.contact == c }) {
				w.find("not paged: %s of %s for %s, promised at %v: step %d not by %v", c, l.desk, l.id, w.since(l.stored), i, w.since(by))
			}
		}
		if !w.called(l, by, func(x call) bool { return x.taken }) {
			w.find("not reached: nobody of %s for %s, promised at %v, by %v", l.desk, l.id, w.since(l.stored), w.since(by))
		}
	}
	if by := w.outages.by(l.stored.Add(climbs.Alarm)); waitsAt(by.Add(begins)) && !l.alarmed {
		w.find("not told: nobody attends %s, and its sender does not know", l.id)
	}
}

// contacts are whom a step means.
func contacts(level int) []string {
	switch level {
	case 0:
		return []string{"first"}
	case 1:
		return []string{"second"}
	}
	return []string{"first", "second", "fallback"}
}

// called reports that somebody of its desk was called since a letter may have been stored.
// One page is for all that waits, so it need not have been for this one alone.
func (w *world) called(l *letter, by time.Time, as func(call) bool) bool {
	return slices.ContainsFunc(w.calls, func(c call) bool {
		return c.desk == l.desk && as(c) && !c.at.Before(l.first) && !c.at.After(by)
	})
}

func (w *world) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(w.began).Round(time.Millisecond)
}
