package oncall_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/oncall"
	"schakel/relay/oncall/oncalltest"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/rota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	deadlines = flag.Int("deadlines", 500, "simulated deadlines")
	seed      = flag.Uint64("seed", 1, "of the simulation")
)

// sim is a world of partners, two nodes and a store in which things go wrong, in
// time that stands still until everybody waits.
type sim struct {
	*rand.Rand // of what the world does, in its order; the luck of a page is its own
	seed       uint64
	journal    oncall.Journal // what nodes share, as the control in question leaves it
	memory     *oncalltest.Memory
	wrong      control
	began      time.Time
	nodes      [2]*node
	desks      []*desk

	mu       sync.Mutex // guards what follows
	skew     time.Duration
	down     bool // the store does not answer
	waits    map[queue.Ref]*letter
	letters  []*letter
	attempts map[identity.DeskID][]attempt
	outages  [][2]time.Time // with no node at all
	silences [][2]time.Time // of the store
}

// control is a defence that is left out, to see that the oracle notices.
type control struct {
	pagerFirst, noLease, wallClock bool
	lying                          bool // a channel that fails says that it did not
}

type desk struct {
	id      identity.DeskID
	plan    bool
	gap     bool // nobody is backup: the fallback is
	ladders map[envelope.Tier]ladder.Ladder
}

// letter is an envelope and what became of it.
type letter struct {
	queue.Unattended
	desk     *desk
	put      time.Time
	attended time.Time // zero: never
	told     time.Time
}

// attempt is one page at one point of a desk's contact, or of the operator.
type attempt struct {
	at        time.Time
	contact   string
	reference string
	taken     bool
}

type node struct {
	s      *sim
	loop   *oncall.Loop
	dead   atomic.Bool
	cancel context.CancelFunc
	ended  chan struct{}
}

func (s *sim) wall() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.skew)
}

// Waiting implements oncall.Waiting for all nodes.
func (n *node) Waiting(_ context.Context, after queue.Ref, limit int) (list []queue.Unattended, err error) {
	s := n.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || n.dead.Load() {
		return nil, queue.ErrUnavailable
	}
	for _, l := range s.waits {
		if string(l.ID[:]) > string(after.ID[:]) {
			list = append(list, l.Unattended)
		}
	}
	slices.SortFunc(list, func(a, b queue.Unattended) int { return cmp.Compare(string(a.ID[:]), string(b.ID[:])) })
	return list[:min(limit, len(list))], nil
}

// For implements oncall.Points: targets are desk and contact.
func (n *node) For(p page.Point) (page.Notifier, error) { return notifier{n, p.Target}, nil }

type notifier struct {
	n      *node
	target string
}

var errPager = errors.New("pager down")

// Notify takes a while, and fails where the pager of the contact is down.
func (o notifier) Notify(ctx context.Context, p page.Page) error {
	s := o.n.s
	if o.n.dead.Load() {
		return errPager
	}
	id, contact := cutTarget(o.target)
	s.mu.Lock()
	luck := rand.New(rand.NewPCG(s.seed, uint64(crc32.ChecksumIEEE([]byte(o.target+p.Reference)))+uint64(time.Since(s.began)/time.Second)))
	fails := luck.IntN(50) == 0
	a := attempt{at: time.Now(), contact: contact, reference: p.Reference, taken: !fails}
	if contact == "operator" {
		for _, d := range s.desks {
			s.attempts[d.id] = append(s.attempts[d.id], a)
		}
	} else {
		s.attempts[id] = append(s.attempts[id], a)
	}
	pause := time.Duration(luck.Int64N(int64(400 * time.Millisecond)))
	s.mu.Unlock()
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	if fails && !s.wrong.lying {
		return errPager
	}
	return nil
}

func cutTarget(target string) (identity.DeskID, string) {
	for i := len(target) - 1; i > 0; i-- {
		if target[i] == '!' {
			return identity.DeskID(target[:i]), target[i+1:]
		}
	}
	return "", target
}

