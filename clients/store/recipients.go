package store

import (
	"fmt"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// RecipientState is how far a message has come at one desk.
type RecipientState uint8

// States, in the order of the way. Rejected and Failed end it.
const (
	Pending      RecipientState = 1 // in the outbox
	AtRelay      RecipientState = 2 // the relay gave a custody receipt
	Delivered    RecipientState = 3 // a device of the desk stated that it has it
	Opened       RecipientState = 4
	Acknowledged RecipientState = 5 // a named person took it
	Rejected     RecipientState = 6 // the desk refused it under a rule
	Failed       RecipientState = 7 // given up: expired, or no key to send to
)

// columns holds the column of each state's time.
var columns = [...]string{Pending: "pending", AtRelay: "at_relay", Delivered: "delivered", Opened: "opened",
	Acknowledged: "acked", Rejected: "rejected", Failed: "failed"}

// Recipient is the state of one outgoing message at one desk. Zero times: not yet.
type Recipient struct {
	Message message.Hash
	Desk    identity.DeskID
	State   RecipientState

	Pending, AtRelay, Delivered, Opened, Acknowledged, Rejected, Failed time.Time

	AcknowledgedBy string       // the person's name
	AckMessage     message.Hash // the ontvangstbevestiging
	Rule           string       // under which it was rejected, or why it failed
	Deadline       time.Time    // for the acknowledgement; zero: none
}

// AddRecipient notes that a message goes to a desk; a known pair stays as it is.
func (tx *Tx) AddRecipient(h message.Hash, desk identity.DeskID, at, deadline time.Time) error {
	return tx.exec(`INSERT INTO recipient(message,desk,state,pending,deadline) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING`,
		h[:], desk, int(Pending), at, deadline)
}

// SetRecipient notes that a message came as far as state at a desk. The first
// time of each state stays, and the state never moves back: a replayed or late
// message changes no record (attack B05). After Rejected or Failed later
// states are noted with their times, but the state stays. rule is kept for those
// two. It returns ErrNotFound for a desk the message did not go to.
func (tx *Tx) SetRecipient(h message.Hash, desk identity.DeskID, state RecipientState, at time.Time, rule string) error {
	if state < Pending || state > Failed {
		return fmt.Errorf("failed to note a recipient: state %d", state)
	}
	column := columns[state]
	if err := tx.exec(`UPDATE recipient SET `+column+`=CASE WHEN `+column+`=0 THEN ? ELSE `+column+` END,
		rule=CASE WHEN rule='' THEN ? ELSE rule END, state=CASE WHEN state>=6 THEN state ELSE max(state,?) END WHERE message=? AND desk=?`,
		at, rule, int(state), h[:], desk); err != nil {
		return err
	}
	if tx.changes() == 0 {
		return ErrNotFound
	}
	return nil
}

func (tx *Tx) acknowledgedBy(h message.Hash, a Acknowledgement) error {
	if err := tx.SetRecipient(h, a.Desk, Acknowledged, a.At, ""); err != nil {
		return err
	}
	return tx.exec(`UPDATE recipient SET acked_by=?, ack=? WHERE message=? AND desk=? AND ack IS NULL`,
		a.Person, orNil32(a.Message), h[:], a.Desk)
}

const selectRecipient = `SELECT message,desk,state,pending,at_relay,delivered,opened,acked,rejected,failed,acked_by,ack,rule,deadline FROM recipient`

func readRecipient(r row1) Recipient {
	return Recipient{Message: r.b32(0), Desk: r.desk(1), State: RecipientState(r.int(2)), Pending: r.time(3), AtRelay: r.time(4),
		Delivered: r.time(5), Opened: r.time(6), Acknowledged: r.time(7), Rejected: r.time(8), Failed: r.time(9),
		AcknowledgedBy: r.text(10), AckMessage: r.b32(11), Rule: r.text(12), Deadline: r.time(13)}
}

func (tx *Tx) recipients(where string, a args) (rs []Recipient, err error) {
	err = tx.each(selectRecipient+where, a, func(r row1) error {
		rs = append(rs, readRecipient(r))
		return nil
	})
	return rs, err
}

// Recipients returns the desks a message went to, by name.
func (tx *Tx) Recipients(h message.Hash) ([]Recipient, error) {
	return tx.recipients(` WHERE message=? ORDER BY desk`, args{h[:]})
}

// RejectedIn returns where the messages of a case were rejected, by message and desk.
func (tx *Tx) RejectedIn(ref message.CaseRef) ([]Recipient, error) {
	return tx.recipients(` WHERE rejected>0 AND message IN (SELECT hash FROM message WHERE kase=? AND direction=2) ORDER BY message,desk`, args{ref[:]})
}

// Unconfirmed returns whose acknowledgement is overdue at now, longest first.
// Desks that rejected the message said so themselves and are left out.
func (tx *Tx) Unconfirmed(now time.Time) ([]Recipient, error) {
	return tx.recipients(` WHERE deadline>0 AND acked=0 AND rejected=0 AND deadline<=? ORDER BY deadline`, args{now})
}
