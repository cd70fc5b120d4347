package relay_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/register"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// shared is a store whose words to and from other relays a test can lose, and whose
// numbers of sessions it can withhold.
type shared struct {
	*redisqueue.Store
	deaf   bool
	silent atomic.Bool
}

var errSilent = errors.New("does not answer")

func (s *shared) Begin(ctx context.Context, desk identity.DeskID, device identity.DeviceID) (uint64, error) {
	if s.silent.Load() {
		return 0, errSilent
	}
	return s.Store.Begin(ctx, desk, device)
}

func (s *shared) Attend(ctx context.Context, grown func(), begun func(identity.DeviceID, uint64)) {
	if s.deaf {
		<-ctx.Done()
		return
	}
	s.Store.Attend(ctx, grown, begun)
}

// twoNodes are two relays on one Redis, and the store of the first.
func twoNodes(t *testing.T, limits relay.Limits, deaf bool) (a, b *relaytest.World, store *shared) {
	t.Helper()
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	open := func() *shared {
		s, err := redisqueue.Open(t.Context(), server.Config())
		if err != nil {
			t.Fatal(err)
		}
		return &shared{Store: s, deaf: deaf}
	}
	store = open()
	a = relaytest.New(t, relaytest.Config{Open: func() (queue.Store, error) { return store, nil }, Limits: limits})
	return a, a.Beside(t, open(), limits), store
}

// never is a sweep that does not come within a test: what happens, happened at once.
var never = relay.Limits{Sweep: time.Hour}

// attending waits until a node hears the other: what is told earlier is lost.
func attending(t *testing.T, a, b *relaytest.World, d *relaytest.Device) {
	t.Helper()
	for _, way := range [][2]*relaytest.World{{a, b}, {b, a}} {
		until(t, "a node hears the other", func() bool {
			old := d.At(way[0]).Login()
			d.At(way[1]).Login().Close()
			old.Quiet(50 * time.Millisecond)
			heard := !old.Alive()
			old.Close()
			return heard
		})
	}
}

// TestNodesKnowEachOthersPartners: who joins at one node is known at the other at
// once, sessions there hear of it, and end with a revocation.
func TestNodesKnowEachOthersPartners(t *testing.T) {
	a, b, _ := twoNodes(t, never, false)
	d := a.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	attending(t, a, b, d)
	at := d.At(b).Login()
	late := a.Enrol("pol-mn/zeden", identity.RolePolitie)
	until(t, "sessions at the other node are told", func() bool {
		return relaytest.Expect[wire.Advanced](at).RegisterSize == a.Register.Size()
	})
	other := late.At(b).Login()
	a.Revoke(late)
	if code := other.ExpectClose(); code != wire.CloseRevoked {
		t.Errorf("revoked at the other node: %v", code)
	}
	ca, _ := a.Register.Checkpoint()
	b.Knows(a)
	if cb, err := b.Register.Checkpoint(); err != nil || string(ca.Note) != string(cb.Note) {
		t.Errorf("the nodes sign different checkpoints: %v", err)
	}
}

// TestRegisterIsFoundWithoutWords: the sweep finds what no word told.
func TestRegisterIsFoundWithoutWords(t *testing.T) {
	a, b, _ := twoNodes(t, relay.Limits{Sweep: 50 * time.Millisecond}, true)
	d := a.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	d.At(b).Login()
	until(t, "it is counted", func() bool { return metric(t, b, "schakel_relay_register_entries") == float64(a.Register.Size()) })
}

// TestNewerSessionElsewhereEvicts: one live session of a device, wherever it is.
func TestNewerSessionElsewhereEvicts(t *testing.T) {
	a, b, _ := twoNodes(t, never, false)
	d := a.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	attending(t, a, b, d)
	at := []*relaytest.World{a, b}
	old := d.At(a).Login()
	for i := range 4 {
		next := d.At(at[(i+1)%2]).Login()
		if code := old.ExpectClose(); code != wire.CloseEvicted {
			t.Fatalf("the older session ends with %v", code)
		}
		old = next
	}
	if n := metric(t, a, `schakel_relay_sessions_closed_total{code="newer session"}`); n < 2 {
		t.Errorf("%v evictions are counted", n)
	}
}

