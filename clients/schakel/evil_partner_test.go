package schakel_test

import (
	"slices"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// evil is a chain in which Veilig Thuis runs a modified client against the
// knooppunt; the police is an honest third.
type evil struct {
	*schakeltest.Chain
	vt, police, knooppunt *schakeltest.Member
	counter               uint64
}

func newEvil(t *testing.T) *evil {
	t.Helper()
	return evilOn(t, schakeltest.New(t))
}

// newEvilOn prepares the chain before its relay starts.
func newEvilOn(t *testing.T, prepare func(*schakeltest.Chain)) *evil {
	t.Helper()
	chain := schakeltest.Prepare(t)
	prepare(chain)
	chain.StartRelay()
	return evilOn(t, chain)
}

func evilOn(t *testing.T, chain *schakeltest.Chain) *evil {
	t.Helper()
	e := &evil{
		Chain:     chain,
		vt:        chain.Join("vt20/crisis", identity.RoleVeiligThuis),
		police:    chain.Join("politie-mn/meldkamer", identity.RolePolitie),
		knooppunt: chain.Join("knooppunt/piket", identity.RoleKnooppunt),
	}
	all := []*schakeltest.Member{e.vt, e.police, e.knooppunt}
	for _, m := range all {
		m.Start()
	}
	for _, m := range all {
		for _, other := range all {
			if m != other {
				sealsTo(t, m, other.Desk, 1)
			}
		}
	}
	return e
}

func (e *evil) draft(t *testing.T, to ...identity.DeskID) schakel.Draft {
	return schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, To: to, Body: example(t, "adviesvraag")}
}

func (e *evil) signed(t *testing.T, d schakel.Draft, change func(*message.Message)) message.Signed {
	t.Helper()
	s, err := e.vt.Node.SignForTest(testContext(t), d, change)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put sends the knooppunt a delivery of the modified client's making.
func (e *evil) put(t *testing.T, d delivery.Delivery) {
	t.Helper()
	tier := envelope.TierNone
	if d.Kind == delivery.KindMessage {
		tier = envelope.TierUrgent
	}
	eventually(t, "the delivery can be sealed", func() bool {
		return e.vt.Node.PutForTest(testContext(t), e.knooppunt.Desk, tier, d) == nil
	})
}

func (e *evil) message(s message.Signed) delivery.Delivery {
	e.counter++
	return delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: e.counter}
}

// honest is the control of every case: a message sent by the same means arrives.
func (e *evil) honest(t *testing.T) {
	t.Helper()
	s := e.signed(t, e.draft(t, e.knooppunt.Desk), nil)
	e.put(t, e.message(s))
	eventually(t, "an honest message arrives after the attack", func() bool {
		list, err := e.knooppunt.Node.List(testContext(t), schakel.Filter{})
		return err == nil && slices.ContainsFunc(list, func(m schakel.Summary) bool { return m.Hash == s.Hash().String() })
	})
}

func (e *evil) shown(t *testing.T, s message.Signed) bool {
	t.Helper()
	list, err := e.knooppunt.Node.List(testContext(t), schakel.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(m schakel.Summary) bool { return m.Hash == s.Hash().String() })
}

func (e *evil) alarmed(t *testing.T, kind schakel.AlarmKind) bool {
	t.Helper()
	alarms, err := e.knooppunt.Node.Alarms(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == kind })
}

// Each attack is one of the evil partner's; the rows are those of the attack list.
func TestEvilPartner(t *testing.T) {
	e := newEvil(t)
	forwarded := e.signed(t, schakel.Draft{
		Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{e.police.Desk}, Body: example(t, "melding"),
	}, nil)
	first := e.signed(t, e.draft(t, e.knooppunt.Desk), nil)
	second := e.signed(t, e.draft(t, e.knooppunt.Desk), func(m *message.Message) { m.ID = first.Message.ID })
	unknown := e.signed(t, e.draft(t, e.knooppunt.Desk), func(m *message.Message) { m.Heading.Class = "verzoek-om-alles" })
	sealsTo(t, e.police, e.knooppunt.Desk, 1)
	theirs := e.signed(t, e.draft(t, e.knooppunt.Desk), nil)
	late := e.signed(t, e.draft(t, e.knooppunt.Desk), func(m *message.Message) { m.Created += 3600; m.Heading.Expires += 3600 })
	cases := []struct {
		row     string
		attack  func(t *testing.T)
		refused *message.Signed
		alarm   schakel.AlarmKind
	}{
		{"F01 H03 forwards a message that was addressed to another desk", func(t *testing.T) { e.put(t, e.message(forwarded)) }, &forwarded, schakel.AlarmNotAddressed},
		{"F08 uses one counter for two messages", func(t *testing.T) {
			e.put(t, e.message(first))
			e.counter--
			e.put(t, e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), nil)))
		}, nil, schakel.AlarmEquivocation},
		{"H02 gives two messages one identifier", func(t *testing.T) { e.put(t, e.message(second)) }, &second, schakel.AlarmConflict},
		{"F13 sends a class that does not exist", func(t *testing.T) { e.put(t, e.message(unknown)) }, &unknown, ""},
		{"B10 dates a message in the future", func(t *testing.T) { e.put(t, e.message(late)) }, &late, ""},
		{"B04 states in the name of another desk", func(t *testing.T) {
			e.put(t, e.statement(t, delivery.Statement{Version: 1, From: e.police.Desk, To: e.knooppunt.Desk, Number: 1}))
		}, nil, schakel.AlarmForged},
		{"H04 has another desk deliver, of whatever organisation", func(t *testing.T) {
			d := e.message(theirs)
			d.Counter = 1
			e.counter--
			kept := statusOf(t, e.knooppunt).Quarantined
			eventually(t, "the delivery can be sealed", func() bool {
				return e.police.Node.PutForTest(testContext(t), e.knooppunt.Desk, envelope.TierUrgent, d) == nil
			})
			eventually(t, "it is kept apart", func() bool { return statusOf(t, e.knooppunt).Quarantined > kept })
		}, &theirs, schakel.AlarmForged},
		{"claims to have received what was never sent", func(t *testing.T) {
			e.put(t, e.statement(t, delivery.Statement{Version: 1, From: e.vt.Desk, To: e.knooppunt.Desk, Number: 1 << 40,
				Peers: []delivery.Received{{Device: e.knooppunt.Node.Device(), Contiguous: 1 << 40}}}))
		}, nil, schakel.AlarmEquivocation},
		{"H05 supersedes deliveries of another organisation", func(t *testing.T) {
			d := e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), nil))
			d.Supersedes = []delivery.Superseded{{Envelope: envelope.ID{1}, Sealer: e.police.Node.Device(), Counter: 1}}
			e.put(t, d)
		}, nil, ""},
		{"jumps to the highest counter there is", func(t *testing.T) {
			d := e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), nil))
			d.Counter = delivery.MaxCounter
			e.put(t, d)
		}, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.row, func(t *testing.T) {
			c.attack(t)
			e.honest(t)
			if c.refused != nil && e.shown(t, *c.refused) {
				t.Error("it was shown")
			}
			if c.alarm != "" && !e.alarmed(t, c.alarm) {
				t.Errorf("no alarm %s", c.alarm)
			}
		})
	}
}

