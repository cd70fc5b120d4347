package schakel_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/envelope"
	"schakel/relay/page"
)

// figures is what a device counts.
func figures(t *testing.T, n *schakel.Node) schakel.Figures {
	t.Helper()
	f, err := n.Figures(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A night in numbers: an acute message comes, pages fail and go out, a person takes it,
// and meanwhile the relay goes away.
func TestFigures(t *testing.T) {
	p := newAcutePair(t, nil)
	officer := p.to.AddPerson("P. Iket")
	before := figures(t, p.to.Node)
	if before.Pager || before.Rota.Known || before.Unacknowledged[envelope.TierAcute].Number != 0 || len(before.Pages) != 0 || !before.DrillAnswer.IsZero() || !before.Backup.IsZero() {
		t.Errorf("before anything: %+v", before)
	}
	rang := staff(t, p.to)
	rang.fail(firstNTFY, page.ErrRefused)
	p.reachable(t)
	drill, err := p.from.Node.StartDrill(testContext(t), p.to.Desk, schakel.By{})
	if err != nil {
		t.Fatal(err)
	}
	rang.until(t, "who is on call", map[string]int{firstNTFY: 1, firstMail: 1})
	acute := envelope.TierAcute
	eventually(t, "it is counted", func() bool {
		f := figures(t, p.to.Node)
		return f.Unacknowledged[acute].Number == 1 && f.Connected && f.Pager && !f.Beat.IsZero() &&
			f.Pages[schakel.PageCount{Tier: acute, Channel: page.NTFY, Outcome: string(page.Refused)}] == 1 &&
			f.Pages[schakel.PageCount{Tier: acute, Channel: page.SMTP, Outcome: string(page.Sent)}] == 1
	})
	p.Pass(20 * time.Minute)
	eventually(t, "the sender counts that nobody there took it", func() bool {
		f := figures(t, p.from.Node)
		return f.Unheard[acute] == 1 && f.Alarms[schakel.AlarmUnacknowledged] == 1
	})
	eventually(t, "this desk counts that it is late itself", func() bool {
		return figures(t, p.to.Node).Alarms[schakel.AlarmOverdue] == 1
	})
	f := figures(t, p.to.Node)
	st, err := p.to.Node.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.Unacknowledged[acute].Number != st.ToAcknowledge+st.ToConfirm || f.Rota.Gaps != st.Rota.Gaps || !f.KeysUntil.Equal(st.KeysUntil) {
		t.Errorf("figures %+v, status %+v", f, st)
	}
	if old := p.Now().Sub(f.Unacknowledged[acute].Since); old < 20*time.Minute || old > time.Hour {
		t.Errorf("the oldest is here for %v", old)
	}
	if _, err := p.to.Node.Acknowledge(testContext(t), drill.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	if f := figures(t, p.to.Node); f.Unacknowledged[acute].Number != 0 || f.DrillAnswer.IsZero() || f.DeviceEnds.Before(p.Now()) {
		t.Errorf("acknowledged: %+v", f)
	}
	p.StopRelay()
	eventually(t, "the relay is away", func() bool { return !figures(t, p.to.Node).Connected })
	p.report(t)
	p.Pass(10 * time.Minute)
	f = figures(t, p.from.Node)
	if f.Leaving.Number == 0 || p.Now().Sub(f.Leaving.Since) < 10*time.Minute || f.Contact.IsZero() || p.Now().Sub(f.Contact) < 10*time.Minute {
		t.Errorf("without a relay: %+v", f)
	}
}

// A kind of alarm that is not in the list of all kinds has no metric, and no words.
func TestAlarmKindsAreAll(t *testing.T) {
	src, err := os.ReadFile("types.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\tAlarm\w+ +AlarmKind = "([^"]+)"`).FindAllSubmatch(src, -1)
	for _, m := range found {
		if !slices.Contains(schakel.AlarmKinds(), schakel.AlarmKind(m[1])) {
			t.Errorf("%s is not among them", m[1])
		}
	}
	if len(found) != len(schakel.AlarmKinds()) || len(found) < 20 {
		t.Errorf("%d kinds, and %d in the list", len(found), len(schakel.AlarmKinds()))
	}
}
