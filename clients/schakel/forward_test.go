package schakel_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// misdirected is a signal without a municipality that a doctor sent to the wrong one of
// two desks of Veilig Thuis.
func misdirected(t *testing.T, e *evil) (doctor, wrong *schakeltest.Member, sent schakel.Sent) {
	t.Helper()
	wrong = e.Join("vtx/crisis", identity.RoleVeiligThuis)
	doctor = e.Join("arts/praktijk", identity.RoleSignaleerder)
	wrong.Start()
	doctor.Start()
	knows := func(m *schakeltest.Member, desk identity.DeskID) {
		eventually(t, "the desks know each other", func() bool {
			desks, err := m.Node.Directory(testContext(t))
			return err == nil && slices.ContainsFunc(desks, func(d schakel.Desk) bool { return d.ID == desk && d.Reachable })
		})
	}
	knows(doctor, e.vt.Desk)
	knows(doctor, wrong.Desk)
	knows(wrong, doctor.Desk)
	body := strings.ReplaceAll(string(example(t, "signaal")), `"ingezetene"`, `"nog-niet-nagegaan"`)
	body = regexp.MustCompile(`,\s*"gemeentecode": "GM0344"`).ReplaceAllString(body, "")
	sent, err := doctor.Node.Send(testContext(t), schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{wrong.Desk}, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it arrives", func() bool { return inbox(t, wrong, sent.Hash) != nil })
	return doctor, wrong, sent
}

// The wrong recipient says who is right; the sender sends it on with one call; the right
// one sees the first message and the answer, and nothing is owed at the wrong one.
// Controls: before the answer nothing can be forwarded, and who got it cannot forward it.
func TestForwardToTheRightDesk(t *testing.T) {
	e := newEvil(t)
	ctx := testContext(t)
	doctor, wrong, sent := misdirected(t, e)
	officer := wrong.AddPerson("K. Piket")
	if _, err := doctor.Node.Forward(ctx, sent.Hash, schakel.Forwarding{}); !errors.Is(err, schakel.ErrNotReturned) {
		t.Errorf("nobody returned it: %v", err)
	}
	back, err := wrong.Node.Acknowledge(ctx, sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN,
		Status: protocol.StatusWrongRecipient, RightRole: identity.RoleVeiligThuis, RightUnit: "VT20"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer arrives", func() bool { return inbox(t, doctor, back.Hash) != nil })
	if got := alarms(t, doctor, schakel.AlarmReturned); len(got) != 1 {
		t.Errorf("alarms of the sender: %+v", got)
	}
	if _, err := wrong.Node.Forward(ctx, sent.Hash, schakel.Forwarding{}); !errors.Is(err, schakel.ErrNotReturned) {
		t.Errorf("somebody else's message was forwarded: %v", err)
	}
	on, err := doctor.Node.Forward(ctx, back.Hash, schakel.Forwarding{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the right desk has it", func() bool { return inbox(t, e.vt, on.Hash) != nil })
	first, _ := doctor.Node.Read(ctx, sent.Hash)
	if got := inbox(t, e.vt, on.Hash); string(got.Body) != string(first.Body) || got.Case != sent.Case || len(got.Flags) != 0 {
		t.Errorf("the right desk got case %s with %+v", got.Case, got.Flags)
	}
	o, err := e.vt.Node.Overview(ctx, on.Hash)
	if err != nil || len(o.Missing) != 0 || len(o.Messages) != 3 || !o.Messages[0].Enclosed || o.Messages[1].Status != protocol.StatusWrongRecipient {
		t.Errorf("at the right desk: %+v, %v", o, err)
	}
	for _, owed := range o.Obligations {
		if owed.Open() && owed.Owes != e.vt.Desk {
			t.Errorf("%s still owes %s at the right desk", owed.Owes, owed.Duty)
		}
	}
	if got := alarms(t, doctor, schakel.AlarmReturned); len(got) != 0 {
		t.Errorf("the alarm stays: %+v", got)
	}
	mine, err := doctor.Node.Overview(ctx, sent.Case)
	if err != nil || len(mine.Owed) != 0 {
		t.Errorf("the sender still owes %+v, %v", mine.Owed, err)
	}
}

// An answer that points at no desk of the register says so; with a desk named it goes.
func TestForwardNeedsADesk(t *testing.T) {
	e := newEvil(t)
	ctx := testContext(t)
	doctor, wrong, sent := misdirected(t, e)
	officer := wrong.AddPerson("K. Piket")
	back, err := wrong.Node.Acknowledge(ctx, sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN,
		Status: protocol.StatusWrongRecipient, RightRole: identity.RoleVeiligThuis, RightUnit: "VT13"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer arrives", func() bool { return inbox(t, doctor, back.Hash) != nil })
	if _, err := doctor.Node.Forward(ctx, sent.Hash, schakel.Forwarding{}); !errors.Is(err, schakel.ErrNoRightDesk) {
		t.Errorf("forwarded to a desk that is not there: %v", err)
	}
	if _, err := doctor.Node.Forward(ctx, sent.Hash, schakel.Forwarding{To: e.vt.Desk}); err != nil {
		t.Error(err)
	}
}

// Prepare says what Send will do: the same desks, the same references; and sends nothing.
func TestPrepareSaysWhatSendDoes(t *testing.T) {
	e := newEvil(t)
	ctx := testContext(t)
	e.vt.AddPerson("V. Thuis")
	weighed, err := e.vt.Node.Send(ctx, schakel.Draft{Class: "afweging", Urgency: message.Urgent, To: []identity.DeskID{e.knooppunt.Desk}, Body: example(t, "afweging")})
	if err != nil {
		t.Fatal(err)
	}
	d := schakel.Draft{Class: "strafbaar-feit-melding", Urgency: message.Acute, Case: weighed.Case, To: []identity.DeskID{e.police.Desk}, RestsOn: []string{weighed.Hash}, Body: named(t, weighed)}
	p, err := e.vt.Node.Prepare(ctx, d)
	if err != nil || p.Refusal != nil || !p.NeedPerson || !p.Telephone || p.Opens || len(p.Encloses) != 1 || p.Encloses[0].Class != "afweging" || p.RestsOn[0].Hash.String() != weighed.Hash {
		t.Errorf("%+v, %v", p, err)
	}
	d.RestsOn = nil
	if p, err = e.vt.Node.Prepare(ctx, d); err != nil || p.Refusal == nil || p.Refusal.Rule != "R17" {
		t.Errorf("without the weighing: %+v, %v", p, err)
	}
	if all, err := e.vt.Node.List(ctx, schakel.Filter{Box: "sent"}); err != nil || len(all) != 1 {
		t.Errorf("preparing sent something: %d, %v", len(all), err)
	}
	cases, err := e.vt.Node.Cases(ctx, schakel.Paging{})
	if err != nil || len(cases) != 1 || cases[0].Case != weighed.Case || cases[0].Messages != 1 {
		t.Errorf("cases %+v, %v", cases, err)
	}
}

// Who takes over the regie tells all who take part; Prepare adds them, and the same
// message is refused to nobody. Control: a refusal goes only to who offered.
func TestPrepareAddsWhoMustHear(t *testing.T) {
	e := newEvil(t)
	ctx := testContext(t)
	officer := e.vt.AddPerson("P. Iket")
	director := e.knooppunt.AddPerson("K. Casusregisseur")
	eventually(t, "the police know Veilig Thuis", func() bool {
		desks, err := e.police.Node.Directory(ctx)
		return err == nil && slices.ContainsFunc(desks, func(d schakel.Desk) bool { return d.ID == e.vt.Desk && d.Reachable })
	})
	report, err := e.police.Node.Send(ctx, schakel.Draft{Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{e.vt.Desk}, Body: example(t, "melding")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the report arrives", func() bool { return inbox(t, e.vt, report.Hash) != nil })
	if _, err := e.vt.Node.Acknowledge(ctx, report.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	offer, err := e.vt.Node.Send(ctx, schakel.Draft{Class: "overdracht", Urgency: message.Urgent, Case: report.Case, To: []identity.DeskID{e.knooppunt.Desk},
		Body: example(t, "overdracht"), Person: officer.Name, PIN: schakeltest.PIN})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the offer arrives", func() bool { return inbox(t, e.knooppunt, offer.Hash) != nil })
	d := schakel.Draft{Class: "besluit", Urgency: message.Urgent, Answers: offer.Hash, Body: example(t, "besluit"), Person: director.Name}
	p, err := e.knooppunt.Node.Prepare(ctx, d)
	if err != nil || p.Refusal != nil || !slices.Equal(p.Added, []identity.DeskID{e.police.Desk}) || !slices.Equal(p.To, []identity.DeskID{e.police.Desk, e.vt.Desk}) {
		t.Fatalf("%+v, %v", p, err)
	}
	refusal := d
	refusal.Body = []byte(strings.Replace(string(d.Body), `"uitkomst": "aanvaard"`, `"uitkomst": "afgewezen"`, 1))
	if p, err := e.knooppunt.Node.Prepare(ctx, refusal); err != nil || len(p.Added) != 0 || !slices.Equal(p.To, []identity.DeskID{e.vt.Desk}) {
		t.Errorf("control: %+v, %v", p, err)
	}
	d.To, d.PIN = p.To, schakeltest.PIN
	taken, err := e.knooppunt.Node.Send(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the police hear who leads", func() bool {
		o, err := e.police.Node.Overview(ctx, report.Case)
		lead, ok := o.Lead()
		return err == nil && ok && lead.Holder == e.knooppunt.Desk
	})
	if inbox(t, e.vt, taken.Hash) == nil {
		eventually(t, "so does Veilig Thuis", func() bool { return inbox(t, e.vt, taken.Hash) != nil })
	}
}
