package schakel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/custody"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

const (
	// statementPause gathers what happens close together into one statement.
	statementPause = 100 * time.Millisecond
	// statementEvery is how often a desk with an open case hears from this one at least,
	// even when nothing happened: as much silence after that again is an alarm.
	statementEvery = time.Hour
	// statementSooner is how often it hears indeed: one that is lost is not silence.
	statementSooner = 50 * time.Minute
	// peerOpen is how long after the last traffic a desk counts as one with an
	// open case.
	peerOpen = 30 * 24 * time.Hour
	// resendAfter is how long a delivery may be at the relay without the
	// recipient's vector covering it, while later ones are covered.
	resendAfter     = 30 * time.Second
	resendTailAfter = 2 * time.Minute
	// maybeLost is how long a line can be dead before either end finds out, and more.
	maybeLost = 2 * time.Minute
)

// stateSoon makes a statement to a desk due.
func (n *Node) stateSoon(desk identity.DeskID) {
	if n.silent(desk) {
		return
	}
	n.mu.Lock()
	if _, due := n.stating[desk]; !due {
		n.stating[desk] = n.now().Add(statementPause)
	}
	n.mu.Unlock()
	n.poke()
}

// stateAll sends the statements that are due. Nothing of a statement is kept: one
// that is lost is replaced by the next, which says the same and more.
func (n *Node) stateAll(ctx context.Context) (wait time.Duration, err error) {
	s := n.live()
	if s == nil || !s.online.Load() {
		return 0, nil
	}
	now := n.now()
	n.mu.Lock()
	var due []identity.DeskID
	for desk, at := range n.stating {
		if !at.After(now) {
			due = append(due, desk)
			delete(n.stating, desk)
			n.unheard[desk] = stated{}
		} else if left := at.Sub(now); wait == 0 || left < wait {
			wait = left
		}
	}
	n.mu.Unlock()
	slices.Sort(due)
	for _, desk := range due {
		if err := n.state(ctx, s, desk); err != nil {
			return wait, err
		}
	}
	return wait, nil
}

func (n *Node) state(ctx context.Context, s *session, desk identity.DeskID) error {
	targets, err := n.targets(desk)
	if errors.Is(err, ErrCoolingOff) { // hashes and times: who has nobody else there must hear that we are
		var all []sealableDevice
		if all, err = n.keyed(desk, n.now()); err == nil {
			targets, err = n.withKeys(desk, all[:min(len(all), envelope.MaxTargets)])
		}
	}
	if err != nil {
		n.stateLater(desk)
		return nil // no keys, no epoch, no device: nobody there to hear it now
	}
	id, raw, err := n.sealStatement(ctx, desk, targets)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.unheard[desk] = stated{id, sha256.Sum256(raw)}
	n.mu.Unlock()
	if err := s.say(ctx, wire.Put{Envelope: raw}); err != nil {
		n.stateLater(desk) // the session is over: say it in the next one
	}
	return nil
}

// stated is a statement that left; zero while it is made.
type stated struct {
	envelope envelope.ID
	digest   [sha256.Size]byte
}

// statementKept takes the relay's promise for an envelope that the outbox does not know: the
// latest statement to some desk, perhaps.
func (n *Node) statementKept(b custody.Batch, leaf custody.Leaf) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for desk, st := range n.unheard {
		if st.envelope != leaf.ID || st == (stated{}) {
			continue
		}
		if err := leaf.In(b, st.digest); err != nil {
			return err
		}
		delete(n.unheard, desk)
	}
	return nil
}

// sealStatement makes the next statement to a desk.
func (n *Node) sealStatement(ctx context.Context, desk identity.DeskID, targets []seal.Target) (id envelope.ID, raw []byte, err error) {
	d := delivery.Delivery{Kind: delivery.KindStatement}
	err = n.update(ctx, func(tx *store.Tx) error {
		st, err := n.statement(tx, desk)
		if err != nil {
			return err
		}
		said := len(st.Statuses)
		if d.Heads, err = wholeIn(tx, &st); err != nil {
			return err
		}
		if len(st.Statuses) < said {
			n.restLater(desk)
		}
		if d.Content, err = delivery.Encode(st); err != nil {
			return err
		}
		if d.Counter, err = tx.LastCounter(desk); err != nil {
			return err
		}
		return tx.StatementSent(desk, st.Number, st.Statuses, n.now())
	})
	if err != nil {
		return id, nil, err
	}
	p, raw, err := n.seal(desk, targets, envelope.TierNone, d)
	return p.ID, raw, err
}

// stateLater tries a desk again that nothing could be sealed to.
func (n *Node) stateLater(desk identity.DeskID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stating[desk] = n.now().Add(5*time.Second + rand.N(5*time.Second))
}

