package schakel_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// evilRuns is how many random relays three partners have to live with; make evil asks for
// more. What happens is drawn from -seed, and the order in which frames pass is that of the
// machine, so that a seed repeats what the relay does and not each interleaving.
var evilRuns = flag.Int("evil", 1, "random dishonest relays")

// random is three honest partners and a relay that does what was drawn.
type random struct {
	*schakeltest.Chain
	op                *schakeltest.Operator
	rng               *rand.Rand
	doctor, safe, hub *schakeltest.Member
	sent              []letterSent
	log               []string // what the relay did, for whoever looks at a failure
}

// letterSent is what the oracle knows of a message: who said it to whom, and how long the
// sender may go without a word of the recipient and without an alarm.
type letterSent struct {
	hash     string
	from, to identity.DeskID
	at       time.Time
	term     time.Duration
}

// observed is what a look at all partners shows.
type observed struct {
	now    time.Time
	held   map[identity.DeskID][]string
	states map[string]schakel.State // by hash and desk
	alarms map[identity.DeskID][]schakel.Alarm
	gaps   map[identity.DeskID]time.Duration // the age of the oldest
}

// theirOwn are alarms about what people leave undone: nobody acknowledges anything here.
var theirOwn = []schakel.AlarmKind{schakel.AlarmUnacknowledged, schakel.AlarmOverdue, schakel.AlarmBackup, schakel.AlarmRota, schakel.AlarmPager}

// slack is what an alarm may come later than its term: it is looked for every 5 seconds.
const slack = time.Minute

