package schakel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/clients/roster"
	"schakel/clients/store"
	"schakel/relay/page"
	"schakel/relay/rota"
)

// Channels are the ways in which this device can page somebody: page.Channels.
type Channels interface {
	For(page.Point) (page.Notifier, error)
	// HasHook reports that a program of this machine is to hear of every page too.
	HasHook() bool
}

// pager is this device's own: the relay's is another, and this one believes neither
// it nor its silence. It goes by what is in the store, which only signatures change.
type pager struct {
	n       *Node
	calling errgroup.Group // pages on their way

	mu    sync.Mutex              // guards what follows
	last  map[rota.Contact]called // when a contact was last reached, so that a storm is one page
	spare map[string]store.Watch  // the timers, where those of the store are damaged

	// Owned by pages.
	roster roster.Roster
	looked bool // once: an alarm of before a restart may stand
	blind  bool // the alarm stands that not all that waits could be found

	toldDamaged bool // the alarm was raised that the timers cannot be read
}

type called struct {
	at       time.Time
	tier     uint8
	exercise bool
}

// pages keeps the timers of what waits for a person of this desk, and pages who is on
// call. It returns when ctx ends, or when the store can no longer be trusted.
func (n *Node) pages(ctx context.Context) error {
	if n.channels == nil {
		return nil
	}
	p := &pager{n: n, last: map[rota.Contact]called{}, spare: map[string]store.Watch{}}
	err := p.keep(ctx)
	return errors.Join(err, p.calling.Wait())
}

// keep makes rounds until ctx ends.
func (p *pager) keep(ctx context.Context) error {
	n := p.n
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for started := false; ; {
		err := p.checkTimers(ctx)
		if err == nil && !started {
			err = p.recover(ctx)
			started = err == nil
		}
		if started {
			err = p.round(ctx)
			n.rounds.Add(1)
			n.beat.Store(n.now().Unix())
		}
		if ctx.Err() != nil {
			return nil
		}
		if fatal := new(fatalError); errors.As(err, &fatal) {
			return err
		}
		if err != nil {
			n.log.Error("pager failed, will try again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// outcomeInterrupted is a page that a crash came in between: it may have gone out.
const outcomeInterrupted = "interrupted"

// recover deals with pages that were begun when this device died. Nobody knows whether
// they went out, so the next rung is due at once: twice is better than never.
func (p *pager) recover(ctx context.Context) error {
	return p.n.update(ctx, func(tx *store.Tx) error {
		begun, err := tx.Pages(store.PagedQuery{Begun: true, Limit: maxList})
		if err != nil || len(begun) == 0 {
			return err
		}
		unsure := map[string]bool{}
		for _, b := range begun {
			unsure[b.Kind+" "+b.Subject] = true
			if err := tx.SetOutcome(b.Number, outcomeInterrupted); err != nil {
				return err
			}
		}
		if p.n.timersLost.Load() {
			return nil // all timers begin anew
		}
		ws, err := tx.Watches()
		for _, w := range ws {
			if err == nil && unsure[w.Kind+" "+w.Subject] {
				w.Rungs, w.Last = max(w.Rungs-1, 0), time.Time{}
				err = tx.SetWatch(w)
			}
		}
		return err
	})
}

// round does once what is due: it writes down whom it will page, pages them, and
// writes down what became of it.
func (p *pager) round(ctx context.Context) error {
	now, ticked := p.n.clock.read(p.n.now)
	known, err := p.n.rosterOrNone(ctx)
	if err == nil {
		p.roster = known
	} else { // the one from before is better than nobody
		p.n.log.Error("rota not read, pages go by the one from before", "err", err)
	}
	var r round
	err = p.n.store.View(ctx, func(tx *store.Tx) error {
		r, err = p.look(tx, now, ticked)
		return err
	})
	if err == nil {
		err = errors.Join(p.tellBlind(ctx, r.blindness() != nil), p.tellDamaged(ctx, &r))
	}
	if err != nil || r.nothing() {
		return errors.Join(err, r.blindness())
	}
	// It is looked again in the transaction that writes: meanwhile another device may
	// have said that it paged, or a person have acknowledged.
	err = p.n.update(ctx, func(tx *store.Tx) error {
		if r, err = p.look(tx, now, ticked); err != nil {
			return err
		}
		return r.begin(tx, p.n.dev.ID)
	})
	if err != nil {
		return err
	}
	p.keepSpare(&r)
	p.calling.Go(func() error {
		err := p.carryOut(ctx, &r, now)
		if fatal := new(fatalError); err != nil && !errors.As(err, &fatal) {
			p.n.log.Error("outcomes of pages not written down", "err", err) // at the next start they count as interrupted
			return nil
		}
		return err
	})
	return r.blindness()
}

// tellBlind raises or ends the alarm that not all that waits could be found: what was
// found is paged, and somebody must look for the rest.
func (p *pager) tellBlind(ctx context.Context, blind bool) error {
	if p.looked && blind == p.blind {
		return nil
	}
	in := &intake{n: p.n, now: p.n.now()}
	err := p.n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		if blind {
			return in.raise(AlarmPager, pagerBlind, "")
		}
		return in.clear(AlarmPager, pagerBlind)
	})
	if err == nil {
		p.looked, p.blind = true, blind
		p.n.events.publish(in.events...)
	}
	return err
}

// pagerBlind is the subject of the alarm that not all that waits could be found.
const pagerBlind = "onleesbaar"

// carryOut pages, and writes down what became of it, beside the rounds that follow: a
// channel that hangs must not make the next rung late.
func (p *pager) carryOut(ctx context.Context, r *round, now time.Time) error {
	r.call(ctx, p.n.channels)
	in := &intake{n: p.n, now: now}
	err := p.n.update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		return r.finish(in)
	})
	if err != nil {
		return err
	}
	p.remember(r)
	p.keepUnreached(r)
	p.n.written(in.events, nil)
	return nil
}

