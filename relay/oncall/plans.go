package oncall

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/page"
	"schakel/relay/rota"
)

// planAge is how long a plan is gone by before it is read again: a colleague who
// takes over the shift is called soon after.
const planAge = 5 * time.Second

// plansRest is how long at most no plan is asked for after one could not be read, and no
// longer than that question took: a journal that keeps each question waiting would hold
// up every page by one wait per desk.
const plansRest = 2 * time.Second

// deskPlan is the plan of a desk as it was last read.
type deskPlan struct {
	raw     []byte
	plan    rota.Plan
	has     bool
	known   bool          // it was read, and not only expected
	read    time.Duration // when, as Config.Elapsed counts
	ladders [envelope.TierAcute + 1]ladder.Ladder
}

// Ladders are the floors as tightened by a plan, or ladder.ErrLooser.
func Ladders(p rota.Plan) (all [envelope.TierAcute + 1]ladder.Ladder, err error) {
	for tier := range all {
		if all[tier], err = p.Ladder(envelope.Tier(tier)); err != nil {
			return all, fmt.Errorf("tier %d: %w", tier, err)
		}
	}
	return all, nil
}

// planOf returns a desk's plan, read again when it is old. One that was never read and
// cannot be now is as none: the floor, and the operator.
func (l *Loop) planOf(ctx context.Context, desk identity.DeskID) *deskPlan {
	l.expectPlan(desk)
	if l.oldPlan(l.plans[desk]) {
		changed, err := l.readPlan(ctx, desk)
		if err != nil {
			l.log.Warn("a plan cannot be read", "error", err.Error())
		}
		if changed {
			l.reckonDesks(map[identity.DeskID]bool{desk: true})
		}
	}
	return l.plans[desk]
}

// oldPlan reports that a plan is to be read again, unless reading is at rest.
func (l *Loop) oldPlan(p *deskPlan) bool {
	now := l.config.Elapsed()
	return now-p.read >= planAge && now >= l.planless
}

// expectPlan has the plan of a desk read in this turn, where none is known.
func (l *Loop) expectPlan(desk identity.DeskID) {
	if l.plans[desk] == nil {
		p := &deskPlan{read: -planAge}
		p.ladders, _ = Ladders(rota.Plan{})
		l.plans[desk] = p
	}
}

// readPlan reports whether the plan is another than was known.
func (l *Loop) readPlan(ctx context.Context, desk identity.DeskID) (changed bool, err error) {
	l.expectPlan(desk)
	asked := l.config.Elapsed()
	raw, err := l.config.Journal.Plan(ctx, desk)
	old := l.plans[desk]
	if err != nil {
		failed := l.config.Elapsed()
		l.planless = failed + min(failed-asked, plansRest)
		return false, err
	}
	if old.known && bytes.Equal(old.raw, raw) {
		old.read = l.config.Elapsed()
		return false, nil
	}
	p := &deskPlan{raw: raw, read: l.config.Elapsed(), known: true}
	if len(raw) > 0 {
		p.plan, err = rota.ParsePlan(raw)
		if err == nil && p.plan.Desk != desk {
			err = ErrDesk
		}
		if err == nil {
			p.ladders, err = Ladders(p.plan)
		}
		if p.has = err == nil; !p.has {
			l.config.Metrics.damaged.Inc()
			l.log.Error("a plan is damaged", "desk", string(desk), "error", err.Error())
		}
	}
	if !p.has {
		p.ladders, _ = Ladders(rota.Plan{})
	}
	l.plans[desk] = p
	if old.has && !p.has {
		l.callOn(desk)
	}
	return true, nil
}

// callOn has what waits for a desk whose plan is gone climb on at once, to the operator:
// whom the plan named must not be the last who was called.
func (l *Loop) callOn(desk identity.DeskID) {
	for _, e := range l.schedule.byRef {
		if e.Desk == desk && e.timer.Rungs > 0 {
			e.timer.Unreached = true
			l.changed[e] = struct{}{}
		}
	}
}

// refreshPlans reads the plans of desks for which something came, and again those for
// which something waits: a tightened ladder counts for that too.
func (l *Loop) refreshPlans(ctx context.Context) error {
	desks := make(map[identity.DeskID]bool)
	defer func() { l.reckonDesks(desks) }()
	for desk, p := range l.plans {
		if !l.oldPlan(p) {
			continue
		}
		changed, err := l.readPlan(ctx, desk)
		if err != nil {
			return err
		}
		if changed {
			desks[desk] = true
		}
	}
	return nil
}

// reckonDesks reckons anew what waits for desks whose plans have changed.
func (l *Loop) reckonDesks(desks map[identity.DeskID]bool) {
	if len(desks) == 0 {
		return
	}
	for _, e := range l.schedule.byRef {
		if desks[e.Desk] && e.place >= 0 { // what is not in the order is being begun
			l.reckon(e)
		}
	}
}

// ladderOf is the ladder that an entry climbs. The sender is told with the first rung
// when there is no plan, and at once when nobody can be reached.
func (l *Loop) ladderOf(e *entry) ladder.Ladder {
	tier := min(e.Tier, envelope.TierAcute)
	all := l.plans[e.Desk]
	climbs := ladder.Floor(tier)
	if all != nil {
		climbs = all.ladders[tier]
		e.noPlan = all.known && !all.has
	}
	switch {
	case e.nobody:
		climbs.Alarm = 0
	case e.noPlan && len(climbs.Steps) > 0:
		climbs.Alarm = climbs.Steps[0].After
	}
	return climbs
}

// stateOf is how far an entry is, with a sender that is being told counted as told.
func (l *Loop) stateOf(e *entry) ladder.State {
	s := e.timer.State
	s.Alarmed = s.Alarmed || e.alarming || e.tell.After(l.clock.now())
	return s
}

// pointsOf are the ways to a contact that a plan may name: what runs a program here is
// for local configuration only.
func pointsOf(p rota.Plan, c rota.Contact) (list []page.Point) {
	for _, pt := range p.PointsOf(c) {
		if pt.Channel != page.Exec {
			list = append(list, page.Point{Channel: pt.Channel, Target: pt.Target})
		}
	}
	return list
}
