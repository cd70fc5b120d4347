package schakel_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// bereft is a desk that lost its only device: what it had said and heard is at its partner,
// and a new device of the desk has none of it.
type bereft struct {
	*restoring
	doctors schakel.Person
	fresh   *schakeltest.Member
	said    []string // what the two said before, oldest first
}

func newBereft(t *testing.T) *bereft {
	t.Helper()
	o := &bereft{restoring: newRestoring(t)}
	o.doctors = o.doctor.AddPerson("M. Mentor")
	report := o.report(t)
	o.told(t, report, schakel.StateDelivered)
	o.acknowledge(t, o.desk, report)
	o.told(t, report, schakel.StateAcknowledged)
	unread := o.report(t)
	o.told(t, unread, schakel.StateDelivered)
	ack, err := o.doctor.Node.List(testContext(t), schakel.Filter{})
	if err != nil || len(ack) != 1 {
		t.Fatal(ack, err)
	}
	o.said = []string{report, ack[0].Hash, unread}
	o.Pass(9 * 24 * time.Hour) // longer than any of it lives
	o.fresh = o.desk.Sibling()
	o.fresh.Start()
	sealsTo(t, o.doctor, o.desk.Desk, 2)
	if err := o.desk.Node.Revoke(testContext(t), trust.Device{ID: o.desk.Node.Device()}.Subject(), trust.ReasonLost); err != nil {
		t.Fatal(err)
	}
	o.desk.Stop()
	o.reachable(t, 1)
	return o
}