// TestEvictionWithoutWords: a word that is lost is made up for by the sweep; the
// control has no sweep, and both stay.
func TestEvictionWithoutWords(t *testing.T) {
	a, b, _ := twoNodes(t, relay.Limits{Sweep: 50 * time.Millisecond}, true)
	d := a.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	old := d.Login()
	d.At(b).Login()
	if code := old.ExpectClose(); code != wire.CloseEvicted {
		t.Errorf("the older session ends with %v", code)
	}

	a, b, _ = twoNodes(t, never, true)
	e := a.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	if err := b.Register.Follow(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	old = e.Login()
	e.At(b).Login()
	if old.Quiet(300 * time.Millisecond); !old.Alive() {
		t.Error("control: the older session is gone without word and sweep")
	}
}

// TestLoginsAtTheSameInstant: of two sessions that begin at once at two nodes, or at
// one, exactly one stays.
func TestLoginsAtTheSameInstant(t *testing.T) {
	a, b, _ := twoNodes(t, never, false)
	d := a.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	attending(t, a, b, d)
	for round := range 12 {
		sessions := make([]*relaytest.Session, 3)
		var logins sync.WaitGroup
		for i, node := range []*relaytest.World{a, b, b} {
			at := d.At(node)
			logins.Go(func() {
				s, err := at.TryLogin()
				if err != nil {
					return // evicted before it was told that it is in
				}
				sessions[i] = s
			})
		}
		logins.Wait()
		count := func() float64 { return metric(t, a, "schakel_relay_sessions") + metric(t, b, "schakel_relay_sessions") }
		until(t, "exactly one stays", func() bool { return count() == 1 })
		stay := 0
		until(t, "the others have heard of it", func() bool { // one that was told to end may still answer
			stay = 0
			for _, s := range sessions {
				if s != nil && s.Alive() {
					stay++
				}
			}
			return stay <= 1
		})
		if n := count(); stay != 1 || n != 1 {
			t.Fatalf("round %d: %d devices believe that they are connected, of %v sessions", round, stay, n)
		}
	}
}

// TestD38LoginWithoutNumbers: while the store gives no numbers a device gets in all the
// same, by the challenge of its own connection and no other, and one session of it stays once
// there are numbers.
func TestD38LoginWithoutNumbers(t *testing.T) {
	a, b, store := twoNodes(t, relay.Limits{Sweep: 50 * time.Millisecond}, false)
	d := a.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	there := d.At(b).Login()
	store.silent.Store(true)
	here := d.Login()
	if there.Quiet(100 * time.Millisecond); !there.Alive() {
		t.Error("the other session ended before there was a number")
	}
	caught := relaytest.Attend(t, d.Dial())
	token := d.Token(relaytest.Expect[wire.Challenge](caught), caught.Conn.Binding())
	for name, node := range map[string]*relaytest.Device{"this relay": d, "the other": d.At(b)} {
		again := relaytest.Attend(t, node.Dial())
		relaytest.Expect[wire.Challenge](again)
		again.Send(token)
		if code := again.ExpectClose(); code != wire.CloseLogin {
			t.Errorf("a token of another connection, at %s, while the store is silent: %v", name, code)
		}
	}
	caught.Close()
	store.silent.Store(false)
	if code := there.ExpectClose(); code != wire.CloseEvicted {
		t.Errorf("the older session ends with %v", code)
	}
	if !here.Alive() {
		t.Error("the newest session is gone")
	}
}

// TestForkEndsTheRelay: a relay that sees another register than its own in Redis does
// not go on serving its own.
func TestForkEndsTheRelay(t *testing.T) {
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	open := func() (queue.Store, error) { return redisqueue.Open(t.Context(), server.Config()) }
	w := relaytest.New(t, relaytest.Config{Open: open, Limits: relay.Limits{Sweep: 50 * time.Millisecond}})
	other := w.Chain.Clone()
	w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	other.Enrol("pol-mn/zeden", identity.RolePolitie)

	root := server.Root()
	defer root.Close()
	store, err := redisqueue.Open(t.Context(), server.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := fileOf(t, other, store)
	defer log.Close()
	ended := make(chan error, 1)
	go func() { ended <- w.Wait() }()
	for { // whoever is first after a loss gives Redis its own
		if err := root.Del(t.Context(), "schakel:{q00}:register").Err(); err != nil {
			t.Fatal(err)
		}
		_ = log.Follow(t.Context(), time.Now())
		select {
		case err := <-ended:
			if !errors.Is(err, register.ErrFork) {
				t.Errorf("ended with %v", err)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// fileOf is a log whose file has a chain already.
func fileOf(t *testing.T, c *trusttest.Chain, order register.Order) *register.Log {
	t.Helper()
	config := register.Config{Path: t.TempDir() + "/register.db", LogName: trusttest.LogName, LogKey: c.Log}
	alone, err := register.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone.Import(t.Context(), c.Entries(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	config.Order = order
	log, err := register.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return log
}
