package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// Acknowledge sends the ontvangstbevestiging of a named person for an inbound
// message and shows the relay that it is attended to. Where the ladder of this desk asks
// for several persons, and one has done so, it notes within the desk that another one
// confirms: see Sent.Confirmed. It refuses with ErrNotFound,
// ErrAcknowledged, ErrNothingToAck, ErrUnknownPerson, ErrPIN or a *protocol.Refusal.
func (n *Node) Acknowledge(ctx context.Context, ref string, a Acknowledgement) (Sent, error) {
	row, err := n.acknowledgeable(ctx, ref)
	if errors.Is(err, ErrAcknowledged) {
		return n.confirm(ctx, row, a, err)
	}
	if err != nil {
		return Sent{}, err
	}
	p, err := n.person(ctx, a.Person)
	if err != nil {
		return Sent{}, err
	}
	if a.Status == "" {
		a.Status = protocol.StatusTaken
	}
	unread, err := n.mayAcknowledge(ctx, &row, a)
	if err != nil {
		return Sent{}, err
	}
	if err := n.redirect(ctx, row, &a); err != nil {
		return Sent{}, err
	}
	body, err := n.catalogue.AcknowledgementBody(protocol.Acknowledgement{
		Confirms: row.ID, Name: p.Name, Function: p.Function, Telephone: p.Telephone,
		Status: a.Status, FirstAction: a.FirstAction, AnswerBy: a.AnswerBy, RightRole: a.RightRole, RightUnit: a.RightUnit,
	})
	if err != nil {
		return Sent{}, err
	}
	m, known, err := n.compose(ctx, Draft{
		Class: protocol.ClassAcknowledgement, Urgency: row.Urgency, Answers: row.Hash.String(),
		To: n.hearers(row), Body: body, Person: p.ID.String(), PIN: a.PIN, unread: unread,
	})
	if err != nil {
		return Sent{}, err
	}
	key, err := n.unlock(ctx, p.ID.String(), a.PIN)
	if err != nil {
		return Sent{}, err
	}
	m.Person = key.ID[:]
	if err := n.keepsProtocol(m, known); err != nil && !unread {
		return Sent{}, err
	}
	sent, err := n.commit(ctx, m, key, func(tx *store.Tx, signed message.Signed) error {
		return n.attended(tx, row, p, signed)
	})
	if err == nil {
		n.showAttended(ctx, row)
		n.stateSoon(row.Peer)
	}
	return sent, err
}

// mayAcknowledge reads the message where the person may. Who may not read it can still say
// that a person has it: an acute message of a restricted case comes to whoever is on call,
// who must then find one of the persons named for it, or break the glass. That it came to
// the wrong desk, or cannot be read, only a reader knows.
func (n *Node) mayAcknowledge(ctx context.Context, row *store.Message, ack Acknowledgement) (unread bool, err error) {
	if row.Raw != nil {
		return false, nil
	}
	a, err := n.accessTo(ctx, row.Hash.String(), By{Person: ack.Person, PIN: ack.PIN})
	if err == nil {
		err = n.inside(ctx, a, false, func(tx *store.Tx) error {
			if _, err := n.caseOf(tx, row.Case); err != nil {
				return err // such as what is closed to a list that lost: the rules need all of it
			}
			full, err := tx.Message(row.Hash)
			if err == nil {
				*row = full
			}
			return err
		})
	}
	if errors.Is(err, ErrRestricted) && (ack.Status == protocol.StatusTaken || ack.Status == protocol.StatusPassedOn) {
		return true, nil
	}
	return false, err
}

// redirect fills in who should have had a message that came to the wrong desk.
func (n *Node) redirect(ctx context.Context, row store.Message, a *Acknowledgement) error {
	if a.Status != protocol.StatusWrongRecipient || a.RightRole != "" {
		return nil
	}
	signed, err := message.Parse(row.Raw)
	if err != nil {
		return err
	}
	at, err := n.accessTo(ctx, row.Hash.String(), By{Person: a.Person, PIN: a.PIN})
	if err != nil {
		return err
	}
	return n.inside(ctx, at, false, func(tx *store.Tx) error {
		flags, err := n.flags(tx, signed)
		for _, f := range flags {
			if f.Right != "" {
				a.RightRole, a.RightUnit = identity.RoleVeiligThuis, f.Right
			}
		}
		return err
	})
}

// hearers is who hears that a message is taken: its sender and, of a report, the other
// desks that got it. They see who leads the case from then on, and that somebody is
// awake; a desk that cannot be reached does not keep the others from hearing it.
func (n *Node) hearers(row store.Message) []identity.DeskID {
	to := []identity.DeskID{row.Peer}
	addressed := row.Addressed
	if signed, err := message.Parse(row.Raw); err == nil {
		addressed = signed.Message.Addressed
	}
	if row.Class != protocol.ClassReport {
		return to
	}
	class, _ := n.catalogue.Class(protocol.ClassAcknowledgement)
	dir := n.directory()
	for _, desk := range addressed {
		same := desk.Org() == n.dev.Desk.Org()
		if desk != n.dev.Desk && (same || class.Carries(dir.role(n.dev.Desk), dir.role(desk))) && n.reachable([]identity.DeskID{desk}) == nil {
			to = append(to, desk)
		}
	}
	return to
}

