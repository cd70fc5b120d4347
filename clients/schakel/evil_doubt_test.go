package schakel_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// asks is a question about a case to several desks at once, by the modified client.
func (e *evil) asks(t *testing.T, kase string, to ...identity.DeskID) message.Signed {
	t.Helper()
	return e.signed(t, schakel.Draft{Class: "informatieverzoek", Urgency: message.Urgent, To: to, Case: kase, Body: example(t, "informatieverzoek")}, nil)
}

// Veilig Thuis tells two partners different things in one place of a case, each addressed to
// both. As soon as one of them writes to the other, the other hears that it lacks something.
func TestF09DifferentThingsToTwoPartners(t *testing.T) {
	e := newEvil(t)
	both := []identity.DeskID{e.knooppunt.Desk, e.police.Desk}
	count := map[*schakeltest.Member]uint64{}
	give := func(m *schakeltest.Member, s message.Signed) {
		t.Helper()
		count[m]++
		e.send(t, m, envelope.TierUrgent, delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: count[m]})
		eventually(t, "it is there", func() bool { return inbox(t, m, s.Hash().String()) != nil })
	}
	first := e.asks(t, "", both...)
	give(e.knooppunt, first)
	give(e.police, first)
	kase := first.Message.Case.String()
	writes := func(from, to *schakeltest.Member) {
		t.Helper()
		sent, err := from.Node.Send(testContext(t), schakel.Draft{Class: "informatieverzoek", Urgency: message.Urgent,
			To: []identity.DeskID{to.Desk}, Case: kase, Body: example(t, "informatieverzoek")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := from.Node.Wait(testContext(t), sent.Hash, schakel.StateDelivered); err != nil {
			t.Fatal(err)
		}
	}
	writes(e.knooppunt, e.police)
	e.Pass(40 * time.Minute)
	writes(e.knooppunt, e.police)
	if hasAlarm(t, e.police, schakel.AlarmTranscript) { // control: both have the same
		t.Fatal("an alarm about what both have")
	}

	one, other := e.asks(t, kase, both...), e.asks(t, kase, both...)
	give(e.knooppunt, one)
	give(e.police, other)
	writes(e.knooppunt, e.police)
	if hasAlarm(t, e.police, schakel.AlarmTranscript) {
		t.Error("an alarm about what may still be under way")
	}
	e.Pass(40 * time.Minute)
	a := alarmed(t, e.police, schakel.AlarmTranscript)
	if a.Code != string(e.knooppunt.Desk) || a.Subject != string(e.knooppunt.Desk)+" "+one.Hash().String() {
		t.Errorf("the alarm is about %q of %q", a.Subject, a.Code)
	}
	if hasAlarm(t, e.knooppunt, schakel.AlarmTranscript) {
		t.Error("the knooppunt lacks nothing that it was told of")
	}
	writes(e.police, e.knooppunt)
	e.Pass(40 * time.Minute)
	alarmed(t, e.knooppunt, schakel.AlarmTranscript)

	give(e.police, one)
	eventually(t, "what came after all ends it", func() bool { return !hasAlarm(t, e.police, schakel.AlarmTranscript) })
}

// A partner answers, or rests on, a message that never was. Its reader is warned. Control:
// nothing is said of a reference to what is here, but of one under another identifier.
func TestF20AnswersToWhatNeverWas(t *testing.T) {
	e := newEvil(t)
	known := e.asks(t, "", e.knooppunt.Desk)
	e.put(t, e.message(known))
	eventually(t, "it is there", func() bool { return e.shown(t, known) })
	never := message.Ref{ID: message.ID{6: 0x70, 8: 0x80, 15: 1}, Hash: message.Hash{1}}
	misnamed := message.Ref{ID: never.ID, Hash: known.Hash()}
	for _, c := range []struct {
		name   string
		change func(*message.Heading)
		warned bool
	}{
		{"F20 answers what never was", func(h *message.Heading) { h.Answers = []message.Ref{never} }, true},
		{"F20 rests on what never was", func(h *message.Heading) { h.RestsOn = []message.Ref{known.Ref(), never} }, true},
		{"F20 names a message by another identifier", func(h *message.Heading) { h.RestsOn = []message.Ref{misnamed} }, true},
		{"F20 answers what is here", func(h *message.Heading) { h.Answers = []message.Ref{known.Ref()} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := schakel.Draft{Class: "informatieverzoek", Urgency: message.Urgent, To: []identity.DeskID{e.knooppunt.Desk},
				Case: known.Message.Case.String(), Body: example(t, "informatieverzoek")}
			s := e.signed(t, d, func(m *message.Message) { c.change(&m.Heading) })
			e.put(t, e.message(s))
			eventually(t, "it is shown", func() bool { return e.shown(t, s) })
			if row := rowOf(t, e.knooppunt, s.Hash().String()); slices.Contains(row.Marks, schakel.MarkReference) != c.warned {
				t.Errorf("the row says %q", row.Marks)
			}
			if l := inbox(t, e.knooppunt, s.Hash().String()); flagged(l, "verwijzing") != c.warned {
				t.Errorf("warned: %v, want %v", !c.warned, c.warned)
			}
			o, err := e.knooppunt.Node.Overview(testContext(t), s.Message.Case.String())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range o.Messages {
				if m.Hash == s.Hash() && flagged(&schakel.Letter{Flags: m.Flags}, "verwijzing") != c.warned {
					t.Errorf("the case says %+v", m.Flags)
				}
			}
		})
	}
}

// A partner sends more than people can read, through a relay that lets it. The recipient has
// a quota of its own: the rest is refused, which the sender hears, and what is acute comes in.
func TestF22FloodIsBoundedHere(t *testing.T) {
	e := newEvil(t)
	const most = 3
	e.knooppunt.Node.TakeAtMostForTest(most)
	send := func(d schakel.Draft) schakel.State {
		t.Helper()
		sent, err := e.vt.Node.Send(testContext(t), d)
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.vt.Node.Wait(testContext(t), sent.Hash, schakel.StateDelivered) // or refused
		if err != nil {
			t.Fatal(err)
		}
		if r := s.Recipients[0]; r.State == schakel.StateRejected && r.Rule != "te-veel" {
			t.Errorf("refused under %q", r.Rule)
		}
		return stateAt(s, e.knooppunt.Desk)
	}
	for i := range most { // control: all of these
		if got := send(e.draft(t, e.knooppunt.Desk)); got != schakel.StateDelivered {
			t.Fatalf("message %d is %s", i, got)
		}
	}
	if got := send(e.draft(t, e.knooppunt.Desk)); got != schakel.StateRejected {
		t.Errorf("one too many is %s", got)
	}
	a := alarmed(t, e.knooppunt, schakel.AlarmFlood)
	if a.Code != string(e.vt.Desk) {
		t.Errorf("the alarm is about %q", a.Code)
	}
	report := schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{e.knooppunt.Desk, e.police.Desk}, Body: example(t, "melding")}
	if got := send(report); got != schakel.StateDelivered {
		t.Errorf("what is acute is %s", got)
	}
	sent, err := e.police.Node.Send(testContext(t), e.draft(t, e.knooppunt.Desk)) // another's quota is its own
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.police.Node.Wait(testContext(t), sent.Hash, schakel.StateDelivered); err != nil {
		t.Error(err)
	}
	e.Pass(time.Hour)
	eventually(t, "the alarm ends", func() bool { return !hasAlarm(t, e.knooppunt, schakel.AlarmFlood) })
	if got := send(e.draft(t, e.knooppunt.Desk)); got != schakel.StateDelivered {
		t.Errorf("an hour later it is %s", got)
	}
}

