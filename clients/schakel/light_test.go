package schakel_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// homework is a desk with a device in the office and one that its officer carries.
type homework struct {
	pair
	office, home *schakeltest.Member
	officer      schakel.Person
}

func newHomework(t *testing.T) *homework {
	t.Helper()
	p := newPair(t, nil)
	h := &homework{pair: p, office: p.to, officer: p.to.AddPerson("P. Iket")}
	h.home = p.to.Light()
	h.home.Start()
	sealsTo(t, p.from, p.to.Desk, 2)
	eventually(t, "the officer can sign at home", func() bool {
		persons, err := h.home.Node.Persons(testContext(t))
		return err == nil && len(persons) == 1
	})
	return h
}

// governing are the acts that stay in the office.
func governing(ctx context.Context, n *schakel.Node, device trust.Subject, sent schakel.Sent, to *schakeltest.Member) map[string]func() error {
	return map[string]func() error{
		"export":          func() error { _, err := n.Export(ctx, sent.Hash, to.Desk); return err },
		"export a case":   func() error { return n.ExportCase(ctx, sent.Case, schakel.By{}, io.Discard) },
		"export evidence": func() error { _, err := n.EvidenceFile(ctx, "01"); return err },
		"export register": func() error { _, err := n.RegisterEntries(ctx); return err },
		"add a person": func() error {
			_, err := n.AddPerson(ctx, schakel.Person{Name: "N. Ieuw", Telephone: "+31600000008"}, schakeltest.PIN)
			return err
		},
		"vouch":  func() error { return n.Vouch(ctx, nil) },
		"revoke": func() error { return n.Revoke(ctx, device, trust.ReasonLost) },
	}
}

