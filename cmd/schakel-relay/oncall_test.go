package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/ladder"
	"schakel/relay/relaytest"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// telephones are a gateway over https to whoever is on call: a path is a telephone.
type telephones struct {
	*httptest.Server
	hangs atomic.Bool // takes a page and answers nothing

	mu   sync.Mutex // guards what follows
	rung map[string]int
	said bytes.Buffer // every byte of every page
}

func newTelephones(t *testing.T) *telephones {
	g := &telephones{rung: make(map[string]int)}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		g.mu.Lock()
		g.rung[strings.TrimPrefix(r.URL.Path, "/")]++
		_ = r.Header.Write(&g.said)
		fmt.Fprintf(&g.said, "%s %s\n", r.URL, body)
		g.mu.Unlock()
		if g.hangs.Load() {
			<-r.Context().Done()
		}
	}))
	g.Config.ErrorLog = log.New(io.Discard, "", 0)
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

func (g *telephones) times(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rung[name]
}

func (g *telephones) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.said.String()
}

// calls has a relay believe the gateway, and call its operator there.
func (p *process) calls(g *telephones) {
	p.t.Helper()
	folder := filepath.Join(p.data, "..")
	ca := filepath.Join(folder, "gateway.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		p.t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(folder, "relay.toml"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintf(f, "log-level = \"info\"\noncall-ca = %q\noncall-allow = \"127.0.0.1/32\"\noncall-operator = \"ntfy=%s/operator\"\n", ca, g.URL)
}

// hasty is the plan of a desk whose ladder takes seconds.
func hasty(t *testing.T, d *relaytest.Device, g *telephones) wire.Plan {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	p := rota.Plan{
		Desk: d.Desk, Serial: 1, From: now.Add(-time.Hour), Until: now.Add(14 * 24 * time.Hour), Fallback: []rota.Contact{"third"},
		Ladders: []rota.Tightening{{Tier: envelope.TierAcute, Ladder: ladder.Ladder{
			Steps: []ladder.Step{{After: 0}, {After: 5 * time.Second, Level: 1}, {After: 10 * time.Second, Level: ladder.Everyone}}, Alarm: 12 * time.Second,
		}}},
	}
	for level, c := range []rota.Contact{"first", "second"} {
		p.Shifts = append(p.Shifts, rota.Shift{From: p.From, To: p.Until, Level: level, Contact: c})
		p.Points = append(p.Points, rota.Point{Contact: c, Channel: "ntfy", Target: g.URL + "/" + string(c)})
	}
	p.Points = append(p.Points, rota.Point{Contact: "third", Channel: "ntfy", Target: g.URL + "/third"})
	raw, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return wire.Plan{Plan: raw}
}

// acute puts an acute envelope, and returns what is shown when somebody takes it.
func acute(s *relaytest.Session, from, to *relaytest.Device) wire.Attended {
	token := [32]byte{1, 2, 3}
	hash := sha256.Sum256(token[:])
	raw, id := from.EnvelopeWith(func(h *envelope.Header) { h.Tier, h.Attended = envelope.TierAcute, hash[:] }, 1200, to)
	s.Send(wire.Put{Envelope: raw})
	relaytest.Expect[wire.Stored](s)
	return wire.Attended{ID: id, Token: token}
}

