package schakel_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// monthDays is how many days of normal operation four partners go through; make month asks
// for all of them. What happens, and when, is drawn from -seed; what happens at once is up to
// the machine all the same.
var monthDays = flag.Int("month", 1, "simulated days of normal operation")

// begins is a Thursday before Easter: Easter and King's Day, Liberation Day and Ascension lie
// within the 46 days after it.
var begins = time.Date(2026, time.April, 2, 6, 0, 0, 0, calendar.Zone())

// bureau is one desk: its devices, and who works there.
type bureau struct {
	desk    identity.DeskID
	devices []*schakeltest.Member // the first holds the organisation's key
	person  schakel.Person
	hours   bool // from eight to six on working days; its machine is off at other times
	awake   map[*schakeltest.Member]func()
}

func (o *bureau) runs() bool { return len(o.awake) > 0 }

// task is something that happens at a moment.
type task struct {
	at time.Time
	do func()
}

// month is a chain that works normally, on a clock that is moved.
type month struct {
	*schakeltest.Chain
	t                       *testing.T
	rng                     *rand.Rand
	vt, hub, police, doctor *bureau
	all                     []*bureau
	tasks                   []task
	withhold                atomic.Pointer[func(identity.DeviceID, wire.Side, wire.Frame) bool]
	sent                    []letterSent
	newer                   bool     // which version of the program was rolled out last
	signals                 []string // that were acknowledged

	passed atomic.Int64 // when the relay last carried something, by the clock of the test
	mu     sync.Mutex
	alarms map[string]time.Time // desk, kind, subject: since when

	careful        bool // go on in small steps: see calm
	restarts, lost int
}

func newMonth(t *testing.T, seed uint64) *month {
	t.Helper()
	w := &month{Chain: schakeltest.PrepareAt(t, begins), t: t, rng: rand.New(rand.NewPCG(seed, 7)), alarms: map[string]time.Time{}}
	w.Every = 10 * time.Millisecond
	w.Tap = w.tap
	w.StartRelay()
	w.vt, w.hub = w.open("vt20/crisis", identity.RoleVeiligThuis), w.open("knooppunt/piket", identity.RoleKnooppunt)
	w.police, w.doctor = w.open("politie-mn/meldkamer", identity.RolePolitie), w.open("arts/praktijk", identity.RoleSignaleerder)
	w.doctor.hours = true
	var keys []trust.VKey
	for _, o := range []*bureau{w.vt, w.hub, w.police} {
		keys = append(keys, o.devices[0].Witness(string(o.desk.Org())+".example/log"))
	}
	for _, o := range w.all {
		w.wake(o, o.devices[0])
		o.person = o.devices[0].AddPerson("P. van " + string(o.desk.Org()))
	}
	w.Demand(2, keys...)
	for _, o := range []*bureau{w.vt, w.hub} {
		w.enrol(o)
	}
	w.vt.devices[0].MoveClock(2 * time.Minute)
	w.vt.devices[1].MoveClock(-time.Minute)
	w.police.devices[0].MoveClock(-2 * time.Minute)
	for _, o := range w.all {
		for _, other := range w.all {
			if m := o.devices[0]; o != other && !(o == w.doctor && other == w.hub) {
				w.awaits("everybody seals to everybody", 0, func() bool {
					return m.Node.TargetsForTest(other.desk) >= len(other.devices) || m.Node.TargetsForTest(other.desk) == 0 && o != w.vt
				})
			}
		}
	}
	return w
}

func (w *month) open(desk identity.DeskID, role identity.Role) *bureau {
	o := &bureau{desk: desk, devices: []*schakeltest.Member{w.Join(desk, role)}, awake: map[*schakeltest.Member]func(){}}
	w.all = append(w.all, o)
	return o
}

// tap notes when something passes, and withholds what a control withholds.
func (w *month) tap(device identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	switch f.(type) {
	case wire.Put, wire.Deliver:
		w.passed.Store(time.Now().UnixNano())
	}
	if deed := w.withhold.Load(); deed != nil && (*deed)(device, from, f) {
		return nil
	}
	return []wire.Frame{f}
}

