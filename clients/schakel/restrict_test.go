package schakel_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
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

// A restricted case opens on every device for the persons named for it, and for nobody
// else, whatever the way; and what a machine's keys open holds nothing of it.
func TestRestrictedCase(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name}, k.sealed(k.ann)); !errors.Is(err, schakel.ErrReaders) {
		t.Errorf("restricted to one person: %v", err)
	}
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.bob.Name}, as(k.ann)); !errors.Is(err, schakel.ErrGlassNeeded) {
		t.Errorf("restricted without a passphrase for emergencies: %v", err)
	}
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.bob.Name}, schakel.By{Person: k.ann.Name, PIN: "654321", Glass: safe}); !errors.Is(err, schakel.ErrPIN) {
		t.Errorf("restricted with a wrong PIN: %v", err)
	}
	k.restrict(t)
	for _, m := range k.both() {
		eventually(t, "nothing of the case is left in the store", func() bool { return len(k.seen(t, m)) == 0 })
		for what, err := range k.looks(t, m, as(k.relative)) {
			if !errors.Is(err, schakel.ErrRestricted) {
				t.Errorf("%s by a person who is not named: %v", what, err)
			}
		}
		for what, err := range k.looks(t, m, schakel.By{}) {
			if !errors.Is(err, schakel.ErrRestricted) {
				t.Errorf("%s by nobody in particular: %v", what, err)
			}
		}
		for what, err := range k.looks(t, m, schakel.By{Person: k.bob.Name, PIN: "654321"}) {
			if !errors.Is(err, schakel.ErrPIN) {
				t.Errorf("%s with a wrong PIN: %v", what, err)
			}
		}
		for what, err := range k.looks(t, m, as(k.bob)) {
			if err != nil {
				t.Errorf("%s by a person who is named: %v", what, err)
			}
		}
	}
	l, err := k.second.Node.ReadAs(ctx, k.sent.Hash, as(k.bob))
	if err != nil || !strings.Contains(string(l.Body), "spoor-in-bericht") || len(l.Restricted) != 2 || l.Restricted[0].Telephone == "" {
		t.Errorf("read %+v, %v", l, err)
	}
	w, err := k.second.Node.Worksheet(ctx, k.sent.Case, as(k.bob))
	if err != nil || len(w.Notes) != 1 || w.Notes[0].Text != "spoor-in-notitie" || len(w.Drafts) != 1 {
		t.Errorf("worksheet %+v, %v", w, err)
	}
	all, err := k.second.Node.Drafts(ctx, "", as(k.bob))
	if err != nil || len(all) != 1 {
		t.Errorf("all drafts of one who is named: %+v, %v", all, err)
	}
	if all, err = k.second.Node.Drafts(ctx, "", as(k.relative)); err != nil || len(all) != 0 {
		t.Errorf("all drafts of one who is not: %+v, %v", all, err)
	}
	d := k.draft.Draft
	d.Body = []byte(`{"x":"spoor-in-concept twee"}`)
	if _, err := k.second.Node.SaveDraft(ctx, k.draft.ID, "", d, as(k.relative)); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("a draft saved by one who is not named: %v", err)
	}
	if _, err := k.second.Node.SaveDraft(ctx, k.draft.ID, "", d, as(k.bob)); err != nil {
		t.Errorf("a draft saved by one who is: %v", err)
	}
	eventually(t, "the new version is on the other device, and opens there", func() bool {
		all, err := k.first.Node.Drafts(ctx, k.sent.Case, as(k.ann))
		return err == nil && len(all) == 1 && all[0].By == k.bob.Name && bytes.Contains(all[0].Draft.Body, []byte("twee"))
	})
	cases, err := k.first.Node.Cases(ctx, schakel.Paging{})
	if err != nil || len(cases) != 1 || len(cases[0].Restricted) != 2 || cases[0].Owed != 0 {
		t.Errorf("listed as %+v, %v", cases, err)
	}
	eventually(t, "every opening stands in the log of both devices under the name that the PIN proved", func() bool {
		return !slices.ContainsFunc(openings(t, k.first, k.sent.Case), func(l schakel.LogLine) bool { return l.Person != k.bob.Name }) &&
			len(openings(t, k.first, k.sent.Case)) == len(openings(t, k.second, k.sent.Case)) && len(openings(t, k.first, k.sent.Case)) > 8
	})
}