// The relay hands over what is of another version, or seems so. Nothing reads it in another
// way, people hear that a program must be updated, and what was changed comes again.
func TestA09AnotherVersion(t *testing.T) {
	for name, change := range map[string]func(raw []byte){
		"A09 of the layout": func(raw []byte) { raw[3]++ },
		"A09 of the header": func(raw []byte) { raw[8]++ },
		"A09 an older one":  func(raw []byte) { raw[8] = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDishonest(t)
			d.delivered(t, d.send(t))
			if hasAlarm(t, d.to, schakel.AlarmOutdated) {
				t.Fatal("an alarm about an honest envelope")
			}
			d.mail(d.to, func(p schakeltest.Passing) []wire.Frame {
				if !p.Message() {
					return p.On()
				}
				mail := p.Frame.(wire.Deliver)
				mail.Envelope = bytes.Clone(mail.Envelope)
				change(mail.Envelope)
				return []wire.Frame{mail}
			})
			sent := d.send(t)
			if a := alarmed(t, d.to, schakel.AlarmOutdated); a.Subject != "relay" {
				t.Errorf("it blames %q", a.Subject)
			}
			if holds(t, d.to, sent) != 0 {
				t.Error("it is shown")
			}
			d.honest(t)
			d.Pass(3 * time.Minute)
			d.honest(t)
			d.delivered(t, sent)
		})
	}
}