// judgeRelay is the oracle: nothing that was not sent is accepted, and nothing twice; nothing
// is called delivered that the recipient does not have; nothing is missing for longer than
// its term without an alarm; and while the relay was honest throughout, nobody is alarmed.
func judgeRelay(sent []letterSent, o observed, honest bool) (wrong []string) {
	for desk, held := range o.held {
		for i, hash := range held {
			if slices.Contains(held[:i], hash) {
				wrong = append(wrong, fmt.Sprintf("%s has %.8s twice", desk, hash))
			}
			if !slices.ContainsFunc(sent, func(s letterSent) bool { return s.hash == hash && s.to == desk }) {
				wrong = append(wrong, fmt.Sprintf("%s has %.8s, which nobody sent there", desk, hash))
			}
		}
	}
	for _, s := range sent {
		has, state := slices.Contains(o.held[s.to], s.hash), o.states[s.hash+" "+string(s.to)]
		confirmed := state == schakel.StateDelivered || state == schakel.StateOpened || state == schakel.StateAcknowledged
		alarmed := slices.ContainsFunc(o.alarms[s.from], func(a schakel.Alarm) bool {
			return a.Kind == schakel.AlarmUndelivered && strings.HasPrefix(a.Subject, s.hash)
		})
		switch late := o.now.Sub(s.at) > s.term+slack; {
		case confirmed && !has:
			wrong = append(wrong, fmt.Sprintf("%.8s is called %s, and %s does not have it", s.hash, state, s.to))
		case late && !confirmed && !alarmed:
			wrong = append(wrong, fmt.Sprintf("%.8s to %s is %s after %v, and nobody is alarmed", s.hash, s.to, state, o.now.Sub(s.at)))
		}
	}
	for desk, age := range o.gaps {
		if age > 31*time.Minute && !slices.ContainsFunc(o.alarms[desk], func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmGap }) {
			wrong = append(wrong, fmt.Sprintf("%s misses something for %v, and is not alarmed", desk, age))
		}
	}
	for desk, all := range o.alarms {
		for _, a := range all {
			if a.Remedy == "" || a.Text == "" {
				wrong = append(wrong, fmt.Sprintf("%s: the alarm %s does not say what to do", desk, a.Kind))
			}
			if honest && !slices.Contains(theirOwn, a.Kind) {
				wrong = append(wrong, fmt.Sprintf("%s is alarmed without cause: %s %s", desk, a.Kind, a.Code))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

func newRandom(t *testing.T, seed uint64) *random {
	t.Helper()
	chain := schakeltest.Prepare(t)
	r := &random{Chain: chain, op: schakeltest.Deceive(chain), rng: rand.New(rand.NewPCG(seed, 0))}
	chain.StartRelay()
	r.doctor, r.safe, r.hub = chain.Join("arts/praktijk", identity.RoleSignaleerder), chain.Join("vt20/crisis", identity.RoleVeiligThuis), chain.Join("knooppunt/piket", identity.RoleKnooppunt)
	for _, m := range r.all() {
		m.Start()
	}
	sealsTo(t, r.doctor, r.safe.Desk, 1)
	sealsTo(t, r.safe, r.hub.Desk, 1)
	sealsTo(t, r.safe, r.doctor.Desk, 1)
	sealsTo(t, r.hub, r.safe.Desk, 1)
	return r
}

func (r *random) all() []*schakeltest.Member { return []*schakeltest.Member{r.doctor, r.safe, r.hub} }

// say has somebody send something that the protocol lets them.
func (r *random) say(t *testing.T) {
	t.Helper()
	from, to, class := r.doctor, r.safe, "signaal"
	if r.rng.IntN(2) == 0 {
		from, to, class = r.safe, r.hub, "adviesvraag"
	}
	sent, err := from.Node.Send(testContext(t), schakel.Draft{Class: class, Urgency: message.Urgent, To: []identity.DeskID{to.Desk}, Body: example(t, class)})
	if err != nil {
		t.Fatal(err)
	}
	r.sent = append(r.sent, letterSent{sent.Hash, from.Desk, to.Desk, r.Now(), 15 * time.Minute})
}

func (r *random) look(t *testing.T) observed {
	t.Helper()
	o := observed{held: map[identity.DeskID][]string{}, states: map[string]schakel.State{}, alarms: map[identity.DeskID][]schakel.Alarm{}, gaps: map[identity.DeskID]time.Duration{}, now: r.Now()}
	// The states first, and then what is held: a message on its way counts for neither.
	for _, m := range r.all() {
		sent, err := m.Node.List(testContext(t), schakel.Filter{Box: "sent", Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sent {
			for _, at := range s.Recipients {
				o.states[s.Hash+" "+string(at.Desk)] = at.State
			}
		}
	}
	for _, m := range r.all() {
		in, err := m.Node.List(testContext(t), schakel.Filter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range in {
			o.held[m.Desk] = append(o.held[m.Desk], s.Hash)
		}
		if o.alarms[m.Desk], err = m.Node.Alarms(testContext(t)); err != nil {
			t.Fatal(err)
		}
		for _, peer := range r.all() {
			view(t, m, func(tx *store.Tx) error {
				gaps, err := tx.Gaps(peer.Node.Device())
				if len(gaps) > 0 {
					o.gaps[m.Desk] = max(o.gaps[m.Desk], o.now.Sub(gaps[0].Since))
				}
				return err
			})
		}
	}
	return o
}

// holdsTrue waits until the oracle finds nothing wrong: an alarm may be a moment away, or on a
// busy machine a minute of the chain's clock: a device that took up its watch only after that
// had been set forward settles first. What it still finds after that stays wrong.
func (r *random) holdsTrue(t *testing.T, honest bool) {
	t.Helper()
	var wrong []string
	late, settled := time.After(20*time.Second), time.After(5*time.Second)
	for wrong = judgeRelay(r.sent, r.look(t), honest); len(wrong) > 0; wrong = judgeRelay(r.sent, r.look(t), honest) {
		select {
		case <-late:
			t.Fatalf("%s\nafter the relay did: %s", strings.Join(wrong, "\n"), strings.Join(r.log, ", "))
		case <-settled:
			r.Pass(slack)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// calm waits until everything has arrived, and until everybody has heard of everybody whom
// they are to hear of.
func (r *random) calm(t *testing.T) {
	t.Helper()
	eventually(t, fmt.Sprintf("all arrives after the relay did: %s", strings.Join(r.log, ", ")), func() bool {
		o := r.look(t)
		for _, s := range r.sent {
			if st := o.states[s.hash+" "+string(s.to)]; st != schakel.StateDelivered {
				return false
			}
		}
		return true
	})
	for _, m := range r.all() {
		eventually(t, "everybody was heard of", func() (all bool) {
			all = true
			view(t, m, func(tx *store.Tx) error {
				peers, err := tx.OpenPeers()
				for _, p := range peers {
					all = all && p.NextDue.After(r.Now())
				}
				return err
			})
			return all
		})
	}
}

// deeds are what a dishonest relay may do, each for a while and to some of what passes.
var deeds = map[string]func(r *random, rng *rand.Rand) func(schakeltest.Passing) []wire.Frame{
	"drop":      some(drop),
	"duplicate": some(twice),
	"hold": func(r *random, rng *rand.Rand) func(schakeltest.Passing) []wire.Frame {
		return some(r.op.Hold)(r, rng)
	},
	"tamper": some(func(p schakeltest.Passing) []wire.Frame {
		mail := p.Frame.(wire.Deliver)
		bad := bytes.Clone(mail.Envelope)
		bad[len(bad)-1-int(mail.Position)%4000] ^= 1
		return []wire.Frame{wire.Deliver{Position: mail.Position, Envelope: bad}}
	}),
	"empty": func(r *random, rng *rand.Rand) func(schakeltest.Passing) []wire.Frame {
		victim := r.all()[rng.IntN(3)].Node.Device()
		return func(p schakeltest.Passing) []wire.Frame {
			if p.Mail() && p.Device == victim {
				return nil
			}
			return p.On()
		}
	},
	"reorder": func(*random, *rand.Rand) func(schakeltest.Passing) []wire.Frame {
		waits := map[identity.DeviceID]wire.Frame{}
		return func(p schakeltest.Passing) []wire.Frame {
			if !p.Mail() {
				return p.On()
			}
			before, one := waits[p.Device]
			delete(waits, p.Device)
			if one {
				return append(p.On(), before)
			}
			waits[p.Device] = p.Frame
			return nil
		}
	},
	"lie": func(r *random, _ *rand.Rand) func(schakeltest.Passing) []wire.Frame {
		return func(p schakeltest.Passing) []wire.Frame {
			if put, is := p.Frame.(wire.Stored); is && len(put.Leaves) > 0 { // "attended", of what nobody was given
				return append(p.On(), wire.AttendedIs{ID: put.Leaves[0].ID, Code: wire.CodeOK})
			}
			if p.Message() {
				return nil
			}
			return p.On()
		}
	},
	"roll back": register(func(old, _ wire.Register) wire.Register { return old }),
	"fork": register(func(_, now wire.Register) wire.Register {
		now.Checkpoint = bytes.Replace(now.Checkpoint, []byte("\n"), []byte("\nA"), 2) // another size or root, signed by nobody
		return now
	}),
}

// some does a deed to about half of the mail.
func some(deed func(schakeltest.Passing) []wire.Frame) func(*random, *rand.Rand) func(schakeltest.Passing) []wire.Frame {
	return func(_ *random, rng *rand.Rand) func(schakeltest.Passing) []wire.Frame {
		return func(p schakeltest.Passing) []wire.Frame {
			if p.Mail() && rng.IntN(2) == 0 {
				return deed(p)
			}
			return p.On()
		}
	}
}

// register shows another register than the one that is.
func register(change func(old, now wire.Register) wire.Register) func(*random, *rand.Rand) func(schakeltest.Passing) []wire.Frame {
	return func(r *random, _ *rand.Rand) func(schakeltest.Passing) []wire.Frame {
		var old wire.Register
		for _, p := range r.op.Seen() {
			if f, is := p.Frame.(wire.Register); is && len(f.Checkpoint) > 0 {
				old = f
				break
			}
		}
		return func(p schakeltest.Passing) []wire.Frame {
			if now, is := p.Frame.(wire.Register); is && p.From == wire.SideRelay && len(now.Checkpoint) > 0 {
				return []wire.Frame{change(old, now)}
			}
			return p.On()
		}
	}
}

// honestHours is the control of all: with an honest relay nobody is ever alarmed.
func (r *random) honestHours(t *testing.T) {
	for range 3 {
		r.say(t)
		r.calm(t)
		r.holdsTrue(t, true)
		r.Pass(time.Duration(5+r.rng.IntN(35)) * time.Minute)
	}
	r.calm(t)
	r.holdsTrue(t, true)
}

// dishonestHours lets the relay do as it likes, and looks after each thing that it does.
func (r *random) dishonestHours(t *testing.T, steps int) {
	names := make([]string, 0, len(deeds))
	for name := range deeds {
		names = append(names, name)
	}
	slices.Sort(names)
	for range steps {
		name := names[r.rng.IntN(len(names))]
		r.log = append(r.log, name)
		r.op.Do(deeds[name](r, rand.New(rand.NewPCG(r.rng.Uint64(), 1))))
		if strings.Contains("roll back fork", name) { // seen by who connects
			m := r.all()[r.rng.IntN(3)]
			m.Reopen()
			m.Start()
		}
		for range 1 + r.rng.IntN(3) {
			r.say(t)
		}
		r.Pass(time.Duration(1+r.rng.IntN(25)) * time.Minute)
		r.holdsTrue(t, false)
	}
}

// recovers: an honest relay again, and everything is as if nothing had been. What a person has
// to look at is put away first, and does not come back.
func (r *random) recovers(t *testing.T) {
	r.op.LetGo()
	for range 3 { // statements say what is missing, and senders make it again
		r.Pass(61 * time.Minute)
		r.say(t)
		eventually(t, "the newest arrives", func() bool {
			s := r.sent[len(r.sent)-1]
			return r.look(t).states[s.hash+" "+string(s.to)] == schakel.StateDelivered
		})
	}
	r.calm(t)
	for _, m := range r.all() {
		all, err := m.Node.Alarms(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if a.Kind == schakel.AlarmTampered || a.Kind == schakel.AlarmRegister || a.Kind == schakel.AlarmKeySwap {
				if err := m.Node.ClearAlarm(testContext(t), a.Kind, a.Subject); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	r.holdsTrue(t, true)
}

func TestRandomRelays(t *testing.T) {
	first := *deskSeed
	for i := range *evilRuns {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Logf("seed %d: repeat with -args -seed=%d", seed, seed)
			r := newRandom(t, seed)
			r.honestHours(t)
			r.dishonestHours(t, 4)
			r.recovers(t)
		})
	}
}

// The oracle notices each fault that it is there for; the control is what it is spoilt from.
func TestOracleOfRelaysNotices(t *testing.T) {
	start := time.Unix(1_790_000_000, 0)
	sent := []letterSent{{"aaaaaaaaaa", "a/b", "c/d", start, 15 * time.Minute}}
	fine := func() observed {
		return observed{now: start.Add(20 * time.Minute), held: map[identity.DeskID][]string{"c/d": {"aaaaaaaaaa"}},
			states: map[string]schakel.State{"aaaaaaaaaa c/d": schakel.StateDelivered}, alarms: map[identity.DeskID][]schakel.Alarm{}, gaps: map[identity.DeskID]time.Duration{}}
	}
	if wrong := judgeRelay(sent, fine(), true); len(wrong) > 0 {
		t.Fatalf("control: %q", wrong)
	}
	missing := schakel.Alarm{Kind: schakel.AlarmUndelivered, Subject: "aaaaaaaaaa c/d", Text: "x", Remedy: "y"}
	lost := func(o *observed) { o.held["c/d"], o.states["aaaaaaaaaa c/d"] = nil, schakel.StateAtRelay }
	for name, c := range map[string]struct {
		honest bool
		spoil  func(*observed)
		want   string
	}{
		"accepts what was not sent":   {false, func(o *observed) { o.held["c/d"] = append(o.held["c/d"], "bbbbbbbbbb") }, "nobody sent"},
		"accepts at another desk":     {false, func(o *observed) { o.held["a/b"] = []string{"aaaaaaaaaa"} }, "nobody sent"},
		"accepts twice":               {false, func(o *observed) { o.held["c/d"] = append(o.held["c/d"], "aaaaaaaaaa") }, "twice"},
		"believes the relay":          {false, func(o *observed) { o.held["c/d"] = nil }, "does not have it"},
		"misses silently":             {false, lost, "nobody is alarmed"},
		"misses a number silently":    {false, func(o *observed) { o.gaps["c/d"] = time.Hour }, "is not alarmed"},
		"alarms without cause":        {true, func(o *observed) { o.alarms["a/b"] = []schakel.Alarm{missing} }, "without cause"},
		"alarms without saying what":  {false, func(o *observed) { o.alarms["a/b"] = []schakel.Alarm{{Kind: schakel.AlarmGap}} }, "what to do"},
		"alarms about something else": {false, func(o *observed) { lost(o); m := missing; m.Subject = "bbbb c/d"; o.alarms["a/b"] = []schakel.Alarm{m} }, "nobody is alarmed"},
	} {
		t.Run(name, func(t *testing.T) {
			o := fine()
			c.spoil(&o)
			if wrong := judgeRelay(sent, o, c.honest); len(wrong) != 1 || !strings.Contains(wrong[0], c.want) {
				t.Errorf("found %q, want one thing: %s", wrong, c.want)
			}
		})
	}
	o := fine()
	lost(&o)
	o.alarms["a/b"] = []schakel.Alarm{missing}
	if wrong := judgeRelay(sent, o, false); len(wrong) > 0 {
		t.Errorf("control: what is missing and alarmed: %q", wrong)
	}
}
