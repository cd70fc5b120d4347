package schakel_test

import (
	"cmp"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// monthDays is how many days of normal operation four partners go through; make month asks
// for all of them. What happens, and when, is drawn from -seed; the clock stands still until
// every device and the relay wait, so it does not matter how fast the machine is.
var monthDays = flag.Int("month", 1, "simulated days of normal operation")

// begins is a Thursday before Easter: Easter and King's Day, Liberation Day and Ascension lie
// within the 46 days after it.
var begins = time.Date(2026, time.April, 2, 6, 0, 0, 0, calendar.Zone())

// bridge is the Friday after Ascension, on which the practice is closed. It is a working day,
// unless the partners agree that it is none, as configs/agreement.toml does for another year.
var bridge = calendar.Date{Year: 2026, Month: time.May, Day: 15}

// closedOn adds to a version of the protocol that nobody works on a day.
func closedOn(t testing.TB, day calendar.Date, c *protocol.Catalogue) *protocol.Catalogue {
	t.Helper()
	digest := c.Digest()
	out, err := c.Amend(fmt.Appendf(nil, "name = \"Test\"\non = \"sha256:%s\"\n[holidays]\nclosed = [%q]\n", hex.EncodeToString(digest[:]), day.String()))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

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

// month is a chain that works normally, in a bubble.
type month struct {
	*schakeltest.Chain
	t                       *testing.T
	rng                     *rand.Rand
	agreed                  *protocol.Catalogue // nil: the protocol as it is
	vt, hub, police, doctor *bureau
	all                     []*bureau
	tasks                   []task
	withhold                atomic.Pointer[func(identity.DeviceID, wire.Side, wire.Frame) bool]
	sent                    []letterSent
	newer                   bool     // which version of the program was rolled out last
	signals                 []string // that were acknowledged

	mu     sync.Mutex
	alarms map[string]time.Time // desk, kind, subject: since when

	restarts int
}

// inMonth has partners work from a moment on, under an agreement, until play is over.
func inMonth(t *testing.T, from time.Time, agreed *protocol.Catalogue, play func(*month)) {
	if _, err := os.Stat("/dev/shm"); err == nil { // each tick may write to a disk
		t.Setenv("TMPDIR", "/dev/shm")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newMonth(t, from.Add(-time.Hour), agreed)
		defer w.StopRelay()
		defer func() {
			for _, o := range w.all {
				for m := range o.awake {
					w.sleep(o, m)
				}
			}
			if t.Failed() {
				t.Log(w.Now(), w.told())
			}
		}()
		w.found()
		w.until(from)
		play(w)
	})
}

func newMonth(t *testing.T, now time.Time, agreed *protocol.Catalogue) *month {
	t.Helper()
	w := &month{Chain: schakeltest.PrepareUnder(t, now, agreed), agreed: agreed, t: t, rng: rand.New(rand.NewPCG(*deskSeed, 7)), alarms: map[string]time.Time{}}
	network := &threads{}
	w.Listen, w.Network, w.Every, w.Expire = network.listen, network.dial, 2*time.Minute, 30*time.Minute
	w.Tap = w.tap
	w.StartRelay()
	return w
}

// found makes the desks, and waits until they know each other.
func (w *month) found() {
	w.t.Helper()
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
				w.awaits("everybody seals to everybody", func() bool {
					return m.Node.TargetsForTest(other.desk) >= len(other.devices) || m.Node.TargetsForTest(other.desk) == 0 && o != w.vt
				})
			}
		}
	}
}

func (w *month) open(desk identity.DeskID, role identity.Role) *bureau {
	o := &bureau{desk: desk, devices: []*schakeltest.Member{w.Join(desk, role)}, awake: map[*schakeltest.Member]func(){}}
	w.all = append(w.all, o)
	return o
}

