package schakel

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const reasonUnasked = "history-unasked"

var errUnasked = errors.New("nobody here asked that desk for its history")

// judgeHistory verifies a message that a partner hands back, as it would have been then: by
// the register, in which who was revoked since still stands with the moment of that. It is
// one of two: what this desk once sent there, or what that desk once sent here.
func (n *Node) judgeHistory(a *arrival, dir directory, now time.Time) (f *fault) {
	var err error
	if a.history, err = delivery.ParseHistory(a.delivery.Content); err != nil {
		return contentFault(err)
	}
	if a.from == n.dev.Desk {
		return &fault{reason: reasonUnasked, err: errUnasked}
	}
	if a.history.Part == 0 {
		return nil
	}
	if a.signed, err = message.Parse(a.history.Message); err != nil {
		return contentFault(err)
	}
	m := a.signed.Message
	if m.Sender.Desk != n.dev.Desk {
		if !m.AddressedTo(n.dev.Desk) {
			return &fault{reason: "not-addressed", alarm: AlarmNotAddressed, err: delivery.ErrFormat}
		}
		return n.judgeMessage(a, dir, now)
	}
	if !m.AddressedTo(a.from) {
		return &fault{reason: "not-addressed", alarm: AlarmNotAddressed, err: delivery.ErrFormat}
	}
	if verifySender(a.signed, dir) != nil {
		return &fault{reason: "message-signature", alarm: AlarmForged, err: identity.ErrBadSignature}
	}
	if err := verifyPerson(a.signed, dir); err != nil {
		return &fault{reason: "person-signature", alarm: AlarmForged, err: err}
	}
	return nil
}

// history takes in a question, or one message of an answer that this device asked for: what
// was destroyed here, no partner brings back unasked.
func (in *intake) history(a *arrival) error {
	mine, _, err := askedOf(in.tx, a.from)
	if err != nil {
		return err
	}
	if a.history.Ask {
		in.event(EventReceived, message.Hash{}, a.from)
		return keep(in.tx, settingAskedBy+string(a.from), askedBy{Device: a.header.Sealer, At: unix(in.now)})
	}
	if mine.At == 0 || in.now.Sub(moment(mine.At)) > 2*askedFor {
		return in.tx.CountRejected(reasonUnasked)
	}
	mine.note(a.history)
	if err := keep(in.tx, settingAsked+string(a.from), mine); err != nil || a.history.Part == 0 {
		return err
	}
	if a.signed.Message.Sender.Desk == in.n.dev.Desk {
		return in.ownHistory(a)
	}
	if err := in.protocol(a); err != nil {
		return err
	}
	if a.fault != nil {
		return in.refuse(a)
	}
	return in.message(a)
}

// note marks a part as here. Another number of parts is another answer.
func (x *asking) note(h delivery.History) {
	if size := int(h.Of/8) + 1; x.Of != h.Of || len(x.Came) != size {
		x.Of, x.Came = h.Of, make([]byte, size)
	}
	if h.Part > 0 {
		x.Came[h.Part/8] |= 1 << (h.Part % 8)
	}
}

func (x *asking) count() (n int) {
	for _, b := range x.Came {
		n += bits.OnesCount8(b)
	}
	return n
}

// ownHistory takes over what this desk once sent. The partner that hands it over has it; to
// the others it goes again while it has not expired, and they know it if they had it.
func (in *intake) ownHistory(a *arrival) error {
	m, hash := a.signed.Message, a.signed.Hash()
	if clash, err := in.clash(m.ID, hash); err != nil || clash {
		return errors.Join(err, in.tx.CountRejected("identifier-reused"))
	}
	fresh, err := in.tx.SaveMessage(storedMessage(a.signed, store.Out, m.Addressed[0], in.now))
	if err != nil {
		return err
	}
	expired := !in.now.Before(time.Unix(int64(m.Heading.Expires), 0))
	for _, desk := range m.Addressed {
		if desk != a.from && (expired || !fresh) {
			continue
		}
		if err := in.tx.AddRecipient(hash, desk, time.Unix(int64(m.Created), 0), time.Time{}); err != nil {
			return err
		}
	}
	if err := in.tx.SetRecipient(hash, a.from, store.Delivered, in.now, ""); err != nil {
		return fmt.Errorf("failed to note who has it: %w", err)
	}
	if !fresh {
		return nil
	}
	if err := keepCopy(in.tx, hash, m.Sender.Device, []delivery.Sent{}); err != nil {
		return err
	}
	in.event(EventStatus, hash, a.from)
	if m.Heading.Class == protocol.ClassAcknowledgement {
		return in.acknowledged(a.signed, in.n.dev.Desk)
	}
	return nil
}
