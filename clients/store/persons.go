package store

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"schakel/clients/store/vault"
	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// Person is a human who signs at this desk. The key is locked under that
// person's PIN or passphrase; the store's own key does not open it.
type Person struct {
	ID        identity.PersonID
	Name      string
	Function  string
	Telephone string
	Locked    []byte // of LockPerson
}

type personRecord struct {
	_         struct{} `cbor:",toarray"`
	ID        identity.PersonID
	Name      string
	Function  string
	Telephone string
	Locked    []byte
}

const maxPerson = 16 << 10

// LockPerson locks a person's signing key under a PIN or passphrase. workFactor 0
// means vault.DefaultWorkFactor: about a second, so never inside a transaction.
func LockPerson(key ed25519.PrivateKey, pin string, workFactor int) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("failed to lock a person key: %d bytes", len(key))
	}
	return vault.Lock(key.Seed(), pin, workFactor)
}

// Unlock opens the person's signing key. It refuses with vault.ErrPassphrase, and
// takes about a second.
func (p Person) Unlock(pin string) (ed25519.PrivateKey, error) {
	seed, err := vault.Unlock(p.Locked, pin)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: person key", ErrTampered)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// SetPerson stores a person, replacing what was stored under the identifier.
func (tx *Tx) SetPerson(p Person) error {
	b, err := encodePerson(p)
	if err != nil {
		return fmt.Errorf("failed to store a person: %w", err)
	}
	if len(b) > maxPerson {
		return fmt.Errorf("%w: person of %d bytes", ErrTooLarge, len(b))
	}
	box, err := tx.put(tx.rows(), kindPerson, p.ID[:], b)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO person(id,box) VALUES(?,?) ON CONFLICT DO UPDATE SET box=excluded.box`, p.ID[:], box)
}

// Person returns one person, or ErrNotFound.
func (tx *Tx) Person(id identity.PersonID) (p Person, err error) {
	err = tx.one(`SELECT id, box FROM person WHERE id=?`, args{id[:]}, func(r row1) error {
		p, err = tx.readPerson(r)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = tx.notRemoved(kindPerson, id[:])
	}
	return p, err
}

// Persons returns all persons by identifier.
func (tx *Tx) Persons() (ps []Person, err error) {
	err = tx.each(`SELECT id, box FROM person ORDER BY id`, nil, func(r row1) error {
		p, err := tx.readPerson(r)
		ps = append(ps, p)
		return err
	})
	return ps, err
}

// DeletePerson forgets a person and the key, if there is one.
func (tx *Tx) DeletePerson(id identity.PersonID) error {
	if err := tx.exec(`DELETE FROM person WHERE id=?`, id[:]); err != nil {
		return err
	}
	tx.destroyed = true
	return tx.drop(kindPerson, id[:])
}

func (tx *Tx) readPerson(r row1) (Person, error) {
	b, err := tx.get(tx.rows(), kindPerson, r.blob(0), r.blob(1))
	if err != nil {
		return Person{}, fmt.Errorf("failed to open a person: %w", err)
	}
	return parsePerson(b)
}

func encodePerson(p Person) ([]byte, error) {
	return canon.Marshal(personRecord{ID: p.ID, Name: p.Name, Function: p.Function, Telephone: p.Telephone, Locked: p.Locked})
}

func parsePerson(b []byte) (Person, error) {
	var r personRecord
	if err := canon.Unmarshal(b, maxPerson, &r); err != nil {
		return Person{}, fmt.Errorf("%w: person: %w", ErrTampered, err)
	}
	return Person{ID: r.ID, Name: r.Name, Function: r.Function, Telephone: r.Telephone, Locked: r.Locked}, nil
}