// tap withholds what a control withholds.
func (w *month) tap(device identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
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

// until lets time pass, and does what is due.
func (w *month) until(end time.Time) {
	for len(w.tasks) > 0 && w.tasks[0].at.Before(end) {
		next := w.tasks[0]
		w.tasks = w.tasks[1:]
		<-time.After(next.at.Sub(w.Now()))
		next.do()
	}
	<-time.After(end.Sub(w.Now()))
}

// awaits waits for what happens by itself: with the next statement at the latest, or the one after.
func (w *month) awaits(what string, cond func() bool) {
	w.t.Helper()
	for end := w.Now().Add(2 * time.Hour); !cond(); <-time.After(time.Second) {
		if w.Now().After(end) {
			w.t.Fatalf("%s: never happened: %s; alarms %v", w.Now().In(calendar.Zone()).Format(time.RFC1123), what, w.told())
		}
	}
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
			w.awaits("a device connects", func() bool {
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

// A month of normal operation, and two weeks: Easter and Ascension lie in it. Nobody is alarmed,
// and nothing is lost. Then three things are not normal: a message is withheld, a desk goes
// without a word, the register stands still; each is told.
func TestMonth(t *testing.T) {
	t.Logf("seed %d: repeat with -args -month=%d -seed=%d", *deskSeed, *monthDays, *deskSeed)
	started := time.Now()
	inMonth(t, begins, closedOn(t, bridge, protocol.V1()), func(w *month) {
		for d := range *monthDays {
			w.plan(begins.AddDate(0, 0, d))
		}
		end := begins.AddDate(0, 0, *monthDays)
		w.until(end)
		w.tasks = nil
		w.arrive(w.doctor)
		w.until(end.Add(time.Minute))
		w.whole()
		for _, a := range w.told() {
			w.t.Errorf("alarmed without cause: %s", a)
		}
		w.t.Logf("%d days, %d deliveries of messages, %d restarts, %d entries in the register", *monthDays, len(w.sent), w.restarts, w.Register().Size())
		w.withheld()
		w.missed()
		w.frozen()
	})
	t.Logf("in %v", time.Since(started).Round(time.Second))
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
	w.acknowledge(w.vt, s.Hash)
	w.hears(fmt.Sprintf("%s %s %s %s", w.hub.desk, schakel.AlarmUndelivered, s.Hash, w.police.desk))
	w.withhold.Store(nil)
	w.awaits("it comes after all", func() bool {
		sum, err := w.hub.devices[0].Node.Trace(w.t.Context(), s.Hash)
		return err == nil && stateAt(sum, w.police.desk) == schakel.StateDelivered
	})
	w.acknowledge(w.police, s.Hash)
}

func headerTier(raw []byte) envelope.Tier {
	h, _, err := envelope.ParsePrefix(raw)
	if err != nil {
		return envelope.TierNone
	}
	return h.Tier
}

// missed is a control: the machine of the police is switched off, and nobody said so.
func (w *month) missed() {
	w.t.Helper()
	m := w.police.devices[0]
	w.sleep(w.police, m)
	w.until(w.Now().Add(time.Hour))
	for _, o := range []*bureau{w.vt, w.hub} {
		w.hears(fmt.Sprintf("%s %s %s", o.desk, schakel.AlarmSilence, w.police.desk))
	}
	m.Reopen()
	w.wake(w.police, m)
	w.connected()
}

// frozen is a control: nobody is shown a newer register.
func (w *month) frozen() {
	w.t.Helper()
	deed := func(_ identity.DeviceID, from wire.Side, f wire.Frame) bool {
		_, is := f.(wire.Cosign)
		return is && from == wire.SideRelay
	}
	w.withhold.Store(&deed)
	w.until(w.Now().Add(25 * time.Hour))
	for _, o := range []*bureau{w.vt, w.hub, w.police} {
		w.hears(fmt.Sprintf("%s %s ageing", o.desk, schakel.AlarmFreshness))
	}
}

// hears waits for an alarm.
func (w *month) hears(alarm string) {
	w.t.Helper()
	w.awaits(alarm, func() bool {
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
