package schakel_test

import (
	"errors"
	"slices"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// colleagues is a desk with two devices and two persons, and a message of a case.
type colleagues struct {
	pair
	first, second *schakeltest.Member
	ann, bob      schakel.Person
	sent          schakel.Sent
}

func newColleagues(t *testing.T) *colleagues {
	t.Helper()
	p := newPair(t, nil)
	c := &colleagues{pair: p, first: p.to, ann: p.to.AddPerson("A. Nnie"), bob: p.to.AddPerson("B. Ob")}
	c.second = p.to.Sibling()
	c.second.Start()
	sealsTo(t, p.from, p.to.Desk, 2)
	eventually(t, "the second device knows both persons", func() bool {
		persons, err := c.second.Node.Persons(testContext(t))
		return err == nil && len(persons) == 2
	})
	c.sent = p.send(t)
	p.delivered(t, c.sent)
	for _, m := range []*schakeltest.Member{c.first, c.second} {
		eventually(t, "both devices have the message", func() bool {
			list, err := m.Node.List(testContext(t), schakel.Filter{})
			return err == nil && len(list) == 1
		})
	}
	return c
}

func as(p schakel.Person) schakel.By { return schakel.By{Person: p.Name, PIN: schakeltest.PIN} }

func (c *colleagues) sheet(t *testing.T, m *schakeltest.Member) schakel.Worksheet {
	t.Helper()
	w, err := m.Node.Worksheet(testContext(t), c.sent.Case)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What one device writes down, the other shows; also when it was away.
func TestDevicesOfOneDeskAgree(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	if _, err := c.first.Node.Take(ctx, c.sent.Hash, schakel.By{Person: c.ann.Name, PIN: "654321"}); !errors.Is(err, schakel.ErrPIN) {
		t.Fatalf("taken with a wrong PIN: %v", err)
	}
	if _, err := c.first.Node.Take(ctx, c.sent.Hash, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second device sees who took the case", func() bool {
		return c.sheet(t, c.second).Assignment.Name == c.ann.Name
	})
	if list, err := c.second.Node.List(ctx, schakel.Filter{}); err != nil || list[0].Holder != c.ann.Name {
		t.Errorf("the list does not say who has the case: %+v, %v", list, err)
	}
	c.second.Stop()
	if _, err := c.first.Node.AddNote(ctx, c.sent.Case, "belt alleen op zaterdag terug", as(c.ann)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.first.Node.Assign(ctx, c.sent.Case, c.bob.Name, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	c.second.Reopen()
	c.second.Start()
	eventually(t, "the device that was away catches up", func() bool {
		w := c.sheet(t, c.second)
		return w.Assignment.Name == c.bob.Name && w.Assignment.By == c.ann.Name && len(w.Notes) == 1 && w.Notes[0].By == c.ann.Name
	})
	if err := c.first.Node.Revoke(ctx, trust.Person{ID: c.ann.ID}.Subject(), trust.ReasonRetired); err != nil {
		t.Fatal(err)
	}
	third := c.first.Sibling()
	third.Start()
	eventually(t, "a new device is told what was written before it came", func() bool {
		var notes []store.Record
		err := third.Store().View(ctx, func(tx *store.Tx) (err error) {
			notes, err = tx.Records(delivery.RecordNote, caseRefOf(t, c.sent.Case))
			return err
		})
		return err == nil && len(notes) == 1
	})
	eventually(t, "who left signs nowhere any more", func() bool {
		persons, err := third.Node.Persons(ctx)
		return err == nil && len(persons) == 1 && persons[0].Name == c.bob.Name
	})
	if _, err := third.Node.Take(ctx, c.sent.Case, as(c.ann)); !errors.Is(err, schakel.ErrUnknownPerson) {
		t.Errorf("who left took a case: %v", err)
	}
	if list, err := c.from.Node.List(ctx, schakel.Filter{Box: "all"}); err != nil || len(list) != 1 {
		t.Errorf("the partner has %d messages: something of the desk left it (%v)", len(list), err)
	}
}

// Two persons take one case on two devices that cannot see each other.
func TestTwoTakeOneCase(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	c.first.Stop()
	c.second.Stop()
	c.first.Reopen()
	c.second.Reopen()
	if _, err := c.first.Node.Take(ctx, c.sent.Case, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.second.Node.Take(ctx, c.sent.Case, as(c.bob)); err != nil {
		t.Fatal(err)
	}
	c.first.Start()
	c.second.Start()
	both := []*schakeltest.Member{c.first, c.second}
	for _, m := range both {
		eventually(t, "both persons are told", func() bool {
			return c.sheet(t, m).Assignment.Contested && has(t, m, schakel.AlarmContested)
		})
	}
	if a, b := c.sheet(t, c.first).Assignment, c.sheet(t, c.second).Assignment; a.Person != b.Person || a.Person == "" || !slices.Equal(a.Also, b.Also) {
		t.Errorf("the devices do not agree: %+v, %+v", a, b)
	}
	if _, err := c.second.Node.Assign(ctx, c.sent.Case, c.ann.Name, as(c.bob)); err != nil {
		t.Fatal(err)
	}
	for _, m := range both {
		eventually(t, "it is settled", func() bool {
			a := c.sheet(t, m).Assignment
			return a.Name == c.ann.Name && !a.Contested && !has(t, m, schakel.AlarmContested)
		})
	}
}

func has(t *testing.T, m *schakeltest.Member, kind schakel.AlarmKind) bool {
	t.Helper()
	alarms, err := m.Node.Alarms(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == kind })
}

// A draft that two change at the same time has both versions, and dropping one keeps
// the other.
func TestNoDraftIsLost(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	d := schakel.Draft{Class: "advies", Urgency: "regulier", Case: c.sent.Case, Body: []byte(`{"a":1}`), PIN: "123456", Person: "x"}
	first, err := c.first.Node.SaveDraft(ctx, "", "", d, as(c.ann))
	if err != nil || first.Draft.PIN != "" || first.Draft.Person != "" {
		t.Fatalf("%+v, %v", first, err)
	}
	eventually(t, "the draft arrives", func() bool { return len(c.sheet(t, c.second).Drafts) == 1 })
	c.first.Stop()
	c.second.Stop()
	c.first.Reopen()
	c.second.Reopen()
	d.Body = []byte(`{"a":2}`)
	mine, err := c.first.Node.SaveDraft(ctx, first.ID, "", d, as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	d.Body = []byte(`{"a":3}`)
	if _, err := c.second.Node.SaveDraft(ctx, first.ID, first.Version, d, as(c.bob)); err != nil {
		t.Fatal(err)
	}
	c.first.Start()
	c.second.Start()
	for _, m := range []*schakeltest.Member{c.first, c.second} {
		eventually(t, "both versions are on both devices", func() bool { return len(c.sheet(t, m).Drafts) == 2 })
	}
	if _, err := c.first.Node.SaveDraft(ctx, first.ID, "", d, as(c.ann)); !errors.Is(err, schakel.ErrDraftVersions) {
		t.Errorf("saved over two versions: %v", err)
	}
	if err := c.first.Node.DropDraft(ctx, first.ID, mine.Version, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*schakeltest.Member{c.first, c.second} {
		eventually(t, "the other version stays", func() bool {
			left := c.sheet(t, m).Drafts
			return len(left) == 1 && string(left[0].Draft.Body) == `{"a":3}`
		})
	}
}

// A partner's device that sends a record is refused and alarmed: nobody writes the
// notes of another desk.
func TestRecordOfAnotherDesk(t *testing.T) {
	e := newEvil(t)
	officer := e.vt.AddPerson("E. Vil")
	s, err := e.vt.Node.RecordForTest(testContext(t), delivery.Record{Kind: delivery.RecordNote, Desk: e.knooppunt.Desk, Content: []byte("vals")}, as(officer))
	if err != nil {
		t.Fatal(err)
	}
	e.counter++
	e.put(t, delivery.Delivery{Kind: delivery.KindRecord, Content: s.Raw, Counter: e.counter})
	eventually(t, "the knooppunt is alarmed", func() bool { return e.alarmed(t, schakel.AlarmForged) })
	e.honest(t)
}

// The control: the same record from the desk's own device is taken. And one that a
// colleague did not sign is not.
func TestRecordOfAColleague(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	kase := caseRefOf(t, c.sent.Case)
	good, err := c.first.Node.RecordForTest(ctx, delivery.Record{Kind: delivery.RecordNote, Desk: c.first.Desk, Case: kase, Content: []byte("echt")}, as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	forged := good.Record
	forged.Person, forged.Content = c.bob.ID[:], []byte("vals")
	bad, err := c.first.Node.RecordForTest(ctx, forged, as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []delivery.SignedRecord{bad, good} {
		d := delivery.Delivery{Kind: delivery.KindRecord, Content: s.Raw, Counter: uint64(1000 + i)}
		eventually(t, "it can be sealed", func() bool {
			return c.first.Node.PutForTest(ctx, c.first.Desk, envelope.TierNone, d) == nil
		})
	}
	eventually(t, "the true note arrives", func() bool { return len(c.sheet(t, c.second).Notes) == 1 })
	if !has(t, c.second, schakel.AlarmForged) || c.sheet(t, c.second).Notes[0].Text != "echt" {
		t.Error("a note in a colleague's name was taken")
	}
}

func caseRefOf(t *testing.T, s string) message.CaseRef {
	t.Helper()
	u, err := identity.ParseUUID(s)
	if err != nil {
		t.Fatal(err)
	}
	return message.CaseRef(u)
}

// A draft goes off the lists of all devices with the message that was made of it, and
// with nothing less: refused by a rule, by a PIN, or changed by a colleague meanwhile, it
// stays and nothing is sent.
func TestDraftGoesWithItsMessage(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	d := schakel.Draft{Class: "advies", Urgency: "regulier", Case: c.sent.Case, Answers: c.sent.Hash, To: []identity.DeskID{c.from.Desk}, Body: example(t, "advies")}
	saved, err := c.first.Node.SaveDraft(ctx, "", "", d, as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the colleague has the draft", func() bool { return len(c.sheet(t, c.second).Drafts) == 1 })
	d.Person, d.PIN, d.Saved = c.bob.Name, schakeltest.PIN, &schakel.SavedVersion{ID: saved.ID, Version: saved.Version}
	for name, spoil := range map[string]func(*schakel.Draft){
		"refused by a rule":     func(d *schakel.Draft) { d.Body = []byte(`{}`) },
		"a wrong PIN":           func(d *schakel.Draft) { d.PIN = "000000" },
		"sent by nobody":        func(d *schakel.Draft) { d.Person, d.PIN = "", "" },
		"another version":       func(d *schakel.Draft) { d.Saved = &schakel.SavedVersion{ID: saved.ID, Version: c.sent.Hash} },
		"a draft that is not":   func(d *schakel.Draft) { d.Saved = &schakel.SavedVersion{ID: c.sent.ID} },
		"no identifier at all":  func(d *schakel.Draft) { d.Saved = &schakel.SavedVersion{} },
		"a desk that is not":    func(d *schakel.Draft) { d.To = []identity.DeskID{"niemand/hier"} },
		"an answer to no thing": func(d *schakel.Draft) { d.Answers = saved.Version },
	} {
		bad := d
		spoil(&bad)
		if _, err := c.second.Node.Send(ctx, bad); err == nil {
			t.Errorf("%s: sent", name)
		}
		sent, err := c.second.Node.List(ctx, schakel.Filter{Box: "sent"})
		if err != nil || len(sent) != 0 || len(c.sheet(t, c.second).Drafts) != 1 {
			t.Errorf("%s: %d sent, %d drafts, %v", name, len(sent), len(c.sheet(t, c.second).Drafts), err)
		}
	}
	if _, err := c.second.Node.Send(ctx, d); err != nil {
		t.Fatal(err)
	}
	if left := c.sheet(t, c.second).Drafts; len(left) != 0 {
		t.Errorf("the draft is still there: %+v", left)
	}
	eventually(t, "it is off the other device's list", func() bool { return len(c.sheet(t, c.first).Drafts) == 0 })
	if _, err := c.second.Node.Send(ctx, d); !errors.Is(err, schakel.ErrNotFound) {
		t.Errorf("sent twice: %v", err)
	}
}
