package schakel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// A draft belongs to the case of the message that it answers or rests on, also where it
// does not name the case: nobody else reads it, and it can be sent by who is named.
func TestDraftOfAnswerIsClosed(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	eventually(t, "nothing of the case is left", func() bool { return len(k.seen(t, k.first)) == 0 })
	for what, d := range map[string]schakel.Draft{
		"answers":  {Class: "advies", Urgency: message.Urgent, Answers: k.sent.Hash, To: []identity.DeskID{k.from.Desk}, Body: traced(t, "advies", "spoor-in-antwoord")},
		"rests on": {Class: "advies", RestsOn: []string{k.sent.Hash}, Body: traced(t, "advies", "spoor-in-antwoord")},
	} {
		if _, err := k.first.Node.SaveDraft(ctx, "", "", d, as(k.relative)); !errors.Is(err, schakel.ErrRestricted) {
			t.Errorf("%s: saved by who is not named: %v", what, err)
		}
		saved, err := k.first.Node.SaveDraft(ctx, "", "", d, as(k.ann))
		if err != nil {
			t.Fatal(err)
		}
		if all, err := k.first.Node.Drafts(ctx, "", as(k.relative)); err != nil || len(all) != 0 {
			t.Errorf("%s: who is not named sees %+v, %v", what, all, err)
		}
		if open := k.openDrafts(t, k.first); len(open) != 0 {
			t.Errorf("%s: open in the store: %v", what, open)
		}
		if what != "answers" {
			continue
		}
		d.Saved, d.Person, d.PIN = &schakel.SavedVersion{ID: saved.ID, Version: saved.Version}, k.ann.Name, schakeltest.PIN
		if _, err := k.first.Node.Send(ctx, d); err != nil {
			t.Errorf("sent by who is named: %v", err)
		}
		eventually(t, "it was sent, and is closed", func() bool { return len(k.seen(t, k.first)) == 0 })
	}
	free, err := k.first.Node.SaveDraft(ctx, "", "", schakel.Draft{Class: "advies", Body: traced(t, "advies", "spoor-in-antwoord")}, as(k.relative))
	if err != nil {
		t.Fatal(err)
	}
	if open := k.openDrafts(t, k.first); len(open) != 1 {
		t.Errorf("control: %d open drafts, want that of no case", len(open))
	}
	late := free.Draft
	late.Answers = k.sent.Hash
	if _, err := k.first.Node.SaveDraft(ctx, free.ID, "", late, as(k.ann)); !errors.Is(err, schakel.ErrDraftCase) {
		t.Errorf("an open draft brought into a restricted case: %v", err)
	}
}

