package schakel_test

import (
	"bytes"
	"context"

	"sync/atomic"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// pair is a chain with a sender and a recipient that know each other.
type pair struct {
	*schakeltest.Chain
	from, to *schakeltest.Member
}

func newPair(t *testing.T, tap func(identity.DeviceID, wire.Side, wire.Frame) []wire.Frame) pair {
	t.Helper()
	chain := schakeltest.Prepare(t)
	chain.Tap = tap
	chain.StartRelay()
	p := pair{Chain: chain, from: chain.Join("vt20/crisis", identity.RoleVeiligThuis), to: chain.Join("knooppunt/piket", identity.RoleKnooppunt)}
	p.from.Start()
	p.to.Start()
	p.reachable(t)
	return p
}

// reachable waits until the sender can seal to the recipient: the register alone says that it
// may, and the keys come after that.
func (p pair) reachable(t testing.TB) {
	t.Helper()
	eventually(t, "the sender knows the recipient", func() bool {
		desks, err := p.from.Node.Directory(context.Background())
		return err == nil && len(desks) == 1 && desks[0].Reachable && p.from.Node.TargetsForTest(p.to.Desk) > 0
	})
}

// answerable waits until the recipient can seal to the sender as well.
func (p pair) answerable(t testing.TB) {
	t.Helper()
	eventually(t, "the recipient knows the sender", func() bool { return p.to.Node.TargetsForTest(p.from.Desk) > 0 })
}

func (p pair) send(t testing.TB) schakel.Sent {
	t.Helper()
	return p.sendAs(t, message.Urgent)
}

func (p pair) sendAs(t testing.TB, u message.Urgency) schakel.Sent {
	t.Helper()
	sent, err := p.from.Node.Send(testContext(t), schakel.Draft{
		Class: "adviesvraag", Urgency: u, To: []identity.DeskID{p.to.Desk}, Body: example(t, "adviesvraag"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func (p pair) delivered(t *testing.T, sent schakel.Sent) {
	t.Helper()
	if s, err := p.from.Node.Wait(testContext(t), sent.Hash, schakel.StateDelivered); err != nil {
		t.Fatalf("not delivered: %v; %+v", err, s)
	}
}

func (p pair) inbox(t *testing.T) []schakel.Summary {
	t.Helper()
	list, err := p.to.Node.List(testContext(t), schakel.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What was sent while the relay was down travels once it is back, and survives the
// sender's own restart in between.
func TestSentWhileTheRelayIsDown(t *testing.T) {
	p := newPair(t, nil)
	first := p.send(t)
	p.delivered(t, first)
	p.StopRelay()
	second := p.send(t)
	p.from.Reopen()
	p.from.Start()
	p.StartRelay()
	p.delivered(t, second)
	if list := p.inbox(t); len(list) != 2 {
		t.Errorf("recipient has %d messages, want 2", len(list))
	}
}

// The relay's whole store is lost while messages wait in it for a desk that is
// away. The senders' outboxes hold them, a new store epoch makes them offered
// again, and nothing is shown twice.
func TestRelayLosesItsStore(t *testing.T) {
	p := newPair(t, nil)
	read := p.send(t)
	p.delivered(t, read)
	p.to.Stop()
	var waiting []schakel.Sent
	for range 5 {
		waiting = append(waiting, p.send(t))
	}
	for _, s := range waiting {
		if _, err := p.from.Node.Wait(testContext(t), s.Hash, schakel.StateAtRelay); err != nil {
			t.Fatal(err)
		}
	}
	p.StopRelay()
	p.LoseStore()
	p.StartRelay()
	p.to.Reopen()
	p.to.Start()
	for _, s := range waiting {
		p.delivered(t, s)
	}
	if list := p.inbox(t); len(list) != 6 {
		t.Errorf("recipient has %d messages, want 6", len(list))
	}
}

// A desk is away for nine days: longer than any envelope lives. Its keys for those
// days were published ahead, the envelope expires, and the sender makes the
// delivery again, which replaces the first without a gap.
func TestH01AwayForNineDays(t *testing.T) {
	p := newPair(t, nil)
	p.to.Stop()
	sent := p.sendAs(t, message.Routine) // an urgent one is given up after seven days
	if _, err := p.from.Node.Wait(testContext(t), sent.Hash, schakel.StateAtRelay); err != nil {
		t.Fatal(err)
	}
	first, err := p.from.Node.Export(testContext(t), sent.Hash, p.to.Desk)
	if err != nil {
		t.Fatal(err)
	}
	for range 9 {
		p.Pass(24 * time.Hour)
	}
	eventually(t, "the delivery is made again", func() bool {
		again, err := p.from.Node.Export(testContext(t), sent.Hash, p.to.Desk)
		return err == nil && !bytes.Equal(first, again)
	})
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent)
	if list := p.inbox(t); len(list) != 1 {
		t.Errorf("recipient has %d messages, want 1", len(list))
	}
	letter, err := p.to.Node.Read(testContext(t), sent.Hash)
	if err != nil || !bytes.Equal(letter.Body, example(t, "adviesvraag")) {
		t.Errorf("read: %v", err)
	}
	alarms, err := p.to.Node.Alarms(testContext(t))
	if err != nil || len(alarms) != 0 {
		t.Errorf("recipient's alarms: %+v, %v", alarms, err)
	}
}

// The relay changes one byte of what it hands over. The recipient refuses it,
// alarms, tells the sender, and gets the message in a new delivery: the relay gains
// nothing and loses nothing for anybody.
func TestA16TamperedDeliveryIsRefusedAndMadeAgain(t *testing.T) {
	var tampered atomic.Bool
	tap := func(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if d, ok := f.(wire.Deliver); ok && from == wire.SideRelay && len(d.Envelope) > 4000 && tampered.CompareAndSwap(false, true) {
			changed := bytes.Clone(d.Envelope)
			changed[len(changed)-100] ^= 1
			return []wire.Frame{wire.Deliver{Position: d.Position, Envelope: changed}}
		}
		return []wire.Frame{f}
	}
	p := newPair(t, tap)
	tampered.Store(false)
	sent := p.send(t)
	p.delivered(t, sent)
	if !tampered.Load() {
		t.Fatal("nothing was tampered with")
	}
	alarms, err := p.to.Node.Alarms(testContext(t))
	if err != nil || len(alarms) != 1 || alarms[0].Kind != schakel.AlarmTampered {
		t.Errorf("recipient's alarms: %+v, %v", alarms, err)
	}
	if list := p.inbox(t); len(list) != 1 {
		t.Errorf("recipient has %d messages, want 1", len(list))
	}
}

// A thousand messages wait for a desk while the relay restarts; all arrive, once,
// in the order they were sent.
func TestBacklogArrivesInOrder(t *testing.T) {
	p := newPair(t, nil)
	p.to.Stop()
	const count = 300
	var sent []schakel.Sent
	for range count {
		sent = append(sent, p.send(t))
	}
	eventually(t, "everything is at the relay", func() bool {
		st, err := p.from.Node.Status(testContext(t))
		return err == nil && st.NotAtRelay == 0
	})
	p.StopRelay()
	p.StartRelay()
	p.to.Reopen()
	p.to.Start()
	p.delivered(t, sent[count-1])
	list := p.inbox(t)
	if len(list) != count {
		t.Fatalf("recipient has %d messages, want %d", len(list), count)
	}
	for i, s := range list { // newest first
		if want := sent[count-1-i].Hash; s.Hash != want {
			t.Fatalf("message %d is %.8s, want %.8s", i, s.Hash, want)
		}
	}
}
