package schakel

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

// Send checks, signs and seals a message and puts it on disk. It travels when the
// connection stands; use Wait to see it travel. It refuses before anything is
// sealed with a *protocol.Refusal, ErrUnknownDesk, ErrLane, ErrNoDevice,
// ErrNoEpoch, ErrPersonNeeded, ErrUnknownPerson or ErrPIN; and a saved draft that is gone
// or was changed meanwhile with ErrNotFound.
func (n *Node) Send(ctx context.Context, d Draft) (Sent, error) {
	m, known, err := n.compose(ctx, d)
	if err != nil {
		return Sent{}, err
	}
	person, err := n.unlock(ctx, d.Person, d.PIN)
	if err != nil {
		return Sent{}, err
	}
	if person != nil {
		m.Person = person.ID[:]
	}
	if err := n.keepsProtocol(m, known); err != nil && !careless {
		return Sent{}, err
	}
	deceive(&m)
	sent, err := n.commit(ctx, m, person, n.dropSent(d, person))
	if d.Saved != nil {
		n.written(nil, err)
	}
	return sent, err
}

// commit signs a message and puts it on disk with all that is to be done for it.
// also runs in the same transaction.
func (n *Node) commit(ctx context.Context, m message.Message, person *seal.PersonKey, also func(*store.Tx, message.Signed) error) (Sent, error) {
	signed, err := seal.SignMessage(m, n.keys, person)
	if err != nil {
		return Sent{}, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if len(signed.Raw) > message.MaxSize {
		return Sent{}, fmt.Errorf("%w: %d bytes signed, at most %d", ErrTooLarge, len(signed.Raw), message.MaxSize)
	}
	err = n.update(ctx, func(tx *store.Tx) error {
		if err := n.record(tx, signed); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx, signed); err != nil {
				return err
			}
		}
		return n.keepOwedAs(tx, m.Case, person)
	})
	if err != nil {
		return Sent{}, err
	}
	// What can be sealed now is sealed now; upkeep does the rest. The message is on
	// disk and will travel: an error here must not make anybody send it again.
	if _, err := n.makeDeliveries(ctx); err != nil {
		n.log.Error("deliveries not made yet, will try again", "err", err)
	}
	n.moves.poke()
	h := signed.Hash()
	n.publish(EventStatus, h.String(), "")
	return Sent{Hash: h.String(), ID: m.ID.String(), Case: m.Case.String(), Exercise: protocol.IsExercise(m)}, nil
}

// record stores an outgoing message and its recipients. The desk's own other
// devices are one more recipient: they get a copy.
func (n *Node) record(tx *store.Tx, signed message.Signed) error {
	m, hash, now := signed.Message, signed.Hash(), n.now()
	if _, err := tx.SaveMessage(storedMessage(signed, store.Out, m.Addressed[0], now)); err != nil {
		return err
	}
	if err := markedToo(tx, signed.Hash(), staleFlags(m)); err != nil {
		return err
	}
	if err := n.sendAttachments(tx, signed); err != nil {
		return err
	}
	deadline := n.ackDeadline(m)
	for _, desk := range m.Addressed {
		if err := tx.AddRecipient(hash, desk, now, deadline); err != nil {
			return err
		}
	}
	if _, err := n.sealable(n.dev.Desk, now); (err == nil || errors.Is(err, ErrCoolingOff)) && !slices.Contains(m.Addressed, n.dev.Desk) {
		return tx.AddRecipient(hash, n.dev.Desk, now, time.Time{})
	}
	return nil
}

// ackDeadline is when a named person of each addressed desk must have
// acknowledged; zero where the protocol asks for none.
func (n *Node) ackDeadline(m message.Message) time.Time {
	terms, ok := n.terms(m)
	if !ok || m.Heading.Class == protocol.ClassAcknowledgement || terms.Acknowledged.IsZero() {
		return time.Time{}
	}
	return terms.Acknowledged.End(time.Unix(int64(m.Created), 0), n.judgedBy(m).Calendar())
}

func (n *Node) terms(m message.Message) (protocol.Terms, bool) {
	class, ok := n.judgedBy(m).Class(m.Heading.Class)
	if !ok {
		return protocol.Terms{}, false
	}
	return class.Terms(m.Heading.Urgency)
}