// wake runs a device, and hears each of its alarms though it be over at once.
func (w *month) wake(o *bureau, m *schakeltest.Member) {
	events, cancel := m.Node.Subscribe()
	node, ended := m.Node, make(chan struct{})
	go func() {
		defer close(ended)
		for e := range events {
			if e.Kind == schakel.EventAlarm || e.Kind == schakel.EventGap {
				w.note(o, node, e.Message)
			}
		}
	}()
	m.Start()
	o.awake[m] = func() { m.Stop(); cancel(); <-ended }
}

func (w *month) note(o *bureau, node *schakel.Node, subject string) {
	all, err := node.Alarms(w.t.Context())
	if err != nil {
		return // the device ended; what is on disk is looked at when it runs again
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.ContainsFunc(all, func(a schakel.Alarm) bool { return a.Subject == subject }) && subject != "" {
		all = append(all, schakel.Alarm{Kind: "over at once", Subject: subject})
	}
	for _, a := range all {
		key := fmt.Sprintf("%s %s %s %s", o.desk, a.Kind, a.Subject, a.Code)
		if w.alarms[key].IsZero() {
			w.alarms[key] = w.Now()
		}
	}
}

func (w *month) sleep(o *bureau, m *schakeltest.Member) {
	o.awake[m]()
	delete(o.awake, m)
}

// enrol gives an office a further device.
func (w *month) enrol(o *bureau) {
	m := o.devices[0].Sibling()
	o.devices = append(o.devices, m)
	w.wake(o, m)
}

// at plans something.
func (w *month) at(at time.Time, do func()) {
	w.tasks = append(w.tasks, task{at, do})
	slices.SortStableFunc(w.tasks, func(a, b task) int { return a.at.Compare(b.at) })
}

// soon plans something after so many minutes at least and at most.
func (w *month) soon(least, most int, do func()) {
	w.at(w.Now().Add(time.Duration(least+w.rng.IntN(most-least+1))*time.Minute), do)
}

// until lets time pass, by less than what two statements are apart, and does what is due.
func (w *month) until(end time.Time) {
	for w.Now().Before(end) {
		next := w.Now().Add(time.Duration(15+w.rng.IntN(25)) * time.Minute)
		if w.careful {
			next = w.Now().Add(5 * time.Minute)
		}
		if end.Before(next) {
			next = end
		}
		if len(w.tasks) > 0 && w.tasks[0].at.Before(next) {
			next = w.tasks[0].at
		}
		if d := next.Sub(w.Now()); d > 0 {
			w.Pass(d)
		}
		for len(w.tasks) > 0 && !w.tasks[0].at.After(w.Now()) {
			do := w.tasks[0].do
			w.tasks = w.tasks[1:]
			do()
		}
		w.calm()
	}
}

// calm waits until what is on its way between devices that run has arrived, and everybody has
// said what is due. Within that the clock goes on by itself, as it does outside: fast over the
// pauses that devices make, and then at twice its pace at most, so that a machine that is slow
// makes no message late.
func (w *month) calm() {
	w.t.Helper()
	w.careful = false
	for began, last, fast := time.Now(), time.Now(), 0; ; fast++ {
		missing, lost := w.restless()
		if missing == "" {
			return
		}
		if lost && time.Since(began) > quiet && time.Since(time.Unix(0, w.passed.Load())) > quiet {
			w.careful = true // such as a statement lost with a connection: the next one says the same
			w.lost++
			return
		}
		if time.Since(began) > patience {
			w.t.Fatalf("%s: never calm: %s; alarms %v", w.Now().In(calendar.Zone()).Format(time.RFC1123), missing, w.told())
		}
		<-time.After(3 * time.Millisecond)
		if fast < 60 {
			w.Pass(50 * time.Millisecond)
		} else {
			w.Pass(min(time.Since(last), 50*time.Millisecond))
		}
		last = time.Now()
	}
}

// quiet is how long nothing passes when nothing is on its way, and patience how long the
// slowest machine may take for what takes moments: neither is a measure of speed.
const (
	quiet    = 4 * time.Second
	patience = 5 * time.Minute
)

// awaits waits for something, and lets so much time pass every half second.
func (w *month) awaits(what string, step time.Duration, cond func() bool) {
	w.t.Helper()
	for began, polls := time.Now(), 1; !cond(); polls++ {
		if time.Since(began) > patience {
			w.t.Fatalf("never happened: %s", what)
		}
		<-time.After(10 * time.Millisecond)
		if polls%50 == 0 {
			w.Pass(step)
		}
	}
}

// restless says what is missing, and whether it can be nothing but what comes with the next
// statement or the next word of witnesses.
func (w *month) restless() (missing string, lost bool) {
	for _, o := range w.all {
		for m := range o.awake {
			now := m.Node.NowForTest()
			// A word that was not enough when it was asked for, because a clock or a daemon was
			// behind, comes with the next question of the relay: within half an hour.
			if at := m.Node.VouchedForTest(); now.Sub(at) > 80*time.Minute {
				lost = now.Sub(at) < 3*time.Hour && (lost || missing == "")
				missing = cmp.Or(missing, fmt.Sprintf("%s has the word of witnesses of %v", o.desk, at))
			}
			if behind := m.Node.BehindForTest(); behind > 0 {
				missing, lost = fmt.Sprintf("%s lacks %d entries of the register", o.desk, behind), false
			}
			view(w.t, m, func(tx *store.Tx) error {
				peers, err := tx.OpenPeers()
				for _, p := range peers {
					if other := w.office(p.Desk); err != nil || !other.runs() || other == o && len(o.awake) == 1 {
						continue
					}
					ds, err := tx.Outgoing(p.Desk, now)
					switch {
					case err != nil:
						return err
					case len(ds) > 0 && p.Desk == o.desk: // what was for a device that is gone stays until it expires
						lost = lost || missing == ""
						missing = cmp.Or(missing, fmt.Sprintf("%s has %d for itself", o.desk, len(ds)))
					case p.Desk == o.desk:
					case len(ds) > 0:
						missing, lost = fmt.Sprintf("%s has %d for %s", o.desk, len(ds), p.Desk), false
					case now.Sub(p.StatementOut) > time.Hour+time.Minute:
						missing, lost = fmt.Sprintf("%s owes %s a statement since %v", o.desk, p.Desk, p.StatementOut), false
					case p.NextDue.Unix() > 0 && now.Sub(p.NextDue) > 12*time.Minute:
						lost = lost || missing == ""
						missing = cmp.Or(missing, fmt.Sprintf("%s heard nothing of %s since %v", o.desk, p.Desk, p.NextDue))
					}
				}
				if err != nil {
					return err
				}
				rs, err := tx.Unstated(now, 100)
				for _, r := range rs {
					if other := w.office(r.Desk); other != o && other.runs() {
						lost = lost || missing == ""
						missing = cmp.Or(missing, fmt.Sprintf("a device of %s did not hear that %s has %s", o.desk, r.Desk, r.Message))
					}
				}
				return err
			})
		}
	}
	return missing, lost
}

func (w *month) office(desk identity.DeskID) *bureau {
	return w.all[slices.IndexFunc(w.all, func(o *bureau) bool { return o.desk == desk })]
}

// told are the alarms so far, by moment, but those that are right.
func (w *month) told(right ...string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := make([]string, 0, len(w.alarms))
	for key := range w.alarms {
		if !slices.ContainsFunc(right, func(r string) bool { return strings.HasPrefix(key, r) }) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(w.alarms[a].Compare(w.alarms[b]), cmp.Compare(a, b)) })
	for _, key := range keys {
		out = append(out, w.alarms[key].In(calendar.Zone()).Format("Mon 2 Jan 15:04 ")+key)
	}
	return out
}