// acknowledgeable returns an inbound message that still asks for a person.
func (n *Node) acknowledgeable(ctx context.Context, ref string) (row store.Message, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) (err error) { row, err = find(tx, ref); return err })
	switch {
	case err != nil:
		return row, err
	case row.Direction != store.In, row.Class == protocol.ClassAcknowledgement:
		return row, fmt.Errorf("%w: %s", ErrNothingToAck, row.Hash)
	case !row.Acknowledged.IsZero():
		return row, fmt.Errorf("%w: by %s", ErrAcknowledged, row.AcknowledgedBy)
	}
	return row, nil
}

// attended notes here what the acknowledgement says to others.
func (n *Node) attended(tx *store.Tx, row store.Message, p store.Person, ack message.Signed) error {
	now := n.now()
	if err := tx.SetOpened(row.Hash, now, p.ID); err != nil {
		return err
	}
	err := tx.SetAcknowledged(row.Hash, store.Acknowledgement{Desk: n.dev.Desk, At: now, Person: p.Name, Message: ack.Hash()})
	if err != nil {
		return err
	}
	if err := tx.ClearAlarm(string(AlarmOverdue), row.Hash.String()); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := tx.Audit("acknowledged", row.Hash.String(), p.ID, now); err != nil {
		return err
	}
	if acknowledgementOf(ack.Message.Body).taken() {
		if err := n.signed(tx, row.Hash, p.ID); err != nil {
			return err
		}
	}
	return tx.SetStatus(row.Peer, delivery.Status{Message: row.Hash, Opened: unix(now), Acknowledged: unix(now)})
}

// showAttended stops the relay's ladder for a message, once as many persons signed as
// this desk asks: the relay knows no persons, and would stop at the first (decision 0155).
// The token is worth nothing to anybody else: the sender believes only the person's
// signature (attack H07).
func (n *Node) showAttended(ctx context.Context, row store.Message) {
	s := n.live()
	if s == nil || len(row.Attended) != 32 {
		return
	}
	var list []message.Hash
	if err := n.store.View(ctx, func(tx *store.Tx) (err error) { list, err = shortList(tx); return err }); err != nil || slices.Contains(list, row.Hash) {
		return
	}
	if err := s.say(ctx, wire.Attended{ID: row.Envelope, Token: [32]byte(row.Attended)}); err != nil {
		n.log.Info("attended token not shown yet", "envelope", row.Envelope)
	}
}

// showAllAttended repeats the tokens of what was acknowledged while there was no
// connection. Showing one twice is harmless.
func (s *session) showAllAttended(ctx context.Context) error {
	var rows []store.Message
	err := s.n.store.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.Messages(store.Query{Direction: store.In, Limit: maxReshown})
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if !row.Acknowledged.IsZero() && s.n.now().Sub(row.Received) < life {
			s.n.showAttended(ctx, row)
		}
	}
	return nil
}

// maxReshown bounds the tokens that a new session repeats.
const maxReshown = 200

// person finds a person of this device by identifier or by name.
func (n *Node) person(ctx context.Context, who string) (store.Person, error) {
	var found []store.Person
	err := n.store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.Persons()
		for _, p := range all {
			if (p.ID.String() == who || strings.EqualFold(p.Name, who)) && !n.gone(p.ID) {
				found = append(found, p)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return store.Person{}, err
	case len(found) == 0:
		return store.Person{}, fmt.Errorf("%w: %.80q", ErrUnknownPerson, who)
	case len(found) > 1:
		return store.Person{}, fmt.Errorf("%w: %.80q names %d persons; give the identifier", ErrUnknownPerson, who, len(found))
	}
	return found[0], nil
}

// opened writes into the access log that a message was read here. Its sender hears of
// the first time.
func (n *Node) opened(ctx context.Context, row store.Message, person identity.PersonID) error {
	now, first := n.now(), row.Direction == store.In && row.Opened.IsZero()
	err := n.update(ctx, func(tx *store.Tx) error {
		if err := tx.Audit(actionOpened, row.Hash.String(), person, now); err != nil || !first {
			return err
		}
		if err := tx.SetOpened(row.Hash, now, person); err != nil {
			return err
		}
		return tx.SetStatus(row.Peer, delivery.Status{Message: row.Hash, Opened: unix(now)})
	})
	if errors.Is(err, store.ErrReadOnly) {
		return nil // a store opened to save what can be read
	}
	if first {
		n.stateSoon(row.Peer)
	}
	return err
}

// lastMoment keeps time.Time zero values out of arithmetic.
func lastMoment(ts ...time.Time) (t time.Time) {
	for _, x := range ts {
		if x.After(t) {
			t = x
		}
	}
	return t
}