// stateAgain makes statements due to the desks that have not shown that they saw
// the last one: it may have gone with a connection, or with the relay's store. One that left
// shortly before the connection ended, or before this run, may not have reached the relay:
// its recipient would miss this desk an hour before the next.
func (n *Node) stateAgain(ctx context.Context) error {
	n.mu.Lock()
	sure, unheard := n.conn.before, maps.Clone(n.unheard)
	n.mu.Unlock()
	if !sure.IsZero() {
		sure = sure.Add(-maybeLost)
	}
	return n.store.View(ctx, func(tx *store.Tx) error {
		peers, err := tx.OpenPeers()
		if err != nil {
			return err
		}
		for _, p := range peers {
			pending, err := tx.PendingStatuses(p.Desk, 1)
			if err != nil {
				return err
			}
			_, lost := unheard[p.Desk]
			if (len(pending) > 0 || lost || p.StatementOut.After(sure)) && p.Desk != n.dev.Desk {
				n.stateSoon(p.Desk)
			}
		}
		return nil
	})
}

// stateRefused makes the latest statements due again, a little later: the relay refused one,
// as it does what is sealed to a device that was revoked a moment ago, and who waits for it
// would miss this desk.
func (n *Node) stateRefused(ctx context.Context) error {
	return n.store.View(ctx, func(tx *store.Tx) error {
		peers, err := tx.OpenPeers()
		for _, p := range peers {
			if p.Desk != n.dev.Desk && !n.silent(p.Desk) && n.now().Sub(p.StatementOut) < maybeLost {
				n.stateLater(p.Desk)
			}
		}
		return err
	})
}

// stateNow makes postponed statements to a desk due: there are keys for it now.
func (n *Node) stateNow(desk identity.DeskID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, due := n.stating[desk]; due {
		n.stating[desk] = n.now()
	}
}

// statement declares what this device has of a desk.
func (n *Node) statement(tx *store.Tx, desk identity.DeskID) (delivery.Statement, error) {
	number, err := tx.NextStatementNumber(desk)
	if err != nil {
		return delivery.Statement{}, err
	}
	away, err := n.awayUntil(tx)
	if err != nil {
		return delivery.Statement{}, err
	}
	st := delivery.Statement{
		Version: delivery.Version, From: n.dev.Desk, To: desk, Number: number,
		At: unix(n.now()), Next: unix(lastMoment(n.now().Add(statementEvery), away)), Spoken: n.stated(),
	}
	if st.Peers, err = tx.Received(desk, n.now()); err != nil {
		return st, err
	}
	st.Unreadable = n.takeUnreadable(desk)
	st.Statuses, err = tx.PendingStatuses(desk, delivery.MaxStatuses)
	if len(st.Statuses) == delivery.MaxStatuses {
		n.restLater(desk)
	}
	return st, err
}

// restLater has what found no room in a statement stated in the next one.
func (n *Node) restLater(desk identity.DeskID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stating[desk] = n.now().Add(statementPause)
}

// noteUnreadable remembers, for the next statement, an envelope that claims to come
// from a desk and does not open here. The claim is the relay's: at worst somebody
// seals a message once more that had arrived.
func (n *Node) noteUnreadable(desk identity.DeskID, id envelope.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ids := n.unreadable[desk]; len(ids) < delivery.MaxUnreadable && !slices.Contains(ids, id) {
		n.unreadable[desk] = append(ids, id)
	}
}

func (n *Node) takeUnreadable(desk identity.DeskID) []envelope.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := n.unreadable[desk]
	delete(n.unreadable, desk)
	return ids
}

// statement applies what a peer desk declares. It moves states forward only.
func (in *intake) statement(a *arrival) error {
	st := a.statement
	at := time.Unix(int64(min(st.At, unix(in.now))), 0)
	err := in.tx.SaveStatement(a.header.Sealer, st, in.now)
	if errors.Is(err, store.ErrOlder) {
		return in.again(a, a.header.Sealer, "older-statement") // replayed or overtaken (attack B05)
	}
	if err != nil {
		return err
	}
	if err := in.hears(a.header.Sealer, st.Spoken); err != nil {
		return err
	}
	gone, ahead, err := in.tx.Confirmed(a.from, st.Peers, at)
	if err != nil {
		return err
	}
	if ahead {
		if err := in.raise(AlarmEquivocation, a.header.Sealer.String(), "counter-never-given"); err != nil {
			return err
		}
	}
	for _, d := range gone {
		in.event(EventStatus, d.Message, a.from)
	}
	for _, status := range st.Statuses {
		if err := in.status(a, status, at); err != nil {
			return err
		}
	}
	if err := in.filesThere(a, at); err != nil {
		return err
	}
	if err := in.tx.ClearAlarm(string(AlarmSilence), string(a.from)); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return in.resend(a, st)
}