// What an officer on call needs works at home; what belongs in the office is refused
// there, and the same call is not refused for that on a device of the office.
func TestLightDeviceDoesLess(t *testing.T) {
	h, ctx := newHomework(t), testContext(t)
	sent := h.send(t)
	eventually(t, "it is at home", func() bool { return inbox(t, h.home, sent.Hash) != nil })
	by := schakel.By{Person: h.officer.Name, PIN: schakeltest.PIN}
	if _, err := h.home.Node.ReadAs(ctx, sent.Hash, by); err != nil {
		t.Error(err)
	}
	if _, err := h.home.Node.Take(ctx, sent.Hash, by); err != nil {
		t.Error(err)
	}
	if _, err := h.home.Node.AddNote(ctx, sent.Case, "belt zo terug", by); err != nil {
		t.Error(err)
	}
	if _, err := h.home.Node.Acknowledge(ctx, sent.Hash, schakel.Acknowledgement{Person: h.officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Error(err)
	}
	subject := trust.Device{ID: h.home.Node.Device()}.Subject()
	for name, act := range governing(ctx, h.home.Node, subject, sent, h.from) {
		if err := act(); !errors.Is(err, schakel.ErrLight) {
			t.Errorf("%s at home: %v", name, err)
		}
	}
	devices, err := h.office.Node.Devices(ctx)
	if err != nil || len(devices) != 2 || devices[0].Light == devices[1].Light {
		t.Errorf("devices %+v, %v", devices, err)
	}
	for name, act := range governing(ctx, h.office.Node, subject, sent, h.from) {
		if err := act(); errors.Is(err, schakel.ErrLight) {
			t.Errorf("control: %s in the office: %v", name, err)
		}
	}
}

func (h *homework) stateOf(t *testing.T, sent schakel.Sent) schakel.State {
	t.Helper()
	s, err := h.from.Node.Trace(testContext(t), sent.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return stateAt(s, h.to.Desk)
}

// "Delivered" is the word of a device that keeps: what only the laptop has is delivered
// when the office has it too. What a person says at home counts at once.
func TestLightDeviceIsNoKeeper(t *testing.T) {
	h, ctx := newHomework(t), testContext(t)
	h.office.Stop()
	first, second := h.send(t), h.send(t)
	for _, sent := range []schakel.Sent{first, second} {
		eventually(t, "it is at home", func() bool { return inbox(t, h.home, sent.Hash) != nil })
	}
	if _, err := h.home.Node.Read(ctx, second.Hash); err != nil {
		t.Fatal(err)
	}
	if _, err := h.home.Node.Acknowledge(ctx, first.Hash, schakel.Acknowledgement{Person: h.officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sender sees who took it", func() bool { return h.stateOf(t, first) == schakel.StateAcknowledged })
	// the acknowledgement left after the other message came: a statement would have too
	if got := h.stateOf(t, second); got != schakel.StateAtRelay {
		t.Errorf("the sender believes %q of what only a laptop has", got)
	}
	h.office.Reopen()
	h.office.Start()
	eventually(t, "the office has it: delivered", func() bool { return h.stateOf(t, second) == schakel.StateDelivered })
}

// A desk that has nothing but light devices states with those: somebody must.
func TestLightDeviceAloneStates(t *testing.T) {
	h := newHomework(t)
	office := trust.Device{ID: h.office.Node.Device()}.Subject()
	if err := h.office.Node.Revoke(testContext(t), office, trust.ReasonRetired); err != nil {
		t.Fatal(err)
	}
	sealsTo(t, h.from, h.to.Desk, 1)
	sent := h.send(t)
	eventually(t, "it is delivered", func() bool { return h.stateOf(t, sent) == schakel.StateDelivered })
}

// letGo makes the officer's device look at what it may let go of.
func (h *homework) letGo(t *testing.T) {
	t.Helper()
	if err := h.home.Node.KeepRetentionForTest(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// A case leaves a light device a week after the last thing happened in it, never while
// something waits, and nowhere is it said that the desk destroyed it.
func TestLightDeviceLetsGo(t *testing.T) {
	h, ctx := newHomework(t), testContext(t)
	waiting, done := h.send(t), h.send(t)
	for _, sent := range []schakel.Sent{waiting, done} {
		eventually(t, "both devices have it", func() bool { return inbox(t, h.home, sent.Hash) != nil && inbox(t, h.office, sent.Hash) != nil })
	}
	by := schakel.By{Person: h.officer.Name, PIN: schakeltest.PIN}
	if _, err := h.home.Node.AddNote(ctx, done.Case, "afgehandeld", by); err != nil {
		t.Fatal(err)
	}
	if _, err := h.home.Node.Acknowledge(ctx, done.Hash, schakel.Acknowledgement{Person: h.officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the office has note and acknowledgement, the sender too", func() bool {
		w, err := h.office.Node.Worksheet(ctx, done.Case)
		return err == nil && len(w.Notes) == 1 && h.stateOf(t, done) == schakel.StateAcknowledged
	})
	eventually(t, "nothing of it is under way any more", func() bool {
		s, err := h.home.Node.Status(ctx)
		return err == nil && s.Outbox == 0
	})
	h.letGo(t)
	if inbox(t, h.home, done.Hash) == nil {
		t.Fatal("gone at once")
	}
	h.Pass(8 * day)
	eventually(t, "the handled case is gone", func() bool { h.letGo(t); return inbox(t, h.home, done.Hash) == nil })
	if inbox(t, h.home, waiting.Hash) == nil {
		t.Error("what nobody acknowledged is gone")
	}
	if inbox(t, h.office, done.Hash) == nil {
		t.Error("the office lost it")
	}
	if got, err := h.home.Node.Deletions(ctx); err != nil || len(got) != 0 {
		t.Errorf("it states %+v, %v", got, err)
	}
	if _, err := h.home.Node.Worksheet(ctx, done.Case); !errors.Is(err, schakel.ErrNotFound) {
		t.Errorf("the note: %v", err)
	}
	log, err := h.home.Node.Log(ctx, "")
	if err != nil || !logged(log, "case-let-go", done.Case) {
		t.Errorf("the access log does not say so: %+v, %v", log, err)
	}
	again := h.sendIn(t, done.Case)
	eventually(t, "the case goes on at home", func() bool { return inbox(t, h.home, again.Hash) != nil })
}

// sendIn says something more in a case.
func (h *homework) sendIn(t *testing.T, kase string) schakel.Sent {
	t.Helper()
	sent, err := h.from.Node.Send(testContext(t), schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, Case: kase,
		To: []identity.DeskID{h.to.Desk}, Body: example(t, "adviesvraag")})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func logged(l schakel.AccessLog, action, subject string) bool {
	for _, line := range l.Lines {
		if line.Action == action && strings.Contains(line.Subject, subject) {
			return true
		}
	}
	return false
}

// A new light device is not given the desk's years of notes to carry.
func TestLightDeviceGetsNoOldNotes(t *testing.T) {
	h, ctx := newHomework(t), testContext(t)
	sent := h.send(t)
	eventually(t, "the office has it", func() bool { return inbox(t, h.office, sent.Hash) != nil })
	by := schakel.By{Person: h.officer.Name, PIN: schakeltest.PIN}
	if _, err := h.office.Node.AddNote(ctx, sent.Case, "oud", by); err != nil {
		t.Fatal(err)
	}
	h.Pass(8 * day)
	if _, err := h.office.Node.AddNote(ctx, sent.Case, "nieuw", by); err != nil {
		t.Fatal(err)
	}
	notes := func(m *schakeltest.Member) (n int) {
		err := m.Store().View(ctx, func(tx *store.Tx) error {
			all, err := tx.Records(delivery.RecordNote, caseRefOf(t, sent.Case))
			n = len(all)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	desktop, laptop := h.office.Sibling(), h.office.Light()
	desktop.Start()
	laptop.Start()
	eventually(t, "control: a device of the office gets both", func() bool { return notes(desktop) == 2 })
	eventually(t, "a light device gets the new one", func() bool { return notes(laptop) > 0 })
	if n := notes(laptop); n != 1 {
		t.Errorf("%d notes at home", n)
	}
}

// The organisation's key does not travel.
func TestOrganisationKeyOnALightDevice(t *testing.T) {
	h, ctx := newHomework(t), testContext(t)
	h.home.Stop()
	_, org, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	err = h.home.Store().Update(ctx, func(tx *store.Tx) error {
		dev, err := tx.Device()
		if err != nil {
			return err
		}
		dev.Org = org
		return tx.SetDevice(dev)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := schakel.New(schakel.Config{Store: h.home.Store()}); !errors.Is(err, schakel.ErrLight) {
		t.Errorf("got %v", err)
	}
	if _, err := schakel.Init(ctx, h.home.Store(), schakel.InitOptions{}, time.Now()); !errors.Is(err, schakel.ErrLight) {
		t.Errorf("a first device that is light: %v", err)
	}
}

// A light device that let go of a restricted case, or that comes later, keeps what comes in
// it closed; and a closed note does not keep it from letting go.
func TestLightDeviceKeepsRestriction(t *testing.T) {
	h, ctx := newHomework(t), testContext(t)
	second := h.office.AddPerson("B. Ob")
	sent := h.send(t)
	by := schakel.By{Person: h.officer.Name, PIN: schakeltest.PIN, Glass: safe}
	eventually(t, "both devices have it, and both persons", func() bool {
		persons, err := h.home.Node.Persons(ctx)
		return err == nil && len(persons) == 2 && inbox(t, h.home, sent.Hash) != nil && inbox(t, h.office, sent.Hash) != nil
	})
	if _, err := h.office.Node.Restrict(ctx, sent.Case, []string{h.officer.Name, second.Name}, by); err != nil {
		t.Fatal(err)
	}
	if _, err := h.office.Node.AddNote(ctx, sent.Case, "besloten", by); err != nil {
		t.Fatal(err)
	}
	if _, err := h.office.Node.Acknowledge(ctx, sent.Hash, schakel.Acknowledgement{Person: h.officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the laptop knows", func() bool {
		r, err := h.home.Node.Restriction(ctx, sent.Case)
		return err == nil && len(r.Readers) == 2 && summaryOf(t, h.home, sent.Hash).AckBy != ""
	})
	h.Pass(8 * day)
	eventually(t, "the handled case is gone", func() bool { h.letGo(t); return summaryOf(t, h.home, sent.Hash).Hash == "" })
	third := h.to.Light()
	third.Start()
	sealsTo(t, h.from, h.to.Desk, 3)
	eventually(t, "the new laptop is told", func() bool { return restricts(t, third, sent.Case) == 1 })
	again := h.sendIn(t, sent.Case)
	for _, m := range []*schakeltest.Member{h.home, third} {
		eventually(t, "the case goes on", func() bool { return summaryOf(t, m, again.Hash).Hash != "" })
		if _, err := m.Node.Read(ctx, again.Hash); !errors.Is(err, schakel.ErrRestricted) {
			t.Errorf("it is open to everybody: %v", err)
		}
		eventually(t, "control: it opens for who is named", func() bool {
			_, err := m.Node.ReadAs(ctx, again.Hash, schakel.By{Person: h.officer.Name, PIN: schakeltest.PIN})
			return err == nil
		})
	}
}

func restricts(t *testing.T, m *schakeltest.Member, kase string) (n int) {
	t.Helper()
	err := m.Store().View(testContext(t), func(tx *store.Tx) error {
		all, err := tx.Records(delivery.RecordRestrict, caseRefOf(t, kase))
		n = len(all)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// summaryOf is a message as the list shows it, without opening it.
func summaryOf(t *testing.T, m *schakeltest.Member, hash string) schakel.Summary {
	t.Helper()
	all, err := m.Node.List(testContext(t), schakel.Filter{Box: "all"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Hash == hash {
			return s
		}
	}
	return schakel.Summary{}
}