func (p *process) metrics() string {
	p.t.Helper()
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func publish(t *testing.T, s *relaytest.Session, plan wire.Plan) {
	t.Helper()
	s.Send(plan)
	if got := relaytest.Expect[wire.PlanIs](s); got.Code != wire.CodeOK || got.Serial != 1 {
		t.Fatalf("plan refused: %v, %d", got.Code, got.Serial)
	}
}

// TestKilledBetweenRungs: the first is called at once and once, the relay is killed,
// and the next is called all the same; then everybody, and the sender hears of it.
func TestKilledBetweenRungs(t *testing.T) {
	g := newTelephones(t)
	p, from, to, w := newProcess(t)
	p.calls(g)
	p.start()
	epochs(t, to, w)
	sender, desk := from.Login(), to.Login()
	publish(t, desk, hasty(t, to, g))
	shown := acute(sender, from, to)
	eventually(t, "the first is called", func() bool { return g.times("first") == 1 })
	eventually(t, "the page is settled", func() bool {
		return p.metric(`schakel_relay_oncall_pages_total{channel="ntfy",outcome="sent",tier="acute"}`) == "1"
	})
	settled := make(chan struct{})
	time.AfterFunc(500*time.Millisecond, func() { close(settled) })
	<-settled
	p.stop(syscall.SIGKILL)
	p.start()
	eventually(t, "the second is called", func() bool { return g.times("second") == 1 })
	if n := g.times("first"); n != 1 {
		t.Errorf("the first was called %d times", n)
	}
	eventually(t, "everybody is called", func() bool { return g.times("third") == 1 && g.times("first") == 2 })
	sender = from.Login()
	sender.Send(wire.Credit{Messages: 10, Bytes: 1 << 20})
	if n := relaytest.Expect[wire.Notice](sender); n.Kind != wire.NoticeUnattended || n.ID != shown.ID {
		t.Errorf("the sender hears %+v", n)
	}
	desk = to.Login()
	desk.Send(shown)
	if got := relaytest.Expect[wire.AttendedIs](desk); got.Code != wire.CodeOK {
		t.Fatal(got.Code)
	}
	eventually(t, "nothing waits", func() bool { return p.metric("schakel_relay_oncall_waiting") == "0" })
	desk.Send(wire.WantPages{Tag: 7})
	log := relaytest.Expect[wire.PagesAre](desk)
	if log.Tag != 7 || len(log.Pages) < 5 || log.Pages[0].Contact != "first" || log.Pages[0].ID != shown.ID || log.Pages[0].Outcome != "sent" {
		t.Errorf("the log says %+v", log)
	}
	desk.Send(wire.TestPage{Tag: 8, Contact: "third"}, wire.TestPage{Tag: 9, Contact: "third"})
	codes := map[uint64]wire.Code{}
	for range 2 {
		got := relaytest.Expect[wire.TestPageIs](desk)
		codes[got.Tag] = got.Code
	}
	if codes[8] != wire.CodeOK || codes[9] != wire.CodeRate {
		t.Errorf("two test pages at once: %v", codes)
	}
	if g.times("operator") != 0 {
		t.Error("the operator was called")
	}
}

// TestKilledWithAPageOnItsWay: the row was written and nobody knows of the page, so it
// goes out again, once.
func TestKilledWithAPageOnItsWay(t *testing.T) {
	g := newTelephones(t)
	p, from, to, w := newProcess(t)
	p.calls(g)
	p.start()
	epochs(t, to, w)
	sender, desk := from.Login(), to.Login()
	publish(t, desk, hasty(t, to, g))
	g.hangs.Store(true)
	acute(sender, from, to)
	eventually(t, "the first is called", func() bool { return g.times("first") == 1 })
	p.stop(syscall.SIGKILL)
	g.hangs.Store(false)
	p.start()
	eventually(t, "the first is called again", func() bool { return g.times("first") == 2 })
	eventually(t, "the second is called", func() bool { return g.times("second") == 1 })
	if n := g.times("first"); n != 2 {
		t.Errorf("the first was called %d times", n)
	}
}

// TestOwnerIsKilled: of two relays on one Redis the one that keeps the timers is
// killed between two rungs, and the other goes on where it was.
func TestOwnerIsKilled(t *testing.T) {
	g := newTelephones(t)
	c, from, to := newCluster(t)
	for _, p := range c.nodes {
		p.stop(syscall.SIGTERM)
		p.calls(g)
		p.start()
	}
	epochs(t, c.direct[0].Device(to.Device), c.world)
	owner := func() int {
		for i, p := range c.nodes {
			if p.metric("schakel_relay_oncall_owner") == "1" {
				return i
			}
		}
		return -1
	}
	keeps := -1
	eventually(t, "one keeps the timers", func() bool { keeps = owner(); return keeps >= 0 })
	// The other one takes the envelope.
	other := c.direct[1-keeps]
	sender, desk := other.Device(from.Device).Login(), other.Device(to.Device).Login()
	publish(t, desk, hasty(t, to, g))
	shown := acute(sender, from, to)
	eventually(t, "the first is called", func() bool { return g.times("first") == 1 })
	c.nodes[keeps].stop(syscall.SIGKILL)
	eventually(t, "the second is called", func() bool { return g.times("second") == 1 })
	if n := g.times("first"); n > 2 {
		t.Errorf("the first was called %d times", n)
	}
	if c.nodes[1-keeps].metric("schakel_relay_oncall_owner") != "1" {
		t.Error("somebody else keeps the timers")
	}
	desk.Send(shown)
	if got := relaytest.Expect[wire.AttendedIs](desk); got.Code != wire.CodeOK {
		t.Fatal(got.Code)
	}
	c.nodes[keeps].start()
	eventually(t, "nothing waits", func() bool { return c.nodes[1-keeps].metric("schakel_relay_oncall_waiting") == "0" })
	if g.times("operator") != 0 {
		t.Error("the operator was called")
	}
}

// TestNothingLeaks: of an envelope nothing but its tier reaches a page; and neither
// pages nor the log of the relay nor its metrics name a desk, a contact, a point, or
// whoever sent it. The log names envelopes at its debug level only.
func TestNothingLeaks(t *testing.T) {
	g := newTelephones(t)
	p, from, to, w := newProcess(t)
	p.calls(g)
	p.start()
	epochs(t, to, w)
	sender, desk := from.Login(), to.Login()
	acute(sender, from, to)
	eventually(t, "without a plan the operator is called", func() bool { return g.times("operator") == 1 })
	publish(t, desk, hasty(t, to, g))
	shown := acute(sender, from, to)
	eventually(t, "everybody is called", func() bool { return g.times("third") > 0 })
	metrics := p.metrics()
	if !strings.Contains(g.text(), "Open Schakel") || !strings.Contains(metrics, "oncall_pages_total") || !strings.Contains(p.log.String(), `"page"`) {
		t.Fatal("there is nothing to look at")
	}
	canaries := []string{"vt20", "crisis", "pol-mn", "zeden", shown.ID.String(), from.ID.String(), to.ID.String()}
	for _, canary := range canaries {
		if strings.Contains(g.text(), canary) {
			t.Errorf("a page says %q", canary)
		}
		if strings.Contains(metrics, canary) {
			t.Errorf("a metric says %q", canary)
		}
	}
	for _, canary := range []string{"vt20/crisis", "pol-mn/zeden", "/first", "/second", "/third", `"first"`, `"second"`, "gateway", g.Listener.Addr().String() + "/"} {
		if strings.Contains(p.log.String(), canary) {
			t.Errorf("the log says %q", canary)
		}
		if canary[0] != '"' && strings.Contains(metrics, canary) {
			t.Errorf("a metric says %q", canary)
		}
	}
}