// status moves one recipient, and keeps the signed statement as proof of the move.
// Acknowledged is not taken from here: only a person's signature says so.
func (in *intake) status(a *arrival, s delivery.Status, at time.Time) error {
	desk := a.from
	for _, step := range []struct {
		when  uint64
		state store.RecipientState
		rule  string
	}{{s.Received, store.Delivered, ""}, {s.Opened, store.Opened, ""}, {s.Rejected, store.Rejected, s.Rule}} {
		if step.when == 0 {
			continue
		}
		err := in.tx.SetRecipient(s.Message, desk, step.state, at, step.rule)
		if errors.Is(err, store.ErrNotFound) {
			return in.tx.CountRejected("status-of-unknown")
		}
		if err != nil {
			return err
		}
		if err := in.prove(a, s.Message, step.state); err != nil {
			return err
		}
		in.event(EventStatus, s.Message, desk)
	}
	if err := in.calm(s.Message, desk, AlarmUndelivered); err != nil {
		return err
	}
	if s.Rejected == 0 && s.Rule != "" {
		if err := in.remarked(s, desk); err != nil {
			return err
		}
	}
	if s.Rejected != 0 {
		if err := in.raise(AlarmReturned, subject(s.Message, desk), string(desk)); err != nil {
			return err
		}
	}
	return in.confirmed(s.Message, desk)
}

// prove keeps the statement in a as proof of how far a message came. What a desk
// states to itself proves nothing to anybody. A statement that was blown up beyond all
// sense moves the state all the same, and is counted as not kept.
func (in *intake) prove(a *arrival, h message.Hash, state store.RecipientState) error {
	if a.from == in.n.dev.Desk {
		return nil
	}
	raw, err := a.evidence.Encode()
	if err != nil {
		return err
	}
	err = in.tx.KeepProof(h, a.from, state, raw)
	if errors.Is(err, store.ErrTooLarge) {
		return in.tx.CountRejected("statement-not-kept")
	}
	return err
}

// confirmed forgets the deliveries of a message that its desk has stated by name, but for
// those of this device that its vector does not cover: one that was made again needlessly and
// never left would be a number that is missing there for ever, and alarms somebody. It goes,
// and is known there when it comes.
func (in *intake) confirmed(h message.Hash, desk identity.DeskID) error {
	return in.letGo(h, desk, func(d store.Delivery) bool { return d.Sealer != in.n.dev.ID })
}

// letGo forgets those deliveries of a message to a desk that it is asked about and says so.
func (in *intake) letGo(h message.Hash, desk identity.DeskID, goes func(store.Delivery) bool) error {
	ds, err := in.tx.DeliveriesOf(h, desk)
	if err != nil {
		return err
	}
	for _, d := range ds {
		if !goes(d) {
			continue
		}
		if err := in.tx.DeleteDelivery(d.Envelope); err != nil {
			return err
		}
	}
	return nil
}

// resend makes again what the peer did not get: envelopes that did not open there,
// and counters that its vector does not cover though the relay took them a while
// ago. The newest ones get longer: they may still be in its mailbox.
func (in *intake) resend(a *arrival, st delivery.Statement) error {
	desk := a.from
	again := st.Unreadable
	for _, p := range st.Peers {
		// A file was days on its way, perhaps: what it does not cover says nothing. The next
		// file holds all that is not confirmed, and the relay brings newer statements.
		if p.Device != in.n.dev.ID || a.byFile {
			continue
		}
		gap, err := in.tx.Uncovered(desk, p.Device, highest(p), in.now.Add(-resendAfter))
		if err != nil {
			return err
		}
		tail, err := in.tx.Uncovered(desk, p.Device, math.MaxInt64, in.now.Add(-resendTailAfter))
		if err != nil {
			return err
		}
		again = append(append(again, gap...), tail...)
		if err := in.forgotten(a, p); err != nil {
			return err
		}
	}
	for _, id := range again {
		if err := in.retireAgain(desk, id); err != nil {
			return fmt.Errorf("failed to deliver again: %w", err)
		}
	}
	return nil
}

func highest(p delivery.Received) uint64 {
	if k := len(p.Beyond); k > 0 {
		return p.Beyond[k-1]
	}
	return p.Contiguous
}

// maxAgain bounds how often a delivery to one desk is made at once because that
// desk says it cannot read it; after that only time makes it again.
const maxAgain = 4

// retireAgain retires one envelope of this device to that desk.
func (in *intake) retireAgain(desk identity.DeskID, id envelope.ID) error {
	d, err := in.tx.Delivery(id)
	if errors.Is(err, store.ErrNotFound) || err == nil && d.Desk != desk {
		return nil
	}
	if err != nil {
		return err
	}
	made, err := in.tx.DeliveriesOf(d.Message, desk)
	if err != nil || len(made) >= maxAgain {
		return err
	}
	in.n.poke()
	return in.n.retire(in.tx, id)
}
