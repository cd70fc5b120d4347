package relay_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/register"
	"schakel/relay/relaytest"
)

// alone is a store on which relays do not tell each other what witnesses signed: each
// hears only its own.
type alone struct{ *shared }

func (s alone) Cosign(_ context.Context, c register.Cosigning) (register.Cosigning, error) {
	return c, nil
}

// apart are two relays on one Redis whose root demands 2 of 3 witnesses, of whom one is
// connected to each, and a client at each.
type apart struct {
	a, b           *relaytest.World
	first, second  *cosigner
	clientA        *relaytest.Session
	clientB        *relaytest.Session
	regA, regB     *trust.Register
	pinA, pinB     trust.Pinned
	before, demand uint64 // sizes
}

func newApart(t *testing.T, wrap func(*shared) queue.Store) *apart {
	t.Helper()
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	open := func() queue.Store {
		s, err := redisqueue.Open(t.Context(), server.Config())
		if err != nil {
			t.Fatal(err)
		}
		return wrap(&shared{Store: s})
	}
	x := &apart{a: relaytest.New(t, relaytest.Config{Open: func() (queue.Store, error) { return open(), nil }, Limits: never})}
	x.b = x.a.Beside(t, open(), never)
	attending(t, x.a, x.b, x.a.Enrol("raad/een", identity.RoleRaad)) // from here on no sweep is needed
	one, two := x.a.Enrol("vt20/crisis", identity.RoleVeiligThuis), x.a.Enrol("pol-mn/zeden", identity.RolePolitie)
	at, to := x.a.Enrol("om-mn/zsm", identity.RoleOM), x.a.Enrol("opvang/een", identity.RoleOpvang)
	x.before = x.a.Chain.Register().Size()
	demand(t, x.a)
	x.demand = x.a.Chain.Register().Size()
	x.b.Knows(x.a)
	x.clientA, x.clientB = at.Login(), to.At(x.b).Login()
	for _, c := range []struct {
		s   *relaytest.Session
		reg **trust.Register
		pin *trust.Pinned
	}{{x.clientA, &x.regA, &x.pinA}, {x.clientB, &x.regB, &x.pinB}} {
		reg, err := trust.New(x.a.Genesis(), x.a.Fingerprint())
		if err != nil {
			t.Fatal(err)
		}
		*c.reg, *c.pin = followed(t, c.s, reg, reg.Pin(), x.before)
	}
	x.first, x.second = newCosigner(t, x.a, one, 0), newCosigner(t, x.b, two.At(x.b), 1)
	return x
}

// both waits until the client at each relay has a register of size, with its quorum.
func (x *apart) both(t *testing.T, size uint64) {
	t.Helper()
	x.regA, x.pinA = advanced(t, x.clientA, x.regA, x.pinA, size)
	x.regB, x.pinB = advanced(t, x.clientB, x.regB, x.pinB, size)
	if string(x.pinA.Note) == "" || x.pinA.Root != x.pinB.Root {
		t.Error("the relays show two registers")
	}
}

// TestCosignaturesOfTwoRelays: a quorum whose witnesses are connected to different relays
// of one Redis is a quorum at both, at once, and again as the register grows at either.
func TestCosignaturesOfTwoRelays(t *testing.T) {
	x := newApart(t, func(s *shared) queue.Store { return s })
	x.first.sign(t)
	x.second.sign(t)
	x.both(t, x.demand)
	for i, at := range []*relaytest.World{x.a, x.b, x.a} {
		size := x.demand + uint64(i) + 1
		desk := identity.DeskID([]string{"om-mn/een", "om-mn/twee", "om-mn/drie"}[i])
		entry := entryOf(t, x.a, desk)
		x.a.Chain.Add(entry)
		if _, err := at.Register.Append(t.Context(), entry, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		x.first.signUpTo(t, size)
		x.second.signUpTo(t, size)
		x.both(t, size)
	}
}

// signUpTo answers questions until the one about a size.
func (c *cosigner) signUpTo(t *testing.T, size uint64) {
	t.Helper()
	until(t, "the witness is asked for the newest", func() bool { return c.sign(t).Size == size })
}

// Control: relays that do not tell each other what was signed never reach the quorum.
func TestCosignaturesStayApartUnshared(t *testing.T) {
	x := newApart(t, func(s *shared) queue.Store { return alone{s} })
	x.first.sign(t)
	x.second.sign(t)
	until(t, "both relays took a cosignature", func() bool {
		const one = `schakel_relay_cosignatures_total{result="ok"} 1`
		return strings.Contains(metricsOf(t, x.a), one) && strings.Contains(metricsOf(t, x.b), one)
	})
	for _, at := range []*relaytest.World{x.a, x.b} {
		if err := at.Register.Follow(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if p, err := at.Register.Checkpoint(); err != nil || p.Size != x.before {
			t.Errorf("one witness of two made size %d: %v", p.Size, err)
		}
	}
}
