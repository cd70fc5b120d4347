package simulation_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/ladder"
	"schakel/relay/oncall"
	"schakel/relay/oncall/oncalltest"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/queue/queuetest/lossy"
	"schakel/relay/register"
	"schakel/relay/rota"
)

// How long a simulation is troubled, and how long all may be fine afterwards until nothing
// is left to be done: longer than the ladder, and than anything takes to be noticed.
const (
	troubled = 30 * time.Second
	fine     = 3 * time.Minute
)

// climbs is the ladder of every desk: nobody simulates five minutes for a second step.
var climbs = ladder.Ladder{
	Alarm: 50 * time.Second, Repeat: 2 * time.Minute,
	Steps: []ladder.Step{{After: 0}, {After: 15 * time.Second, Level: 1}, {After: 30 * time.Second, Level: ladder.Everyone}},
}

// bubble is when time begins in a bubble of synctest.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// cast is who takes part, the same in all simulations: their register is made once.
var cast = sync.OnceValue(func() (c struct {
	*trusttest.Chain
	devices []trusttest.Device
	desks   []identity.DeskID
}) {
	c.Chain = trusttest.New(bubble.AddDate(0, 0, -1)) // a clock may be behind
	for _, d := range []struct {
		desk identity.DeskID
		role identity.Role
	}{
		{"vt20/crisis", identity.RoleVeiligThuis}, {"pol-mn/zeden", identity.RolePolitie}, {"pol-mn/zeden", identity.RolePolitie},
		{"knooppunt/piket", identity.RoleKnooppunt},
	} {
		c.devices = append(c.devices, c.Enrol(d.desk, d.role))
		if !slices.Contains(c.desks, d.desk) {
			c.desks = append(c.desks, d.desk)
		}
	}
	return c
})

// registerFile is the register of the cast, as an operator imported it.
var registerFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "simulation")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "register.db")
	log, err := openRegister(path)
	if err != nil {
		return nil, err
	}
	_, err = log.Import(context.Background(), cast().Entries(), bubble)
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func openRegister(path string) (*register.Log, error) {
	return register.Open(register.Config{Path: path, LogName: trusttest.LogName, LogKey: cast().Log})
}

// world is one simulation.
type world struct {
	t        *testing.T
	began    time.Time
	seed     uint64
	wrong    mistake
	limits   relay.Limits
	log      *slog.Logger // nil: nobody reads it
	net      *network
	disk     *lossy.Disk
	journal  *oncalltest.Memory
	register *register.Log
	devices  []*device
	byID     map[envelope.ID]*letter
	chance   *chance

	// Owned by suffer.
	active  [deeds]int
	outages outages

	wall      atomic.Int64 // how much the relay's clock is ahead
	suspended atomic.Bool  // the operator serves nobody

	mu       sync.Mutex // guards what follows
	node     *node      // nil: it is down
	ended    sync.WaitGroup
	killIn   bool
	killKeep int
	slowDisk bool
	deaf     bool
	latest   time.Time // the relay's clock has never been later
	calls    []call
	history  []event
	faults   []string // that were seen at once
	deaths   int
	over     bool
}

// chance is what the relay takes for random: the seed's, as far as goroutines ask for it in
// the same order.
type chance struct {
	mu sync.Mutex
	*rand.ChaCha8
}

func (c *chance) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ChaCha8.Read(p)
}

// node is one life of the relay.
type node struct {
	cancel context.CancelFunc
	over   chan struct{}
	dead   atomic.Bool
}

// call is a page, whether or not its channel took it.
type call struct {
	at      time.Time
	desk    identity.DeskID // empty: the operator
	contact string
	taken   bool
}

// event is something that somebody saw.
type event struct {
	at   time.Duration
	who  int // -1: the nemesis
	what string
	id   envelope.ID
}

func (w *world) note(who int, what string, id *envelope.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := event{at: time.Since(w.began), who: who, what: what}
	if id != nil {
		e.id = *id
	}
	w.history = append(w.history, e)
}

// accuse says that a promise was broken.
func (w *world) accuse(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf("at %v: ", time.Since(w.began).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// told is everything that was seen, in its order. What was seen at the same instant is in
// the order of those who saw it; which of two alarms of one instant comes first is left out.
func (w *world) told() [sha256.Size]byte {
	w.history = slices.DeleteFunc(w.history, func(e event) bool { return strings.HasPrefix(e.what, alarmed) })
	slices.SortStableFunc(w.history, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.who, b.who), cmp.Compare(a.what, b.what))
	})
	h := sha256.New()
	for _, e := range w.history {
		fmt.Fprintln(h, int64(e.at), e.who, e.what, e.id)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.wall.Load())) }

