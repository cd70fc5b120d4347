package schakel_test

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// inbox is what a desk shows of a message: nil when it does not show it.
func inbox(t *testing.T, m *schakeltest.Member, hash string) *schakel.Letter {
	t.Helper()
	list, err := m.Node.List(testContext(t), schakel.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list, func(s schakel.Summary) bool { return s.Hash == hash }) {
		return nil
	}
	l, err := m.Node.Read(testContext(t), hash)
	if err != nil {
		t.Fatal(err)
	}
	sameMarks(t, m, l)
	return &l
}

// sameMarks demands that a row says in a word what the page behind it said at length: what is
// known of a case grows, and reading sets the row right.
func sameMarks(t *testing.T, m *schakeltest.Member, l schakel.Letter) {
	t.Helper()
	if row := rowOf(t, m, l.Hash); !slices.Equal(row.Marks, l.Marks) {
		t.Errorf("the row says %q, and the page %q: %+v", row.Marks, l.Marks, l.Flags)
	}
}

// rowOf is the row of a message in the lists of a desk.
func rowOf(t *testing.T, m *schakeltest.Member, hash string) schakel.Summary {
	t.Helper()
	list, err := m.Node.List(testContext(t), schakel.Filter{Box: "all", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.Hash == hash {
			return s
		}
	}
	t.Fatalf("no row of %.8s", hash)
	return schakel.Summary{}
}

// wears demands the marks of a row, before and after somebody reads the message.
func wears(t *testing.T, m *schakeltest.Member, hash string, want ...schakel.Mark) {
	t.Helper()
	before := rowOf(t, m, hash)
	l, err := m.Node.Read(testContext(t), hash)
	if after := rowOf(t, m, hash); err != nil || !slices.Equal(before.Marks, want) || !slices.Equal(l.Marks, want) || !slices.Equal(after.Marks, want) {
		t.Errorf("the row says %q, then the page %q, then the row %q; want %q: %v", before.Marks, l.Marks, after.Marks, want, err)
	}
}

func alarms(t *testing.T, m *schakeltest.Member, kind schakel.AlarmKind) (out []schakel.Alarm) {
	t.Helper()
	all, err := m.Node.Alarms(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(a schakel.Alarm) bool { return a.Kind != kind })
}

func rule(err error) string {
	var r *protocol.Refusal
	if errors.As(err, &r) {
		return r.Rule
	}
	return ""
}

// A modified client leaves the police out of an acute melding. An honest one refuses
// to seal it; the other end keeps it, since nobody else has it, and raises an alarm
// that says what to do.
func TestAcuteWithoutThePoliceIsKept(t *testing.T) {
	e := newEvil(t)
	d := schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{e.knooppunt.Desk}, Body: example(t, "melding")}
	if _, err := e.vt.Node.Send(testContext(t), d); rule(err) != "R02" {
		t.Errorf("an honest client: %v", err)
	}
	s := e.signed(t, d, nil)
	e.send(t, e.knooppunt, envelope.TierAcute, e.message(s))
	eventually(t, "the report is shown", func() bool { return inbox(t, e.knooppunt, s.Hash().String()) != nil })
	l := inbox(t, e.knooppunt, s.Hash().String())
	if len(l.Flags) != 1 || l.Flags[0].Rule != "R02" || l.Flags[0].Certainty != protocol.Broken {
		t.Errorf("flags = %+v", l.Flags)
	}
	if got := alarms(t, e.knooppunt, schakel.AlarmRule); len(got) != 1 || !strings.Contains(got[0].Remedy, "politie") {
		t.Errorf("alarms = %+v", got)
	}
}

