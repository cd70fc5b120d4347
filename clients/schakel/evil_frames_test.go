package schakel_test

import (
	"fmt"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// shape is what the network shows of a frame of a device.
func shape(f wire.Frame) string {
	if put, is := f.(wire.Put); is {
		return fmt.Sprintf("put of %d", len(put.Envelope))
	}
	return fmt.Sprintf("%T", f)
}

func headerOf(raw []byte) envelope.Header {
	e, err := envelope.Parse(raw)
	if err != nil {
		return envelope.Header{}
	}
	return e.Header
}

// reheaded is mail whose header the relay changed, which every relay can.
func reheaded(p schakeltest.Passing, change func(*envelope.Header)) []wire.Frame {
	mail, h := p.Frame.(wire.Deliver), p.Header
	change(&h)
	return reheadedAs(mail, h, mail.Envelope)
}

// reheadedAs puts another header before the sealed part of an envelope.
func reheadedAs(mail wire.Deliver, h envelope.Header, raw []byte) []wire.Frame {
	prefix, err := h.Prefix()
	if err != nil {
		panic(err)
	}
	sealed := raw[len(raw)-int(h.AgeLength):]
	return []wire.Frame{wire.Deliver{Position: mail.Position, Envelope: append(prefix, sealed...)}}
}

// gapsOf is how many counters of a sender are missing at a recipient.
func gapsOf(t *testing.T, at, of *schakeltest.Member) (n int) {
	t.Helper()
	view(t, at, func(tx *store.Tx) error {
		gaps, err := tx.Gaps(of.Node.Device())
		n = len(gaps)
		return err
	})
	return n
}

// envelopes is how many different ones of a tier the recipient's relay has handed out, or
// kept back.
func (d *dishonest) envelopes(tier envelope.Tier) int {
	ids := map[envelope.ID]bool{}
	for _, p := range d.op.Seen() {
		if p.Mail() && p.Device == d.to.Node.Device() && p.Header.Tier == tier {
			ids[p.Header.ID] = true
		}
	}
	return len(ids)
}

// inCase sends a further message in a case.
func (d *dishonest) inCase(t *testing.T, kase string) schakel.Sent {
	t.Helper()
	sent, err := d.from.Node.Send(testContext(t), schakel.Draft{
		Class: "adviesvraag", Urgency: message.Urgent, Case: kase, To: []identity.DeskID{d.to.Desk}, Body: example(t, "adviesvraag"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}
