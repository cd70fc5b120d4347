package schakel

import (
	"context"
	"errors"
	"time"

	"schakel/clients/store"
	"schakel/relay/wire"
)

// planLife is how old a plan may be at the relay: it reaches 14 days, so that a desk
// whose devices are all off for a long weekend is still called by its rota.
const planLife = 24 * time.Hour

// published is how far the rota of this desk has come at the relay. The zero value is
// not at all.
type published struct {
	session  *session // that it was offered in; another one is offered it again
	revision string
	at       time.Time // offered
	taken    time.Time // by the relay
	latest   uint64    // serial that the relay says it has
	refused  string    // why it did not take ours; empty: it did, or has not answered
	tries    int       // with one revision in one session
	open     bool      // offered, and not answered
	silent   int       // sessions in a row that ended so
}

// maxPlanTries bounds what a relay that always refuses can make this device say. One
// that ends sessions instead of answering, because it is older than plans, is left alone
// for an hour after a few: no rota is worth the connection that messages travel by.
const (
	maxPlanTries  = 3
	maxPlanSilent = 2
	planRest      = time.Hour
	planNoAnswer  = "no-answer"
)

// keepRota looks at the gaps of the coming 14 days, and publishes the plan when the rota
// changed, after every new connection, and daily.
func (n *Node) keepRota(ctx context.Context) error {
	in := &intake{n: n, now: n.now()}
	err := n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		n.mu.Lock()
		mute := n.plan.refused == planNoAnswer
		n.mu.Unlock()
		if mute {
			if err := in.raise(AlarmRota, rotaPlan, planNoAnswer); err != nil {
				return err
			}
		}
		if err := in.watchDrill(); err != nil {
			return err
		}
		return in.watchRota()
	})
	if err != nil {
		return err
	}
	n.events.publish(in.events...)
	return n.publishPlan(ctx)
}

func (n *Node) publishPlan(ctx context.Context) error {
	s := n.live()
	if s == nil || !s.online.Load() {
		return nil
	}
	var now settled
	err := n.store.View(ctx, func(tx *store.Tx) (err error) {
		now, err = n.rota(tx)
		return err
	})
	if errors.Is(err, ErrNoRota) {
		return nil
	}
	if err != nil {
		return err
	}
	serial, due := n.nextSerial(s, now)
	if !due {
		return nil
	}
	p, _, err := now.roster.Plan(n.dev.Desk, serial, n.now())
	if err != nil {
		return err
	}
	raw, err := p.Encode()
	if err != nil {
		return err
	}
	return s.say(ctx, wire.Plan{Plan: raw})
}

// nextSerial says whether a plan is due in this session, and under which serial: when
// the rota was decided, then when it is published. Who knows a later decision has the
// higher one, so a colleague that has not heard of it cannot put the old plan back; and
// of one decision the plan that reaches furthest counts.
func (n *Node) nextSerial(s *session, now settled) (serial uint64, due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &n.plan
	if p.session != s && p.open {
		p.open, p.silent = false, p.silent+1
	}
	if p.silent >= maxPlanSilent {
		p.refused = planNoAnswer
		if n.now().Sub(p.at) < planRest {
			return 0, false
		}
	}
	same := p.session == s && p.revision == now.revision
	if same && (p.refused == "" && n.now().Sub(p.at) < planLife || p.tries >= maxPlanTries && p.refused != "") {
		return 0, false
	}
	decided := now.last.Record.Created
	if same && p.latest>>32 > decided {
		return 0, false // a colleague's device told the relay of a later one; it is on its way here
	}
	serial = decided<<32 | unix(n.now())&(1<<32-1)
	if p.latest>>32 == decided {
		serial = max(serial, p.latest+1)
	}
	if !same {
		p.tries = 0
	}
	p.session, p.revision, p.at, p.refused = s, now.revision, n.now(), ""
	p.tries++
	p.open = true
	return serial, true
}

// planIs hears which plan the relay goes by. One that it refuses is tried again above
// the serial that it names; what stays refused somebody must know of, because the relay
// goes on calling by an old rota.
func (n *Node) planIs(ctx context.Context, f wire.PlanIs) error {
	n.mu.Lock()
	n.plan.latest, n.plan.open, n.plan.silent = f.Serial, false, 0
	if f.Code == wire.CodeOK {
		n.plan.taken, n.plan.refused = n.now(), ""
	} else {
		n.plan.refused = f.Code.String()
	}
	if !f.Code.Final() {
		n.plan.tries = 0 // it can do so later, or this relay calls nobody: asked again by the minute
	}
	again := f.Code.Final() && n.plan.tries < maxPlanTries
	refused := ""
	if f.Code.Final() {
		refused = n.plan.refused
	}
	n.mu.Unlock()
	if again {
		n.replan.Store(true)
		n.poke()
		return nil
	}
	in := &intake{n: n, now: n.now()}
	err := n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		return in.raiseWhile(refused != "", rotaPlan, refused)
	})
	n.events.publish(in.events...)
	return err
}
