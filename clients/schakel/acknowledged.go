package schakel

import (
	"encoding/json"
	"errors"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// acknowledged applies an ontvangstbevestiging: only this, signed by a person of
// the recipient desk, makes a message of ours acknowledged.
func (in *intake) acknowledged(s message.Signed, from identity.DeskID) error {
	m := s.Message
	if m.Heading.Class != protocol.ClassAcknowledgement || len(m.Heading.Answers) == 0 {
		return nil
	}
	answered, said := m.Heading.Answers[0].Hash, acknowledgementOf(m.Body)
	if heard, err := in.overheard(answered, m.Sender.Desk); err != nil || heard {
		return err
	}
	ours := from == in.n.dev.Desk // of a colleague on another device, about what came to this desk
	if !said.taken() && !ours {
		return in.returned(answered, from, said.Status)
	}
	err := in.tx.SetAcknowledged(answered, store.Acknowledgement{
		Desk: from, At: time.Unix(int64(m.Created), 0), Person: said.By.Name, Message: s.Hash(),
	})
	if errors.Is(err, store.ErrNotFound) {
		return in.tx.CountRejected("acknowledges-unknown")
	}
	if err != nil {
		return err
	}
	if err := in.calm(answered, from, AlarmUnacknowledged, AlarmUndelivered, AlarmReturned); err != nil {
		return err
	}
	if err := in.tx.ClearAlarm(string(AlarmOverdue), answered.String()); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if ours && said.taken() && len(m.Person) == len(identity.PersonID{}) {
		if err := in.n.signed(in.tx, answered, identity.PersonID(m.Person)); err != nil {
			return err
		}
	}
	in.event(EventAcknowledged, answered, from)
	return nil
}

// overheard reports whether another desk acknowledges what came to this one too: that
// takes nothing off the shoulders of anybody here.
func (in *intake) overheard(answered message.Hash, by identity.DeskID) (bool, error) {
	row, err := in.tx.Message(answered)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDestroyed) {
		return false, nil
	}
	if errors.Is(err, store.ErrRestricted) {
		err = nil // whose it was is not closed
	}
	return row.Direction == store.In && by != in.n.dev.Desk, err
}

// returned handles a person who answers but does not take the message: wrong
// recipient, or unreadable. That is no acknowledgement; the sender must act.
func (in *intake) returned(answered message.Hash, from identity.DeskID, status string) error {
	err := in.tx.SetRecipient(answered, from, store.Rejected, in.now, status)
	if errors.Is(err, store.ErrNotFound) {
		return in.tx.CountRejected("acknowledges-unknown")
	}
	if err != nil {
		return err
	}
	if err := in.calm(answered, from, AlarmUnacknowledged, AlarmUndelivered); err != nil {
		return err
	}
	in.event(EventStatus, answered, from)
	return in.raise(AlarmReturned, subject(answered, from), string(from))
}

// clear ends an alarm whose cause is gone.
func (in *intake) clear(kind AlarmKind, subject string) error {
	err := in.tx.ClearAlarm(string(kind), subject)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// calm ends alarms about a message at a desk.
func (in *intake) calm(h message.Hash, desk identity.DeskID, kinds ...AlarmKind) error {
	for _, kind := range kinds {
		if err := in.tx.ClearAlarm(string(kind), subject(h, desk)); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// acknowledgementBody is what an ontvangstbevestiging says that this program acts
// on; its form was checked by the protocol.
type acknowledgementBody struct {
	Status string `json:"status"`
	By     struct {
		Name string `json:"naam"`
	} `json:"door"`
}

func acknowledgementOf(body []byte) (b acknowledgementBody) {
	if json.Unmarshal(body, &b) != nil {
		return acknowledgementBody{}
	}
	return b
}

// taken reports whether the person takes the message, or passed it on inside the
// own organisation, which stays answerable for it.
func (b acknowledgementBody) taken() bool {
	return b.Status == protocol.StatusTaken || b.Status == protocol.StatusPassedOn
}
