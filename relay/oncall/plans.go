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

// deskPlan is the plan of a desk as it was last read.
type deskPlan struct {
	raw     []byte
	plan    rota.Plan
	has     bool
	read    time.Duration // when, as Config.Elapsed counts
	ladders [envelope.TierAcute + 1]ladder.Ladder
}

// Ladders are the floors as tightened by a plan, or ladder.ErrLooser.
func Ladders(p rota.Plan) (all [envelope.TierAcute + 1]ladder.Ladder, err error) {
	for tier := range all {
		all[tier] = ladder.Floor(envelope.Tier(tier))
		own, ok := p.Ladder(envelope.Tier(tier))
		if !ok || tier == int(envelope.TierNone) {
			continue
		}
		by := ladder.Ladder{Repeat: own.Repeat, Alarm: own.Alarm, Acknowledgers: own.Acknowledgers}
		for _, s := range own.Steps {
			by.Steps = append(by.Steps, ladder.Step(s))
		}
		if all[tier], err = all[tier].Tightened(by); err != nil {
			return all, fmt.Errorf("tier %d: %w", tier, err)
		}
	}
	return all, nil
}

// planOf returns what is known of a desk's plan, reading it where nothing is.
func (l *Loop) planOf(ctx context.Context, desk identity.DeskID) *deskPlan {
	p := l.plans[desk]
	if p == nil || l.config.Elapsed()-p.read >= planAge {
		if err := l.readPlan(ctx, desk); err != nil {
			l.log.Warn("a plan cannot be read", "error", err.Error())
		}
		p = l.plans[desk]
	}
	if p == nil { // not read: the floor, the operator, and another attempt soon
		p = &deskPlan{}
		p.ladders, _ = Ladders(rota.Plan{})
	}
	return p
}

func (l *Loop) readPlan(ctx context.Context, desk identity.DeskID) error {
	raw, err := l.config.Journal.Plan(ctx, desk)
	if err != nil {
		return err
	}
	old := l.plans[desk]
	if old != nil && bytes.Equal(old.raw, raw) {
		old.read = l.config.Elapsed()
		return nil
	}
	p := &deskPlan{raw: raw, read: l.config.Elapsed()}
	if len(raw) > 0 {
		p.plan, err = rota.ParsePlan(raw)
		p.has = err == nil && p.plan.Desk == desk
	}
	if p.ladders, err = Ladders(p.plan); !p.has || err != nil {
		p.has = p.has && err == nil
		p.ladders, _ = Ladders(rota.Plan{})
	}
	if len(raw) > 0 && !p.has {
		l.log.Error("a plan is damaged", "desk", string(desk))
	}
	l.plans[desk] = p
	if old != nil {
		for _, e := range l.schedule.byRef {
			if e.Desk == desk {
				l.reckon(e)
			}
		}
	}
	return nil
}

// refreshPlans reads again the plans of desks for which something waits: a tightened
// ladder counts for that too.
func (l *Loop) refreshPlans(ctx context.Context) error {
	for desk, p := range l.plans {
		if l.config.Elapsed()-p.read < planAge {
			continue
		}
		if err := l.readPlan(ctx, desk); err != nil {
			return err
		}
	}
	return nil
}

// ladderOf is the ladder that an entry climbs. The sender is told with the first rung
// when there is no plan, and at once when nobody can be reached.
func (l *Loop) ladderOf(e *entry) ladder.Ladder {
	tier := min(e.Tier, envelope.TierAcute)
	all := l.plans[e.Desk]
	climbs := ladder.Floor(tier)
	if all != nil {
		climbs = all.ladders[tier]
		e.noPlan = !all.has
	}
	climbs.Acknowledgers = 1 // the relay knows one token, not who showed it
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
