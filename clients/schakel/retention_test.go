package schakel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const day = 24 * time.Hour

// closed is a case that Veilig Thuis led and closed, as the police have it too.
type closed struct {
	*evil
	ref     string
	report  schakel.Sent
	closing schakel.Sent
	canary  string
}

// newTaken makes a real case of a real chain, that Veilig Thuis took, with files at its report.
func newTaken(t *testing.T, files ...[]byte) *closed {
	t.Helper()
	c := &closed{evil: newEvil(t), canary: "kanarie-in-de-feiten"}
	ctx := testContext(t)
	officer := c.vt.AddPerson("V. Thuis")
	body := strings.Replace(string(example(t, "melding")), "Slachtoffer belt", c.canary, 1)
	d := schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{c.vt.Desk, c.police.Desk}, Body: []byte(body)}
	for _, content := range files {
		d.Attachments = append(d.Attachments, attach(t, c.knooppunt, "bijlage.pdf", content).ID)
	}
	report, err := c.knooppunt.Node.Send(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	c.ref, c.report = report.Case, report
	eventually(t, "the report is there", func() bool { return inbox(t, c.vt, report.Hash) != nil && inbox(t, c.police, report.Hash) != nil })
	eventually(t, "it can be taken", func() bool {
		_, err := c.vt.Node.Acknowledge(ctx, report.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN})
		return err == nil || errors.Is(err, schakel.ErrAcknowledged)
	})
	eventually(t, "the police know who leads", func() bool {
		k, err := c.police.Node.Case(ctx, c.ref)
		return err == nil && len(k.Terms) == 1
	})
	return c
}

func (c *closed) draft(t *testing.T) schakel.Draft {
	return schakel.Draft{Class: protocol.ClassClosing, Urgency: message.Routine, Case: c.ref, To: []identity.DeskID{c.police.Desk, c.knooppunt.Desk},
		Body: example(t, protocol.ClassClosing), Person: "V. Thuis", PIN: schakeltest.PIN}
}

