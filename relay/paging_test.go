package relay_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay"
	"schakel/relay/oncall"
	"schakel/relay/oncall/oncalltest"
	paging "schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/relaytest"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// telephones keep what rings, and hold up who calls while they are busy.
type telephones struct {
	busy sync.Mutex

	mu   sync.Mutex // guards rang
	rang []paging.Page
}

func (p *telephones) For(paging.Point) (paging.Notifier, error) { return p, nil }

func (p *telephones) Notify(_ context.Context, pg paging.Page) error {
	p.busy.Lock()
	defer p.busy.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rang = append(p.rang, pg)
	return nil
}

func (p *telephones) calls() []paging.Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rang)
}

// mute is a journal that stops answering.
type mute struct {
	*oncalltest.Memory
	away    atomic.Bool
	slow    chan struct{} // not nil: plans are written once it is closed
	removed atomic.Int32  // how often a plan was taken away
}

func (m *mute) Publish(ctx context.Context, desk identity.DeskID, serial uint64, plan []byte) error {
	if m.slow != nil {
		<-m.slow
	}
	return m.Memory.Publish(ctx, desk, serial, plan)
}

func (m *mute) Remove(ctx context.Context, desk identity.DeskID) (bool, error) {
	defer m.removed.Add(1)
	return m.Memory.Remove(ctx, desk)
}

func (m *mute) Hold(ctx context.Context, b oncall.Bid) (oncall.Lease, error) {
	if m.away.Load() {
		return oncall.Lease{}, queue.ErrUnavailable
	}
	return m.Memory.Hold(ctx, b)
}

