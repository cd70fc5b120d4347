package schakel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Where the ladder of a desk asks for several persons, the first acknowledges to the
// sender as everywhere. Each further one confirms: a record that this person signs and
// that stays within the desk. Until enough different persons signed, the ladder goes on
// for those who have not.

const (
	// settingSigners begins the name under which the persons are kept who signed for a
	// message here, in the order in which this device heard of them.
	settingSigners = "signers/"
	// settingShort holds the messages that were acknowledged and for which
	// more persons must sign.
	settingShort = "short-handed"
	maxShort     = 1000
	maxSigners   = 64
	maxKept      = 64 << 10
)

// learnLadders remembers how many persons must sign for a message of each tier, so that
// a list need not open the rota for every row.
func (n *Node) learnLadders(tx *store.Tx) error {
	s, err := n.rota(tx)
	if err != nil && !errors.Is(err, ErrNoRota) {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for tier := range n.signersAsked {
		n.signersAsked[tier] = max(1, s.roster.Ladder(envelope.Tier(tier)).Acknowledgers)
	}
	return nil
}

// signersFor is how many persons must sign for a message.
func (n *Node) signersFor(row store.Message) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(1, n.signersAsked[min(protocol.TierOf(row.Urgency, row.Class), envelope.TierAcute)])
}

// signers are the persons of this desk who signed for a message, as known here.
func signers(tx *store.Tx, h message.Hash) (ids []identity.PersonID, err error) {
	err = kept(tx, settingSigners+h.String(), &ids)
	return ids, err
}

// kept reads a list that this device keeps; where there is none it is empty.
func kept(tx *store.Tx, setting string, list any) error {
	b, err := tx.Setting(setting)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return canon.Unmarshal(b, maxKept, list)
}

func keep(tx *store.Tx, setting string, list any) error {
	b, err := canon.Marshal(list)
	if err != nil {
		return err
	}
	return tx.SetSetting(setting, b)
}

// signed notes that a person of this desk signed for a message: with the acknowledgement
// itself, or with a record after it.
func (n *Node) signed(tx *store.Tx, h message.Hash, person identity.PersonID) error {
	all, err := signers(tx, h)
	if err != nil {
		return err
	}
	if !slices.Contains(all, person) && len(all) < maxSigners {
		all = append(all, person)
		if err := keep(tx, settingSigners+h.String(), all); err != nil {
			return err
		}
	}
	row, err := tx.Message(h)
	if err != nil && !errors.Is(err, store.ErrRestricted) { // what it says is not asked
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDestroyed) {
			return nil
		}
		return err
	}
	short := row.Direction == store.In && !row.Acknowledged.IsZero() && !n.ackDue(row).IsZero() && len(all) < n.signersFor(row)
	return listShort(tx, h, short)
}

// listShort puts a message on the list of those that need more persons, or takes it off.
func listShort(tx *store.Tx, h message.Hash, short bool) error {
	before, err := shortList(tx)
	if err != nil {
		return err
	}
	if slices.Contains(before, h) == short {
		return nil
	}
	after := slices.DeleteFunc(slices.Clone(before), func(other message.Hash) bool { return other == h })
	if short {
		after = append(after, h)
	}
	return keep(tx, settingShort, after[max(0, len(after)-maxShort):])
}

func shortList(tx *store.Tx) (list []message.Hash, err error) {
	err = kept(tx, settingShort, &list)
	return list, err
}

// shortRow is a message that somebody acknowledged and for which more persons must sign.
type shortRow struct {
	store.Message
	signers []identity.PersonID
}

// shortHanded are the messages for which more persons must sign, the oldest first. One
// that cannot be read does not hide the others.
func (n *Node) shortHanded(tx *store.Tx) (out []shortRow, broken error) {
	list, broken := shortList(tx)
	for _, h := range list {
		row, err := tx.Message(h)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDestroyed) {
			continue
		}
		if err != nil && !errors.Is(err, store.ErrRestricted) {
			broken = errors.Join(broken, err)
			continue
		}
		signed, err := signers(tx, h)
		broken = errors.Join(broken, err)
		if len(signed) < n.signersFor(row) { // the ladder may ask for fewer by now
			out = append(out, shortRow{row, signed})
		}
	}
	return out, broken
}