func (e *evil) statement(t *testing.T, s delivery.Statement) delivery.Delivery {
	t.Helper()
	content, err := delivery.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return delivery.Delivery{Kind: delivery.KindStatement, Content: content}
}

// A device alone acknowledges nothing: the recipient rejects it under the rule that
// a named person must sign, and the sender hears which rule (H08).
func TestH08AcknowledgementWithoutAPerson(t *testing.T) {
	e := newEvil(t)
	sent, err := e.knooppunt.Node.Send(testContext(t), schakel.Draft{
		Class: "advies", Urgency: message.Urgent, To: []identity.DeskID{e.vt.Desk}, Body: example(t, "advies"),
		Answers: e.asked(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.knooppunt.Node.Wait(testContext(t), sent.Hash, schakel.StateDelivered); err != nil {
		t.Fatal(err)
	}
	letter, err := e.vt.Node.Read(testContext(t), sent.Hash)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.ParseUUID(letter.ID)
	if err != nil {
		t.Fatal(err)
	}
	body, err := protocol.V1().AcknowledgementBody(protocol.Acknowledgement{
		Confirms: message.ID(id), Name: "Niemand", Function: "automaat", Telephone: "+31600000009", Status: protocol.StatusTaken,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := schakel.Draft{Class: protocol.ClassAcknowledgement, Urgency: message.Urgent, To: []identity.DeskID{e.knooppunt.Desk},
		Answers: sent.Hash, Body: body, Person: "somebody"}
	e.put(t, e.message(e.signed(t, d, nil)))
	e.honest(t)
	if s, err := e.knooppunt.Node.Trace(testContext(t), sent.Hash); err != nil || stateAt(s, e.vt.Desk) == schakel.StateAcknowledged {
		t.Errorf("acknowledged by a device alone: %+v, %v", s, err)
	}
}

// asked makes Veilig Thuis ask the knooppunt, and returns the question.
func (e *evil) asked(t *testing.T) string {
	t.Helper()
	s := e.signed(t, e.draft(t, e.knooppunt.Desk), nil)
	e.put(t, e.message(s))
	eventually(t, "the question arrives", func() bool { return e.shown(t, s) })
	return s.Hash().String()
}

// A partner is a version ahead: its message is not shown as something that it is not,
// it is kept for whoever updates.
func TestMessageOfALaterVersion(t *testing.T) {
	e := newEvil(t)
	later := e.signed(t, e.draft(t, e.knooppunt.Desk), func(m *message.Message) { m.Heading.Protocol = "schakel/2" })
	e.put(t, e.message(later))
	e.honest(t) // control: the same message of our version arrives
	if e.shown(t, later) {
		t.Error("it was shown")
	}
	err := e.knooppunt.Store().View(testContext(t), func(tx *store.Tx) error {
		kept, err := tx.Quarantined(0, 10)
		if len(kept) != 1 || kept[0].Reason != "protocol-version" {
			t.Errorf("kept apart: %+v", kept)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// B02: the relay keeps the last message back. The next statement repeats its
// counter, and the recipient is told.
func TestB02LastMessageWithheld(t *testing.T) {
	e := newEvil(t)
	e.honest(t)
	withheld := e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), nil))
	e.put(t, delivery.Delivery{Kind: delivery.KindTest, Content: []byte("still here"), Counter: e.counter})
	eventually(t, "the gap is known", func() bool {
		var gaps []store.Gap
		err := e.knooppunt.Store().View(testContext(t), func(tx *store.Tx) (err error) {
			gaps, err = tx.Gaps(e.vt.Node.Device())
			return err
		})
		return err == nil && len(gaps) == 1 && gaps[0].Counter == withheld.Counter
	})
	e.Pass(31 * time.Minute)
	eventually(t, "the recipient is told", func() bool { return e.alarmed(t, schakel.AlarmGap) })
	e.put(t, withheld)
	eventually(t, "and told that it came after all", func() bool { return !e.alarmed(t, schakel.AlarmGap) })
}