// connected waits until every device that runs is.
func (w *month) connected() {
	w.t.Helper()
	for _, o := range w.all {
		for m := range o.awake {
			last := ""
			defer func() {
				if w.t.Failed() {
					w.t.Logf("%s: %s", o.desk, last)
				}
			}()
			w.awaits("a device connects", 0, func() bool {
				s, err := m.Node.Status(w.t.Context())
				last = s.LastError
				return err == nil && s.Connected
			})
		}
	}
}

// whole is the oracle of what arrived: every message, once, and nothing else.
func (w *month) whole() {
	w.t.Helper()
	for _, o := range w.all {
		for _, m := range o.devices {
			list, err := m.Node.List(w.t.Context(), schakel.Filter{Limit: 10_000})
			if err != nil {
				w.t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, s := range list {
				if seen[s.Hash] {
					w.t.Errorf("%s has %.8s twice", o.desk, s.Hash)
				}
				seen[s.Hash] = true
			}
			if m != o.devices[0] {
				continue // it has what came since it is there
			}
			for _, s := range w.sent {
				if s.to != o.desk {
					continue
				}
				if !seen[s.hash] {
					w.t.Errorf("%s never had %.8s", o.desk, s.hash)
				}
				delete(seen, s.hash)
			}
			if len(seen) > 0 {
				w.t.Errorf("%s has %d messages that nobody sent", o.desk, len(seen))
			}
		}
	}
	for _, s := range w.sent {
		for _, m := range w.office(s.from).devices[:1] {
			sum, err := m.Node.Trace(w.t.Context(), s.hash)
			if err != nil && !errors.Is(err, schakel.ErrNotFound) {
				w.t.Fatal(err)
			}
			if state := stateAt(sum, s.to); state != schakel.StateDelivered && state != schakel.StateOpened && state != schakel.StateAcknowledged {
				w.t.Errorf("%.8s is %s at %s", s.hash, state, s.to)
			}
		}
	}
}

// A month of normal operation, and two weeks: Easter and Ascension lie in it. Nobody is alarmed but
// where somebody should be, and nothing is lost. Then two things are not normal: a message
// is withheld, the register stands still, and both are told.
func TestMonth(t *testing.T) {
	t.Parallel()
	seed := *deskSeed
	t.Logf("seed %d: repeat with -args -month=%d -seed=%d", seed, *monthDays, seed)
	w := newMonth(t, seed)
	for d := range *monthDays {
		w.plan(begins.AddDate(0, 0, d))
	}
	started := time.Now()
	defer func() {
		if t.Failed() {
			t.Log(w.Now(), w.told())
		}
	}()
	w.until(begins.AddDate(0, 0, *monthDays))
	w.tasks = nil
	w.arrive(w.doctor)
	w.calm()
	w.whole()
	for _, a := range w.told() {
		t.Errorf("alarmed without cause: %s", a)
	}
	t.Logf("%d days, %d deliveries of messages, %d restarts, %d entries in the register, %d times something came with what was next, in %v", *monthDays, len(w.sent), w.restarts, w.Register().Size(), w.lost, time.Since(started).Round(time.Second))
	w.withheld()
	w.frozen()
}

// withheld is a control: the relay keeps a message from the police.
func (w *month) withheld() {
	w.t.Helper()
	victim := w.police.devices[0].Node.Device()
	deed := func(device identity.DeviceID, from wire.Side, f wire.Frame) bool {
		mail, is := f.(wire.Deliver)
		return is && from == wire.SideRelay && device == victim && headerTier(mail.Envelope) > envelope.TierNone
	}
	w.withhold.Store(&deed)
	s := w.say(w.hub, schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{w.vt.desk, w.police.desk}})
	w.acknowledgeNow(w.vt, s.Hash)
	w.Pass(3 * time.Minute)
	w.hears(fmt.Sprintf("%s %s %s %s", w.hub.desk, schakel.AlarmUndelivered, s.Hash, w.police.desk))
	w.withhold.Store(nil)
	w.Pass(2 * time.Minute) // it is made again
	w.awaits("it comes after all", 5*time.Minute, func() bool {
		sum, err := w.hub.devices[0].Node.Trace(w.t.Context(), s.Hash)
		return err == nil && stateAt(sum, w.police.desk) == schakel.StateDelivered
	})
	w.acknowledge(w.police, s.Hash, nil)
}

func headerTier(raw []byte) envelope.Tier {
	h, _, err := envelope.ParsePrefix(raw)
	if err != nil {
		return envelope.TierNone
	}
	return h.Tier
}

// frozen is a control: nobody is shown a newer register.
func (w *month) frozen() {
	w.t.Helper()
	deed := func(_ identity.DeviceID, from wire.Side, f wire.Frame) bool {
		_, is := f.(wire.Cosign)
		return is && from == wire.SideRelay
	}
	w.withhold.Store(&deed)
	w.Pass(25 * time.Hour)
	for _, o := range []*bureau{w.vt, w.hub, w.police} {
		w.hears(fmt.Sprintf("%s %s ageing", o.desk, schakel.AlarmFreshness))
	}
}

// hears waits for an alarm.
func (w *month) hears(alarm string) {
	w.t.Helper()
	w.awaits(alarm, time.Minute, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for key := range w.alarms {
			if strings.HasPrefix(key, alarm) {
				return true
			}
		}
		return false
	})
}