// shownAt lists what a device shows, either way.
func shownAt(t *testing.T, m *schakeltest.Member) (hashes []string) {
	t.Helper()
	list, err := m.Node.List(testContext(t), schakel.Filter{Box: "all", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		hashes = append(hashes, s.Hash)
	}
	return sorted(hashes...)
}

// asks has the new device ask, of none in particular or of some, until its partner heard that.
func (o *bereft) asks(t *testing.T, desks ...identity.DeskID) {
	t.Helper()
	sealsTo(t, o.fresh, o.doctor.Desk, 1) // or nobody is there to ask
	until(t, "the partner knows who asks", func() error {
		asked, err := o.fresh.Node.AskHistory(testContext(t), desks)
		if err == nil && !slices.Equal(asked, []identity.DeskID{o.doctor.Desk}) {
			t.Fatal(asked)
		}
		return err
	}, func() bool {
		all, err := o.doctor.Node.Histories(testContext(t))
		return err == nil && len(all) == 1 && !all[0].AskedBy.IsZero()
	})
}

// until waits for what comes of something that is said once: it goes with a session that ends.
// Then it is said again, as people do who hear nothing of it.
func until(t *testing.T, what string, say func() error, cond func() bool) {
	t.Helper()
	looks := 0
	eventually(t, what, func() bool {
		if looks%500 == 0 {
			if err := say(); errors.Is(err, schakel.ErrUnreachable) {
				return false
			} else if err != nil {
				t.Fatal(err)
			}
		}
		looks++
		return cond()
	})
}

// gives has the doctor hand over what there is, which is g, until all of it is back.
func (o *bereft) gives(t *testing.T, by schakel.By, g schakel.Given, back []string) {
	t.Helper()
	until(t, "all is back", func() error {
		got, err := o.doctor.Node.GiveHistory(testContext(t), o.desk.Desk, "+31600000001", by)
		if g.Desk = got.Desk; err == nil && got != g {
			t.Errorf("given %+v, want %+v", got, g)
		}
		return err
	}, func() bool { return slices.Equal(shownAt(t, o.fresh), slices.Compact(sorted(slices.Clone(back)...))) })
}

// A desk without any device or backup gets its open cases back from a partner, once a named
// person there telephoned: originals, also what had expired, with who acknowledged what; and
// nobody is alarmed by old news.
func TestHistoryFromAPeer(t *testing.T) {
	t.Parallel()
	o, ctx := newBereft(t), testContext(t)
	by := schakel.By{Person: o.doctors.Name, PIN: schakeltest.PIN}
	if got := shownAt(t, o.fresh); len(got) != 0 {
		t.Fatalf("the new device has %.8q", got)
	}
	if _, err := o.doctor.Node.GiveHistory(ctx, o.desk.Desk, "+31600000001", by); !errors.Is(err, schakel.ErrNotAsked) {
		t.Errorf("given to who did not ask: %v", err)
	}
	o.asks(t)
	for _, c := range []struct {
		called string
		by     schakel.By
		want   error
	}{{"", by, schakel.ErrNotCalled}, {"+31600000001", schakel.By{}, schakel.ErrPersonNeeded},
		{"+31600000001", schakel.By{Person: by.Person, PIN: "000000"}, schakel.ErrPIN}} {
		if _, err := o.doctor.Node.GiveHistory(ctx, o.desk.Desk, c.called, c.by); !errors.Is(err, c.want) {
			t.Errorf("given without %v: %v", c.want, err)
		}
	}
	o.gives(t, by, schakel.Given{Messages: 3, Cases: 2}, o.said)
	all, err := o.fresh.Node.Histories(ctx)
	if err != nil || len(all) != 1 || all[0].Came != 3 || all[0].Of != 3 || !all[0].Answered {
		t.Errorf("it says %+v, %v", all, err)
	}
	l, err := o.fresh.Node.Read(ctx, o.said[0])
	if err != nil || l.Acknowledged.IsZero() || l.AckBy != o.iket.Name {
		t.Errorf("who acknowledged is lost: %+v, %v", l.Summary, err)
	}
	if got := waits(t, o.fresh); !slices.Equal(got, o.said[2:]) {
		t.Errorf("waiting are %.8q", got)
	}
	if tr, err := o.fresh.Node.Trace(ctx, o.said[1]); err != nil || stateAt(tr, o.doctor.Desk) != schakel.StateDelivered {
		t.Errorf("what the desk once said: %+v, %v", tr, err)
	}
	lines, err := o.doctor.Node.Log(ctx, "")
	if err != nil || !slices.ContainsFunc(lines.Lines, func(l schakel.LogLine) bool {
		return l.Action == "history-given" && l.Subject == string(o.desk.Desk)+" +31600000001" && l.Person == o.doctors.Name
	}) {
		t.Errorf("nobody can see who gave it, and whom they called: %v", err)
	}
	o.gives(t, by, schakel.Given{Messages: 3, Cases: 2}, o.said) // once more
	o.Pass(2 * time.Minute)
	o.told(t, o.report(t), schakel.StateDelivered)
	if got := shownAt(t, o.fresh); len(got) != 4 {
		t.Errorf("given twice it has %d messages", len(got))
	}
	for _, m := range []*schakeltest.Member{o.doctor, o.fresh} {
		all, err := m.Node.Alarms(ctx)
		for _, a := range all {
			if a.Kind != schakel.AlarmOverdue && a.Kind != schakel.AlarmUnacknowledged { // nobody ever read the last one
				t.Errorf("%s: alarm %+v, %v", m.Desk, a, err)
			}
		}
	}
}

// Nobody brings back what was not asked of that desk; nor a message that was never said
// between the two, or that another than its sender signed. The control is what is spoilt.
func TestHistoryThatIsFalse(t *testing.T) {
	t.Parallel()
	o, ctx := newBereft(t), testContext(t)
	var raw [][]byte
	view(t, o.doctor, func(tx *store.Tx) error {
		for _, hash := range o.said {
			row, err := tx.Message(hashOf(t, hash))
			if err != nil {
				return err
			}
			raw = append(raw, row.Raw)
		}
		return nil
	})
	part := func(raw []byte) delivery.History {
		return delivery.History{Version: delivery.Version, Part: 1, Of: 1, Message: raw}
	}
	put := func(h delivery.History) {
		t.Helper()
		content, err := delivery.Encode(h)
		if err != nil {
			t.Fatal(err)
		}
		d := delivery.Delivery{Kind: delivery.KindHistory, Content: content, Counter: 2}
		if err := o.doctor.Node.PutForTest(ctx, o.desk.Desk, envelope.TierNone, d); err != nil {
			t.Fatal(err)
		}
	}
	rejected := func() int { return statusOf(t, o.fresh).Rejected }
	before := rejected()
	put(part(raw[0]))
	eventually(t, "unasked it is refused", func() bool { return rejected() > before })
	o.asks(t)
	draft := schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{o.desk.Desk}, Body: example(t, "signaal")}
	elsewhere, err := o.doctor.Node.SignForTest(ctx, draft, func(m *message.Message) { m.Addressed = []identity.DeskID{"politie-mn/meldkamer"} })
	if err != nil {
		t.Fatal(err)
	}
	spoilt := slices.Clone(raw[1])
	spoilt[len(spoilt)-1] ^= 1
	for name, bad := range map[string][]byte{"addressed to another": elsewhere.Raw, "a signature of nobody": spoilt} {
		before = rejected()
		put(part(bad))
		eventually(t, name+" is refused", func() bool { return rejected() > before })
	}
	// Its colleague may have copied to it what the desk itself said, before that was ended.
	for _, hash := range shownAt(t, o.fresh) {
		if hash != o.said[1] {
			t.Errorf("it took %.8q", hash)
		}
	}
	put(part(raw[2]))
	eventually(t, "control: what is true is taken", func() bool { return slices.Contains(shownAt(t, o.fresh), o.said[2]) })
}

