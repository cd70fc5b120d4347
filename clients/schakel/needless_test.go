package schakel_test

import (
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// madeAgainNeedlessly is a message that came late, and that was made again before: the second
// envelope left its device, and the operator took it.
func madeAgainNeedlessly(t *testing.T) (d *dishonest, sent schakel.Sent, second envelope.ID) {
	t.Helper()
	d = newDishonest(t)
	for range 3 { // a device that is new is told again what it lacks
		d.Pass(24 * time.Hour)
		d.delivered(t, d.send(t))
	}
	first, made := envelope.ID{}, make(chan envelope.ID, 1)
	sender, recipient := d.from.Node.Device(), d.to.Node.Device()
	d.op.Do(func(p schakeltest.Passing) []wire.Frame {
		switch _, put := p.Frame.(wire.Put); {
		case p.Message() && p.Device == recipient:
			return d.op.Hold(p)
		case put && p.Device == sender && p.Header.Tier > envelope.TierNone:
			if first == (envelope.ID{}) {
				first = p.Header.ID
			} else if p.Header.ID != first {
				select {
				case made <- p.Header.ID:
				default:
				}
				return nil
			}
		}
		return p.On()
	})
	sent = d.send(t)
	d.atRelay(t, sent)
	eventually(t, "a statement shows that it did not come", func() bool {
		d.Pass(time.Minute)
		return len(made) > 0
	})
	second = <-made
	d.op.LetGo()
	eventually(t, "it comes after all", func() bool {
		d.Pass(time.Minute)
		return d.state(t, sent) == schakel.StateDelivered
	})
	return d, sent, second
}

// What was made again needlessly had a number. That its recipient has the message is no
// reason never to send it: the number would be missing there for ever, and nobody could say
// what it was. So it goes, also after its connection was lost or the relay refused it.
func TestNoNumberIsLeftOut(t *testing.T) {
	for name, deed := range map[string]func(d *dishonest, second envelope.ID){
		"it went with a connection": func(d *dishonest, _ envelope.ID) { d.StopRelay(); d.StartRelay() },
		"the relay refused it": func(d *dishonest, second envelope.ID) {
			d.op.Slip(d.from.Node.Device(), wire.Refused{ID: second, Code: wire.CodeDevice})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, sent, second := madeAgainNeedlessly(t)
			deed(d, second)
			d.delivered(t, d.send(t))
			eventually(t, "no number is missing", func() bool {
				return gapsOf(t, d.to, d.from) == 0 && reachedBy(t, d.to, d.from) == given(t, d.from, d.to.Desk)
			})
			if n := holds(t, d.to, sent); n != 1 {
				t.Errorf("the message is there %d times", n)
			}
			eventually(t, "nothing is left to send", func() bool { return len(outgoing(t, d.from, d.to.Desk)) == 0 })
			if hasAlarm(t, d.to, schakel.AlarmGap) {
				t.Error("somebody was alarmed")
			}
		})
	}
}

// reachedBy is the highest number of a device that another has all up to.
func reachedBy(t *testing.T, at, of *schakeltest.Member) (n uint64) {
	t.Helper()
	view(t, at, func(tx *store.Tx) error {
		vectors, err := tx.Received(of.Desk, at.Node.NowForTest())
		for _, v := range vectors {
			if v.Device == of.Node.Device() {
				n = v.Contiguous
			}
		}
		return err
	})
	return n
}

// given is the highest number that a device gave out to a desk.
func given(t *testing.T, by *schakeltest.Member, to identity.DeskID) (n uint64) {
	t.Helper()
	view(t, by, func(tx *store.Tx) (err error) {
		n, err = tx.LastCounter(to)
		return err
	})
	return n
}

func outgoing(t *testing.T, m *schakeltest.Member, to identity.DeskID) (ds []store.Delivery) {
	t.Helper()
	view(t, m, func(tx *store.Tx) (err error) {
		ds, err = tx.Outgoing(to, m.Node.NowForTest())
		return err
	})
	return ds
}

// Two devices of a desk have clocks that are minutes apart. What the one sent is no longer on
// its way for the other, which hears of it later, than for itself.
func TestUndeliveredByTheClockOfWhoSentIt(t *testing.T) {
	chain := schakeltest.Prepare(t)
	d := &dishonest{op: schakeltest.Deceive(chain)}
	chain.StartRelay()
	d.pair = pair{Chain: chain, from: chain.Join("vt20/crisis", identity.RoleVeiligThuis), to: chain.Join("politie-mn/meldkamer", identity.RolePolitie)}
	d.from.Start()
	d.to.Start()
	d.reachable(t)
	other := d.from.Sibling()
	other.MoveClock(4 * time.Minute)
	other.Start()
	sealsTo(t, d.from, d.from.Desk, 1)
	d.Pass(2 * time.Minute) // it has settled
	d.mail(other, func(p schakeltest.Passing) []wire.Frame {
		if to, is := d.deskOf(p.Header.Sealer); is && to == d.to.Desk {
			return nil // what the recipient says of it is late
		}
		return p.On()
	})
	sent, err := d.from.Node.Send(testContext(t), schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{d.to.Desk}, Body: example(t, "melding")})
	if err != nil {
		t.Fatal(err)
	}
	d.delivered(t, sent)
	eventually(t, "the other device hears of it", func() bool {
		_, err := other.Node.Trace(testContext(t), sent.Hash)
		return err == nil
	})
	if err := other.Node.KeepWatchForTest(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if hasAlarm(t, other, schakel.AlarmUndelivered) {
		t.Error("alarmed about what it has only just heard of")
	}
	d.Pass(3 * time.Minute)
	alarmed(t, other, schakel.AlarmUndelivered)
	if hasAlarm(t, d.from, schakel.AlarmUndelivered) {
		t.Error("the device that knows better is alarmed")
	}
}

func (d *dishonest) deskOf(id identity.DeviceID) (identity.DeskID, bool) {
	for _, m := range []*schakeltest.Member{d.from, d.to} {
		if m.Node.Device() == id {
			return m.Desk, true
		}
	}
	return "", false
}
