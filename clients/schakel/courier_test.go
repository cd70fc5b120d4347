package schakel_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/clients/courier"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// carry is a file from one member to the desk of another.
func carry(t *testing.T, from, to *schakeltest.Member) schakel.Carried {
	t.Helper()
	c, err := from.Node.ExportEnvelopes(testContext(t), to.Desk)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bring(t *testing.T, to *schakeltest.Member, file []byte, want schakel.Brought) {
	t.Helper()
	got, err := to.Node.ImportEnvelopes(testContext(t), file)
	if err != nil {
		t.Fatal(err)
	}
	reasons := got.Reasons
	got.Reasons, got.From = nil, nil
	if got.Taken != want.Taken || got.Known != want.Known || got.Other != want.Other || got.Waiting != want.Waiting || got.Refused != want.Refused ||
		got.Damaged != want.Damaged || want.Reasons != nil && !slices.Equal(reasons, want.Reasons) {
		t.Fatalf("brought %+v, reasons %q; want %+v", got, reasons, want)
	}
}

// clean asks that a device has nothing to complain of, and nothing left to say.
func clean(t *testing.T, m *schakeltest.Member) {
	t.Helper()
	eventually(t, "nothing waits at "+string(m.Desk), func() bool {
		st, err := m.Node.Status(testContext(t))
		return err == nil && st.Outbox == 0 && st.NotAtRelay == 0
	})
	st, err := m.Node.Status(testContext(t))
	if err != nil || st.Rejected > 0 || st.Quarantined > 0 || st.Alarms > 0 {
		alarms, _ := m.Node.Alarms(testContext(t))
		rejected := map[string]uint64{}
		_ = m.Store().View(testContext(t), func(tx *store.Tx) (err error) { rejected, err = tx.Rejected(); return err })
		t.Errorf("%s: rejected %v, %d quarantined, alarms %+v, %v", m.Desk, rejected, st.Quarantined, alarms, err)
	}
}

// stopRelay ends the relay, which comes back empty: what it would bring a second time after a
// restart, and is counted, is no matter of these tests.
func (p pair) stopRelay() {
	p.StopRelay()
	p.LoseStore()
}

func (p pair) byFile(t *testing.T, sent schakel.Sent) time.Time {
	t.Helper()
	s, err := p.from.Node.Trace(testContext(t), sent.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return s.Recipients[0].ByFile
}

func (p pair) connected(t *testing.T) {
	t.Helper()
	eventually(t, "both are back", func() bool {
		a, err := p.from.Node.Status(testContext(t))
		b, err2 := p.to.Node.Status(testContext(t))
		return err == nil && err2 == nil && a.Connected && b.Connected
	})
}

// While the relay is down messages go by hand, in their order, and the acknowledgement comes
// back by hand; then nothing is left for the relay to do, and both sides are clean.
func TestByHandBothWays(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	officer := p.to.AddPerson("K. Nooppunt")
	before := p.send(t)
	p.delivered(t, before)
	p.stopRelay()
	sent := []schakel.Sent{p.send(t), p.send(t)}
	if !p.byFile(t, sent[0]).IsZero() {
		t.Error("by file before anybody made one")
	}
	there := carry(t, p.from, p.to)
	if there.Envelopes != 3 || there.Left != 0 || there.Unsealed != 0 || there.Until.IsZero() || p.byFile(t, sent[0]).IsZero() || p.byFile(t, sent[1]).IsZero() {
		t.Errorf("carried %d, left %d, unsealed %d, until %v", there.Envelopes, there.Left, there.Unsealed, there.Until)
	}
	for _, words := range [][]byte{example(t, "adviesvraag")[:40], []byte("adviesvraag"), []byte(sent[0].Hash), []byte("Crisis")} {
		if bytes.Contains(there.File, words) {
			t.Errorf("the file says %q", words)
		}
	}
	bring(t, p.to, there.File, schakel.Brought{Taken: 3})
	bring(t, p.to, there.File, schakel.Brought{Known: 3})
	inbox := p.inbox(t)
	if len(inbox) != 3 || inbox[2].Hash != before.Hash {
		t.Fatalf("the inbox holds %+v", inbox)
	}
	if _, err := p.to.Node.Acknowledge(testContext(t), sent[0].Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	back := carry(t, p.to, p.from)
	bring(t, p.from, back.File, schakel.Brought{Taken: 2})
	bring(t, p.from, back.File, schakel.Brought{Known: 2})
	for i, want := range []schakel.State{schakel.StateAcknowledged, schakel.StateDelivered} {
		s, err := p.from.Node.Trace(testContext(t), sent[i].Hash)
		if err != nil || s.Recipients[0].State != want || !s.Recipients[0].ByFile.IsZero() {
			t.Errorf("%d: %+v, %v", i, s.Recipients, err)
		}
	}
	p.StartRelay()
	p.connected(t)
	p.delivered(t, p.send(t))
	clean(t, p.from)
	clean(t, p.to)
	if list := p.inbox(t); len(list) != 4 {
		t.Errorf("%d messages", len(list))
	}
}

// A file crosses with the relay: it is back before the answer is. Nobody gets anything twice,
// nothing is counted as a fault, and the relay is told that a person took it already.
func TestByHandAndThenByTheRelay(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	shown := map[envelope.ID]bool{}
	put := map[envelope.ID]bool{}
	p := newPair(t, func(_ identity.DeviceID, side wire.Side, f wire.Frame) []wire.Frame {
		mu.Lock()
		defer mu.Unlock()
		switch f := f.(type) {
		case wire.Put:
			if h, _, err := envelope.ParsePrefix(f.Envelope); err == nil && h.Tier > envelope.TierNone {
				put[h.ID] = true
			}
		case wire.Attended:
			shown[f.ID] = shown[f.ID] || put[f.ID]
		}
		return []wire.Frame{f}
	})
	officer := p.to.AddPerson("K. Nooppunt")
	p.delivered(t, p.send(t))
	p.stopRelay()
	sent := p.send(t)
	bring(t, p.to, carry(t, p.from, p.to).File, schakel.Brought{Taken: 2})
	if _, err := p.to.Node.Acknowledge(testContext(t), sent.Hash, schakel.Acknowledgement{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	later := carry(t, p.to, p.from) // comes when everything is over
	p.StartRelay()
	if _, err := p.from.Node.Wait(testContext(t), sent.Hash, schakel.StateAcknowledged); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay is shown that a person took it", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(shown) > 0 && len(put) > 0 && shown[only(put, shown)]
	})
	clean(t, p.from) // with a newer statement
	bring(t, p.from, later.File, schakel.Brought{Known: 2})
	clean(t, p.from)
	clean(t, p.to)
	if list := p.inbox(t); len(list) != 2 {
		t.Errorf("%d messages", len(list))
	}
	again, err := p.to.Node.ImportEnvelopes(testContext(t), []byte(courier.Magic))
	if err != nil || again.Taken+again.Known > 0 {
		t.Errorf("an empty file: %+v, %v", again, err)
	}
}

func only(put, shown map[envelope.ID]bool) (id envelope.ID) {
	for id = range put {
		if shown[id] {
			return id
		}
	}
	return id
}

// A process that begins while the relay is down, days later, has the keys to seal with.
func TestByHandAfterARestart(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	p.delivered(t, p.send(t))
	p.StopRelay()
	p.from.Reopen() // and no daemon runs
	p.Pass(50 * time.Hour)
	sent := p.send(t)
	there := carry(t, p.from, p.to)
	bring(t, p.to, there.File, schakel.Brought{Taken: 2})
	bring(t, p.from, carry(t, p.to, p.from).File, schakel.Brought{Taken: 1})
	if s, err := p.from.Node.Trace(testContext(t), sent.Hash); err != nil || s.Recipients[0].State != schakel.StateDelivered {
		t.Errorf("%+v, %v", s.Recipients, err)
	}
}

// What somebody did to a file on its way costs the envelopes that were touched: their sender
// hears of it and makes them again, and nothing is believed because it came by hand.
func TestHostileFile(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	other := p.Join("arts/praktijk", identity.RoleSignaleerder)
	other.Start()
	p.delivered(t, p.send(t))
	p.StopRelay()
	sent := []schakel.Sent{p.send(t), p.send(t), p.send(t)}
	file := carry(t, p.from, p.to).File
	parcel, err := courier.Parse(file)
	if err != nil || len(parcel.Envelopes) != 4 {
		t.Fatal(err)
	}
	bring(t, other, file, schakel.Brought{Other: 4})
	for name, raw := range map[string][]byte{"nothing": nil, "rubbish": bytes.Repeat([]byte("x"), 5000), "without its beginning": file[1:]} {
		if _, err := p.to.Node.ImportEnvelopes(testContext(t), raw); !errors.Is(err, courier.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.to.Node.ImportEnvelopes(testContext(t), make([]byte, courier.MaxFile+1)); !errors.Is(err, courier.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	touched := bytes.Clone(file)
	second := len(courier.Magic) + len(parcel.Envelopes[0])
	touched[second+len(parcel.Envelopes[1])-100] ^= 1
	bring(t, p.to, touched, schakel.Brought{Taken: 3, Refused: 1})
	if alarms, err := p.to.Node.Alarms(testContext(t)); err != nil || !slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmTampered }) {
		t.Errorf("no alarm: %+v, %v", alarms, err)
	}
	bring(t, p.to, file[:len(file)-10], schakel.Brought{Taken: 1, Known: 2, Damaged: 1})
	if got := p.inbox(t); len(got) != 4 {
		t.Fatalf("%d messages", len(got))
	}
	bring(t, p.from, carry(t, p.to, p.from).File, schakel.Brought{Taken: 1})
	for _, s := range sent {
		if tr, err := p.from.Node.Trace(testContext(t), s.Hash); err != nil || tr.Recipients[0].State != schakel.StateDelivered {
			t.Errorf("%+v, %v", tr.Recipients, err)
		}
	}
}

// A file that is older than its envelopes live is refused, and they are made again;
// a device that was revoked says nothing by hand either.
func TestOldFileAndRevokedSender(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	p.delivered(t, p.send(t))
	p.StopRelay()
	p.send(t)
	old := carry(t, p.from, p.to).File
	p.Pass(7*24*time.Hour + time.Minute)
	bring(t, p.to, old, schakel.Brought{Refused: 2, Reasons: []string{"expired"}})
	if c := carry(t, p.from, p.to); c.Unsealed != 1 || c.Envelopes != 0 { // the keys that it has are over too
		t.Errorf("carried %d envelopes, %d unsealed", c.Envelopes, c.Unsealed)
	}
	p.StartRelay()
	eventually(t, "it is made again", func() bool {
		st, err := p.from.Node.Status(testContext(t))
		return err == nil && st.Outbox == 0 && len(p.inbox(t)) == 2
	})
	p.StopRelay()
	p.send(t)
	last := carry(t, p.from, p.to).File
	p.from.Stop()
	p.StartRelay()
	p.Revoke(p.from.Desk)
	eventually(t, "the revocation is known", func() bool {
		desks, err := p.to.Node.Directory(testContext(t))
		return err == nil && len(desks) == 0
	})
	bring(t, p.to, last, schakel.Brought{Refused: 2, Reasons: []string{"sealed-before-revocation"}})
	if got := p.inbox(t); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
}

// Who is newer than the register of the recipient waits: nothing is kept, nothing refused,
// and the same file is taken once the register is there.
func TestFileFromAnUnknownDevice(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	p.delivered(t, p.send(t))
	p.to.Stop()
	young := p.from.Sibling()
	young.Start()
	eventually(t, "the new device knows the desk", func() bool { return young.Node.TargetsForTest(p.to.Desk) == 1 })
	p.StopRelay()
	if _, err := young.Node.Send(testContext(t), schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, To: []identity.DeskID{p.to.Desk}, Body: example(t, "adviesvraag")}); err != nil {
		t.Fatal(err)
	}
	file := carry(t, young, p.to).File
	young.Stop()
	p.from.Stop()
	p.to.Start()
	bring(t, p.to, file, schakel.Brought{Waiting: 2})
	clean(t, p.to)
	p.StartRelay()
	eventually(t, "the register is there", func() bool {
		b, err := p.to.Node.ImportEnvelopes(testContext(t), file)
		return err == nil && b.Taken == 2
	})
	clean(t, p.to)
	if got := p.inbox(t); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
}