// What comes and what is written while nobody who may read it is there is kept closed, not
// refused, and judged when one of them opens the case.
func TestArrivesInRestrictedCase(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	more := k.say(t, "spoor-in-vervolg", k.sent.Case)
	if _, err := k.second.Node.AddNote(ctx, k.sent.Case, "spoor-in-notitie twee", as(k.relative)); err != nil {
		t.Errorf("who may not read may still put something in: %v", err)
	}
	wrong, err := k.from.Node.SignForTest(ctx, schakel.Draft{Class: "adviesvraag", Urgency: message.Routine, Case: k.sent.Case,
		To: []identity.DeskID{k.to.Desk}, Body: []byte(`{}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a modified client sends what the rules refuse", func() bool {
		return k.from.Node.PutForTest(ctx, k.to.Desk, envelope.TierRoutine, delivery.Delivery{Kind: delivery.KindMessage, Content: wrong.Raw, Counter: 50}) == nil
	})
	k.arrives(t, schakel.Sent{Hash: wrong.Hash().String()})
	for _, m := range k.both() {
		for _, hash := range []string{more.Hash, wrong.Hash().String()} {
			if s, _ := k.listed(t, m, hash); !s.Unjudged || s.Refused != "" {
				t.Errorf("%.8s is listed as %+v", hash, s)
			}
		}
		eventually(t, "nothing of it is in the store", func() bool { return len(k.seen(t, m)) == 0 })
	}
	for _, m := range k.both() {
		eventually(t, "the note is here", func() bool { return k.has(t, m, delivery.RecordNote) == 2 })
		w, err := m.Node.Worksheet(ctx, k.sent.Case, as(k.ann))
		if err != nil || len(w.Notes) != 2 {
			t.Fatalf("%d notes, %v", len(w.Notes), err)
		}
		o, err := m.Node.Overview(ctx, k.sent.Case, as(k.ann))
		if err != nil || len(o.Messages) != 2 || o.Closing != nil {
			t.Errorf("%d messages, closing %v, %v", len(o.Messages), o.Closing, err)
		}
		if s, _ := k.listed(t, m, more.Hash); s.Unjudged || s.Refused != "" {
			t.Errorf("the honest message: %+v", s)
		}
		if s, _ := k.listed(t, m, wrong.Hash().String()); s.Unjudged || s.Refused == "" {
			t.Errorf("the other one: %+v", s)
		}
		if !has(t, m, schakel.AlarmRule) {
			t.Error("nobody is told of the broken rule")
		}
	}
	if l, err := k.first.Node.ReadAs(ctx, wrong.Hash().String(), as(k.ann)); err != nil || len(l.Body) == 0 {
		t.Errorf("what was refused late is lost: %v", err)
	}
}

// Who is added reads what was said before; who is taken off reads nothing any more, on any
// device, and only who is on the list changes it.
func TestWideningAndNarrowing(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	all := []string{k.ann.Name, k.bob.Name, k.relative.Name}
	if _, err := k.second.Node.Restrict(ctx, k.sent.Case, all, k.sealed(k.relative)); !errors.Is(err, schakel.ErrRestricted) {
		t.Fatalf("changed by who is not on it: %v", err)
	}
	if _, err := k.second.Node.Restrict(ctx, k.sent.Case, all, as(k.bob)); err != nil {
		t.Fatal(err)
	}
	k.settled(t, k.ann, k.bob, k.relative)
	if l, err := k.first.Node.ReadAs(ctx, k.sent.Hash, as(k.relative)); err != nil || !strings.Contains(string(l.Body), "spoor") {
		t.Errorf("who was added: %v", err)
	}
	more := k.say(t, "spoor-in-vervolg", k.sent.Case)
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.bob.Name}, as(k.ann)); !errors.Is(err, schakel.ErrGlassNeeded) {
		t.Errorf("narrowed without a new passphrase: %v", err)
	}
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.bob.Name}, k.sealed(k.ann)); err != nil {
		t.Fatal(err)
	}
	k.settled(t, k.ann, k.bob)
	for _, m := range k.both() {
		eventually(t, "only the shares of the list that counts are left", func() bool { return k.has(t, m, delivery.RecordShares) == 1 })
		for what, err := range k.looks(t, m, as(k.relative)) {
			if !errors.Is(err, schakel.ErrRestricted) {
				t.Errorf("%s by who was taken off: %v", what, err)
			}
		}
		for _, hash := range []string{k.sent.Hash, more.Hash} {
			if _, err := m.Node.ReadAs(ctx, hash, as(k.bob)); err != nil {
				t.Errorf("%.8s by who stayed: %v", hash, err)
			}
		}
		if found := k.seen(t, m); len(found) != 0 {
			t.Errorf("found %v", found)
		}
	}
	last := k.say(t, "spoor-in-vervolg", k.sent.Case)
	for _, p := range []schakel.Person{k.ann, k.bob} {
		if _, err := k.second.Node.ReadAs(ctx, last.Hash, as(p)); err != nil {
			t.Errorf("what came afterwards: %v", err)
		}
	}
}

// Two devices that do not see each other restrict one case. Both go by the earlier list
// afterwards, and somebody who is on both brings together what was closed to either.
func TestTwoRestrictAtOnce(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	for _, m := range k.both() {
		m.Stop()
		m.Reopen()
	}
	if _, err := k.second.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.relative.Name}, k.sealed(k.relative)); err != nil {
		t.Fatal(err)
	}
	k.Pass(time.Minute)
	if _, err := k.first.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.bob.Name}, k.sealed(k.bob)); err != nil {
		t.Fatal(err)
	}
	for _, m := range k.both() {
		m.Start()
	}
	k.settled(t, k.ann, k.relative)
	for _, m := range k.both() {
		eventually(t, "both are told", func() bool { return has(t, m, schakel.AlarmLists) })
		if _, err := m.Node.ReadAs(ctx, k.sent.Hash, as(k.bob)); !errors.Is(err, schakel.ErrRestricted) {
			t.Errorf("who is on the list that does not count: %v", err)
		}
		if _, err := m.Node.ReadAs(ctx, k.sent.Hash, as(k.ann)); err != nil {
			t.Errorf("who is on both: %v", err)
		}
	}
	if _, err := k.first.Node.ReadAs(ctx, k.sent.Hash, as(k.relative)); err == nil {
		t.Error("control: what was closed to the other list opens without anybody's doing")
	}
	eventually(t, "the device where nothing is closed to the other list has its shares too", func() bool { return k.has(t, k.second, delivery.RecordShares) == 2 })
	if _, err := k.second.Node.Restrict(ctx, k.sent.Case, []string{k.ann.Name, k.bob.Name, k.relative.Name}, as(k.ann)); err != nil {
		t.Fatal(err)
	}
	k.settled(t, k.ann, k.bob, k.relative)
	for _, m := range k.both() {
		eventually(t, "it is settled", func() bool { return !has(t, m, schakel.AlarmLists) })
		for _, p := range []schakel.Person{k.ann, k.bob, k.relative} {
			eventually(t, "everybody on the new list reads everything", func() bool {
				l, err := m.Node.ReadAs(ctx, k.sent.Hash, as(p))
				return err == nil && strings.Contains(string(l.Body), "spoor")
			})
		}
	}
}

// In an emergency the passphrase from the safe opens the case for somebody who is not
// named. Every device alarms and has it in its log, before anything was shown.
func TestBreakingTheGlass(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	by := k.sealed(k.relative)
	by.Glass = "niet de woorden uit de kluis"
	if _, err := k.second.Node.ReadAs(ctx, k.sent.Hash, by); !errors.Is(err, schakel.ErrGlass) {
		t.Fatalf("with a wrong passphrase: %v", err)
	}
	if _, err := k.second.Node.ReadAs(ctx, k.sent.Hash, schakel.By{Glass: safe}); !errors.Is(err, schakel.ErrPersonNeeded) {
		t.Fatalf("by nobody in particular: %v", err)
	}
	if has(t, k.second, schakel.AlarmGlass) {
		t.Fatal("control: alarmed, and nothing was opened")
	}
	for what, err := range k.looks(t, k.second, k.sealed(k.relative)) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, m := range k.both() {
		eventually(t, "every device alarms", func() bool {
			got := alarms(t, m, schakel.AlarmGlass)
			return len(got) == 1 && strings.Contains(got[0].Text, k.relative.Name) && got[0].Subject == k.sent.Case
		})
		eventually(t, "every device has it in its log", func() bool {
			l, err := m.Node.Log(ctx, k.sent.Case)
			said := map[string]bool{}
			for _, line := range l.Lines {
				said[line.Action+" "+line.Person] = true
			}
			return err == nil && said["glass-broken "+k.relative.Name] && said["glass-refused "+k.relative.Name]
		})
	}
	if _, err := k.second.Node.ReadAs(ctx, k.sent.Hash, as(k.relative)); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("the glass stays broken: %v", err)
	}
}

// Whoever is on call takes a message of a case that they may not read: they see how urgent
// it is and whom to call, and the sender hears that a person has it.
func TestAcknowledgedUnread(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	more := k.say(t, "spoor-in-vervolg", k.sent.Case)
	s, _ := k.listed(t, k.second, more.Hash)
	if s.Urgency != message.Urgent || s.From != k.from.Desk || s.AckDue.IsZero() || len(s.Restricted) != 2 {
		t.Errorf("on call, one sees %+v", s)
	}
	ack := schakel.Acknowledgement{Person: k.relative.Name, PIN: schakeltest.PIN}
	returned := ack
	returned.Status = protocol.StatusWrongRecipient
	if _, err := k.second.Node.Acknowledge(ctx, more.Hash, returned); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("returned unread: %v", err)
	}
	if _, err := k.second.Node.Acknowledge(ctx, more.Hash, ack); err != nil {
		t.Fatal(err)
	}
	if got, err := k.from.Node.Wait(ctx, more.Hash, schakel.StateAcknowledged); err != nil || got.Recipients[0].By != k.relative.Name {
		t.Errorf("the sender hears %+v, %v", got, err)
	}
	for _, m := range k.both() {
		eventually(t, "both devices know who took it", func() bool { s, _ := k.listed(t, m, more.Hash); return s.AckBy == k.relative.Name })
		eventually(t, "and still hold nothing to read", func() bool { return len(k.seen(t, m)) == 0 })
	}
}

// A device that is new, or was away, hears what is restricted from whatever device is left,
// and keeps nothing readable of what comes to it.
func TestNewDeviceHearsWhatIsRestricted(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	third := k.first.Sibling()
	k.restrict(t)
	k.first.Stop() // for good
	third.Start()
	eventually(t, "it has the list, the shares and what persons read with", func() bool {
		return k.has(t, third, delivery.RecordRestrict) == 1 && k.has(t, third, delivery.RecordShares) == 1 && k.has(t, third, delivery.RecordReading) == 3
	})
	sealsTo(t, k.from, k.to.Desk, 3)
	more, err := k.from.Node.Send(ctx, schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, Case: k.sent.Case,
		To: []identity.DeskID{k.to.Desk}, Body: traced(t, "adviesvraag", "spoor-in-vervolg")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message arrives", func() bool { _, ok := k.listed(t, third, more.Hash); return ok })
	if found := k.seen(t, third); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	if _, err := third.Node.ReadAs(ctx, more.Hash, as(k.relative)); !errors.Is(err, schakel.ErrRestricted) {
		t.Errorf("a person who is not named: %v", err)
	}
	if l, err := third.Node.ReadAs(ctx, more.Hash, as(k.bob)); err != nil || !strings.Contains(string(l.Body), "spoor-in-vervolg") {
		t.Errorf("a person who is named: %v", err)
	}
}

// A list that somebody signs who is not on the one before changes nothing, whatever a
// modified program puts on the wire; nor does one that names fewer than two.
func TestForgedListsChangeNothing(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	var lists []store.Record
	err := k.second.Store().View(ctx, func(tx *store.Tx) (err error) {
		lists, err = tx.Records(delivery.RecordRestrict, caseRefOf(t, k.sent.Case))
		return err
	})
	if err != nil || len(lists) != 1 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	for name, to := range map[string][]schakel.Person{"not on it": {k.relative, k.ann}, "alone": {k.relative}} {
		list, shares := schakel.ListForTest(lists[0].Hash, to...)
		for _, r := range []delivery.Record{{Kind: delivery.RecordRestrict, Content: list}, {Kind: delivery.RecordShares, Content: nil}} {
			r.Desk, r.Case = k.to.Desk, caseRefOf(t, k.sent.Case)
			if r.Kind == delivery.RecordShares {
				r.Content = shares(k.last(t, delivery.RecordRestrict))
			}
			s, err := k.second.Node.RecordForTest(ctx, r, as(k.relative))
			if err != nil {
				t.Fatal(err)
			}
			before := k.has(t, k.first, r.Kind)
			eventually(t, "a modified program tells it", func() bool {
				k.counter++
				return k.second.Node.PutForTest(ctx, k.to.Desk, envelope.TierNone, delivery.Delivery{Kind: delivery.KindRecord, Content: s.Raw, Counter: k.counter}) == nil
			})
			if r.Kind == delivery.RecordRestrict {
				eventually(t, "it arrives", func() bool { return k.has(t, k.first, r.Kind) > before })
			}
		}
		if got := k.readers(t, k.first); !slices.Equal(got, names(k.ann, k.bob)) {
			t.Errorf("%s: restricted to %v", name, got)
		}
	}
	if _, err := k.first.Node.ReadAs(ctx, k.sent.Hash, as(k.bob)); err != nil {
		t.Errorf("who is named: %v", err)
	}
}

// last is the newest record of a kind on the first device.
func (k *kin) last(t *testing.T, kind delivery.RecordKind) (h message.Hash) {
	t.Helper()
	err := k.first.Store().View(testContext(t), func(tx *store.Tx) error {
		rs, err := tx.Records(kind, caseRefOf(t, k.sent.Case))
		h = rs[len(rs)-1].Hash
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What an earlier version of this program kept whole of a copy is trimmed when the case is
// restricted, and still says what a new delivery takes the place of.
func TestOldCopyIsTrimmed(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	answer, err := k.first.Node.Send(ctx, schakel.Draft{Class: "advies", Urgency: message.Routine, Answers: k.sent.Hash, To: []identity.DeskID{k.from.Desk},
		Body: traced(t, "advies", "spoor-in-antwoord"), Person: k.ann.Name, PIN: schakeltest.PIN})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.first.Node.Wait(ctx, answer.Hash, schakel.StateDelivered); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other device has a copy", func() bool { _, ok := k.listed(t, k.second, answer.Hash); return ok })
	err = k.second.Store().Update(ctx, func(tx *store.Tx) error {
		row, err := tx.FindMessage(answer.Hash)
		if err != nil {
			return err
		}
		whole, err := delivery.Encode(delivery.Copy{Version: delivery.Version, Message: row.Raw, Sent: []delivery.Sent{{Desk: k.from.Desk, Counter: 7}}})
		if err != nil {
			return err
		}
		return tx.SetSetting("sent/"+answer.Hash, whole)
	})
	if err != nil {
		t.Fatal(err)
	}
	k.restrict(t)
	eventually(t, "nothing of it is left", func() bool { return len(k.seen(t, k.second)) == 0 })
	err = k.second.Store().View(ctx, func(tx *store.Tx) error {
		b, err := tx.Setting("sent/" + answer.Hash)
		if got, err := schakel.ContentsForTest["copy"](b); err != nil || !bytes.Equal(got, b) {
			t.Errorf("the copy is not one that can be read: %v", err)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A delivery of a restricted case is made again, by the device that sealed it and by
// another, while nobody who may read it is there; once the partner has it, it is closed.
func TestDeliveredAgainFromRestrictedCase(t *testing.T) {
	k, ctx := newKin(t), testContext(t)
	k.restrict(t)
	k.from.Stop()
	answer, err := k.first.Node.Send(ctx, schakel.Draft{Class: "advies", Urgency: message.Routine, Answers: k.sent.Hash, To: []identity.DeskID{k.from.Desk},
		Body: traced(t, "advies", "spoor-in-antwoord"), Person: k.ann.Name, PIN: schakeltest.PIN})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other device has a copy", func() bool { _, ok := k.listed(t, k.second, answer.Hash); return ok })
	for _, m := range k.both() {
		if found := k.seen(t, m); !slices.Equal(found, []string{"spoor-in-antwoord"}) {
			t.Errorf("found %v: only what must still be delivered may be there", found)
		}
	}
	k.first.Stop() // for good
	for range 9 {
		k.Pass(24 * time.Hour) // the first envelope expires unread
	}
	k.from.Reopen()
	k.from.Start()
	if s, err := k.second.Node.Wait(ctx, answer.Hash, schakel.StateDelivered); err != nil {
		t.Fatalf("%v: %+v", err, s)
	}
	if l, err := k.from.Node.Read(ctx, answer.Hash); err != nil || !strings.Contains(string(l.Body), "spoor-in-antwoord") {
		t.Errorf("the partner reads: %v", err)
	}
	eventually(t, "the message is closed", func() bool { return len(k.seen(t, k.second)) == 0 })
	if l, err := k.second.Node.ReadAs(ctx, answer.Hash, as(k.bob)); err != nil || !strings.Contains(string(l.Body), "spoor-in-antwoord") {
		t.Errorf("a person who is named reads: %v", err)
	}
}