// confirm is the signature of a further person under a message that a colleague has
// acknowledged; with the last that is asked for the relay's ladder ends. The sender hears nothing of it: it was told that somebody has it, and
// who. What this person did first becomes a note. already is the refusal where nobody more is asked for.
func (n *Node) confirm(ctx context.Context, row store.Message, a Acknowledgement, already error) (Sent, error) {
	p, err := n.person(ctx, a.Person)
	if err != nil {
		return Sent{}, err
	}
	wanted := func(tx *store.Tx) error {
		list, err := shortList(tx)
		if err != nil {
			return err
		}
		by, err := signers(tx, row.Hash)
		if err == nil && (!slices.Contains(list, row.Hash) || slices.Contains(by, p.ID) || len(by) >= n.signersFor(row)) {
			err = already
		}
		return err
	}
	if err := n.store.View(ctx, wanted); err != nil {
		return Sent{}, err
	}
	if a.Status != "" && a.Status != protocol.StatusTaken || !a.AnswerBy.IsZero() {
		return Sent{}, fmt.Errorf("%w; who confirms after that says nothing to the sender: leave out the status and the time of the answer", already)
	}
	key, err := n.unlock(ctx, p.ID.String(), a.PIN)
	if err != nil {
		return Sent{}, err
	}
	in := &intake{n: n, now: n.now()}
	err = n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		if err := wanted(tx); err != nil { // a colleague may have been faster
			return err
		}
		if _, err := n.write(tx, delivery.Record{Kind: delivery.RecordConfirm, Case: row.Case, Content: row.Hash[:]}, key); err != nil {
			return err
		}
		if a.FirstAction != "" { // nobody else hears of it: it is for the colleagues
			if _, err := n.write(tx, delivery.Record{Kind: delivery.RecordNote, Case: row.Case, Content: []byte(a.FirstAction)}, key); err != nil {
				return err
			}
		}
		if err := tx.Audit("confirmed", row.Hash.String(), p.ID, in.now); err != nil {
			return err
		}
		in.event(EventAcknowledged, row.Hash, n.dev.Desk)
		return n.signed(tx, row.Hash, p.ID)
	})
	n.written(in.events, err)
	if err == nil {
		n.showAttended(ctx, row)
	}
	return Sent{Hash: row.Hash.String(), ID: row.ID.String(), Case: row.Case.String(), Exercise: row.Exercise, Confirmed: true}, err
}

// alsoSigned takes in that a colleague confirmed on another device of this desk.
func (in *intake) alsoSigned(r delivery.Record) error {
	if len(r.Content) != len(message.Hash{}) {
		return in.tx.CountRejected("confirmation-malformed")
	}
	h := message.Hash(r.Content)
	in.event(EventAcknowledged, h, in.n.dev.Desk)
	return in.n.signed(in.tx, h, identity.PersonID(r.Person))
}

// Confirmations says which persons of this desk signed for a message, where its ladder
// asks for more than one.
type Confirmations struct {
	By    []string `json:"by"`    // names, in the order in which this device heard of them
	Asked int      `json:"asked"` // how many different persons must
}

// Short reports whether more persons must sign.
func (c *Confirmations) Short() bool { return c != nil && len(c.By) < c.Asked }

// confirmations is nil where one person is enough, and where nobody signed yet.
func (n *Node) confirmations(tx *store.Tx, row store.Message) (*Confirmations, error) {
	asked := n.signersFor(row)
	if asked < 2 || row.Direction != store.In || row.Acknowledged.IsZero() {
		return nil, nil
	}
	ids, err := signers(tx, row.Hash)
	c := &Confirmations{By: []string{}, Asked: asked}
	for _, id := range ids {
		c.By = append(c.By, n.nameOf(tx, id))
	}
	if len(ids) == 0 { // by a program that kept no list
		return nil, err
	}
	return c, err
}

func (n *Node) shownShort(tx *store.Tx) (out []ShortHanded, err error) {
	rows, err := n.shortHanded(tx)
	for _, row := range rows {
		c, err := n.confirmations(tx, row.Message)
		if err != nil {
			return out, err
		}
		if c != nil {
			out = append(out, ShortHanded{Message: row.Hash.String(), Urgency: row.Urgency, Exercise: row.Exercise, Confirmations: *c})
		}
	}
	return out, err
}