// start starts a node.
func (s *sim) start(i int) {
	n := &node{s: s, ended: make(chan struct{})}
	c := oncall.Config{
		Journal: &nodeJournal{Journal: s.journal, n: n}, Waiting: n, Points: n, Now: s.wall,
		Operator: []page.Point{{Channel: page.NTFY, Target: "operator"}},
		Tell: func(_ context.Context, u queue.Unattended) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if l := s.waits[u.Ref]; l != nil && l.told.IsZero() && !n.dead.Load() && !s.down {
				l.told = time.Now()
			}
			if s.down || n.dead.Load() {
				return queue.ErrUnavailable
			}
			return nil
		},
	}
	if s.wrong.wallClock {
		c.Elapsed = func() time.Duration { return s.wall().Sub(s.began) }
	}
	var err error
	if n.loop, err = oncall.New(c); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() {
		defer close(n.ended)
		if err := n.loop.Run(ctx); err != nil && !n.dead.Load() && !s.wrong.wallClock {
			panic(err)
		}
	}()
	s.nodes[i] = n
}

// kill ends a node as SIGKILL does: nothing of it reaches anybody any more.
func (s *sim) kill(i int) {
	n := s.nodes[i]
	n.dead.Store(true)
	n.cancel()
	s.nodes[i] = nil
}

// stop ends a node as SIGTERM does.
func (s *sim) stop(i int) {
	s.nodes[i].cancel()
	<-s.nodes[i].ended
	s.nodes[i] = nil
}

// nodeJournal is the journal as one node reaches it.
type nodeJournal struct {
	oncall.Journal
	n *node
}

func (j *nodeJournal) away() bool {
	j.n.s.mu.Lock()
	defer j.n.s.mu.Unlock()
	return j.n.s.down || j.n.dead.Load()
}

func (j *nodeJournal) Hold(ctx context.Context, b oncall.Bid) (oncall.Lease, error) {
	if j.away() {
		return oncall.Lease{}, queue.ErrUnavailable
	}
	l, err := j.Journal.Hold(ctx, b)
	if j.n.s.wrong.noLease {
		l.Held, l.Term = true, 1
	}
	return l, err
}

func (j *nodeJournal) Write(ctx context.Context, term uint64, changes []oncall.Change) ([]oncall.Outcome, error) {
	switch wrong := j.n.s.wrong; {
	case j.away():
		return nil, queue.ErrUnavailable
	case wrong.noLease: // each by itself
		return make([]oncall.Outcome, len(changes)), nil
	case wrong.pagerFirst: // the row follows its page, if there still is somebody to write it
		go func() {
			<-time.After(30 * time.Second)
			if !j.away() {
				_, _ = j.Journal.Write(ctx, term, changes)
			}
		}()
		return make([]oncall.Outcome, len(changes)), nil
	}
	return j.Journal.Write(ctx, term, changes)
}

func (j *nodeJournal) Arrived(ctx context.Context, term uint64) ([]queue.Unattended, error) {
	if j.away() {
		return nil, queue.ErrUnavailable
	}
	if j.n.s.wrong.noLease {
		return j.n.Waiting(ctx, queue.Ref{}, 1<<20)
	}
	return j.Journal.Arrived(ctx, term)
}

func (j *nodeJournal) Plan(ctx context.Context, d identity.DeskID) ([]byte, error) {
	if j.away() {
		return nil, queue.ErrUnavailable
	}
	return j.Journal.Plan(ctx, d)
}

func (j *nodeJournal) Rows(ctx context.Context, each func(queue.Ref, []byte)) error {
	if j.away() {
		return queue.ErrUnavailable
	}
	return j.Journal.Rows(ctx, each)
}

// newSim is a world of n letters' desks.
func newSim(seed uint64, wrong control) *sim {
	s := &sim{
		Rand: rand.New(rand.NewPCG(seed, 1)), seed: seed, wrong: wrong, began: time.Now(),
		waits: make(map[queue.Ref]*letter), attempts: make(map[identity.DeskID][]attempt),
	}
	s.memory = oncalltest.NewMemory(s.wall)
	s.memory.Waits = func(r queue.Ref) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.waits[r] != nil
	}
	s.journal = s.memory
	for i := range 150 {
		d := &desk{id: identity.DeskID(fmt.Sprintf("pol-%03d/zeden", i)), plan: i%10 != 9, gap: i%10 == 8, ladders: make(map[envelope.Tier]ladder.Ladder)}
		for tier := envelope.TierRoutine; tier <= envelope.TierAcute; tier++ {
			d.ladders[tier] = ladder.Floor(tier)
		}
		s.desks = append(s.desks, d)
		if d.plan {
			s.publish(d, i%3 == 0)
		}
	}
	return s
}