func (w *world) setClock(skew time.Duration) {
	w.wall.Store(int64(skew))
	w.mu.Lock()
	defer w.mu.Unlock()
	if end := w.began.Add(troubled + fine + skew); end.After(w.latest) {
		w.latest = end
	}
}

// newWorld is a world in which nothing has happened yet.
func newWorld(t *testing.T, seed uint64, wrong mistake) *world {
	t.Helper()
	w := &world{
		t: t, began: time.Now(), seed: seed, wrong: wrong, limits: relay.Limits{Drain: 5 * time.Second, Return: time.Second},
		net: newNetwork(), disk: lossy.NewDisk([16]byte{1}), byID: make(map[envelope.ID]*letter),
		chance: &chance{ChaCha8: rand.NewChaCha8([32]byte{1: byte(seed), 2: byte(seed >> 8), 3: byte(seed >> 16)})},
	}
	w.disk.Sync, w.disk.Late = w.sync, wrong.late
	fickle := w.luck(1000)
	w.disk.Fickle = func() bool { return fickle.IntN(2) == 0 }
	w.setClock(0)
	w.journal = oncalltest.NewMemory(w.clock)
	w.journal.Waits, w.disk.Arrived = w.disk.Waits, w.journal.Arrive
	file, err := registerFile()
	if err == nil {
		path := filepath.Join(t.TempDir(), "register.db")
		if err = os.WriteFile(path, file, 0o600); err == nil {
			w.register, err = openRegister(path)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range cast().devices {
		w.devices = append(w.devices, newDevice(w, i))
	}
	for _, desk := range cast().desks {
		w.plan(desk)
	}
	return w
}

// luck is a source of its own for each who needs one: how often one draws changes nothing
// for the others.
func (w *world) luck(of int) *rand.Rand { return rand.New(rand.NewPCG(w.seed, uint64(of))) }

// plan says who is on call at a desk.
func (w *world) plan(desk identity.DeskID) {
	w.t.Helper()
	if err := w.journal.Publish(context.Background(), desk, 1, w.encodedPlan(desk, 1)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) encodedPlan(desk identity.DeskID, serial uint64) []byte {
	p := rota.Plan{Desk: desk, Serial: serial, From: w.began.AddDate(0, 0, -1), Until: w.began.AddDate(0, 0, 8), Fallback: []rota.Contact{"fallback"}}
	for level, c := range []rota.Contact{"first", "second"} {
		p.Shifts = append(p.Shifts, rota.Shift{From: p.From, To: p.Until, Level: level, Contact: c})
	}
	for _, c := range []rota.Contact{"fallback", "first", "second"} {
		p.Points = append(p.Points, rota.Point{Contact: c, Channel: page.NTFY, Target: string(desk) + "!" + string(c)})
	}
	p.Ladders = []rota.Tightening{{Tier: envelope.TierAcute, Ladder: climbs}}
	raw, err := p.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// sync is the disk's: fast or slow, and perhaps the last thing that the relay does.
func (w *world) sync() {
	w.mu.Lock()
	slow := w.slowDisk
	w.mu.Unlock()
	wait := 700 * time.Microsecond
	if slow {
		wait = 1500 * time.Millisecond
	}
	<-time.After(wait)
	w.mu.Lock()
	dies, keep := w.killIn, w.killKeep
	w.killIn = false
	w.mu.Unlock()
	if dies {
		w.kill(keep, false)
	}
}

// down reports that there is no relay.
func (w *world) down() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.node == nil
}

// start starts the relay, unless it is there.
func (w *world) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.node != nil || w.over {
		return
	}
	store := w.disk.Open(queue.Quota{})
	n := &node{over: make(chan struct{})}
	r, err := relay.New(relay.Config{
		ID: trusttest.RelayID, Listener: w.net.listen(), Store: w.wrong.store(store), Register: w.register, Now: w.clock, Random: w.chance,
		Receipts: custody.PrivateKey(cast().Receipt.Private), Tap: w.wrong.tap(w), Limits: w.limits, Log: w.log,
		Suspended: func(identity.OrgID) bool { return w.suspended.Load() },
		Paging:    &relay.Paging{Journal: &journal{w.journal, n}, Points: points{w, n}, Operator: []page.Point{{Channel: page.NTFY, Target: "!operator"}}},
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, w.node = cancel, n
	w.ended.Go(func() {
		err := r.Run(ctx)
		_ = store.Close()
		close(n.over)
		w.afterlife(n, err)
	})
}

// afterlife is what a service manager does about a relay that ended by itself.
func (w *world) afterlife(n *node, err error) {
	w.mu.Lock()
	itself := w.node == n
	if itself {
		w.node = nil
	}
	w.mu.Unlock()
	if !itself || n.dead.Load() {
		return
	}
	n.dead.Store(true)
	w.net.off(false)
	w.note(-1, "ended by itself", nil)
	if !errors.Is(err, relay.ErrStore) && !errors.Is(err, queue.ErrIndeterminate) {
		w.accuse("broken: the relay ended by itself: %v", err)
	}
	w.disk.Cut(1)
	<-time.After(time.Second)
	w.start()
}

// kill ends the relay as SIGKILL does: nothing of it reaches anybody any more.
func (w *world) kill(keep int, silent bool) {
	w.mu.Lock()
	n := w.node
	w.node = nil
	w.mu.Unlock()
	if n == nil {
		return
	}
	n.dead.Store(true)
	w.disk.Cut(keep)
	w.net.off(silent)
	n.cancel()
	w.mu.Lock()
	w.deaths++
	w.mu.Unlock()
}

// stop ends the relay as SIGTERM does.
func (w *world) stop() {
	w.mu.Lock()
	n := w.node
	w.node = nil
	w.mu.Unlock()
	if n != nil {
		n.cancel()
		<-n.over
		w.net.off(false)
	}
}

// journal is what a node reaches of the timers: nothing, once it is dead.
type journal struct {
	*oncalltest.Memory
	n *node
}

func (j *journal) Hold(ctx context.Context, b oncall.Bid) (oncall.Lease, error) {
	if j.n.dead.Load() {
		return oncall.Lease{}, queue.ErrUnavailable
	}
	return j.Memory.Hold(ctx, b)
}

func (j *journal) Write(ctx context.Context, term uint64, changes []oncall.Change) ([]oncall.Outcome, error) {
	if j.n.dead.Load() {
		return nil, queue.ErrUnavailable
	}
	return j.Memory.Write(ctx, term, changes)
}

func (j *journal) Arrived(ctx context.Context, term uint64) ([]queue.Unattended, error) {
	if j.n.dead.Load() {
		return nil, queue.ErrUnavailable
	}
	return j.Memory.Arrived(ctx, term)
}

// points are the ways of a node to people.
type points struct {
	w *world
	n *node
}

func (p points) For(at page.Point) (page.Notifier, error) { return &notifier{p, at.Target}, nil }

type notifier struct {
	points
	target string
}

var errDeaf = errors.New("pager down")

// Notify takes a moment, and fails where nobody can be reached.
func (o *notifier) Notify(ctx context.Context, _ page.Page) error {
	w := o.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.n.dead.Load() || w.wrong.mute {
		return errDeaf
	}
	desk, contact := cutTarget(o.target)
	w.calls = append(w.calls, call{time.Now(), desk, contact, !w.deaf})
	if w.deaf {
		return errDeaf
	}
	return nil
}

func cutTarget(target string) (identity.DeskID, string) {
	i := slices.Index([]byte(target), '!')
	return identity.DeskID(target[:i]), target[i+1:]
}

// run plays the simulation: everybody does what the seed says while the nemesis does, and
// then all has time to become well.
func (w *world) run() {
	end := w.people()
	w.suffer(agenda(curse(w.luck(1), len(w.devices), troubled)))
	<-time.After(time.Until(w.began.Add(troubled)))
	w.setClock(0)
	w.start()
	for time.Since(w.began) < troubled+fine && !w.settled() {
		<-time.After(5 * time.Second)
	}
	end()
}

// people starts the relay and all devices; end ends them.
func (w *world) people() (end func()) {
	w.start()
	live, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, d := range w.devices {
		all.Go(func() { d.live(live) })
	}
	return func() {
		stop()
		all.Wait()
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
		w.stop()
		w.ended.Wait()
		if err := w.register.Close(); err != nil {
			w.t.Error(err)
		}
	}
}
