package schakel_test

import (
	"slices"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// A modified client asks the relay for other attention than its message deserves. What it
// says is shown all the same, with a warning, and its own desk hears that it did not fit.
func TestH09TierThatDoesNotFit(t *testing.T) {
	e := newEvil(t)
	for _, c := range []struct {
		name    string
		urgency message.Urgency
		tier    envelope.Tier
	}{
		{"H09 too loud", message.Urgent, envelope.TierAcute},
		{"H09 too soft", message.Urgent, envelope.TierNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := e.draft(t, e.knooppunt.Desk)
			plain := e.signed(t, d, nil) // control: an honest one has no mark
			e.put(t, e.message(plain))
			s := e.signed(t, d, nil)
			e.sealed(t, c.tier, e.message(s))
			eventually(t, "it is shown", func() bool { return e.shown(t, s) })
			wears(t, e.knooppunt, s.Hash().String(), schakel.MarkEnvelope)
			if l := inbox(t, e.knooppunt, s.Hash().String()); !flagged(l, protocol.RuleUrgency) {
				t.Errorf("its reader hears nothing: %+v", l.Flags)
			}
			eventually(t, "the honest one is shown", func() bool { return e.shown(t, plain) })
			if l := inbox(t, e.knooppunt, plain.Hash().String()); flagged(l, protocol.RuleUrgency) {
				t.Error("an honest message is marked")
			}
			if !e.alarmed(t, schakel.AlarmRule) {
				t.Error("nobody is told")
			}
		})
	}
	t.Run("H09 a test that pages", func(t *testing.T) {
		before := e.rejected(t)
		e.sealed(t, envelope.TierAcute, delivery.Delivery{Kind: delivery.KindTest, Content: []byte("test")})
		eventually(t, "it is counted as refused", func() bool { return e.rejected(t) > before })
	})
}

// What is acute is acute, however softly it came: this desk's own timer runs.
func TestH09AcuteIsTreatedAsAcute(t *testing.T) {
	e := newEvil(t)
	d := schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{e.knooppunt.Desk, e.police.Desk}, Body: example(t, "melding")}
	s := e.signed(t, d, nil)
	waiting := statusOf(t, e.knooppunt).ToAcknowledge
	e.sealed(t, envelope.TierNone, e.message(s))
	eventually(t, "it is shown", func() bool { return e.shown(t, s) })
	if got := statusOf(t, e.knooppunt).ToAcknowledge; got != waiting+1 {
		t.Errorf("%d wait for an acknowledgement, want %d", got, waiting+1)
	}
	l := inbox(t, e.knooppunt, s.Hash().String())
	if !flagged(l, protocol.RuleUrgency) || l.AckDue.IsZero() || l.AckDue.After(e.Now().Add(time.Hour)) {
		t.Errorf("its reader may wait until %v, and is told %+v", l.AckDue, l.Flags)
	}
	e.Pass(time.Hour)
	eventually(t, "nobody took it, which alarms", func() bool { return e.alarmed(t, schakel.AlarmOverdue) })
}

// The desk of a program that is not honest hears it in the next statement: somebody there
// must look. Control: it hears nothing of what fits.
func TestH09SenderHears(t *testing.T) {
	e := newEvil(t)
	sent, err := e.vt.Node.Send(testContext(t), e.draft(t, e.knooppunt.Desk))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.vt.Node.Wait(testContext(t), sent.Hash, schakel.StateDelivered); err != nil {
		t.Fatal(err)
	}
	if hasAlarm(t, e.vt, schakel.AlarmRule) {
		t.Fatal("an alarm about what fits")
	}
	again := delivery.Delivery{Kind: delivery.KindMessage}
	view(t, e.vt, func(tx *store.Tx) error {
		list, err := tx.Messages(store.Query{Direction: store.Out, Content: true})
		if err != nil {
			return err
		}
		again.Content = list[0].Raw
		again.Counter, err = tx.LastCounter(e.knooppunt.Desk)
		again.Counter++
		return err
	})
	e.sealed(t, envelope.TierAcute, again)
	eventually(t, "the sender hears that it did not fit", func() bool {
		return slices.ContainsFunc(alarms(t, e.vt, schakel.AlarmRule), func(a schakel.Alarm) bool { return a.Code == protocol.RuleUrgency })
	})
	if s, err := e.vt.Node.Trace(testContext(t), sent.Hash); err != nil || stateAt(s, e.knooppunt.Desk) == schakel.StateRejected {
		t.Errorf("it says that the message was refused: %+v, %v", s, err)
	}
}

func flagged(l *schakel.Letter, rule string) bool {
	return l != nil && slices.ContainsFunc(l.Flags, func(f protocol.Flag) bool { return f.Rule == rule })
}

func (e *evil) sealed(t *testing.T, tier envelope.Tier, d delivery.Delivery) {
	t.Helper()
	eventually(t, "the delivery can be sealed", func() bool {
		return e.vt.Node.PutForTest(testContext(t), e.knooppunt.Desk, tier, d) == nil
	})
}

func (e *evil) rejected(t *testing.T) int {
	t.Helper()
	s, err := e.knooppunt.Node.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return s.Rejected
}
