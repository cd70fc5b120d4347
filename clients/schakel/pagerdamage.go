package schakel

import (
	"context"
	"errors"
	"maps"
	"slices"

	"schakel/clients/store"
)

// Timers are the one thing in the store that may be lost without losing a message: what
// waits is known without them. So damage to them ends no daemon and silences nobody. What
// waits climbs anew, by timers in memory, and somebody is told to look at the disk.

// pagerDamaged is the subject of the alarm that the timers of this device are damaged.
const pagerDamaged = "beschadigd"

// mostRungs is more than any ladder climbs.
const mostRungs = 1 << 16

func damaged(err error) bool {
	return errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrTampered)
}

// sound reports whether this program can have written a watch. Only what somebody was told
// by telephone is silenced: see silence.
func sound(w store.Watch) bool {
	return w.Rungs >= 0 && w.Rungs <= mostRungs && (!w.Silenced || w.Kind == string(callUnheard))
}

// checkTimers finds out whether the timers can be read. It is a transaction of its own:
// after damage a transaction takes no more.
func (p *pager) checkTimers(ctx context.Context) error {
	err := p.n.store.View(ctx, func(tx *store.Tx) error { _, err := tx.Watches(); return err })
	if damaged(err) {
		p.n.log.Error("timers damaged, what waits is paged anew", "err", err)
		p.n.timersLost.Store(true)
		return nil
	}
	return err
}

// timers returns how far each ladder was climbed. One that is not sound is as unknown.
func (p *pager) timers(tx *store.Tx, r *round) (map[string]store.Watch, error) {
	if r.lost = p.n.timersLost.Load(); r.lost {
		p.mu.Lock()
		defer p.mu.Unlock()
		r.damaged = true
		return maps.Clone(p.spare), nil
	}
	stored, err := tx.Watches()
	out := make(map[string]store.Watch, len(stored))
	for _, w := range stored {
		if sound(w) {
			out[w.Kind+" "+w.Subject] = w
			continue
		}
		r.damaged, r.unsound = true, append(r.unsound, w)
	}
	return out, err
}

// keepSpare keeps in memory what begin could not write down.
func (p *pager) keepSpare(r *round) {
	if !r.lost {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range r.watches {
		p.spare[w.Kind+" "+w.Subject] = w
	}
	for _, w := range r.drop {
		delete(p.spare, w.Kind+" "+w.Subject)
	}
	for _, g := range r.rungs {
		p.spare[g.id()] = g.watch
	}
}

// keepUnreached keeps in memory which rungs reached nobody.
func (p *pager) keepUnreached(r *round) {
	if !r.lost {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range r.rungs {
		if w, ok := p.spare[g.id()]; ok && w.Rungs == g.watch.Rungs {
			w.Unreached = !r.reached(g)
			p.spare[g.id()] = w
		}
	}
}

func (r *round) reached(g rung) bool {
	return g.spared || slices.ContainsFunc(g.errands, func(i int) bool { return r.errands[i].reached() })
}

// tellDamaged raises the alarm that timers were damaged. A person puts it away: that they
// are whole again says nothing about the disk.
func (p *pager) tellDamaged(ctx context.Context, r *round) error {
	if !r.damaged || p.toldDamaged {
		return nil
	}
	in := &intake{n: p.n, now: p.n.now()}
	err := p.n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		for _, w := range r.unsound { // another is begun in its place, or nothing waits
			if err := tx.DropWatch(w.Kind, w.Subject); err != nil {
				return err
			}
		}
		return in.raise(AlarmPager, pagerDamaged, "")
	})
	if err == nil {
		p.toldDamaged = r.lost // once: it stays so
		p.n.events.publish(in.events...)
	}
	return err
}