// publish gives a desk a plan, with a ladder of its own where it is eager.
func (s *sim) publish(d *desk, eager bool) {
	p := rota.Plan{
		Desk: d.id, Serial: 1, From: s.began.Add(-6 * 24 * time.Hour).Truncate(time.Second), Until: s.began.Add(8 * 24 * time.Hour).Truncate(time.Second),
		Fallback: []rota.Contact{"fallback"},
	}
	for level, c := range []rota.Contact{"first", "second"} {
		if level == 1 && d.gap {
			continue
		}
		p.Shifts = append(p.Shifts, rota.Shift{From: p.From, To: p.Until, Level: level, Contact: c})
	}
	for _, c := range []rota.Contact{"fallback", "first", "second"} {
		p.Points = append(p.Points, rota.Point{Contact: c, Channel: page.NTFY, Target: string(d.id) + "!" + string(c)})
	}
	if eager {
		own := ladder.Ladder{Alarm: 10 * time.Minute, Steps: []ladder.Step{{After: 0}, {After: 2 * time.Minute, Level: 1}, {After: 4 * time.Minute, Level: ladder.Everyone}}}
		p.Ladders = append(p.Ladders, rota.Tightening{Tier: envelope.TierUrgent, Ladder: own})
		l, err := ladder.Floor(envelope.TierUrgent).Tightened(own)
		if err != nil {
			panic(err)
		}
		d.ladders[envelope.TierUrgent] = l
	}
	raw, err := p.Encode()
	if err == nil {
		err = s.memory.Publish(context.Background(), d.id, p.Serial, raw)
	}
	if err != nil {
		panic(err)
	}
}

// alive is a node that is there, preferably one of two.
func (s *sim) alive() *node {
	i := s.IntN(2)
	if s.nodes[i] == nil {
		i = 1 - i
	}
	return s.nodes[i]
}

// run simulates until so many deadlines have passed, and ten minutes more.
func (s *sim) run(enough int) {
	s.start(0)
	s.start(1)
	nextFault := time.Now().Add(time.Minute)
	for due := 0; due < enough; {
		<-time.After(time.Duration(s.Int64N(int64(8 * time.Second))))
		if time.Now().After(nextFault) {
			s.fault()
			nextFault = time.Now().Add(20*time.Second + time.Duration(s.Int64N(int64(3*time.Minute))))
		}
		due += s.post()
		s.attendSome()
	}
	<-time.After(21 * time.Minute)
	s.stop(0)
	s.stop(1)
}

// post puts a letter, and returns how many deadlines that makes.
func (s *sim) post() int {
	n := s.alive()
	d := s.desks[s.IntN(len(s.desks))]
	tier := envelope.TierAcute
	if s.IntN(3) == 0 {
		tier = envelope.TierUrgent
	}
	l := &letter{desk: d, put: time.Now(), Unattended: queue.Unattended{
		Ref: queue.Ref{Desk: d.id}, Tier: tier, Created: uint64(s.wall().Unix()), Expires: uint64(s.wall().AddDate(0, 0, 7).Unix()), SealerDesk: "vt20/crisis",
	}}
	for i := range l.ID {
		l.ID[i] = byte(s.Uint32())
	}
	s.mu.Lock()
	s.waits[l.Ref], s.letters = l, append(s.letters, l)
	s.mu.Unlock()
	s.memory.Arrive(l.Unattended)
	n.loop.Put(l.Unattended)
	return len(d.ladders[tier].Steps) + 1
}

// attendSome has letters attended, sooner or later.
func (s *sim) attendSome() {
	n := s.alive()
	s.mu.Lock()
	var done []queue.Ref
	for _, l := range s.letters {
		if l.attended.IsZero() && s.Float64() < 0.008 {
			l.attended = time.Now()
			delete(s.waits, l.Ref)
			done = append(done, l.Ref)
		}
	}
	s.mu.Unlock()
	for _, ref := range done {
		n.loop.Done(ref)
	}
}

