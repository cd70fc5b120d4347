package schakel_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
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
	"schakel/relay/wire"
)

// twoNeeded is a desk of two devices that wants two persons for what is acute.
type twoNeeded struct {
	pair
	second     *schakeltest.Member
	iket, acht schakel.Person
	rang       *phones
	sent       schakel.Sent
	shown      atomic.Int32 // how often the relay was shown the token
}

func newTwoNeeded(t *testing.T) *twoNeeded {
	t.Helper()
	w := &twoNeeded{rang: &phones{}}
	w.pair = newAcutePair(t, func(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if _, is := f.(wire.Attended); is && from == wire.SideDevice {
			w.shown.Add(1)
		}
		return []wire.Frame{f}
	})
	w.iket, w.acht = w.to.AddPerson("P. Iket"), w.to.AddPerson("W. Acht")
	r := staffed()
	r.People[0].Person, r.People[1].Person = w.iket.ID.String(), w.acht.ID.String()
	r.Ladders = []roster.Ladder{{Urgency: message.Acute, Acknowledgers: 2, Steps: []roster.Step{}}}
	w.to.Equip(w.rang)
	if _, err := w.to.Node.SetRota(testContext(t), roster.Sheet{Roster: r}, schakel.By{Person: w.iket.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	w.second = w.to.Sibling()
	w.second.Start()
	w.reachable(t)
	eventually(t, "both devices have the rota and both persons", func() bool {
		_, err := w.second.Node.Roster(testContext(t))
		persons, err2 := w.second.Node.Persons(testContext(t))
		return err == nil && err2 == nil && len(persons) == 2
	})
	sealsTo(t, w.from, w.to.Desk, 2)
	w.sent = w.report(t)
	eventually(t, "both devices have it", func() bool {
		return inbox(t, w.to, w.sent.Hash) != nil && inbox(t, w.second, w.sent.Hash) != nil
	})
	return w
}

func (w *twoNeeded) ack(t *testing.T, m *schakeltest.Member, who schakel.Person) (schakel.Sent, error) {
	t.Helper()
	return m.Node.Acknowledge(testContext(t), w.sent.Hash, schakel.Acknowledgement{Person: who.Name, PIN: schakeltest.PIN})
}

// has waits until a device shows who signed.
func (w *twoNeeded) has(t *testing.T, m *schakeltest.Member, by ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("it shows that %v signed", by), func() bool {
		c := summaryOf(t, m, w.sent.Hash).Confirms
		return c != nil && c.Asked == 2 && slices.Equal(slices.Sorted(slices.Values(c.By)), by)
	})
}

// Two persons are asked for. The first tells the sender; the ladder goes on for who has
// not signed, until another one has, on whichever device. The same one twice is one.
func TestTwoAcknowledge(t *testing.T) {
	w, ctx := newTwoNeeded(t), testContext(t)
	want := map[string]int{firstNTFY: 1, firstMail: 1}
	w.rang.until(t, "who is on call", want)
	if sent, err := w.ack(t, w.to, w.iket); err != nil || sent.Confirmed {
		t.Fatalf("the first: %+v, %v", sent, err)
	}
	for _, m := range []*schakeltest.Member{w.to, w.second} {
		w.has(t, m, "P. Iket")
		eventually(t, "it waits for another one", func() bool {
			st, err := m.Node.Status(ctx)
			list, err2 := m.Node.List(ctx, schakel.Filter{ToAck: true})
			return err == nil && err2 == nil && st.ToConfirm == 1 && st.ToAcknowledge == 0 && len(list) == 1 && list[0].Confirms.Short()
		})
		if _, err := w.ack(t, m, w.iket); !errors.Is(err, schakel.ErrAcknowledged) {
			t.Errorf("the same person twice: %v", err)
		}
	}
	eventually(t, "the sender sees who has it", func() bool {
		s, err := w.from.Node.Trace(ctx, w.sent.Hash)
		return err == nil && s.Recipients[0].State == schakel.StateAcknowledged && s.Recipients[0].By == "P. Iket"
	})
	if n := w.shown.Load(); n != 0 {
		t.Errorf("the relay was shown the token %d times while one person is missing", n)
	}
	w.Pass(5 * time.Minute)
	want[backupNTFY], want[backupMail] = 1, 1
	w.rang.until(t, "the backup, although the first acknowledged", want)
	w.Pass(16 * time.Minute)
	want = map[string]int{firstNTFY: 1, firstMail: 1, backupNTFY: 2, backupMail: 2, allMail: 1}
	w.rang.until(t, "everyone who has not signed", want)
	now, err := w.second.Node.OnCall(ctx, time.Time{})
	if err != nil || len(now.Short) != 1 || now.Short[0].Message != w.sent.Hash || now.Short[0].Asked != 2 {
		t.Errorf("who is on call is told %+v, %v", now.Short, err)
	}
	late := schakel.Acknowledgement{Person: w.acht.Name, PIN: schakeltest.PIN, AnswerBy: w.Now().Add(time.Hour)}
	if _, err := w.second.Node.Acknowledge(ctx, w.sent.Hash, late); !errors.Is(err, schakel.ErrAcknowledged) {
		t.Errorf("what would be lost is not refused: %v", err)
	}
	late = schakel.Acknowledgement{Person: w.acht.Name, PIN: "654321"}
	if _, err := w.second.Node.Acknowledge(ctx, w.sent.Hash, late); !errors.Is(err, schakel.ErrPIN) {
		t.Errorf("without the PIN: %v", err)
	}
	late = schakel.Acknowledgement{Person: w.acht.Name, PIN: schakeltest.PIN, FirstAction: "ga erheen"}
	sent, err := w.second.Node.Acknowledge(ctx, w.sent.Hash, late)
	if err != nil || !sent.Confirmed || sent.Hash != w.sent.Hash {
		t.Fatalf("the second: %+v, %v", sent, err)
	}
	for _, m := range []*schakeltest.Member{w.to, w.second} {
		w.has(t, m, "P. Iket", "W. Acht")
		eventually(t, "what the second did is a note", func() bool {
			sheet, err := m.Node.Worksheet(ctx, w.sent.Case)
			return err == nil && len(sheet.Notes) == 1 && sheet.Notes[0].Text == "ga erheen" && sheet.Notes[0].By == "W. Acht"
		})
		eventually(t, "nothing waits", func() bool {
			list, err := m.Node.List(ctx, schakel.Filter{ToAck: true})
			return err == nil && len(list) == 0
		})
		if _, err := w.ack(t, m, w.acht); !errors.Is(err, schakel.ErrAcknowledged) {
			t.Errorf("one more: %v", err)
		}
	}
	eventually(t, "the relay's ladder ends", func() bool { return w.shown.Load() > 0 })
	w.Pass(16 * time.Minute) // everyone's turn again
	settle(t, w.to)
	if got := w.rang.heard(); got[backupNTFY] != 2 || got[allMail] != 1 {
		t.Errorf("it rang on: %v", got)
	}
	in, err := w.from.Node.List(ctx, schakel.Filter{})
	if err != nil || len(in) != 1 {
		t.Errorf("the sender got %d messages, %v", len(in), err)
	}
}

// What was signed and what is still asked survive a restart, and two who signed without
// seeing each other are two.
func TestTwoAcknowledgeApart(t *testing.T) {
	w := newTwoNeeded(t)
	w.second.Stop() // it hears nothing of the other one
	if _, err := w.ack(t, w.to, w.iket); err != nil {
		t.Fatal(err)
	}
	w.to.Reopen()
	w.has(t, w.to, "P. Iket")
	if sent, err := w.ack(t, w.second, w.acht); err != nil || sent.Confirmed {
		t.Fatalf("the other one: %+v, %v", sent, err)
	}
	w.to.Start()
	w.second.Start()
	for _, m := range []*schakeltest.Member{w.to, w.second} {
		w.has(t, m, "P. Iket", "W. Acht")
	}
}

// Who works through the list page by page misses nothing: not when the message that a page
// ended with asks for one more person meanwhile, and not what does so on a further page.
func TestListGoesOnAfterWhatWasSigned(t *testing.T) {
	w, ctx := newTwoNeeded(t), testContext(t)
	hashes := []string{w.sent.Hash}
	for range 2 {
		sent := w.report(t)
		eventually(t, "it has come", func() bool { return inbox(t, w.to, sent.Hash) != nil })
		hashes = append([]string{sent.Hash}, hashes...) // the newest first
	}
	lists := func(when string, want []string, f schakel.Filter) {
		t.Helper()
		f.ToAck = true
		list, err := w.to.Node.List(ctx, f)
		var got []string
		for _, m := range list {
			got = append(got, m.Hash)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %.8q, want %.8q, %v", when, got, want, err)
		}
	}
	sign := func(hash string, who schakel.Person) {
		t.Helper()
		if _, err := w.to.Node.Acknowledge(ctx, hash, schakel.Acknowledgement{Person: who.Name, PIN: schakeltest.PIN}); err != nil {
			t.Fatal(err)
		}
	}
	lists("a page of one", hashes[:1], schakel.Filter{Limit: 1})
	sign(hashes[0], w.iket)
	for from := range hashes {
		lists("all but the first few", hashes[from:], schakel.Filter{Offset: from})
		lists("one after the first few", hashes[from:from+1], schakel.Filter{Offset: from, Limit: 1})
	}
	lists("after one that asks for one more person", hashes[1:], schakel.Filter{After: hashes[0]})
	lists("a page after it", hashes[1:2], schakel.Filter{After: hashes[0], Limit: 1})
	sign(hashes[1], w.iket)
	lists("after the first of two that do", hashes[1:], schakel.Filter{After: hashes[0]})
	sign(hashes[0], w.acht)
	lists("after one that has left the list", hashes[1:], schakel.Filter{After: hashes[0]})
	lists("what was sent asks for nobody", nil, schakel.Filter{Box: "sent"})
	if c := summaryOf(t, w.to, hashes[1]).Confirms; !c.Short() {
		t.Errorf("control: %+v", c)
	}
}

// What waits and cannot be read keeps nobody from being paged for the rest; and that
// there is something of the kind somebody hears.
func TestUnreadableRowAlarmsAndStopsNoPage(t *testing.T) {
	p := newAcutePair(t, nil)
	rang := staff(t, p.to)
	p.reachable(t)
	damage := func(b string) {
		err := p.to.Store().Update(testContext(t), func(tx *store.Tx) error { return tx.SetSetting("short-handed", []byte(b)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if hasAlarm(t, p.to, schakel.AlarmPager) {
		t.Fatal("an alarm before anything is wrong")
	}
	damage("no list of messages")
	eventually(t, "somebody is told", func() bool { return hasAlarm(t, p.to, schakel.AlarmPager) })
	sent := p.report(t)
	rang.until(t, "who is on call hears of the rest", map[string]int{firstNTFY: 1, firstMail: 1})
	list, err := p.to.Node.List(testContext(t), schakel.Filter{ToAck: true})
	if err != nil || len(list) != 1 || list[0].Hash != sent.Hash {
		t.Errorf("the inbox shows %+v, %v", list, err)
	}
	damage("\x80") // an empty list
	eventually(t, "it is over", func() bool { return !hasAlarm(t, p.to, schakel.AlarmPager) })
}

// That a message came to the wrong desk ends it on every device of that desk.
func TestWrongRecipientEndsItEverywhere(t *testing.T) {
	w, ctx := newTwoNeeded(t), testContext(t)
	wrong := schakel.Acknowledgement{Person: w.iket.Name, PIN: schakeltest.PIN, Status: protocol.StatusWrongRecipient, RightRole: "veilig-thuis", RightUnit: "VT20"}
	if _, err := w.to.Node.Acknowledge(ctx, w.sent.Hash, wrong); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*schakeltest.Member{w.to, w.second} {
		eventually(t, "nobody is asked for any more", func() bool {
			list, err := m.Node.List(ctx, schakel.Filter{ToAck: true})
			return err == nil && len(list) == 0
		})
	}
}

// What a modified device of the desk, and a partner, write as confirmations of others makes
// nobody less called: the wrong key, the same person again, a hash that is none, a message
// that is not here.
func TestHostileConfirmations(t *testing.T) {
	w, ctx := newTwoNeeded(t), testContext(t)
	if _, err := w.ack(t, w.to, w.iket); err != nil {
		t.Fatal(err)
	}
	w.has(t, w.second, "P. Iket")
	hash, err := hex.DecodeString(w.sent.Hash)
	if err != nil {
		t.Fatal(err)
	}
	counter := uint64(1000)
	confirm := func(m *schakeltest.Member, content []byte, claims []byte, by schakel.By) {
		t.Helper()
		s, err := m.Node.RecordForTest(ctx, delivery.Record{Kind: delivery.RecordConfirm, Desk: w.to.Desk, Person: claims, Content: content}, by)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is sent", func() bool {
			counter++
			return m.Node.PutForTest(ctx, w.to.Desk, envelope.TierNone, delivery.Delivery{Kind: delivery.KindRecord, Content: s.Raw, Counter: counter}) == nil
		})
	}
	iket, acht := schakel.By{Person: w.iket.Name, PIN: schakeltest.PIN}, schakel.By{Person: w.acht.Name, PIN: schakeltest.PIN}
	refused := func(n int) func() bool {
		return func() bool {
			st, err := w.to.Node.Status(ctx)
			return err == nil && st.Quarantined == n && hasAlarm(t, w.to, schakel.AlarmForged)
		}
	}
	confirm(w.from, hash, w.acht.ID[:], schakel.By{})
	eventually(t, "that of a partner alarms", refused(1))
	confirm(w.second, hash[:31], nil, acht)
	confirm(w.second, append(hash, 0), nil, acht)
	confirm(w.second, make([]byte, 32), nil, acht)
	confirm(w.second, hash, nil, iket)
	confirm(w.second, hash, w.acht.ID[:], schakel.By{}) // signed by the device
	eventually(t, "that under a name of another alarms", refused(2))
	confirm(w.second, hash, w.acht.ID[:], iket) // signed by a colleague
	eventually(t, "that of a colleague alarms", refused(3))
	w.has(t, w.to, "P. Iket")
	if list := waits(t, w.to); !slices.Equal(list, []string{w.sent.Hash}) {
		t.Errorf("it waits no more: %.8q", list)
	}
	if n := w.shown.Load(); n != 0 {
		t.Errorf("the relay was told %d times that it is attended", n)
	}
	confirm(w.second, hash, nil, acht) // control: a true one
	w.has(t, w.to, "P. Iket", "W. Acht")
	eventually(t, "nobody waits for it", func() bool { return len(waits(t, w.to)) == 0 })
}