// A signal for another region is kept; the desk answers who is the right one, which the
// rules tell it, and then the sender owes it there. Control: without a flag nothing is
// filled in, and the form asks for it.
func TestWrongRegionIsAnsweredWithTheRightOne(t *testing.T) {
	e := newEvil(t)
	ctx := testContext(t)
	officer := e.vt.AddPerson("P. Iket")
	doctor := e.Join("arts/praktijk", identity.RoleSignaleerder)
	doctor.Start()
	eventually(t, "the doctor knows the desk", func() bool {
		desks, err := doctor.Node.Directory(ctx)
		return err == nil && slices.ContainsFunc(desks, func(d schakel.Desk) bool { return d.ID == e.vt.Desk && d.Reachable })
	})
	body := strings.ReplaceAll(string(example(t, "signaal")), "GM0344", "GM0363") // Amsterdam
	d := schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{e.vt.Desk}, Body: []byte(body)}
	if _, err := doctor.Node.Send(ctx, d); rule(err) != "R01" {
		t.Errorf("an honest client: %v", err)
	}
	s, err := doctor.Node.SignForTest(ctx, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal is sealed", func() bool {
		return doctor.Node.PutForTest(ctx, e.vt.Desk, envelope.TierUrgent, delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: 1}) == nil
	})
	eventually(t, "it is shown", func() bool { return inbox(t, e.vt, s.Hash().String()) != nil })
	flags := inbox(t, e.vt, s.Hash().String()).Flags
	if len(flags) != 1 || flags[0].Rule != "R01" || flags[0].Right == "" || flags[0].Right == "VT20" {
		t.Fatalf("flags = %+v", flags)
	}
	ack, err := e.vt.Node.Acknowledge(ctx, s.Hash().String(),
		schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN, Status: protocol.StatusWrongRecipient})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := e.vt.Node.Read(ctx, ack.Hash)
	if err != nil || !strings.Contains(string(sent.Body), flags[0].Right) {
		t.Errorf("the answer does not name %s: %v", flags[0].Right, err)
	}
	k, err := e.vt.Node.Case(ctx, s.Message.Case.String())
	if owes := k.Owes(doctor.Desk); err != nil || len(owes) == 0 || owes[0].Duty != protocol.DutyForward {
		t.Errorf("the doctor owes %+v, %v", owes, err)
	}
}

func (e *evil) send(t *testing.T, to *schakeltest.Member, tier envelope.Tier, d delivery.Delivery) {
	t.Helper()
	eventually(t, "the delivery can be sealed", func() bool {
		return e.vt.Node.PutForTest(testContext(t), to.Desk, tier, d) == nil
	})
}

// A suspected offence is reported on a weighing that the recipient can check. Without
// one, and with a forged one, it is rejected; acute, that rings at both ends. Control:
// with the genuine original enclosed it arrives.
func TestOffenceNeedsItsWeighing(t *testing.T) {
	e := newEvil(t)
	officer := e.vt.AddPerson("V. Thuis")
	ctx := testContext(t)
	weighed, err := e.vt.Node.Send(ctx, schakel.Draft{Class: "afweging", Urgency: message.Urgent,
		To: []identity.DeskID{e.knooppunt.Desk}, Body: example(t, "afweging")})
	if err != nil {
		t.Fatal(err)
	}
	body := named(t, weighed)
	honest := schakel.Draft{Class: "strafbaar-feit-melding", Urgency: message.Acute, Case: weighed.Case, To: []identity.DeskID{e.police.Desk},
		RestsOn: []string{weighed.Hash}, Body: body, Person: officer.Name, PIN: schakeltest.PIN}
	without := honest
	without.RestsOn = nil
	if _, err := e.vt.Node.Send(ctx, without); rule(err) != "R17" {
		t.Errorf("an honest client, without the weighing: %v", err)
	}
	for name, change := range map[string]func(*message.Message){
		"no weighing":     func(m *message.Message) { m.Enclosed = [][]byte{} },
		"forged weighing": func(m *message.Message) { m.Enclosed = [][]byte{forge(t, m.Enclosed[0])} },
	} {
		s, err := e.vt.Node.SignAsForTest(ctx, honest, change)
		if err != nil {
			t.Fatal(err)
		}
		e.counter++
		e.send(t, e.police, envelope.TierAcute, delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: e.counter})
		eventually(t, name+": the police hear that something acute was refused", func() bool {
			return slices.ContainsFunc(alarms(t, e.police, schakel.AlarmRefused), func(a schakel.Alarm) bool {
				return strings.HasPrefix(a.Subject, s.Hash().String())
			})
		})
		if inbox(t, e.police, s.Hash().String()) != nil {
			t.Errorf("%s: it is shown", name)
		}
	}
	s, err := e.vt.Node.SignAsForTest(ctx, honest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Message.Enclosed) != 1 {
		t.Fatalf("%d originals travel along", len(s.Message.Enclosed))
	}
	e.counter++
	e.send(t, e.police, envelope.TierAcute, delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: e.counter})
	eventually(t, "control: with its weighing it arrives", func() bool { return inbox(t, e.police, s.Hash().String()) != nil })
	k, err := e.police.Node.Case(ctx, weighed.Case)
	if err != nil || len(k.Rests) != 1 || k.Rests[0].Class != "afweging" {
		t.Errorf("the case of the police: %+v, %v", k.Rests, err)
	}
}

// named is the example of a report of an offence that names a real weighing.
func named(t *testing.T, weighed schakel.Sent) []byte {
	t.Helper()
	e, err := protocol.V1().Example(protocol.ClassOffence)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.ReplaceAll(string(e.Body), e.Kop.RestsOn[0], weighed.ID)
	return []byte(strings.ReplaceAll(body, strings.Repeat("cd", 32), weighed.Hash))
}

