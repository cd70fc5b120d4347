package schakel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/relay/rota"
)

// sheetOf is a rota for the two persons of a desk, by turns of a week, from long ago.
func sheetOf(ann, bob schakel.Person) roster.Sheet {
	return roster.Sheet{Roster: roster.Roster{Version: 1, Fallback: []rota.Contact{"f-1"},
		People: []roster.Person{
			{Contact: "f-1", Name: "telefoon van het piket", Points: []roster.Point{{Channel: "webhook", Target: "https://piket.example/hook", Relay: true}}},
			{Contact: "p-1", Person: ann.ID.String(), Name: ann.Name, Phone: "+31600000011"},
			{Contact: "p-2", Person: bob.ID.String(), Name: bob.Name},
		},
		Layers: []rota.Layer{{Rules: []rota.Rule{{From: "2026-01-05T08:00", To: "2026-01-12T08:00", Repeat: "FREQ=WEEKLY", Contacts: []rota.Contact{"p-1", "p-2"}}}}},
	}}
}

func rotaAt(t *testing.T, m *schakeltest.Member) schakel.Rota {
	t.Helper()
	r, err := m.Node.Rota(testContext(t))
	if errors.Is(err, schakel.ErrNoRota) {
		return schakel.Rota{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func onCallAt(t *testing.T, m *schakeltest.Member) string {
	t.Helper()
	got, err := m.Node.OnCall(testContext(t), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Levels[0].Name
}

// Two devices of a desk make a rota, change it and agree; a new device is told.
func TestDevicesAgreeOnTheRota(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	if _, err := c.first.Node.OnCall(ctx, time.Time{}); !errors.Is(err, schakel.ErrNoRota) {
		t.Errorf("on call without a rota: %v", err)
	}
	if _, err := c.first.Node.ChangeRota(ctx, schakel.RotaChange{Kind: schakel.RotaTake}, as(c.ann)); !errors.Is(err, schakel.ErrNoRota) {
		t.Errorf("taken over without a rota: %v", err)
	}
	if _, err := c.first.Node.SetRota(ctx, sheetOf(c.ann, c.bob), schakel.By{Person: c.ann.Name, PIN: "654321"}); !errors.Is(err, schakel.ErrPIN) {
		t.Errorf("made with a wrong PIN: %v", err)
	}
	made, err := c.first.Node.SetRota(ctx, sheetOf(c.ann, c.bob), as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other device has it", func() bool { return rotaAt(t, c.second).Revision == made.Revision })
	other := c.bob
	if onCallAt(t, c.second) == c.bob.Name {
		other = c.ann
	}
	taken, err := c.second.Node.ChangeRota(ctx, schakel.RotaChange{Kind: schakel.RotaTake}, as(other))
	if err != nil {
		t.Fatal(err)
	}
	if onCallAt(t, c.second) != other.Name {
		t.Error("taking over changes nothing")
	}
	eventually(t, "the first device sees who took over", func() bool { return onCallAt(t, c.first) == other.Name })
	old := sheetOf(c.ann, c.bob)
	old.Revision = made.Revision
	if _, err := c.first.Node.SetRota(ctx, old, as(c.ann)); !errors.Is(err, schakel.ErrRotaChanged) {
		t.Errorf("a sheet from before it was taken in: %v", err)
	}
	old.Revision = ""
	if _, err := c.first.Node.SetRota(ctx, old, as(c.ann)); !errors.Is(err, schakel.ErrRotaChanged) {
		t.Errorf("a sheet of no revision was taken in: %v", err)
	}
	third := c.first.Sibling()
	third.Start()
	eventually(t, "a new device is told", func() bool { return rotaAt(t, third).Revision == taken.Revision })
	log, err := c.second.Node.Log(ctx, "")
	if err != nil || !slices.ContainsFunc(log.Lines, func(l schakel.LogLine) bool { return l.Action == "rota-changed" && l.Person == other.Name }) {
		t.Errorf("the access log does not say who changed the rota: %v", err)
	}
	if list, err := c.from.Node.List(ctx, schakel.Filter{Box: "all"}); err != nil || len(list) != 1 {
		t.Errorf("something of the rota left the desk: %d, %v", len(list), err)
	}
}

// Two edit at once: one takes over, the other tidies up the rules. Both devices come to
// the same rota with both in it, both persons are told, and the next edit settles it.
func TestTwoEditTheRota(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	made, err := c.first.Node.SetRota(ctx, sheetOf(c.ann, c.bob), as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	both := []*schakeltest.Member{c.first, c.second}
	eventually(t, "both have it", func() bool { return rotaAt(t, c.second).Revision == made.Revision })
	for _, m := range both {
		m.Stop()
		m.Reopen()
	}
	was := onCallAt(t, c.first)
	other := c.bob
	if was == c.bob.Name {
		other = c.ann
	}
	if _, err := c.second.Node.ChangeRota(ctx, schakel.RotaChange{Kind: schakel.RotaTake}, as(other)); err != nil {
		t.Fatal(err)
	}
	tidied := sheetOf(c.ann, c.bob)
	tidied.Revision, tidied.Layers = made.Revision, append(tidied.Layers, rota.Layer{Rules: tidied.Layers[0].Rules})
	if _, err := c.first.Node.SetRota(ctx, tidied, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	for _, m := range both {
		m.Start()
	}
	for _, m := range both {
		eventually(t, "both persons are told", func() bool { return rotaAt(t, m).Contested && has(t, m, schakel.AlarmRota) })
	}
	a, b := rotaAt(t, c.first), rotaAt(t, c.second)
	if a.Revision != b.Revision || !slices.Equal(a.Also, b.Also) || len(a.Roster.Changes) != 1 {
		t.Errorf("the devices do not agree: %+v, %+v", a, b)
	}
	if onCallAt(t, c.first) != other.Name || onCallAt(t, c.second) != other.Name {
		t.Error("who took over is not on call")
	}
	if _, err := c.second.Node.SetRota(ctx, roster.Sheet{Revision: b.Revision, Roster: b.Roster}, as(c.bob)); err != nil {
		t.Fatal(err)
	}
	for _, m := range both {
		eventually(t, "it is settled", func() bool { return !rotaAt(t, m).Contested && !has(t, m, schakel.AlarmRota) })
	}
}

// A gap in the coming 14 days is in the status and an alarm, until somebody fills it.
func TestGapsAreAlarms(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	s := sheetOf(c.ann, c.bob)
	s.Layers[0].Rules[0].To = "2026-01-11T08:00" // Sundays are open
	if _, err := c.first.Node.SetRota(ctx, s, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*schakeltest.Member{c.first, c.second} {
		eventually(t, "the gap is an alarm", func() bool {
			st, err := m.Node.Status(ctx)
			return err == nil && st.Rota.Gaps >= 2 && !st.Rota.Gap.IsZero() && has(t, m, schakel.AlarmRota)
		})
	}
	alarms, err := c.first.Node.Alarms(ctx)
	if err != nil || !strings.Contains(alarms[0].Text, "niemand dienst") {
		t.Errorf("the alarm says %+v, %v", alarms, err)
	}
	full := rotaAt(t, c.first)
	full.Roster.Layers[0].Rules[0].To = "2026-01-12T08:00"
	if _, err := c.first.Node.SetRota(ctx, roster.Sheet{Revision: full.Revision, Roster: full.Roster}, as(c.ann)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*schakeltest.Member{c.first, c.second} {
		eventually(t, "it ends when the gap does", func() bool { return !has(t, m, schakel.AlarmRota) })
	}
	left, err := c.first.Node.ChangeRota(ctx, schakel.RotaChange{Kind: schakel.RotaLeave, Who: c.bob.Name}, as(c.ann))
	if err != nil || len(left.Gaps) < 6 {
		t.Errorf("%d gaps in the quarter after somebody left, %v", len(left.Gaps), err)
	}
}

// A roster that cannot be used, which a modified device of the desk signs and sends, does
// not take the place of the one that can.
func TestRosterOfAModifiedDevice(t *testing.T) {
	c, ctx := newColleagues(t), testContext(t)
	made, err := c.first.Node.SetRota(ctx, sheetOf(c.ann, c.bob), as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other device has it", func() bool { return rotaAt(t, c.second).Revision == made.Revision })
	bad, err := c.first.Node.RecordForTest(ctx, delivery.Record{Kind: delivery.RecordRoster, Desk: c.first.Desk, Content: []byte{0xa0}}, as(c.ann))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it can be sealed", func() bool {
		return c.first.Node.PutForTest(ctx, c.first.Desk, envelope.TierNone, delivery.Delivery{Kind: delivery.KindRecord, Content: bad.Raw, Counter: 1000}) == nil
	})
	eventually(t, "it is refused with an alarm", func() bool { return has(t, c.second, schakel.AlarmRota) })
	if got := rotaAt(t, c.second).Revision; got != made.Revision {
		t.Errorf("the rota is %s, was %s", got, made.Revision)
	}
}