// planFor is a plan with one person on call.
func planFor(t *testing.T, desk identity.DeskID, serial uint64) []byte {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	p := rota.Plan{Desk: desk, Serial: serial, From: now.Add(-time.Hour), Until: now.Add(24 * time.Hour), Fallback: []rota.Contact{"c-1"},
		Points: []rota.Point{{Contact: "c-1", Channel: paging.NTFY, Target: "https://ntfy.example/topic"}}}
	raw, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// paging is a world whose relay calls people.
func callingWorld(t *testing.T) (*relaytest.World, *telephones, *mute) {
	phones, journal := &telephones{}, &mute{Memory: oncalltest.NewMemory(time.Now)}
	w := relaytest.New(t, relaytest.Config{Limits: relay.Limits{AsksPerSecond: 5000}, Paging: func(queue.Store) *relay.Paging {
		return &relay.Paging{Journal: journal, Points: phones, DeadMan: 5 * time.Second, Operator: []paging.Point{{Channel: paging.NTFY, Target: "operator"}}}
	}})
	return w, phones, journal
}

// A desk publishes its plan, an envelope that nobody attends rings, and the desk reads
// that in its log; no other desk does.
func TestPlanAndPages(t *testing.T) {
	w, phones, _ := callingWorld(t)
	from, to := w.Enrol("arts/praktijk", identity.RoleSignaleerder), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	sender, desk := from.Login(), to.Login()
	for _, c := range []struct {
		what   string
		plan   []byte
		serial uint64
		code   wire.Code
	}{
		{"no plan", []byte("plan"), 0, wire.CodeMalformed},
		{"another desk's", planFor(t, from.Desk, 2), 0, wire.CodeLane},
		{"one that blocks all others", planFor(t, to.Desk, 1<<64-1), 0, wire.CodeAhead},
		{"the first", planFor(t, to.Desk, 2), 2, wire.CodeOK},
		{"an older one", planFor(t, to.Desk, 1), 2, wire.CodeConflict},
	} {
		desk.Send(wire.Plan{Plan: c.plan})
		if f := relaytest.Expect[wire.PlanIs](desk); f.Serial != c.serial || f.Code != c.code {
			t.Errorf("%s: %+v", c.what, f)
		}
	}
	raw, id := from.EnvelopeWith(func(h *envelope.Header) { h.Tier = envelope.TierAcute }, 1200, to)
	sender.Send(wire.Put{Envelope: raw})
	relaytest.Expect[wire.Stored](sender)
	until(t, "the acute envelope rings", func() bool { return len(phones.calls()) == 1 })
	desk.Send(wire.TestPage{Tag: 7, Contact: "c-1"})
	if f := relaytest.Expect[wire.TestPageIs](desk); f.Tag != 7 || f.Code != wire.CodeOK {
		t.Errorf("a test: %+v", f)
	}
	if rang := phones.calls(); len(rang) != 2 || rang[0].Tier != envelope.TierAcute || !rang[1].Test {
		t.Errorf("rang %+v", rang)
	}
	desk.Send(wire.TestPage{Tag: 8, Contact: "c-2"})
	if f := relaytest.Expect[wire.TestPageIs](desk); f.Tag != 8 || f.Code != wire.CodeNotFound {
		t.Errorf("a test of a stranger: %+v", f)
	}
	until(t, "the desk reads of both in its log", func() bool {
		desk.Send(wire.WantPages{Tag: 9})
		f := relaytest.Expect[wire.PagesAre](desk)
		return f.Tag == 9 && len(f.Pages) == 2 && slices.ContainsFunc(f.Pages, func(p wire.Paged) bool {
			return p.ID == id && p.Contact == "c-1" && p.Waiting == 1 && p.Outcome == string(paging.Sent)
		})
	})
	sender.Send(wire.WantPages{Tag: 10})
	if f := relaytest.Expect[wire.PagesAre](sender); f.Tag != 10 || len(f.Pages) != 0 {
		t.Errorf("another desk reads %+v", f)
	}
}

// The plan of a desk that the register ends is taken away, and of all desks of an
// organisation; what waits for it, and what waits for others, is paged for.
func TestPlanOfARevokedDesk(t *testing.T) {
	w, phones, journal := callingWorld(t)
	from := w.Enrol("arts/praktijk", identity.RoleSignaleerder)
	sender := from.Login()
	gone := []identity.DeskID{"pol-mn/zeden", "vt20/crisis", "vt20/team"}
	var first *relaytest.Device
	for i, desk := range append(gone, "pol-mn/ander") {
		d := w.Enrol(desk, identity.RolePolitie)
		if i == 0 {
			first = d
		}
		s := d.Login()
		s.Send(wire.Plan{Plan: planFor(t, desk, 1)})
		if f := relaytest.Expect[wire.PlanIs](s); f.Code != wire.CodeOK {
			t.Fatal(f.Code)
		}
	}
	raw, _ := from.EnvelopeWith(func(h *envelope.Header) { h.Tier = envelope.TierAcute }, 1200, first)
	sender.Send(wire.Put{Envelope: raw})
	relaytest.Expect[wire.Stored](sender)
	until(t, "the desk rings", func() bool { return len(phones.calls()) == 1 })

	w.End(trust.Desk{ID: gone[0]}.Subject(), gone[0].Org())
	w.End(trust.Org{ID: "vt20"}.Subject(), "vt20")
	has := func(desk identity.DeskID) bool {
		plan, err := journal.Plan(t.Context(), desk)
		return err != nil || len(plan) > 0
	}
	until(t, "their plans are away", func() bool { return !slices.ContainsFunc(gone, has) })
	if !has("pol-mn/ander") {
		t.Error("another desk of that organisation has no plan any more")
	}
	until(t, "the operator rings for what waits, long before the backup would", func() bool { return len(phones.calls()) == 2 })
	sender.Send(plenty)
	if f := relaytest.Expect[wire.Notice](sender); f.Kind != wire.NoticeUnattended {
		t.Errorf("the sender is told %+v", f)
	}
}

// A plan that is on its way to the disk when the register ends its desk does not stay.
func TestPlanBesideARevocation(t *testing.T) {
	w, _, journal := callingWorld(t)
	d := w.Enrol("pol-mn/zeden", identity.RolePolitie)
	s := d.Login()
	journal.slow = make(chan struct{})
	s.Send(wire.Plan{Plan: planFor(t, d.Desk, 1)})
	w.End(trust.Desk{ID: d.Desk}.Subject(), d.Desk.Org())
	until(t, "what the desk had is taken away", func() bool { return journal.removed.Load() == 1 })
	close(journal.slow)
	until(t, "what it sent is taken away", func() bool { return journal.removed.Load() == 2 })
	if plan, err := journal.Plan(t.Context(), d.Desk); err != nil || len(plan) != 0 {
		t.Errorf("still there: %q, %v", plan, err)
	}
}

// A desk has one test page at a time, and a few a minute.
func TestFloodOfTestPages(t *testing.T) {
	w, phones, _ := callingWorld(t)
	desk := w.Enrol("pol-mn/zeden", identity.RolePolitie).Login()
	desk.Send(wire.Plan{Plan: planFor(t, "pol-mn/zeden", 1)})
	relaytest.Expect[wire.PlanIs](desk)
	phones.busy.Lock()
	desk.Send(wire.TestPage{Tag: 1, Contact: "c-1"}, wire.TestPage{Tag: 2, Contact: "c-1"})
	if f := relaytest.Expect[wire.TestPageIs](desk); f.Tag != 2 || f.Code != wire.CodeRate {
		t.Errorf("the second beside the first: %+v", f)
	}
	phones.busy.Unlock()
	if f := relaytest.Expect[wire.TestPageIs](desk); f.Tag != 1 || f.Code != wire.CodeOK {
		t.Errorf("the first: %+v", f)
	}
	for tag := range uint64(20) {
		desk.Send(wire.TestPage{Tag: 10 + tag, Contact: "c-1"})
		relaytest.Expect[wire.TestPageIs](desk)
	}
	if n := len(phones.calls()); n > 7 {
		t.Errorf("rang %d times", n)
	}
}

// Where nobody may count on pages the relay is not ready, so that its supervisor and its
// devices' operators look; it is again when the journal is back.
func TestSilentPagerIsNotReady(t *testing.T) {
	w, _, journal := callingWorld(t)
	ready := func() bool { code, _ := admin(t, w, "/readyz"); return code == http.StatusOK }
	until(t, "ready", ready)
	journal.away.Store(true)
	until(t, "not ready while the journal is away", func() bool { return !ready() })
	if code, _ := admin(t, w, "/livez"); code != http.StatusOK {
		t.Errorf("livez: %d", code)
	}
	journal.away.Store(false)
	until(t, "ready again", ready)
}

// A relay without paging says so, and is ready.
func TestNoPaging(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{})
	s := vt.Login()
	s.Send(wire.Plan{Plan: planFor(t, vt.Desk, 1)}, wire.TestPage{Tag: 1, Contact: "c-1"}, wire.WantPages{Tag: 2})
	if f := relaytest.Expect[wire.PlanIs](s); f.Code != wire.CodeUnavailable {
		t.Errorf("plan: %+v", f)
	}
	if f := relaytest.Expect[wire.TestPageIs](s); f.Code != wire.CodeUnavailable {
		t.Errorf("test: %+v", f)
	}
	if f := relaytest.Expect[wire.PagesAre](s); f.Tag != 2 || len(f.Pages) != 0 {
		t.Errorf("pages: %+v", f)
	}
	if code, _ := admin(t, w, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d", code)
	}
}
