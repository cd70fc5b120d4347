package schakel

import (
	"context"
	"crypto/ed25519"
	"errors"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

// card is a person as the devices of the desk know one another's: the particulars, the
// key as it is locked under the PIN, and the key that restricted cases are closed for.
type card struct {
	_         struct{} `cbor:",toarray"`
	Name      string
	Function  string
	Telephone string
	Locked    []byte
	Reader    []byte // public key of store.ReaderOf
	Signature []byte // of the person over that: a device must not slip in a key of its own
}

const (
	maxCard     = 16 << 10
	settingCard = "person-card/" // what to tell of a person, until it was told
	readerLabel = "schakel/person/reader/v1\x00"
)

func readerToBeSigned(id identity.PersonID, reader []byte) []byte {
	return append(append([]byte(readerLabel), id[:]...), reader...)
}

// keepCard notes what this device tells its desk of a person, while the key is at hand.
func (n *Node) keepCard(tx *store.Tx, p Person, locked []byte, key *seal.PersonKey) error {
	reader, err := store.ReaderOf(key.Key)
	if err != nil {
		return err
	}
	c := card{Name: p.Name, Function: p.Function, Telephone: p.Telephone, Locked: locked, Reader: reader.Public(),
		Signature: ed25519.Sign(key.Key, readerToBeSigned(p.ID, reader.Public()))}
	b, err := canon.Marshal(c)
	if err != nil {
		return err
	}
	return tx.SetSetting(settingCard+p.ID.String(), b)
}

// cardOfOld makes the card of a person who was added before devices told each other.
func (n *Node) cardOfOld(ctx context.Context, p store.Person, key *seal.PersonKey) error {
	known := false
	err := n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.RecordHeads(delivery.RecordPerson, [16]byte{}, p.ID)
		if err != nil || len(rows) > 0 {
			known = true
			return err
		}
		_, err = tx.Setting(settingCard + p.ID.String())
		known = !errors.Is(err, store.ErrNotFound)
		return nil
	})
	if err != nil || known {
		return err
	}
	err = n.update(ctx, func(tx *store.Tx) error {
		return n.keepCard(tx, Person{ID: p.ID, Name: p.Name, Function: p.Function, Telephone: p.Telephone}, p.Locked, key)
	})
	if errors.Is(err, store.ErrReadOnly) {
		return nil
	}
	n.recheck.Store(true)
	return err
}

// tellPerson tells the desk's other devices of a person whom the register knows by
// now, once: a colleague signs on whichever device is at hand.
func (n *Node) tellPerson(ctx context.Context, id identity.PersonID) error {
	return n.update(ctx, func(tx *store.Tx) error {
		b, err := tx.Setting(settingCard + id.String())
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := n.write(tx, delivery.Record{Kind: delivery.RecordPerson, Thread: id, Content: b}, nil); err != nil {
			return err
		}
		return tx.DeleteSetting(settingCard + id.String())
	})
}

// person takes over a person of this desk from another of its devices.
func (in *intake) person(r delivery.Record) error {
	id := identity.PersonID(r.Thread)
	known, ok := in.n.directory().Person(id)
	var c card
	if !ok || known.Desk != in.n.dev.Desk || canon.Unmarshal(r.Content, maxCard, &c) != nil ||
		known.Key.Verify(readerToBeSigned(id, c.Reader), c.Signature) != nil {
		return in.tx.CountRejected("person-unproven")
	}
	if _, err := in.tx.Person(id); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return in.tx.SetPerson(store.Person{ID: id, Name: c.Name, Function: c.Function, Telephone: c.Telephone, Locked: c.Locked})
}

// readerOf returns the public key that restricted cases are closed with for a person.
func (n *Node) readerOf(tx *store.Tx, id identity.PersonID) ([]byte, error) {
	rows, err := tx.RecordHeads(delivery.RecordPerson, [16]byte{}, id)
	if err != nil {
		return nil, err
	}
	known, _ := n.directory().Person(id)
	for _, row := range rows {
		s, err := delivery.ParseRecord(row.Raw)
		if err != nil {
			return nil, err
		}
		var c card
		if canon.Unmarshal(s.Record.Content, maxCard, &c) == nil && known.Key.Verify(readerToBeSigned(id, c.Reader), c.Signature) == nil {
			return c.Reader, nil
		}
	}
	return nil, ErrNoReader
}