// openDrafts are the drafts that open without anybody's PIN.
func (k *kin) openDrafts(t *testing.T, m *schakeltest.Member) (open []message.Hash) {
	t.Helper()
	err := m.Store().View(testContext(t), func(tx *store.Tx) error {
		all, err := tx.Records(delivery.RecordDraft, message.CaseRef{})
		for _, row := range all {
			if row.Raw != nil {
				open = append(open, row.Hash)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return open
}

// Who is named for one case lists drafts, whatever waits in a case of others.
func TestDraftsBesideCaseOfOthers(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	other := k.say(t, "spoor-in-vervolg", "")
	if _, err := k.first.Node.Restrict(ctx, other.Case, []string{k.relative.Name, k.bob.Name}, k.sealed(k.bob)); err != nil {
		t.Fatal(err)
	}
	more := k.say(t, "spoor-in-vervolg", other.Case)
	if all, err := k.first.Node.Drafts(ctx, "", as(k.ann)); err != nil || len(all) != 1 {
		t.Errorf("drafts %+v, %v", all, err)
	}
	if s, _ := k.listed(t, k.first, more.Hash); !s.Unjudged {
		t.Error("judged by who may not read it")
	}
}

// What a machine acknowledges ends no timer, also where the rules cannot be asked.
func TestMachineAcknowledgesInRestrictedCase(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	k.from.AddPerson("P. Artner")
	answer, err := k.first.Node.Send(ctx, schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, Case: k.sent.Case, To: []identity.DeskID{k.from.Desk},
		Body: traced(t, "adviesvraag", "spoor-in-antwoord"), Person: k.ann.Name, PIN: schakeltest.PIN})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.first.Node.Wait(ctx, answer.Hash, schakel.StateDelivered); err != nil {
		t.Fatal(err)
	}
	body, err := protocol.V1().AcknowledgementBody(protocol.Acknowledgement{Confirms: message.ID(caseRefOf(t, answer.ID)), Name: "P. Artner", Function: "arts",
		Telephone: "+31600000009", Status: protocol.StatusTaken})
	if err != nil {
		t.Fatal(err)
	}
	d := schakel.Draft{Class: protocol.ClassAcknowledgement, Urgency: message.Urgent, Answers: answer.Hash, To: []identity.DeskID{k.to.Desk}, Body: body, Person: "P. Artner", PIN: schakeltest.PIN}
	tell := func(s message.Signed, counter uint64) {
		eventually(t, "it is told", func() bool {
			return k.from.Node.PutForTest(ctx, k.to.Desk, envelope.TierNone, delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: counter}) == nil
		})
	}
	rejected := func() int { st, err := k.first.Node.Status(ctx); _ = err; return st.Rejected }
	before := rejected()
	machine, err := k.from.Node.SignForTest(ctx, d, func(m *message.Message) { m.Person = []byte{} })
	if err != nil {
		t.Fatal(err)
	}
	tell(machine, 60)
	eventually(t, "it is refused", func() bool { return rejected() > before })
	if s, _ := k.listed(t, k.first, answer.Hash); stateAt(s, k.from.Desk) == schakel.StateAcknowledged {
		t.Error("a machine acknowledged")
	}
	person, err := k.from.Node.SignAsForTest(ctx, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "control: what a person acknowledges counts", func() bool {
		tell(person, 61)
		s, _ := k.listed(t, k.first, answer.Hash)
		return stateAt(s, k.from.Desk) == schakel.StateAcknowledged
	})
}

// A bare envelope of a restricted case is given to nobody, not even sealed: the copy for
// the desk's own devices opens with keys that are on them.
func TestNoBareEnvelopeOfRestrictedCase(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.second.Stop()
	answer, err := k.first.Node.Send(ctx, schakel.Draft{Class: "advies", Urgency: message.Routine, Answers: k.sent.Hash, To: []identity.DeskID{k.from.Desk},
		Body: traced(t, "advies", "spoor-in-antwoord"), Person: k.ann.Name, PIN: schakeltest.PIN})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "control: of an open case it is", func() bool { _, err := k.first.Node.Export(ctx, answer.Hash, k.to.Desk); return err == nil })
	if _, err := k.first.Node.Restrict(ctx, k.sent.Hash, []string{k.ann.Name, k.bob.Name}, k.sealed(k.ann)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.first.Node.Export(ctx, answer.Hash, k.to.Desk); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("got %v", err)
	}
}

// twoLists lets two devices that do not see each other make lists with nobody in common.
// That of the relative and Dan counts; on the first device the case is closed to the other.
func (k *kin) twoLists(t *testing.T) (dan schakel.Person) {
	t.Helper()
	ctx := testContext(t)
	dan = k.first.AddPerson("D. Erde")
	for _, m := range k.both() {
		eventually(t, "both devices know the fourth person", func() bool {
			persons, err := m.Node.Persons(ctx)
			return err == nil && len(persons) == 4 && k.has(t, m, delivery.RecordReading) == 4
		})
	}
	for _, m := range k.both() {
		m.Stop()
		m.Reopen()
	}
	if _, err := k.second.Node.Restrict(ctx, k.sent.Case, []string{k.relative.Name, dan.Name}, schakel.By{Person: k.relative.Name, PIN: schakeltest.PIN, Glass: "een heel andere zin"}); err != nil {
		t.Fatal(err)
	}
	k.Pass(time.Minute)
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.bob.Name}, k.sealed(k.bob)); err != nil {
		t.Fatal(err)
	}
	for _, m := range k.both() {
		m.Start()
	}
	k.settled(t, k.relative, dan)
	return dan
}

// What comes while part of the case is closed to a list that lost opens for who is named,
// and that person takes it as anybody on call does; the rules are asked once all opens.
func TestMoreComesBesideALostList(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	dan := k.twoLists(t)
	more := k.say(t, "spoor-in-vervolg", k.sent.Case)
	if l, err := k.first.Node.ReadAs(ctx, more.Hash, as(dan)); err != nil || !strings.Contains(string(l.Body), "spoor-in-vervolg") {
		t.Errorf("read by who is named: %v", err)
	}
	if _, err := k.first.Node.Case(ctx, k.sent.Case, as(dan)); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("control: half a case is shown: %v", err)
	}
	if s, _ := k.listed(t, k.first, more.Hash); !s.Unjudged {
		t.Error("judged by half a case")
	}
	for _, hash := range []string{more.Hash, k.sent.Hash} {
		if _, err := k.first.Node.Acknowledge(ctx, hash, schakel.Acknowledgement{Person: dan.Name, PIN: schakeltest.PIN}); err != nil {
			t.Errorf("%.8s taken by who is named: %v", hash, err)
		}
	}
	returned := schakel.Acknowledgement{Person: dan.Name, PIN: schakeltest.PIN, Status: protocol.StatusWrongRecipient}
	if _, err := k.first.Node.Acknowledge(ctx, k.say(t, "spoor-in-vervolg", k.sent.Case).Hash, returned); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("control: returned by half a case: %v", err)
	}
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.relative.Name, dan.Name}, k.sealed(dan)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.first.Node.Case(ctx, k.sent.Case, as(dan)); err != nil {
		t.Errorf("brought together: %v", err)
	}
	if s, _ := k.listed(t, k.first, more.Hash); s.Unjudged {
		t.Error("never judged")
	}
}

