package schakel

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/ladder"
	"schakel/relay/page"
	"schakel/relay/rota"
)

// Of one round: how much is done, and how fast.
const (
	maxErrands = 200
	sideBySide = 16
	// handover is how long each further device of a desk waits for those before it to
	// say that they paged. It is longer than a page may take, and counts into the floor
	// only where the first device is off.
	handover     = 20 * time.Second
	maxHandovers = 3
	// forward is how much later than computed anew a timer may stand: beyond that the
	// clock was set back while this device was off.
	forward = time.Minute
)

// spares is how long a contact who was reached is spared another page of no higher
// tier. What is due meanwhile is not dropped: who answered the first page may be asleep
// again. It goes out after that, as one for all that still waits. Each is shorter than
// handover, or another device of the desk would take it for silence.
var spares = map[envelope.Tier]time.Duration{
	envelope.TierRoutine: 15 * time.Second, envelope.TierUrgent: 15 * time.Second, envelope.TierAcute: 4 * time.Second,
}

// rung is one step for one call that is due now.
type rung struct {
	call
	watch    store.Watch
	action   ladder.Action
	contacts []rota.Contact
	errands  []int // of the round
	spared   bool  // a contact of it was reached a moment ago
}

// errand is one page to one contact through one channel.
type errand struct {
	contact  rota.Contact
	point    page.Point
	page     page.Page
	row      store.Paged
	outcome  page.Outcome
	numbered uint64
}

func (e errand) reached() bool { return e.outcome == page.Sent }

// round is what one look finds to do.
type round struct {
	now     time.Time // of the steady clock
	key     []byte
	fresh   bool // the key was made just now
	watches []store.Watch
	drop    []store.Watch
	rungs   []rung
	errands []errand
	blind   map[callKind]error // of which not all could be found

	lost    bool          // the timers cannot be read, nor written
	damaged bool          // they, or some of them
	unsound []store.Watch // those
}

func (r *round) nothing() bool { return len(r.watches)+len(r.drop)+len(r.rungs) == 0 }

// blindness is what kept the look from finding all that waits.
func (r *round) blindness() error {
	return errors.Join(slices.Collect(maps.Values(r.blind))...)
}

// look compares what waits with how far its ladders were climbed.
func (p *pager) look(tx *store.Tx, wall, now time.Time) (r round, err error) {
	r.now = now
	if r.key, err = p.n.pageKey(tx); err != nil {
		return r, err
	}
	if r.key == nil {
		r.key, r.fresh = make([]byte, 32), true
		rand.Read(r.key)
	}
	var calls []call
	calls, r.blind = p.calls(tx, wall)
	watches, err := p.timers(tx, &r)
	if err != nil {
		return r, err
	}
	for _, c := range calls {
		w, known := watches[c.id()]
		delete(watches, c.id())
		p.judge(&r, c, w, known, wall)
	}
	for _, w := range watches { // acknowledged, answered or dealt with; or not seen now
		if r.blind[callKind(w.Kind)] == nil {
			r.drop = append(r.drop, w)
		}
	}
	p.errands(&r)
	return r, nil
}

// judge takes one call into the round: its timer where that is new or wrong, and its
// next rung where that is due.
func (p *pager) judge(r *round, c call, w store.Watch, known bool, wall time.Time) {
	was, starts := w, r.now.Add(c.starts.Sub(wall))
	if !known {
		w = store.Watch{Kind: string(c.kind), Subject: c.subject, Since: starts}
	}
	if w.Since.After(starts.Add(forward)) {
		w.Since = starts
	}
	if w.Last.After(r.now) { // nobody knows how long ago that was: once too often is better than late
		w.Last = r.now.Add(-c.ladder.Repeat)
	}
	if w != was {
		r.watches = append(r.watches, w)
	}
	if w.Silenced {
		return
	}
	action, due, ok := c.ladder.Next(ladder.State{Since: w.Since, Rungs: w.Rungs, Last: w.Last, Unreached: w.Unreached, Alarmed: true, Acknowledged: len(c.signers)})
	if !ok || action.Kind != ladder.Call || r.now.Before(due.Add(p.rank())) {
		return
	}
	g := rung{call: c, watch: w, action: action, contacts: p.contacts(action.Level, wall)}
	if others := p.yetToSign(g.contacts, c.signers); len(others) < len(g.contacts) {
		// Where all of a level have signed it has been reached, and the next one is climbed to
		// in its time. Of everyone that cannot be said: then nobody is left to ask.
		g.contacts, g.spared = others, len(others) == 0 && action.Level != ladder.Everyone
	}
	r.rungs = append(r.rungs, g)
}

