package relay_test

import (
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// TestTwoRelays has two relays on one Redis, whose sweep is too rare to help: what
// one takes must reach a device at the other by the doorbell, both ways.
func TestTwoRelays(t *testing.T) {
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	exchange(t, server, relay.Limits{Sweep: time.Hour}, func(s queue.Store) queue.Store { return s })
}

// deaf hides the doorbell of a store.
type deaf struct{ queue.Store }

// TestTwoRelaysWithoutDoorbell has the sweep find what no ring told.
func TestTwoRelaysWithoutDoorbell(t *testing.T) {
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	exchange(t, server, relay.Limits{Sweep: 50 * time.Millisecond}, func(s queue.Store) queue.Store { return deaf{s} })
}

// exchange has a device at each of two relays write to the other.
func exchange(t *testing.T, server *redistest.Server, limits relay.Limits, wrap func(queue.Store) queue.Store) {
	open := func() (queue.Store, error) {
		store, err := redisqueue.Open(t.Context(), server.Config())
		if err != nil {
			return nil, err
		}
		return wrap(store), nil
	}
	w := relaytest.New(t, relaytest.Config{Open: open, Limits: limits})
	store, err := open()
	if err != nil {
		t.Fatal(err)
	}
	other := w.Beside(t, store, limits)
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	here, there := a.Login(), b.At(other).Login()
	if here.Ready.StoreEpoch != there.Ready.StoreEpoch {
		t.Error("two relays on one store name two epochs")
	}
	for _, s := range []*relaytest.Session{here, there} {
		s.Send(wire.Credit{Messages: 1000, Bytes: 1 << 24})
	}
	for range 20 {
		raw, id := a.Envelope(b)
		here.Send(wire.Put{Envelope: raw})
		relaytest.Expect[wire.Stored](here)
		if got := relaytest.Expect[wire.Deliver](there); string(got.Envelope) != string(raw) {
			t.Fatalf("%s came with other bytes", id)
		} else {
			there.Send(wire.Ack{Position: got.Position})
		}
		raw, _ = b.Envelope(a)
		there.Send(wire.Put{Envelope: raw})
		relaytest.Expect[wire.Stored](there)
		got := relaytest.Expect[wire.Deliver](here)
		here.Send(wire.Ack{Position: got.Position})
	}
}