// compose makes the message of a draft. Who may be written to is checked before
// anything else: nothing is signed for a desk that may not read it. It also returns
// the case as it is known here, to check the message against.
//
// It is written in the newest version that every addressed desk speaks and that the
// draft keeps: a form of the agreement still fills in what the next version may ask more
// of. What keeps none is written in the oldest, whose refusal the sender then hears.
func (n *Node) compose(ctx context.Context, d Draft) (m message.Message, known protocol.Case, err error) {
	to := slices.Compact(slices.Sorted(slices.Values(d.To)))
	if err := n.reachable(to); err != nil && !(errors.Is(err, ErrCoolingOff) && d.Class == protocol.ClassAcknowledgement) {
		return m, known, err // that somebody has it is noted here and waits, so that nobody is paged on
	}
	stale, err := n.despite(d)
	if err != nil {
		return m, known, err
	}
	var versions []*protocol.Catalogue
	err = n.store.View(ctx, func(tx *store.Tx) (err error) {
		versions, err = n.shared(tx, to)
		return err
	})
	defer func() { m.Heading.Stale = stale }()
	for i, c := range versions {
		if m, known, err = n.composeIn(ctx, c, to, d); err != nil || i == len(versions)-1 {
			break
		}
		draft := protocol.DraftOf(m, present{n.directory()})
		if draft.Person = true; c.Check(draft, known).Refusal() == nil {
			break
		}
	}
	if err == nil && d.Person == "" && protocol.NeedsPerson(d.Class) && !careless {
		err = fmt.Errorf("%w: class %s", ErrPersonNeeded, d.Class)
	}
	return m, known, err
}

// composeIn makes the message of a draft in one version.
func (n *Node) composeIn(ctx context.Context, c *protocol.Catalogue, to []identity.DeskID, d Draft) (message.Message, protocol.Case, error) {
	var known protocol.Case
	at := n.moment()
	m := message.Message{
		Version: message.Version, Sender: message.Sender{Desk: n.dev.Desk, Device: n.dev.ID},
		Addressed: to, Created: unix(at), Body: d.Body,
		Attachments: []message.Attachment{}, Enclosed: [][]byte{}, Person: []byte{},
		Heading: message.Heading{
			Protocol: c.Protocol(), Class: d.Class, Urgency: d.Urgency, Outcome: d.Outcome,
			Answers: []message.Ref{}, RestsOn: []message.Ref{},
		},
	}
	id, err := identity.NewUUIDv7(at, rand.Reader)
	if err != nil {
		return m, known, err
	}
	m.ID = message.ID(id)
	m.Heading.Expires = unix(n.lifeEnd(m))
	a, err := n.accessFor(ctx, d)
	if err != nil {
		return m, known, err
	}
	err = n.inside(ctx, a, false, func(tx *store.Tx) error {
		if err := errors.Join(n.refer(tx, &m, d), n.takeAlong(tx, c, &m, d)); err != nil || d.unread {
			return err
		}
		known, err = n.complete(tx, &m, d.encloses)
		return err
	})
	return m, known, err
}

// moment is the time, and never the same millisecond twice: every desk puts what this
// device says in the order in which it said it.
func (n *Node) moment() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := n.now().Truncate(time.Millisecond); now.After(n.lastSaid) || n.lastSaid.Sub(now) > clockSlack {
		n.lastSaid = now // a clock that was put back far goes its own way again
	} else {
		n.lastSaid = n.lastSaid.Add(time.Millisecond)
	}
	return n.lastSaid
}

// accessFor is what the person who signs a draft may read of its case. In a restricted
// case that must be one of those named for it: nobody can keep the rules unread.
func (n *Node) accessFor(ctx context.Context, d Draft) (a access, err error) {
	ref := cmp.Or(d.Case, d.Answers)
	if ref == "" || d.unread {
		return a, nil
	}
	restricted := false
	err = n.store.View(ctx, func(tx *store.Tx) error {
		kase, err := caseRef(tx, ref)
		if err != nil {
			return nil //nolint:nilerr // refer says what is wrong with it
		}
		lock, err := tx.CaseLock(kase)
		restricted = lock != nil
		return err
	})
	if err != nil || !restricted {
		return a, err
	}
	if d.Person == unknownSigner {
		d.Person = ""
	}
	return n.accessTo(ctx, ref, By{Person: d.Person, PIN: d.PIN})
}

// unknownSigner stands for whoever will sign what is only prepared.
const unknownSigner = "-"

// unknownNumber stands for the number that somebody will say was called.
const unknownNumber = "+00000000"