func (s *sim) setDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
}

// fault lets something go wrong, and be over, before it returns.
func (s *sim) fault() {
	i := s.IntN(2)
	short := time.Second + time.Duration(s.Int64N(int64(2*time.Second)))
	switch s.IntN(7) {
	case 0, 1: // a node is killed: the other takes over
		s.kill(i)
		<-time.After(short)
		s.start(i)
	case 2: // a node is exchanged
		s.stop(i)
		<-time.After(short)
		s.start(i)
	case 3: // the store restarts
		from := time.Now()
		s.setDown(true)
		<-time.After(short)
		s.setDown(false)
		s.silences = append(s.silences, [2]time.Time{from, time.Now()})
	case 4, 5: // somebody sets the clock
		step := 24 * time.Hour
		s.mu.Lock()
		if s.skew > 0 || s.skew == 0 && s.IntN(2) == 0 {
			step = -step
		}
		s.skew += step
		s.mu.Unlock()
	case 6: // all is dark for a while
		from := time.Now()
		s.kill(0)
		s.kill(1)
		<-time.After(time.Duration(s.Int64N(int64(10 * time.Minute))))
		s.start(0)
		s.start(1)
		s.mu.Lock()
		s.outages = append(s.outages, [2]time.Time{from, time.Now()})
		s.mu.Unlock()
	}
}

// few pages more than one in a hundred may be sent twice in a simulation so short that
// one killed node can make them: of ten thousand deadlines it is not a tenth of one in
// a hundred.
const few = 8

// TestSimulation has two nodes page through everything that may go wrong.
func TestSimulation(t *testing.T) {
	t.Logf("replay with: go test ./relay/oncall -run TestSimulation -args -seed=%d -deadlines=%d", *seed, *deadlines)
	synctest.Test(t, func(t *testing.T) {
		s := newSim(*seed, control{})
		s.run(*deadlines * 3 / 2) // some are attended first
		v := s.judge()
		t.Logf("%d letters, %d deadlines in %v, %d pages, %d sent twice, %d faults of the oracle", len(s.letters), v.deadlines, time.Since(s.began).Round(time.Minute), v.pages, v.twice, len(v.wrong))
		for _, w := range v.wrong[:min(10, len(v.wrong))] {
			t.Error(w)
		}
		if v.twice > v.pages/100+few {
			t.Errorf("%d of %d pages were sent twice", v.twice, v.pages)
		}
		if v.deadlines < *deadlines || v.pages < v.deadlines/2 {
			t.Errorf("only %d deadlines and %d pages", v.deadlines, v.pages)
		}
	})
}

func saysOf(v verdict, what string) bool {
	return slices.ContainsFunc(v.wrong, func(w string) bool { return strings.Contains(w, what) })
}

// TestSimulationNotices leaves out one defence after the other: the oracle must see it.
func TestSimulationNotices(t *testing.T) {
	for name, c := range map[string]struct {
		wrong control
		run   int
		seen  func(v verdict) bool
	}{
		"pager before journal": {control{pagerFirst: true}, 1500, func(v verdict) bool { return v.twice > 2*v.pages/100 }},
		"no lease":             {control{noLease: true}, 200, func(v verdict) bool { return v.twice > 2*v.pages/100 }},
		"channels that lie":    {control{lying: true}, 1500, func(v verdict) bool { return saysOf(v, "nobody tried by") }},
		"clock on the wall":    {control{wallClock: true}, 300, func(v verdict) bool { return len(v.wrong) > 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(5, c.wrong)
				s.run(c.run)
				v := s.judge()
				<-time.After(time.Minute) // rows that follow their pages
				t.Logf("%d pages, %d sent twice, %d faults", v.pages, v.twice, len(v.wrong))
				if !c.seen(v) {
					t.Errorf("nothing is wrong: %d pages, %d twice, %d faults", v.pages, v.twice, len(v.wrong))
				}
			})
		})
	}
}