// forge signs the same weighing, word for word, with another key.
func forge(t *testing.T, raw []byte) []byte {
	t.Helper()
	s, err := message.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	payload, tbs, err := s.Message.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := message.Assemble(payload, ed25519.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)), tbs), nil)
	if err != nil || forged.Hash() != s.Hash() {
		t.Fatalf("not a forgery of the same message: %v", err)
	}
	return forged.Raw
}

// The regie of a case from the first acknowledgement to its hand-over, as three desks
// compute it for themselves. All who got the report hear who took it; nobody else's
// acknowledgement takes it off the list of the police.
func TestRegieMovesOnAllDesks(t *testing.T) {
	e := newEvil(t)
	ctx := testContext(t)
	doctor := e.Join("arts/praktijk", identity.RoleSignaleerder)
	doctor.Start()
	officer, director := e.vt.AddPerson("P. Iket"), e.knooppunt.AddPerson("K. Casusregisseur")
	eventually(t, "the doctor knows the desks", func() bool {
		desks, err := doctor.Node.Directory(ctx)
		return err == nil && len(slices.DeleteFunc(desks, func(d schakel.Desk) bool { return !d.Reachable })) == 3
	})
	send := func(from *schakeltest.Member, d schakel.Draft, to ...*schakeltest.Member) schakel.Sent {
		t.Helper()
		d.PIN = schakeltest.PIN
		for _, m := range to {
			d.To = append(d.To, m.Desk)
		}
		if d.Body == nil {
			d.Body = example(t, d.Class)
		}
		sent, err := from.Node.Send(ctx, d)
		if err != nil {
			t.Fatalf("%s: %v", d.Class, err)
		}
		for _, m := range to {
			eventually(t, d.Class+" arrives", func() bool { return inbox(t, m, sent.Hash) != nil })
		}
		return sent
	}
	report := send(doctor, schakel.Draft{Class: "melding", Urgency: message.Acute}, e.vt, e.police)
	if _, err := e.vt.Node.Acknowledge(ctx, report.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	leads := func(m *schakeltest.Member, holder identity.DeskID, number int) {
		t.Helper()
		eventually(t, string(m.Desk)+" sees who leads", func() bool {
			k, err := m.Node.Case(ctx, report.Case)
			if errors.Is(err, schakel.ErrNotFound) {
				return false
			}
			lead, ok := k.Lead()
			return err == nil && ok && lead.Holder == holder && lead.Number == number
		})
	}
	for _, m := range []*schakeltest.Member{doctor, e.vt, e.police} {
		leads(m, e.vt.Desk, 1)
	}
	if waiting, err := e.police.Node.List(ctx, schakel.Filter{ToAck: true}); err != nil || len(waiting) != 1 {
		t.Errorf("the police still have to acknowledge: %d, %v", len(waiting), err)
	}
	offer := send(e.vt, schakel.Draft{Class: "overdracht", Urgency: message.Urgent, Case: report.Case, Person: officer.Name}, e.knooppunt)
	second := schakel.Draft{Class: "overdracht", Urgency: message.Urgent, Case: report.Case, Person: officer.Name, PIN: schakeltest.PIN,
		To: []identity.DeskID{e.knooppunt.Desk}, Body: example(t, "overdracht")}
	if _, err := e.vt.Node.Send(ctx, second); rule(err) != "R20" {
		t.Errorf("a second offer: %v", err)
	}
	send(e.knooppunt, schakel.Draft{Class: "besluit", Urgency: message.Urgent, Answers: offer.Hash, Outcome: "aanvaard", Person: director.Name}, e.vt)
	leads(e.vt, e.knooppunt.Desk, 2)
	leads(e.knooppunt, e.knooppunt.Desk, 0) // it never got the report itself
	closing := schakel.Draft{Class: "afsluiting", Urgency: message.Routine, Case: report.Case, To: []identity.DeskID{e.knooppunt.Desk}, Body: example(t, "afsluiting")}
	if _, err := e.vt.Node.Send(ctx, closing); rule(err) != "R21" {
		t.Errorf("closed by who does not lead any more: %v", err)
	}
	if k, err := e.knooppunt.Node.Case(ctx, offer.Hash); err != nil || k.Desk != e.knooppunt.Desk || len(k.Missing) == 0 {
		t.Errorf("the knooppunt's case by a message of it: missing %v, %v", k.Missing, err)
	}
	if _, err := e.vt.Node.Case(ctx, message.CaseRef{1}.String()); !errors.Is(err, schakel.ErrNotFound) {
		t.Errorf("a case of which nothing is here: %v", err)
	}
}
