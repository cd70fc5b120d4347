package schakel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/relay/page"
)

// readyIn is one line of the report.
func readyIn(t *testing.T, m *schakeltest.Member, name string) schakel.Readiness {
	t.Helper()
	all, err := m.Node.Readiness(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r schakel.Readiness) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("readiness says nothing of %q", name)
	}
	return all[i]
}

// A drill takes the real path, says at every telephone of the desk that it is one, and
// is on record at both ends with its times.
func TestDrill(t *testing.T) {
	p := newAcutePair(t, nil)
	officer := p.to.AddPerson("P. Iket")
	rang := staff(t, p.to)
	p.reachable(t)
	if readyIn(t, p.to, "drill").Ready {
		t.Error("a drill was answered before there was one")
	}
	sent, err := p.from.Node.StartDrill(testContext(t), p.to.Desk, schakel.By{})
	if err != nil || !sent.Exercise {
		t.Fatalf("%+v, %v", sent, err)
	}
	rang.until(t, "who is on call", map[string]int{firstNTFY: 1, firstMail: 1})
	for _, r := range rang.pages() {
		if title, text := r.page.Words(); !strings.HasPrefix(title, "OEFENING") || !strings.HasPrefix(text, "OEFENING") {
			t.Errorf("the page says %q, %q", title, text)
		}
	}
	p.Pass(10 * time.Second)
	p.report(t) // and then the real thing, to the same telephone
	rang.until(t, "what is real is not spared because of an exercise", map[string]int{firstNTFY: 2, firstMail: 2})
	if last := rang.pages()[3].page; last.Exercise {
		t.Error("what is real says that it is an exercise")
	}
	p.Pass(30 * time.Second)
	if _, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*schakeltest.Member{p.to, p.from} {
		eventually(t, "the drill is on record", func() bool {
			drills, err := m.Node.Drills(testContext(t))
			return err == nil && len(drills) == 1 && drills[0].Message == sent.Hash && drills[0].ToAcknowledged >= 40*time.Second && drills[0].ToAcknowledged < 5*time.Minute
		})
	}
	drills, err := p.to.Node.Drills(testContext(t))
	if err != nil || drills[0].Paged.IsZero() || drills[0].ToPaged > 30*time.Second || !drills[0].Inbound {
		t.Errorf("%+v, %v", drills, err)
	}
	if r := readyIn(t, p.to, "drill"); !r.Ready {
		t.Errorf("%+v", r)
	}
	p.Pass(32 * 24 * time.Hour)
	if r := readyIn(t, p.to, "drill"); r.Ready {
		t.Errorf("a drill of last month: %+v", r)
	}
}

// What a desk on call must have, and what is said where it is not there.
func TestReadiness(t *testing.T) {
	p := newAcutePair(t, nil)
	for _, name := range []string{"rota", "contacts", "two channels", "at the relay", "own pager", "devices", "drill"} {
		if r := readyIn(t, p.to, name); r.Ready || r.Remedy == "" || r.Evidence == "" {
			t.Errorf("with nothing: %+v", r)
		}
	}
	staff(t, p.to)
	for name, want := range map[string]bool{"rota": true, "contacts": true, "two channels": false, "own pager": true, "keys of persons": true, "keys of this device": true} {
		if r := readyIn(t, p.to, name); r.Ready != want {
			t.Errorf("with a rota: %+v", r)
		}
	}
	if r := readyIn(t, p.to, "two channels"); !strings.Contains(r.Evidence, "wachtkamer") || strings.Contains(r.Evidence, "Iket") {
		t.Errorf("the fallback has one way, and nobody else: %+v", r)
	}
}

// A test pages one person by all ways, says that it is one, and tells what failed.
func TestTestPages(t *testing.T) {
	p := newAcutePair(t, nil)
	if _, err := p.to.Node.TestPages(testContext(t), schakel.TestPage{Who: "P. Iket"}); !errors.Is(err, schakel.ErrNoRota) {
		t.Errorf("without a rota: %v", err)
	}
	giveRota(t, p.to)
	if _, err := p.to.Node.TestPages(testContext(t), schakel.TestPage{Who: "P. Iket"}); !errors.Is(err, schakel.ErrNoChannels) {
		t.Errorf("without a pager: %v", err)
	}
	rang := &phones{}
	p.to.Equip(rang)
	rang.fail(firstMail, page.ErrUntrusted)
	got, err := p.to.Node.TestPages(testContext(t), schakel.TestPage{Who: "P. Iket"})
	want := []schakel.Tested{{By: "device", Contact: "c-1", Channel: page.NTFY, Outcome: page.Sent}, {By: "device", Contact: "c-1", Channel: page.SMTP, Outcome: page.Untrusted}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, r := range rang.pages() {
		if title, _ := r.page.Words(); !strings.HasPrefix(title, "TEST") {
			t.Errorf("the page says %q", title)
		}
	}
	if _, err := p.to.Node.TestPages(testContext(t), schakel.TestPage{Who: "nobody"}); !errors.Is(err, roster.ErrUnknown) {
		t.Errorf("a stranger: %v", err)
	}
	log, err := p.to.Node.PageLog(testContext(t), 10)
	if err != nil || len(log) != 2 || log[0].Why != "test" {
		t.Errorf("%+v, %v", log, err)
	}
	p.to.Stop()
	for _, after := range []struct{ days, pages int }{{364, 2}, {366, 0}} {
		p.to.MoveClock(time.Duration(after.days) * day)
		if err := p.to.Node.ForgetForTest(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if log, err = p.to.Node.PageLog(testContext(t), 10); err != nil || len(log) != after.pages {
			t.Errorf("after %d days %d pages in the log, %v", after.days, len(log), err)
		}
	}
}
