package demo_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"schakel/clients/demo"
	"schakel/clients/desk"
	"schakel/clients/schakel/schakeltest"
	"schakel/configs"
	"schakel/crypto/identity"
	"schakel/relay/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a chain inside this process: a real relay, real stores, real sockets to
// the relay, one desk each.
type world struct {
	t       *testing.T
	members map[identity.DeskID]*schakeltest.Member
	away    map[identity.DeskID]bool

	mu     sync.Mutex // guards target
	target identity.DeskID
	puts   atomic.Int64 // envelopes that devices handed to the relay
}

var _ demo.World = (*world)(nil)

func newWorld(t *testing.T, s demo.Scenario) *world {
	w := &world{t: t, members: map[identity.DeskID]*schakeltest.Member{}, away: map[identity.DeskID]bool{}}
	chain := schakeltest.Prepare(t)
	chain.Tap = w.tap
	chain.StartRelay()
	for _, d := range s.Desks {
		m := chain.Join(d.ID, d.Role)
		for _, p := range d.Persons {
			m.AddPerson(p.Name)
		}
		m.Start()
		w.members[d.ID] = m
	}
	return w
}

// tap is the dishonest relay: it flips one bit in the sealed part of the next
// envelope that it hands to the target.
func (w *world) tap(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	if _, put := f.(wire.Put); put && from == wire.SideDevice {
		w.puts.Add(1)
	}
	d, ok := f.(wire.Deliver)
	w.mu.Lock()
	defer w.mu.Unlock()
	if ok && w.target != "" && bytes.Contains(d.Envelope[:256], []byte(w.target)) {
		w.target = ""
		d.Envelope = bytes.Clone(d.Envelope)
		d.Envelope[len(d.Envelope)-100] ^= 1
		return []wire.Frame{d}
	}
	return []wire.Frame{f}
}

func (w *world) Node(id identity.DeskID) (desk.Node, error) {
	if w.away[id] {
		return nil, errors.New("away")
	}
	return w.members[id].Node, nil
}

func (w *world) Leave(_ context.Context, id identity.DeskID) error {
	w.members[id].Stop()
	w.away[id] = true
	return nil
}

func (w *world) Return(_ context.Context, id identity.DeskID) error {
	w.members[id].Reopen()
	w.members[id].Start()
	delete(w.away, id)
	return nil
}

func (w *world) Tamper(_ context.Context, id identity.DeskID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = id
	return nil
}

// listener keeps the facts.
type listener struct {
	t     *testing.T
	facts []demo.Fact
}

func (l *listener) Step(_ context.Context, n int, s demo.Step) error {
	l.t.Logf("%2d %s %s", n, s.Do, s.Class)
	return nil
}

func (l *listener) Fact(f demo.Fact) {
	l.t.Logf("   %s %s %s %s %s", f.Kind, f.Desk, f.By, f.Rule, f.Text)
	l.facts = append(l.facts, f)
}

func scenario(t *testing.T) demo.Scenario {
	t.Helper()
	s, err := demo.Parse(configs.Scenario)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
