package schakel

import (
	"context"
	"errors"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
)

// card is a person as the devices of one desk tell each other: the particulars, and the
// key as it is locked under the PIN. Whoever signs with it is still checked against the
// register, so a device that lies about it gains nothing.
type card struct {
	_         struct{} `cbor:",toarray"`
	Name      string
	Function  string
	Telephone string
	Locked    []byte
}

const maxCard = 16 << 10

// tellPerson tells the desk's other devices, once, of a person whom the register knows
// by now: a colleague signs on whichever device is at hand.
func (n *Node) tellPerson(ctx context.Context, id identity.PersonID) error {
	told := false
	err := n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.RecordHeads(delivery.RecordPerson, [16]byte{}, id)
		told = len(rows) > 0
		return err
	})
	if err != nil || told {
		return err
	}
	return n.update(ctx, func(tx *store.Tx) error {
		p, err := tx.Person(id)
		if err != nil {
			return err
		}
		content, err := canon.Marshal(card{Name: p.Name, Function: p.Function, Telephone: p.Telephone, Locked: p.Locked})
		if err != nil {
			return err
		}
		_, err = n.write(tx, delivery.Record{Kind: delivery.RecordPerson, Thread: id, Content: content}, nil)
		return err
	})
}

// person takes over a person of this desk from another of its devices. What stands here
// already stays.
func (in *intake) person(r delivery.Record) error {
	id := identity.PersonID(r.Thread)
	known, ok := in.n.directory().Person(id)
	var c card
	if !ok || known.Desk != in.n.dev.Desk || canon.Unmarshal(r.Content, maxCard, &c) != nil {
		return in.tx.CountRejected("person-unknown")
	}
	if _, err := in.tx.Person(id); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return in.tx.SetPerson(store.Person{ID: id, Name: c.Name, Function: c.Function, Telephone: c.Telephone, Locked: c.Locked})
}
