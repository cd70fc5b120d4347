package oncall

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// A page says "open Schakel", so one is enough for all that waits. After a page to a
// contact, further ones are held back for a while and go out as one, with how many
// envelopes it is for: for no time that matters when acute, and longer the less
// urgent. Nothing held back is dropped.
var gaps = [...]time.Duration{
	envelope.TierNone: time.Hour, envelope.TierRoutine: 15 * time.Minute,
	envelope.TierUrgent: time.Minute, envelope.TierAcute: 4 * time.Second,
}

// Gap is how long a page of a tier may be held back because the contact was paged.
func Gap(t envelope.Tier) time.Duration { return gaps[min(t, envelope.TierAcute)] }

// contact is somebody who is or was paged.
type contact struct {
	key     contactKey
	pending []*entry      // begun, and not yet sent
	last    time.Duration // when a page went out, as Config.Elapsed counts
}

// loudest drops what need not wait any more, and returns the loudest of what is left, of
// those the one that waits longest; false when nothing is left.
func (c *contact) loudest(s *schedule) (*entry, bool) {
	c.pending = slices.DeleteFunc(c.pending, func(e *entry) bool { return !s.has(e) })
	if len(c.pending) == 0 {
		return nil, false
	}
	return slices.MinFunc(c.pending, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.Tier, a.Tier), a.timer.Since.Compare(b.timer.Since))
	}), true
}

// free is when the contact may be paged for a tier again.
func (c *contact) free(t envelope.Tier) time.Duration { return c.last + Gap(t) }

// nextCall is how long until what is held back may go out.
func (l *Loop) nextCall() time.Duration {
	wait := time.Duration(1<<63 - 1)
	for _, c := range l.contacts {
		if first, ok := c.loudest(&l.schedule); ok {
			wait = min(wait, c.free(first.Tier)-l.config.Elapsed())
		}
	}
	return wait
}

// call sends the pages that may go out now.
func (l *Loop) call(ctx, pages context.Context) error {
	now := l.config.Elapsed()
	var free []*contact
	for key, c := range l.contacts {
		first, ok := c.loudest(&l.schedule)
		switch {
		case ok && c.free(first.Tier) <= now:
			free = append(free, c)
		case !ok && c.free(envelope.TierRoutine) <= now:
			delete(l.contacts, key)
		}
	}
	err := l.still(ctx, free)
	if errors.Is(err, queue.ErrIndeterminate) || !l.lease.Held {
		return err
	}
	for _, c := range free {
		if first, ok := c.loudest(&l.schedule); ok {
			c.last = now
			l.send(pages, c, first)
		}
	}
	return err
}

// mayBeStale is how long after its rung began a page goes out without another look.
const mayBeStale = time.Second

// still asks the journal whether what was held back still waits: it may have been
// attended at another node. One that does not answer holds up nothing.
func (l *Loop) still(ctx context.Context, free []*contact) error {
	var held []*entry
	for _, c := range free {
		for _, e := range c.pending {
			if l.clock.now().Sub(e.timer.Last) > mayBeStale && e.stored != nil && len(held) < MaxChanges && !slices.Contains(held, e) {
				held = append(held, e)
			}
		}
	}
	if len(held) == 0 {
		return nil
	}
	rows := make([][]byte, len(held))
	for i, e := range held {
		rows[i] = e.stored
	}
	_, err := l.write(ctx, held, rows)
	return err
}

// send pages one contact for all that is pending for it.
func (l *Loop) send(pages context.Context, c *contact, first *entry) {
	a := answer{entries: c.pending, row: wire.Paged{
		ID: first.ID, Tier: first.Tier, Waiting: uint64(len(c.pending)), Step: uint64(max(0, first.timer.Rungs-1)),
		Level: levelOnWire(first.level), Contact: string(c.key.contact), At: uint64(max(0, l.config.Now().Unix())),
		Reference: page.Reference(l.lease.Key[:], first.ID[:]),
	}, desks: desksOf(c.pending)}
	if held := len(c.pending) - 1; held > 0 {
		l.config.Metrics.merged.Add(float64(held))
	}
	c.pending = nil
	points, ways := l.config.Operator, l.config.Points
	if c.key == operator {
		a.row.Contact = operatorContact
		l.config.Metrics.operator.Inc()
	} else {
		points = pointsOf(l.planOf(pages, c.key.desk).plan, c.key.contact)
		ways = l.within(c.key.desk)
	}
	p := page.Page{Tier: first.Tier, Reference: a.row.Reference, Waiting: len(a.entries)}
	l.workers.Go(func() {
		a.sent = notify(pages, ways, l.config.Patience, p, points)
		l.leave(func(i *inbox) { i.answers = append(i.answers, a) })
	})
}

// operatorContact stands for the operator in a desk's log.
const operatorContact = "operator"

func levelOnWire(level int) uint64 {
	if level == ladder.Everyone {
		return wire.Everyone
	}
	return uint64(level)
}

func desksOf(entries []*entry) (list []identity.DeskID) {
	for _, e := range entries {
		if !slices.Contains(list, e.Desk) {
			list = append(list, e.Desk)
		}
	}
	return list
}

// sent is what became of a page at one point.
type sent struct {
	channel string
	outcome page.Outcome
}

// notify sends a page to the points of one contact: an acute one, and a test, to all
// at once, so that a channel that hangs holds up nothing; another to the first, and to
// all others at once where that does not take it. No points are one that is unusable.
func notify(ctx context.Context, points Points, patience time.Duration, p page.Page, list []page.Point) []sent {
	if len(list) == 0 {
		return []sent{{outcome: page.Unusable}}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	results := make([]sent, len(list))
	tried := 0
	if p.Tier != envelope.TierAcute && !p.Test {
		tried = 1
		if results[0] = notifyOne(ctx, points, p, list[0]); results[0].outcome == page.Sent {
			return results[:1]
		}
	}
	var all sync.WaitGroup
	for i := tried; i < len(list); i++ {
		all.Go(func() { results[i] = notifyOne(ctx, points, p, list[i]) })
	}
	all.Wait()
	return results
}

func notifyOne(ctx context.Context, points Points, p page.Page, point page.Point) sent {
	notifier, err := points.For(point)
	if err == nil {
		err = notifier.Notify(ctx, p)
	}
	return sent{point.Channel, page.OutcomeOf(err)}
}

func taken(results []sent) bool {
	return slices.ContainsFunc(results, func(s sent) bool { return s.outcome == page.Sent })
}

// answer is what became of a page to one contact.
type answer struct {
	entries []*entry
	desks   []identity.DeskID
	row     wire.Paged
	sent    []sent
}

func (l *Loop) answered(a answer) {
	ok := taken(a.sent)
	for _, s := range a.sent {
		row := a.row
		row.Channel, row.Outcome = s.channel, string(s.outcome)
		l.config.Metrics.paged(row)
		for _, desk := range a.desks {
			if len(l.unlogged[desk]) < mostUnlogged {
				l.unlogged[desk] = append(l.unlogged[desk], row)
			}
		}
	}
	l.log.Info("page", "reference", a.row.Reference, "tier", uint8(a.row.Tier), "waiting", a.row.Waiting, "taken", ok)
	for _, e := range a.entries {
		e.calls--
		e.reached = e.reached || ok
		if e.calls == 0 && l.schedule.has(e) {
			l.finish(e)
			l.reckon(e)
		}
	}
}