// Two lists made at once have nobody in common. Who is on the one that counts reads what is
// closed to the other with the passphrase of that, to everybody's alarm; and brings both
// together by giving the list again with it.
func TestTwoListsWithNobodyInCommon(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	dan := k.twoLists(t)
	if _, err := k.first.Node.ReadAs(ctx, k.sent.Hash, as(dan)); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("closed to the other list: %v", err)
	}
	if _, err := k.first.Node.ReadAs(ctx, k.sent.Hash, k.sealed(k.ann)); !errors.Is(err, schakel.ErrGlass) {
		t.Errorf("with that passphrase by who is not named: %v", err)
	}
	if has(t, k.first, schakel.AlarmGlass) {
		t.Fatal("control: alarmed, and nothing was opened")
	}
	if l, err := k.first.Node.ReadAs(ctx, k.sent.Hash, k.sealed(dan)); err != nil || !strings.Contains(string(l.Body), "spoor") {
		t.Errorf("with that passphrase: %v", err)
	}
	if !has(t, k.first, schakel.AlarmGlass) {
		t.Error("nobody is alarmed")
	}
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.relative.Name, dan.Name}, k.sealed(dan)); err != nil {
		t.Fatal(err)
	}
	for _, m := range k.both() {
		eventually(t, "it is settled, and everybody on the list reads everything", func() bool {
			_, err := m.Node.ReadAs(ctx, k.sent.Hash, as(k.relative))
			return err == nil && !has(t, m, schakel.AlarmLists) && k.has(t, m, delivery.RecordShares) == 1
		})
	}
}

// What a restricted case asks of the desk is paged at any hour, and no longer once it was
// done, though nobody who may read it is there.
func TestOwedInRestrictedCase(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	if _, err := k.first.Node.Acknowledge(ctx, k.sent.Hash, schakel.Acknowledgement{Person: k.ann.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	k.restrict(t)
	owed := func(m *schakeltest.Member) string {
		var b []byte
		err := m.Store().View(ctx, func(tx *store.Tx) (err error) { b, err = tx.Setting("owed/" + k.sent.Case); return err })
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	for _, m := range k.both() {
		if b := owed(m); !strings.Contains(b, k.sent.Hash) || strings.Contains(b, "spoor") {
			t.Errorf("kept %s", b)
		}
	}
	if _, err := k.first.Node.SetRota(ctx, roster.Sheet{Roster: staffed()}, as(k.ann)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other device knows who is on call", func() bool { _, err := k.second.Node.Roster(ctx); return err == nil })
	rang := &phones{}
	k.second.Equip(rang) // a new process: what was known in memory is gone
	settle(t, k.second)
	if n := len(rang.pages()); n != 0 {
		t.Errorf("control: paged %d times before anything is due", n)
	}
	k.Pass(20 * 24 * time.Hour)
	eventually(t, "who is on call hears of it", func() bool {
		log, err := k.second.Node.PageLog(ctx, 10)
		return err == nil && slices.ContainsFunc(log, func(p schakel.Page) bool { return p.Why == "owed" && strings.Contains(p.Subject, k.sent.Hash) })
	})
	eventually(t, "it is answered", func() bool {
		_, err := k.first.Node.Send(ctx, schakel.Draft{Class: "advies", Urgency: message.Urgent, Answers: k.sent.Hash, To: []identity.DeskID{k.from.Desk},
			Body: traced(t, "advies", "spoor-in-antwoord"), Person: k.ann.Name, PIN: schakeltest.PIN})
		return err == nil
	})
	if b := owed(k.first); strings.Contains(b, k.sent.Hash) {
		t.Errorf("answered, and kept is %s", b)
	}
}

// What an envelope asked for is seen on its row also where nobody who may read the case is there
// to ask the rules. Control: one that fits has no mark.
func TestH09MarkInRestrictedCase(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	for tier, marks := range map[envelope.Tier][]schakel.Mark{
		envelope.TierUrgent: nil,
		envelope.TierAcute:  {schakel.MarkEnvelope},
		envelope.TierNone:   {schakel.MarkEnvelope},
	} {
		signed, err := k.from.Node.SignForTest(ctx, schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, Case: k.sent.Case,
			To: []identity.DeskID{k.to.Desk}, Body: traced(t, "adviesvraag", "spoor-in-vervolg")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		k.counter++
		if err := k.from.Node.PutForTest(ctx, k.to.Desk, tier, delivery.Delivery{Kind: delivery.KindMessage, Content: signed.Raw, Counter: k.counter}); err != nil {
			t.Fatal(err)
		}
		hash := signed.Hash().String()
		k.arrives(t, schakel.Sent{Hash: hash})
		for _, m := range k.both() {
			if s, _ := k.listed(t, m, hash); !s.Unjudged || !slices.Equal(s.Marks, marks) {
				t.Errorf("an urgent message in an envelope of tier %d: unjudged %t, marks %q, want %q", tier, s.Unjudged, s.Marks, marks)
			}
			if l, err := m.Node.ReadAs(ctx, hash, as(k.ann)); err != nil || !slices.Equal(l.Marks, marks) {
				t.Errorf("the page of one of tier %d: marks %q, want %q: %v", tier, l.Marks, marks, err)
			}
		}
	}
}
