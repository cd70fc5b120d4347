package schakel

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// A desk can lose its device and come back with another: what was sealed for the lost one
// alone nobody can open any more, and what only the lost one had is gone from the desk. The
// sender still has the message, and makes its delivery again.

// forgottenAtOnce bounds what one statement has made again; the next one goes on.
const forgottenAtOnce = 64

// afterRevocations retires what is under way to devices of which none is left. It runs in
// the transaction that stores the entries.
func (n *Node) afterRevocations(tx *store.Tx, dir directory, entries [][]byte) error {
	if !slices.ContainsFunc(entries, revokes) {
		return nil
	}
	for _, desk := range dir.Desks() {
		if desk == n.dev.Desk {
			continue // records and copies: told anew to who is new
		}
		ds, err := tx.Underway(desk, n.now())
		if err != nil {
			return err
		}
		for _, d := range ds {
			if n.anyLeft(dir, d.Raw) {
				continue
			}
			if err := n.retire(tx, d.Envelope); err != nil {
				return err
			}
		}
	}
	return nil
}

// revokes reports whether an entry ends something: a device, or all below a desk or an
// organisation.
func revokes(raw []byte) bool {
	e, err := trust.ParseEntry(raw)
	if err != nil {
		return false // skipped and alarmed elsewhere
	}
	_, ok := e.Body.(trust.Revoke)
	return ok
}

// anyLeft reports whether some device that an envelope was sealed for can still fetch it.
func (n *Node) anyLeft(dir directory, raw []byte) bool {
	h, _, err := envelope.ParsePrefix(raw)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(h.Targets, func(t envelope.Target) bool {
		d, ok := dir.Device(t.Device)
		return ok && d.UsableAt(n.now())
	})
}

// forgotten makes again what a restored device of a desk does not have: its vector covers
// what came before it was there, which only a backup can have told it, and not all that its
// desk stated before anybody could seal to it. A device that is merely new covers nothing from before itself,
// and is told nothing again.
func (in *intake) forgotten(a *arrival, v delivery.Received) error {
	d, ok := in.n.directory().Device(a.header.Sealer)
	if !ok || v.Contiguous == 0 || a.from == in.n.dev.Desk || in.n.current() != nil {
		return nil
	}
	told, err := in.tx.Forgotten(a.from, d.ID, in.n.sealedSince(d.Device), v, forgottenAtOnce)
	if err != nil {
		return err
	}
	for _, t := range told {
		_, err := in.tellAgain(a.from, t.Message)
		if notNow(err) {
			return nil // the keys of the device are not here yet; its next statement asks again
		}
		if err != nil {
			return err
		}
		if err := in.tx.ToldAgain(t.Message, a.from, d.ID); err != nil {
			return err
		}
	}
	if len(told) > 0 {
		in.n.log.Info("delivered again to a restored device", "desk", a.from, "device", d.ID, "messages", len(told))
		in.n.poke()
	}
	return nil
}

// sealedSince is when everybody has sealed to a device at the latest. Between its request
// and its first keys lies the time until a colleague vouched for it. What it had already and
// gets once more within that time, it recognises.
func (n *Node) sealedSince(d trust.Device) time.Time {
	since := d.From.Add(backdate)
	if first, ok := n.directory().Epoch(d.ID, 1); ok && first.Until.Add(backdate).After(since) {
		return first.Until.Add(backdate)
	}
	return since
}

// tellAgain makes one delivery again to a desk that had the message. It moves no state: the
// desk has received it, whatever became of that. What this desk has destroyed, closed to
// named persons, or let expire stays away, and shows at the other end as a gap.
func (in *intake) tellAgain(desk identity.DeskID, h message.Hash) (made bool, err error) {
	row, err := in.tx.Message(h)
	if errors.Is(err, store.ErrRestricted) {
		row.Raw, err = in.tx.Unsent(h)
	}
	if errors.Is(err, store.ErrDestroyed) || errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	signed, err := message.Parse(row.Raw)
	if err != nil || !in.now.Before(time.Unix(int64(signed.Message.Heading.Expires), 0)) {
		return false, err
	}
	follows, err := in.n.headsWithShared(in.tx, desk, row)
	if err != nil {
		return false, err
	}
	d := delivery.Delivery{Kind: delivery.KindMessage, Content: signed.Raw, Heads: follows}
	return in.n.put(in.tx, h, desk, protocol.TierOf(signed.Message.Heading.Urgency, signed.Message.Heading.Class), d)
}

// repeatAgain makes once more what a desk has, and what went to it in an envelope that the relay
// refused, or that expired: told again to a restored device, which can ask before this one
// knows that the lost one is revoked; or made again needlessly, and its number is missing there.
func (n *Node) repeatAgain(tx *store.Tx) (repeated int, err error) {
	lost, err := tx.LostAgain(n.now(), forgottenAtOnce)
	if err != nil {
		return 0, err
	}
	in := &intake{n: n, tx: tx, now: n.now()}
	for _, r := range lost {
		resting, err := n.resting(tx, r)
		if err != nil {
			return repeated, err
		}
		if resting || n.asideNow(r) || n.current() != nil {
			continue
		}
		made, err := in.tellAgain(r.Desk, r.Message)
		switch {
		case notNow(err):
			continue
		case err == nil && made:
			repeated++
		case err == nil: // it is gone here: nobody is told of it any more
			err = in.letGo(r.Message, r.Desk, func(store.Delivery) bool { return true })
		}
		if err != nil {
			n.setAside(r)
			return repeated, fmt.Errorf("failed to deliver again to %s: %w", r.Desk, err)
		}
	}
	return repeated, nil
}