// What is closed to all but named persons stays behind, whoever gives, and is counted: also a
// message that went to several desks. Nothing of it is in what the new device has.
func TestHistoryLeavesRestrictedCases(t *testing.T) {
	t.Parallel()
	o, ctx := newBereft(t), testContext(t)
	police := o.Join("politie-mn/meldkamer", identity.RolePolitie)
	police.Start()
	sealsTo(t, o.doctor, police.Desk, 1)
	other := o.doctor.AddPerson("N. Aast")
	both, err := o.doctor.Node.Send(ctx, schakel.Draft{Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{police.Desk, o.desk.Desk}, Body: example(t, "melding")})
	if err != nil {
		t.Fatal(err)
	}
	by := schakel.By{Person: o.doctors.Name, PIN: schakeltest.PIN, Glass: safe}
	for _, ref := range []string{o.said[2], both.Hash} {
		eventually(t, "the register has both persons, and it is closed", func() bool {
			_, err := o.doctor.Node.Restrict(ctx, ref, []string{o.doctors.Name, other.Name}, by)
			return err == nil
		})
	}
	o.told(t, both.Hash, schakel.StateDelivered) // what was sent since the new device is here reaches it as always
	o.asks(t, o.doctor.Desk)
	back := append(slices.Clone(o.said[:2]), both.Hash)
	o.gives(t, by, schakel.Given{Messages: 2, Cases: 1, Left: 2}, back)
	reader := schakel.By{Person: o.doctor.AddPerson("V. Ervanger").Name, PIN: schakeltest.PIN} // who may not read them
	o.gives(t, reader, schakel.Given{Messages: 2, Cases: 1, Left: 2}, back)
	o.told(t, o.report(t), schakel.StateDelivered) // and with it all that was said before
	if slices.Contains(shownAt(t, o.fresh), o.said[2]) {
		t.Error("a message of a restricted case was handed over")
	}
	if all, err := o.fresh.Node.Histories(ctx); err != nil || len(all) != 1 || all[0].Of != 2 {
		t.Errorf("it says %+v, %v", all, err)
	}
}

// A device that nobody confirmed gets its history when it has waited for as long as new
// devices do, and was asked for again: a question stands for seven days.
func TestHistoryAfterTheCoolingOff(t *testing.T) {
	t.Parallel()
	o, ctx := newBereft(t), testContext(t)
	by := schakel.By{Person: o.doctors.Name, PIN: schakeltest.PIN}
	o.doctor.Stop()
	o.doctor.CoolOff(24 * time.Hour)
	o.doctor.Start()
	o.asks(t)
	if _, err := o.doctor.Node.GiveHistory(ctx, o.desk.Desk, "+31600000001", by); !errors.Is(err, schakel.ErrCoolingOff) {
		t.Fatalf("given to a new device: %v", err)
	}
	o.Pass(25 * time.Hour)
	o.gives(t, by, schakel.Given{Messages: 3, Cases: 2}, o.said)
	o.Pass(7 * 24 * time.Hour)
	if _, err := o.doctor.Node.GiveHistory(ctx, o.desk.Desk, "+31600000001", by); !errors.Is(err, schakel.ErrNotAsked) {
		t.Errorf("given on a question of more than seven days ago: %v", err)
	}
}

func hashOf(t *testing.T, text string) (h message.Hash) {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil || copy(h[:], raw) != len(h) {
		t.Fatal(text, err)
	}
	return h
}

// The device that asks is new, and nothing goes to a new one: it gets its history once
// somebody at the partner confirmed it, and not before.
func TestHistoryForADeviceThatCoolsOff(t *testing.T) {
	t.Parallel()
	o, ctx := newBereft(t), testContext(t)
	by := schakel.By{Person: o.doctors.Name, PIN: schakeltest.PIN}
	o.doctor.Stop()
	o.doctor.CoolOff(24 * time.Hour)
	o.doctor.Start()
	o.asks(t)
	if _, err := o.doctor.Node.GiveHistory(ctx, o.desk.Desk, "+31600000001", by); !errors.Is(err, schakel.ErrCoolingOff) {
		t.Errorf("given to a new device: %v", err)
	}
	if got := shownAt(t, o.fresh); len(got) != 0 {
		t.Errorf("it has %.8q", got)
	}
	if err := o.doctor.Node.ConfirmDevice(ctx, o.desk.Desk, o.fresh.Node.Device(), "+31600000001", by); err != nil {
		t.Fatal(err)
	}
	o.gives(t, by, schakel.Given{Messages: 3, Cases: 2}, o.said)
}