// newClosed makes such a case that Veilig Thuis closed, with the earliest date that the
// protocol knows.
func newClosed(t *testing.T, files ...[]byte) *closed {
	t.Helper()
	c := newTaken(t, files...)
	c.Pass(time.Minute) // nobody closes in the second in which a case is taken
	var err error
	if c.closing, err = c.vt.Node.Send(testContext(t), c.draft(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the closing is there", func() bool { return inbox(t, c.police, c.closing.Hash) != nil })
	return c
}

// due is when the police would destroy the case.
func (c *closed) due(t *testing.T) time.Time {
	t.Helper()
	k, err := c.police.Node.Case(testContext(t), c.ref)
	if err != nil || k.Closing == nil {
		t.Fatalf("no closing: %v", err)
	}
	if first := c.Now().Add(protocol.MinimumStay); k.Closing.DestroyOn.Before(first) {
		return first
	}
	return k.Closing.DestroyOn
}

// check makes the police look at their dates now, as upkeep does once an hour.
func (c *closed) check(t *testing.T) {
	t.Helper()
	if err := c.police.Node.KeepRetentionForTest(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func (c *closed) deletions(t *testing.T) []schakel.Deletion {
	t.Helper()
	all, err := c.police.Node.Deletions(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The date comes: a week before it an alarm says so, on it the key goes, a signed
// statement stays, and nothing that was said can be read any more.
func TestCaseIsDestroyedOnItsDate(t *testing.T) {
	c := newClosed(t)
	due := c.due(t)
	if !c.readable(t) {
		t.Fatal("control: the canary cannot be read before")
	}
	c.Pass(due.Sub(c.Now()) - 6*day)
	c.check(t)
	got := alarms(t, c.police, schakel.AlarmDestruction)
	if len(got) != 1 || got[0].Subject != c.ref || !strings.Contains(got[0].Text, "nog nooit geëxporteerd") || !strings.Contains(got[0].Remedy, "case export") {
		t.Fatalf("alarms = %+v", got)
	}
	if len(c.deletions(t)) != 0 {
		t.Fatal("destroyed before its date")
	}
	c.Pass(7 * day)
	eventually(t, "the case is destroyed", func() bool { c.check(t); return len(c.deletions(t)) == 1 })
	if c.readable(t) {
		t.Error("the canary can still be read")
	}
	d := c.deletions(t)[0]
	if d.Case != c.ref || d.Closing != c.closing.Hash || d.ClosedBy != c.vt.Desk || d.Messages < 3 {
		t.Errorf("statement %+v", d)
	}
	if len(alarms(t, c.police, schakel.AlarmDestruction)) != 0 {
		t.Error("the alarm stays")
	}
	if _, err := c.police.Node.Case(testContext(t), c.ref); !errors.Is(err, schakel.ErrNotFound) {
		t.Errorf("the case: %v", err)
	}
	c.police.Stop()
	c.police.Reopen()
	if len(c.deletions(t)) != 1 || c.readable(t) {
		t.Error("after opening the store anew it is different")
	}
}

// A restricted case is destroyed on its date too, once somebody who may has read that it
// was closed; nobody has to be there on the day itself.
func TestRestrictedCaseIsDestroyed(t *testing.T) {
	c, ctx := newTaken(t), testContext(t)
	ann, bob := c.police.AddPerson("A. Nnie"), c.police.AddPerson("B. Ob")
	by := schakel.By{Person: ann.Name, PIN: schakeltest.PIN, Glass: "zes woorden in de kluis"}
	eventually(t, "the register has both persons, and the case is restricted", func() bool {
		_, err := c.police.Node.Restrict(ctx, c.ref, []string{ann.Name, bob.Name}, by)
		if err != nil && !errors.Is(err, schakel.ErrNoReadingKey) {
			t.Fatal(err)
		}
		return err == nil
	})
	c.Pass(time.Minute)
	closing, err := c.vt.Node.Send(ctx, c.draft(t))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the closing is there", func() bool {
		list, err := c.police.Node.List(ctx, schakel.Filter{})
		return err == nil && slices.ContainsFunc(list, func(s schakel.Summary) bool { return s.Hash == closing.Hash && s.Unjudged })
	})
	k, err := c.police.Node.Case(ctx, c.ref, schakel.By{Person: bob.Name, PIN: schakeltest.PIN})
	if err != nil || k.Closing == nil {
		t.Fatalf("no closing: %v", err)
	}
	c.Pass(k.Closing.DestroyOn.Sub(c.Now()) - day)
	c.check(t)
	if len(c.deletions(t)) != 0 || len(alarms(t, c.police, schakel.AlarmDestruction)) != 1 {
		t.Fatal("the day before")
	}
	c.Pass(32 * day)
	eventually(t, "the case is destroyed", func() bool { c.check(t); return len(c.deletions(t)) == 1 })
	if _, err := c.police.Node.Case(ctx, c.ref, by); !errors.Is(err, schakel.ErrNotFound) {
		t.Errorf("the case: %v", err)
	}
}

// readable reports whether any message with the canary opens in the store of the
// police, or the words stand in a file of it. The second is true of no store, since
// pages are encrypted; it is here so that a change of that shows.
func (c *closed) readable(t *testing.T) (yes bool) {
	t.Helper()
	err := c.police.Store().View(testContext(t), func(tx *store.Tx) error {
		rows, err := tx.Messages(store.Query{Limit: 1000})
		for _, row := range rows {
			m, err := tx.Message(row.Hash)
			if errors.Is(err, store.ErrDestroyed) {
				continue
			}
			if err != nil {
				return err
			}
			yes = yes || bytes.Contains(m.Raw, []byte(c.canary))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(c.police.Files(), "*"))
	for _, name := range files {
		if raw, err := os.ReadFile(name); err == nil && bytes.Contains(raw, []byte(c.canary)) {
			t.Errorf("the words stand in %s", filepath.Base(name))
		}
	}
	return yes
}

// A clock that is a year ahead here destroys nothing: the relay's says otherwise, and an
// alarm asks somebody to look. Control: with the relay's clock moved as well, it goes.
func TestWrongClockDestroysNothing(t *testing.T) {
	c := newClosed(t)
	c.police.MoveClock(365 * day)
	c.check(t)
	eventually(t, "somebody hears that the clocks differ", func() bool {
		c.check(t)
		for _, a := range alarms(t, c.police, schakel.AlarmClock) {
			if a.Subject == c.ref {
				return true
			}
		}
		return false
	})
	if len(c.deletions(t)) != 0 {
		t.Fatal("a wrong clock destroyed a case")
	}
	c.police.MoveClock(0)
	c.Pass(c.due(t).Sub(c.Now()) + day)
	eventually(t, "control: both clocks agree, and it is destroyed", func() bool { c.check(t); return len(c.deletions(t)) == 1 })
}

// Who closes a case and dates that back destroys nothing early: the thirty days count
// from when it came here. Control: by the dates that it names the case is long due.
func TestBackdatedClosing(t *testing.T) {
	c := newTaken(t)
	began := c.Now()
	c.Pass(60 * day)
	var s message.Signed
	eventually(t, "a closing that says it is two months old", func() bool {
		var err error
		s, err = c.vt.Node.SignAsForTest(testContext(t), c.draft(t), func(m *message.Message) {
			m.Created = uint64(began.Add(time.Minute).Unix())
			m.Body = []byte(strings.Replace(string(m.Body), "2026-12-28", "2026-01-01", 1))
		})
		return err == nil
	})
	c.counter = 50 // beyond those that the honest client used
	c.send(t, c.police, protocol.TierOf(message.Routine, protocol.ClassClosing),
		delivery.Delivery{Kind: delivery.KindMessage, Content: s.Raw, Counter: c.counter})
	eventually(t, "it came", func() bool { return inbox(t, c.police, s.Hash().String()) != nil })
	k, err := c.police.Node.Case(testContext(t), c.ref)
	if err != nil || k.Closing == nil || k.Closing.DestroyOn.After(c.Now()) {
		t.Fatalf("control: it is not due by its own dates: %+v, %v", k.Closing, err)
	}
	for range 3 {
		c.check(t)
	}
	if len(c.deletions(t)) != 0 {
		t.Error("destroyed on the word of its sender")
	}
	c.Pass(protocol.MinimumStay + day)
	eventually(t, "control: thirty days later it goes", func() bool { c.check(t); return len(c.deletions(t)) == 1 })
}

// A message in a closed case postpones it; a withdrawn closing ends it.
func TestCaseThatGoesOnIsKept(t *testing.T) {
	c := newClosed(t)
	due := c.due(t)
	c.Pass(due.Sub(c.Now()) - 10*day)
	eventually(t, "something is said again", func() bool {
		_, err := c.knooppunt.Node.Send(testContext(t), schakel.Draft{Class: "informatieverzoek", Urgency: message.Routine, Case: c.ref,
			To: []identity.DeskID{c.police.Desk}, Body: example(t, "informatieverzoek")})
		if err != nil && rule(err) != "" {
			t.Fatal(err)
		}
		return err == nil
	})
	eventually(t, "it is there", func() bool {
		list, err := c.police.Node.List(testContext(t), schakel.Filter{Case: c.ref})
		return err == nil && strings.Contains(fmt.Sprint(list), "informatieverzoek")
	})
	c.Pass(15 * day)
	for range 3 {
		c.check(t)
	}
	if len(c.deletions(t)) != 0 {
		t.Error("destroyed though somebody still speaks")
	}
	c.Pass(20 * day)
	eventually(t, "control: later it goes", func() bool { c.check(t); return len(c.deletions(t)) == 1 })
}

// exported is the file of a case.
func exported(ctx context.Context, m *schakeltest.Member, ref string, by schakel.By) ([]byte, error) {
	var file bytes.Buffer
	err := m.Node.ExportCase(ctx, ref, by, &file)
	return file.Bytes(), err
}

// A case of a real chain leaves as a file that verifies, signed by device and person,
// and the announcement no longer says that it never left.
func TestExportOfARealCase(t *testing.T) {
	c := newClosed(t)
	ctx := testContext(t)
	raw, err := exported(ctx, c.vt, c.ref, schakel.By{Person: "V. Thuis", PIN: schakeltest.PIN})
	if err != nil {
		t.Fatal(err)
	}
	r := casefile.Verify(raw, casefile.Options{Genesis: c.Fingerprint()})
	if !r.Sound || !r.Complete || !r.Compared || r.Person == nil || len(r.Messages) < 3 || r.Case != c.ref {
		t.Errorf("sound %v, complete %v, compared %v, %d messages: %+v", r.Sound, r.Complete, r.Compared, len(r.Messages), r.Faults)
	}
	if _, err := exported(ctx, c.vt, c.ref, schakel.By{Person: "V. Thuis", PIN: "000000"}); !errors.Is(err, schakel.ErrPIN) {
		t.Errorf("another PIN: %v", err)
	}
	if _, err := exported(ctx, c.vt, "019ab2c0-5f10-7a31-9c42-1d0e5a7b3c99", schakel.By{}); !errors.Is(err, schakel.ErrNotFound) {
		t.Errorf("no such case: %v", err)
	}
	if _, err := exported(ctx, c.police, c.ref, schakel.By{}); err != nil {
		t.Fatal(err)
	}
	c.Pass(c.due(t).Sub(c.Now()) - day)
	c.check(t)
	if got := alarms(t, c.police, schakel.AlarmDestruction); len(got) != 1 || strings.Contains(got[0].Text, "nog nooit") {
		t.Errorf("alarms = %+v", got)
	}
}