// reachable checks the addressed desks: known, allowed, and with a device that has
// a key for now.
func (n *Node) reachable(desks []identity.DeskID) error {
	dir := n.directory()
	for _, desk := range desks {
		if state, ok := dir.Desk(desk); !ok || !state.Active() {
			return fmt.Errorf("%w: %s", ErrUnknownDesk, desk)
		}
		if !dir.lane(n.dev.Desk, desk) {
			return fmt.Errorf("%w: %s (%s) to %s (%s)", ErrLane, n.dev.Desk, dir.role(n.dev.Desk), desk, dir.role(desk))
		}
		if err := n.mayWrite(desk); err != nil {
			return err
		}
		if _, err := n.sealable(desk, n.now()); err != nil {
			return err
		}
	}
	return nil
}

// lifeEnd is until when this device keeps trying to deliver.
func (n *Node) lifeEnd(m message.Message) time.Time {
	created := time.Unix(int64(m.Created), 0)
	if terms, ok := n.terms(m); ok && !terms.Life.IsZero() {
		return terms.Life.End(created, n.judgedBy(m).Calendar())
	}
	return created.Add(life)
}

// refer fills in the case and the messages that a draft answers and rests on. An
// answer belongs to the case of what it answers.
func (n *Node) refer(tx *store.Tx, m *message.Message, d Draft) error {
	if d.Case != "" {
		u, err := identity.ParseUUID(d.Case)
		if err != nil {
			return fmt.Errorf("case: %w", err)
		}
		m.Case = message.CaseRef(u)
	}
	for _, ref := range d.RestsOn {
		row, err := find(tx, ref)
		if err != nil {
			return fmt.Errorf("rests on %.80q: %w", ref, err)
		}
		m.Heading.RestsOn = append(m.Heading.RestsOn, message.Ref{ID: row.ID, Hash: row.Hash})
	}
	if d.Answers != "" {
		row, err := find(tx, d.Answers)
		if err != nil {
			return fmt.Errorf("answers %.80q: %w", d.Answers, err)
		}
		m.Heading.Answers = []message.Ref{{ID: row.ID, Hash: row.Hash}}
		if d.Case == "" {
			m.Case = row.Case
		}
	}
	if d.Exercise {
		m.Heading.Exercise = true
	}
	if m.Case == (message.CaseRef{}) {
		u, err := identity.NewUUIDv7(n.now(), rand.Reader)
		m.Case = message.CaseRef(u)
		return err
	}
	return inherit(tx, m)
}

// inherit marks what is said in the case of an exercise as part of it: nobody has to
// remember the mark, and an acknowledgement gets it too (R30). The reverse does not
// hold: who begins an exercise in a real case is refused.
func inherit(tx *store.Tx, m *message.Message) error {
	rows, err := tx.Messages(store.Query{Case: m.Case, Limit: 1})
	if err == nil && len(rows) > 0 && rows[0].Exercise {
		m.Heading.Exercise = true
	}
	return err
}

func find(tx *store.Tx, ref string) (store.Message, error) {
	row, err := tx.FindMessage(ref)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return row, fmt.Errorf("%w: %.80q", ErrNotFound, ref)
	case errors.Is(err, store.ErrAmbiguous):
		return row, fmt.Errorf("%w: %.80q", ErrAmbiguous, ref)
	case errors.Is(err, store.ErrRestricted):
		return row, nil // what it is may be known; Raw stays empty
	}
	return row, err
}

// unlock opens a person's signing key with the person's PIN, or with what LetSign gave in
// its place; nil for nobody. A PIN takes about a second on purpose, and runs outside any
// transaction.
func (n *Node) unlock(ctx context.Context, who, pin string) (*seal.PersonKey, error) {
	if who == "" {
		return nil, nil
	}
	p, err := n.person(ctx, who)
	if err != nil {
		return nil, err
	}
	key := n.open.of(p.ID, pin)
	if key == nil {
		key, err = p.Unlock(pin)
	}
	if errors.Is(err, vault.ErrPassphrase) {
		return nil, ErrPIN
	}
	if err != nil {
		return nil, err
	}
	person := &seal.PersonKey{ID: p.ID, Key: key}
	return person, n.keepReading(ctx, person)
}

// SendTest sends an empty test delivery to a desk: it pages nobody, enters no case
// and is not repeated. It needs a connection.
func (n *Node) SendTest(ctx context.Context, to identity.DeskID) error {
	if err := n.reachable([]identity.DeskID{to}); err != nil {
		return err
	}
	if err := n.current(); err != nil {
		return err
	}
	s := n.live()
	if s == nil {
		return ErrUnreachable
	}
	targets, err := n.targets(to)
	if err != nil {
		return err
	}
	_, raw, err := n.seal(to, targets, envelope.TierNone, delivery.Delivery{Kind: delivery.KindTest, Content: []byte("test")})
	if err != nil {
		return err
	}
	return s.say(ctx, wire.Put{Envelope: raw})
}