// yetToSign leaves out who signed already. A contact that is a function of the desk, such
// as the telephone that goes round, may be in anybody's hands.
func (p *pager) yetToSign(contacts []rota.Contact, signers []identity.PersonID) []rota.Contact {
	return slices.DeleteFunc(slices.Clone(contacts), func(c rota.Contact) bool {
		who, _ := p.roster.Person(c)
		return slices.ContainsFunc(signers, func(id identity.PersonID) bool { return who.Person == id.String() })
	})
}

// contacts is whom to call at a level. Without a roster that is nobody, and the alarm
// that nobody could be paged says so.
func (p *pager) contacts(level int, wall time.Time) []rota.Contact {
	if p.roster.IsZero() {
		return nil
	}
	if level == ladder.Everyone {
		return p.roster.Everyone(wall)
	}
	if levels := p.roster.OnCall(wall); level < len(levels) && len(levels[level]) > 0 {
		return levels[level]
	}
	return p.roster.Fallback
}

// rank is how long this device lets others of its desk go first: those that connect
// systems, which are always on, then by identifier. Who went first says so in a record.
func (p *pager) rank() time.Duration {
	devices := p.n.directory().DevicesOf(p.n.dev.Desk)
	devices = slices.DeleteFunc(devices, func(d trust.DeviceState) bool { return !d.UsableAt(p.n.now()) })
	slices.SortFunc(devices, func(a, b trust.DeviceState) int {
		if (a.Type == trust.DeviceGateway) != (b.Type == trust.DeviceGateway) {
			if a.Type == trust.DeviceGateway {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	before := slices.IndexFunc(devices, func(d trust.DeviceState) bool { return d.ID == p.n.dev.ID })
	return handover * time.Duration(min(max(before, 0), maxHandovers))
}

// errands makes of the rungs one page per contact and channel, however much waits. The
// page has the tier and the reference of the most pressing; it is marked as an exercise
// only where all of it is one.
func (p *pager) errands(r *round) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(r.rungs, func(a, b rung) int { return int(b.tier) - int(a.tier) })
	spared := func(g *rung, c rota.Contact) bool {
		last, ok := p.last[c]
		return ok && last.spares(*g, r.now)
	}
	r.rungs = slices.DeleteFunc(r.rungs, func(g rung) bool { // held back: it stays due, and is not begun
		return len(g.contacts) > 0 && !slices.ContainsFunc(g.contacts, func(c rota.Contact) bool { return !spared(&g, c) })
	})
	of := map[rota.Contact][]int{}
	for i := range r.rungs {
		g := &r.rungs[i]
		for _, c := range g.contacts {
			if spared(g, c) {
				g.spared = true
				continue
			}
			if _, ok := of[c]; !ok {
				of[c] = p.pageTo(r, c, *g)
			}
			g.errands = append(g.errands, of[c]...)
			for _, e := range of[c] {
				r.errands[e].page.Waiting++
				r.errands[e].page.Exercise = r.errands[e].page.Exercise && g.exercise
			}
		}
	}
}

// spares reports whether a page to the same contact now would say nothing more. What is
// real is never spared because an exercise was paged.
func (l called) spares(g rung, now time.Time) bool {
	return l.tier >= uint8(g.tier) && (!l.exercise || g.exercise) && now.Sub(l.at) < spares[g.tier]
}

func (p *pager) pageTo(r *round, c rota.Contact, g rung) (errands []int) {
	pg := page.Page{Tier: g.tier, Reference: page.Reference(r.key, []byte(g.id())), Exercise: g.exercise}
	for _, point := range p.n.points(p.roster.Points(c), c) {
		if len(r.errands) == maxErrands {
			break
		}
		errands = append(errands, len(r.errands))
		r.errands = append(r.errands, errand{contact: c, point: point, page: pg, row: store.Paged{
			Kind: string(g.kind), Subject: g.subject, Reference: pg.Reference, Tier: uint8(g.tier), Rung: g.action.Rung, Level: g.action.Level,
			Contact: string(c), Channel: point.Channel, At: r.now,
		}})
	}
	return errands
}

// points are the ways to a contact, and the hook of this machine where there is one.
func (n *Node) points(of []rota.Point, c rota.Contact) (out []page.Point) {
	for _, pt := range of {
		out = append(out, page.Point{Channel: pt.Channel, Target: pt.Target})
	}
	if n.channels.HasHook() {
		out = append(out, page.Point{Channel: page.Exec, Target: string(c)})
	}
	return out
}

// begin writes down what will be done, before anybody hears of it: after a crash it
// is known that these may have been paged.
func (r *round) begin(tx *store.Tx, device identity.DeviceID) (err error) {
	if r.fresh {
		if err := tx.SetSetting(settingPageKey, r.key); err != nil {
			return err
		}
	}
	for i := range r.rungs {
		w := &r.rungs[i].watch
		w.Rungs, w.Last, w.Unreached = w.Rungs+1, r.now, false
	}
	if !r.lost {
		if err := r.setTimers(tx); err != nil {
			return err
		}
	}
	for i := range r.errands {
		e := &r.errands[i]
		e.row.Device, e.row.Exercise, e.row.Waiting = device, e.page.Exercise, e.page.Waiting
		if e.numbered, err = tx.AddPaged(e.row); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) setTimers(tx *store.Tx) error {
	for _, w := range r.watches {
		if err := tx.SetWatch(w); err != nil {
			return err
		}
	}
	for _, w := range r.drop {
		if err := tx.DropWatch(w.Kind, w.Subject); err != nil {
			return err
		}
	}
	for _, g := range r.rungs {
		if err := tx.SetWatch(g.watch); err != nil {
			return err
		}
	}
	return nil
}

// call pages everybody at once: a channel that hangs holds up no other.
func (r *round) call(ctx context.Context, channels Channels) {
	var g errgroup.Group
	g.SetLimit(sideBySide)
	for i := range r.errands {
		e := &r.errands[i]
		g.Go(func() error {
			n, err := channels.For(e.point)
			if err == nil {
				err = n.Notify(ctx, e.page)
			}
			e.outcome = page.OutcomeOf(err)
			return nil
		})
	}
	_ = g.Wait()
}

// finish writes down what became of it. A rung that reached nobody makes the next one
// due at once, and alarms; one that did is told to the other devices of the desk.
func (r *round) finish(in *intake) error {
	for _, e := range r.errands {
		if err := in.tx.SetOutcome(e.numbered, string(e.outcome)); err != nil {
			return err
		}
		in.n.paging.count(e)
		in.n.log.Info("paged", "reference", e.page.Reference, "tier", int(e.page.Tier), "rung", e.row.Rung, "contact", string(e.contact), "channel", e.point.Channel, "outcome", string(e.outcome))
	}
	for _, g := range r.rungs {
		if err := in.rungDone(g, r.reached(g), r.lost); err != nil {
			return err
		}
	}
	return r.tell(in)
}

func (in *intake) rungDone(g rung, reached, lost bool) error {
	if reached {
		if err := in.tx.ClearAlarm(string(AlarmPager), g.id()); !isNotFound(err) {
			return err
		}
		return nil
	}
	if lost {
		return in.raise(AlarmPager, g.id(), "")
	}
	ws, err := in.tx.Watches()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(ws, func(w store.Watch) bool { return w.Kind == g.watch.Kind && w.Subject == g.watch.Subject })
	if i < 0 {
		return nil // acknowledged meanwhile
	}
	if ws[i].Rungs == g.watch.Rungs { // no further rung was begun meanwhile
		ws[i].Unreached = true
		if err := in.tx.SetWatch(ws[i]); err != nil {
			return err
		}
	}
	return in.raise(AlarmPager, g.id(), "")
}
