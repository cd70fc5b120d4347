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
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/page"
	"schakel/relay/rota"
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

// The reminder comes on the first Tuesday that is a working day, in the hours of the
// office in Amsterdam, whatever the clock does in summer.
func TestDrillDay(t *testing.T) {
	m := schakeltest.New(t).Join("arts/praktijk", identity.RoleSignaleerder)
	for month, day := range map[string]int{"2026-11": 3, "2026-12": 1, "2027-01": 5, "2027-03": 2, "2027-04": 6, "2030-01": 8} { // that year begins on one
		for _, within := range []string{"-01T00:30:00+01:00", "-28T23:00:00+01:00"} {
			at, err := time.Parse(time.RFC3339, month+within)
			if err != nil {
				t.Fatal(err)
			}
			got := m.Node.DrillDayForTest(at).In(rota.Zone())
			if got.Format("2006-01") != month || got.Day() != day || got.Hour() < 10 || got.Hour() > 15 {
				t.Errorf("in %s it is due %s, want day %d from 10 to 16", month, got, day)
			}
		}
	}
}

// A desk that organises the drills is paged until somebody begins one, in a month's time
// again; and no program begins one. Control: a desk that does not organise them.
func TestMonthlyDrill(t *testing.T) {
	p := newAcutePair(t, nil)
	other := staff(t, p.to)
	p.from.Stop()
	p.from.Organise()
	rang := staff(t, p.from)
	p.from.Start()
	p.reachable(t)
	due := func(m *schakeltest.Member) bool {
		st, err := m.Node.Status(testContext(t))
		return err == nil && !st.DrillDue.IsZero() && hasAlarm(t, m, schakel.AlarmDrill)
	}
	eventually(t, "a drill is due", func() bool { return due(p.from) })
	rang.until(t, "who is on call", map[string]int{firstNTFY: 1, firstMail: 1})
	if tier := rang.pages()[0].page.Tier; tier != envelope.TierRoutine {
		t.Errorf("paged at tier %d", tier)
	}
	p.Pass(24 * time.Hour)
	settle(t, p.from)
	rang.until(t, "nobody again the next day", map[string]int{firstNTFY: 1, firstMail: 1})
	if r := readyIn(t, p.from, "monthly drill"); r.Ready {
		t.Errorf("%+v", r)
	}
	if _, err := p.from.Node.StartDrill(testContext(t), p.to.Desk, schakel.By{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not due any more", func() bool { return !due(p.from) })
	if r := readyIn(t, p.from, "monthly drill"); !r.Ready {
		t.Errorf("%+v", r)
	}
	p.Pass(45 * 24 * time.Hour)
	eventually(t, "it is again", func() bool { return due(p.from) })
	if due(p.to) || other.heard()[allMail] > 0 && len(drillsGiven(t, p.to)) > 0 {
		t.Error("a desk that organises none is reminded")
	}
	if got := drillsGiven(t, p.from); len(got) != 1 {
		t.Errorf("%d drills were begun, one of them by a person", len(got))
	}
}

func drillsGiven(t *testing.T, m *schakeltest.Member) (out []schakel.Drill) {
	t.Helper()
	all, err := m.Node.Drills(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(d schakel.Drill) bool { return d.Inbound })
}

// Whether an officer has a device at hand is what they did on one: not that a key lies
// there, and not for ever.
func TestReadinessOfEachOfficer(t *testing.T) {
	h, ctx := newHomework(t), testContext(t)
	r := staffed()
	r.People[0].Person = h.officer.ID.String()
	by := schakel.By{Person: h.officer.Name, PIN: schakeltest.PIN}
	sent := h.send(t)
	eventually(t, "both devices have it", func() bool { return inbox(t, h.home, sent.Hash) != nil && inbox(t, h.office, sent.Hash) != nil })
	if _, err := h.home.Node.Read(ctx, sent.Hash); err != nil { // without the PIN: whoever it was
		t.Fatal(err)
	}
	planner := schakel.By{Person: h.office.AddPerson("R. Ooster").ID.String(), PIN: schakeltest.PIN}
	if _, err := h.office.Node.SetRota(ctx, roster.Sheet{Roster: r}, planner); err != nil {
		t.Fatal(err)
	}
	const name = "device at hand"
	said := func() schakel.Readiness { return readyIn(t, h.office, name) }
	if got := said(); got.Ready {
		t.Errorf("nobody proved themselves: %+v", got)
	}
	if _, err := h.office.Node.ReadAs(ctx, sent.Hash, by); err != nil {
		t.Fatal(err)
	}
	if got := said(); !got.Ready || !strings.Contains(got.Evidence, "P. Iket: device of the office") {
		t.Errorf("%+v", got)
	}
	if _, err := h.home.Node.ReadAs(ctx, sent.Hash, by); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the office hears of it", func() bool { return strings.Contains(said().Evidence, "P. Iket: light device") })
	if err := h.office.Node.Revoke(ctx, trust.Device{ID: h.home.Node.Device()}.Subject(), trust.ReasonLost); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was lost is not at hand", func() bool { return strings.Contains(said().Evidence, "P. Iket: device of the office") })
	h.Pass(32 * 24 * time.Hour)
	if got := said(); got.Ready || got.Remedy == "" || !slices.Equal(got.Lacking, []string{"P. Iket"}) {
		t.Errorf("a month later: %+v", got)
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
