package schakel_test

import (
	"errors"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func deskOf(t *testing.T, m *schakeltest.Member, id identity.DeskID) schakel.Desk {
	t.Helper()
	all, err := m.Node.Directory(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.ID == id {
			return d
		}
	}
	t.Fatalf("no desk %s", id)
	return schakel.Desk{}
}

// A key that root holders replace stops what people write there, also what was written
// and has not left, until somebody compared it by telephone; a wrong fingerprint, a wrong
// PIN and a restart do not open it again.
func TestAnotherKeyStopsSending(t *testing.T) {
	p := newAcutePair(t, nil)
	ctx := testContext(t)
	officer := p.from.AddPerson("D. Okter")
	by := schakel.By{Person: officer.Name, PIN: schakeltest.PIN}
	draft := schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{p.to.Desk}, Body: example(t, "melding")}
	before := deskOf(t, p.from, p.to.Desk)
	if before.Key != schakel.KeyUnchecked || !before.Reachable || len(before.Fingerprint) != 47 {
		t.Fatalf("%+v", before)
	}
	there, err := p.to.Node.Status(ctx)
	if err != nil || there.Fingerprint != before.Fingerprint {
		t.Errorf("the desk itself reads out %q, want %q, %v", there.Fingerprint, before.Fingerprint, err)
	}
	if err := p.from.Node.VerifyDesk(ctx, p.to.Desk, "00000 11111 22222 33333 44444 55555 66666 77777", by); !errors.Is(err, schakel.ErrKeyMismatch) {
		t.Errorf("a wrong fingerprint: %v", err)
	}
	if err := p.from.Node.VerifyDesk(ctx, p.to.Desk, before.Fingerprint, schakel.By{Person: officer.Name, PIN: "000000"}); !errors.Is(err, schakel.ErrPIN) {
		t.Errorf("a wrong PIN: %v", err)
	}
	if err := p.from.Node.VerifyDesk(ctx, p.to.Desk, before.Fingerprint, by); err != nil {
		t.Fatal(err)
	}
	if d := deskOf(t, p.from, p.to.Desk); d.Key != schakel.KeyVerified || d.KeyBy != officer.Name || d.KeyAt.IsZero() {
		t.Errorf("%+v", d)
	}
	if _, err := p.from.Node.Send(ctx, draft); err != nil {
		t.Fatalf("control: a key that was compared: %v", err)
	}

	p.ReplaceKey(p.to.Desk.Org())
	eventually(t, "the key is another, with an alarm", func() bool { return hasAlarm(t, p.from, schakel.AlarmNewKey) })
	for what, try := range map[string]func() error{
		"a message": func() error { _, err := p.from.Node.Send(ctx, draft); return err },
		"its check": func() error { _, err := p.from.Node.Prepare(ctx, draft); return err },
		"a test":    func() error { return p.from.Node.SendTest(ctx, p.to.Desk) },
		"a drill":   func() error { _, err := p.from.Node.StartDrill(ctx, p.to.Desk, schakel.By{}); return err },
	} {
		if err := try(); !errors.Is(err, schakel.ErrKeyChanged) {
			t.Errorf("%s goes to another key: %v", what, err)
		}
	}
	if err := p.from.Node.VerifyDesk(ctx, p.to.Desk, before.Fingerprint, by); !errors.Is(err, schakel.ErrKeyMismatch) {
		t.Errorf("the old fingerprint verifies the new key: %v", err)
	}
	if err := p.from.Node.RefuseDesk(ctx, p.to.Desk, by); err != nil {
		t.Fatal(err)
	}
	if _, err := p.from.Node.Send(ctx, draft); !errors.Is(err, schakel.ErrKeyRefused) {
		t.Errorf("a message to a key that was refused: %v", err)
	}
	p.from.Stop()
	p.from.Reopen()
	p.from.Start()
	if d := deskOf(t, p.from, p.to.Desk); d.Key != schakel.KeyRefused || d.Reachable || hasAlarm(t, p.from, schakel.AlarmNewKey) {
		t.Errorf("after a restart: %+v", d)
	}
	now := deskOf(t, p.from, p.to.Desk).Fingerprint
	if err := p.from.Node.VerifyDesk(ctx, p.to.Desk, now, by); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it can be written to again", func() bool {
		_, err := p.from.Node.Send(ctx, draft)
		return err == nil
	})
}

// A desk that nobody ever compared stops as well: the register itself shows that the key
// is not the first.
func TestAnotherKeyOfWhoWasNeverCompared(t *testing.T) {
	p := newAcutePair(t, nil)
	sent := p.report(t)
	p.delivered(t, sent)
	p.ReplaceKey(p.to.Desk.Org())
	eventually(t, "the key is another", func() bool { return deskOf(t, p.from, p.to.Desk).Key == schakel.KeyChanged })
	if deskOf(t, p.from, p.to.Desk).Reachable {
		t.Error("it can be written to")
	}
	own, err := p.to.Node.Alarms(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		if a.Kind == schakel.AlarmNewKey {
			t.Errorf("an organisation asks itself: %+v", a)
		}
	}
	if err := p.to.Node.VerifyDesk(testContext(t), p.to.Desk, "", schakel.By{}); !errors.Is(err, schakel.ErrUnknownDesk) {
		t.Errorf("an organisation compares its own key: %v", err)
	}
}