func (p *pager) remember(r *round) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range r.errands {
		if e.reached() {
			p.last[e.contact] = called{at: r.now, tier: uint8(e.page.Tier), exercise: e.page.Exercise}
		}
	}
}

// steadyClock is a clock for timers. A clock that is set back must not make anybody wait
// longer, so it never goes back; one that is set forward, as after a machine slept,
// is believed: to page early is better than late. A time of the one clock means nothing to
// the other: two devices of which both had been set back took each other's pages for an
// hour old, and paged everybody every few seconds.
type steadyClock struct {
	mu        sync.Mutex // guards what follows
	wall, now time.Time
}

// read returns the time on the wall, and that of timers.
func (s *steadyClock) read(clock func() time.Time) (wall, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wall = clock()
	switch {
	case s.wall.IsZero():
		s.now = wall
	case wall.After(s.wall):
		s.now = s.now.Add(wall.Sub(s.wall))
	}
	s.wall = wall
	return wall, s.now
}

// pageKey is the secret that references are made with. It is this device's own.
func (n *Node) pageKey(tx *store.Tx) ([]byte, error) {
	key, err := tx.Setting(settingPageKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("failed to read the key of references: %w", err)
	}
	return key, nil
}

const settingPageKey = "page-key"

// silence ends the pages about a message of ours that nobody acknowledged: who puts the
// alarm away has telephoned. What waits for this desk itself only an acknowledgement ends.
func (n *Node) silence(tx *store.Tx, kind AlarmKind, subject string) error {
	if kind != AlarmUnacknowledged {
		return nil
	}
	if n.timersLost.Load() {
		n.log.Error("pages cannot be silenced: the timers are damaged")
		return nil
	}
	ws, err := tx.Watches()
	for _, w := range ws {
		if err == nil && w.Kind == string(callUnheard) && w.Subject == subject {
			w.Silenced = true
			err = tx.SetWatch(w)
		}
	}
	return err
}

// rosterOrNone is the zero roster where this desk has none.
func (n *Node) rosterOrNone(ctx context.Context) (roster.Roster, error) {
	r, err := n.Roster(ctx)
	if errors.Is(err, ErrNoRota) {
		return roster.Roster{}, nil
	}
	return r, err
}
