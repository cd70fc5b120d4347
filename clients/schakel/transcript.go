package schakel

import (
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Who writes to several desks at once can sign one thing for the one and another for the
// other, in the same place of a case, each addressed to both: everybody believes that all
// read the same (F09). So a delivery names, behind its own message, what its desk has of
// others that the recipient was addressed in as well, and the recipient looks whether it has
// that. Nobody learns of a message in which he was not addressed.

const (
	// transcriptLook is how far back others' messages are named: as long as an envelope
	// lives, or a device that joined since would miss what it could not have.
	transcriptLook = life
	// maxTranscript bounds how many a delivery names; the newest ones.
	maxTranscript = delivery.MaxHeads / 2
	// maxLacking bounds what may be looked out for at once.
	maxLacking = 256
)

// headsWithShared is what a delivery says: the heads that its message follows and then, behind
// the message itself, what others sent to both desks.
func (n *Node) headsWithShared(tx *store.Tx, desk identity.DeskID, row store.Message) ([]message.Hash, error) {
	heads, err := tx.Heads(desk, row.Case)
	if err != nil {
		return nil, err
	}
	shared, err := n.sharedWith(tx, desk, row.Case)
	if err != nil || len(shared) == 0 {
		return headsFor(row.Hash, heads), err
	}
	heads = headsFor(row.Hash, heads)
	heads = heads[:min(len(heads), delivery.MaxHeads-1-len(shared))]
	return slices.Concat(heads, []message.Hash{row.Hash}, shared), nil
}

// sharedWith are the messages of others in a case that this desk and another were both
// addressed in, the newest first. What is closed to everybody but named persons stays out.
func (n *Node) sharedWith(tx *store.Tx, desk identity.DeskID, kase message.CaseRef) (out []message.Hash, err error) {
	rows, err := tx.Messages(store.Query{Direction: store.In, Case: kase, Live: true, Limit: 4 * maxTranscript})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.Peer == desk || len(out) == maxTranscript || n.now().Sub(row.Received) > transcriptLook {
			continue
		}
		whole, err := tx.Message(row.Hash)
		if errors.Is(err, store.ErrRestricted) || errors.Is(err, store.ErrDestroyed) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s, err := message.Parse(whole.Raw); err == nil && s.Message.AddressedTo(desk) {
			out = append(out, row.Hash)
		}
	}
	return out, nil
}

// compareTranscript looks whether this desk has what the other says that both were sent.
func (in *intake) compareTranscript(a *arrival, h message.Hash) error {
	at := slices.Index(a.delivery.Heads, h)
	if at < 0 || a.from == in.n.dev.Desk || !in.n.hadItAll(in.now) {
		return nil
	}
	for _, said := range a.delivery.Heads[at+1:] {
		if has, err := in.tx.HasMessage(said); err != nil {
			return err
		} else if has {
			continue
		}
		if n, err := in.tx.CountKept(store.ShelfLacking); err != nil || n >= maxLacking {
			return err
		}
		id := lackingID(a.from, said)
		if _, err := in.tx.Kept(store.ShelfLacking, id); err == nil {
			continue // looked out for since before
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := in.tx.Keep(store.ShelfLacking, store.Kept{ID: id, At: in.now, Content: []byte(a.from)}); err != nil {
			return err
		}
	}
	return nil
}

// hadItAll reports whether this device was there for as long as others look back, or from the
// first on: another may lack what came before it.
func (n *Node) hadItAll(now time.Time) bool {
	dir := n.directory()
	me, ok := dir.Device(n.dev.ID)
	if !ok || n.light {
		return false
	}
	return dir.FirstOf(me) || now.Sub(me.From) > transcriptLook+backdate
}

func lackingID(desk identity.DeskID, h message.Hash) []byte {
	of := sha256.Sum256([]byte(desk))
	return slices.Concat(of[:16], h[:])
}

// watchTranscripts tells of what did not come either in the time that a gap may last, and
// takes that back when it comes after all. What this desk refused is no surprise.
func (in *intake) watchTranscripts() error {
	rows, err := in.tx.KeptRows(store.ShelfLacking)
	for _, k := range rows {
		if err == nil && len(k.ID) == 48 {
			err = in.watchLacking(k, message.Hash(k.ID[16:]))
		}
	}
	return err
}

func (in *intake) watchLacking(k store.Kept, h message.Hash) error {
	has, err := in.tx.HasMessage(h)
	if err == nil && !has {
		if in.now.Sub(k.At) <= gapAlarm {
			return nil
		}
		has, err = in.tx.RejectedHere(h)
	}
	if err != nil {
		return err
	}
	said, err := in.tx.Kept(store.ShelfLacking, k.ID)
	if err != nil {
		return err
	}
	desk := identity.DeskID(said.Content)
	if !has && in.now.Sub(k.At) < 2*life {
		return in.raise(AlarmTranscript, string(desk)+" "+h.String(), string(desk))
	}
	if has {
		if err := in.clear(AlarmTranscript, string(desk)+" "+h.String()); err != nil {
			return err
		}
	}
	return in.tx.Forget(store.ShelfLacking, k.ID)
}

// explainDoubt says what it means that something does not fit what others do.
func explainDoubt(kind AlarmKind, a store.Alarm, call string) (text, remedy string, ok bool) {
	switch kind {
	case AlarmOutdated:
		return "Er kwam iets in een versie die dit programma niet kent. Het is apart bewaard.",
			"Laat de beheerder Schakel bijwerken. Is dit al de nieuwste versie, dan verandert iemand onderweg wat komt.", true
	case AlarmFlood:
		return a.Code + " stuurt meer berichten dan dit bureau aanneemt. Wat acuut is komt nog binnen; de rest wordt geweigerd, en de afzender hoort dat.",
			"Bel dat bureau: hun programma of apparaat kan in andere handen zijn. " + call, true
	case AlarmTranscript:
		return a.Code + " heeft een bericht in een zaak dat ook voor ons was, en dat hier niet is. Wij lezen niet hetzelfde.",
			"Bel dat bureau en vraag van wie dat bericht is en wat erin staat. Bel daarna die afzender. " + call, true
	}
	return "", "", false
}
