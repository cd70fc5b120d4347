package store

import (
	"errors"
	"fmt"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// User is somebody who may open the web desk of this device. Which rights a role has,
// and whether the person may still sign, is not the store's business.
type User struct {
	ID       [16]byte
	Name     string
	Roles    []string
	Person   identity.PersonID // zero: somebody who signs nothing
	Subject  string            // of the organisation's own sign-in, "issuer subject"; empty: none
	Passkeys [][]byte          // as the sign-in writes them; public keys, no secrets
}

type userRecord struct {
	_        struct{} `cbor:",toarray"`
	ID       [16]byte
	Name     string
	Roles    []string
	Person   identity.PersonID
	Subject  string
	Passkeys [][]byte
}

const maxUser = 64 << 10

// SetUser stores a user, replacing what was stored under the identifier. Sealed: who
// can write in the store's file cannot give himself a role.
func (tx *Tx) SetUser(u User) error {
	b, err := encodeUser(u)
	if err != nil {
		return fmt.Errorf("failed to store a user: %w", err)
	}
	if len(b) > maxUser {
		return fmt.Errorf("%w: user of %d bytes", ErrTooLarge, len(b))
	}
	box, err := tx.put(tx.rows(), kindUser, u.ID[:], b)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO user(id,box) VALUES(?,?) ON CONFLICT DO UPDATE SET box=excluded.box`, u.ID[:], box)
}

// User returns one user, or ErrNotFound.
func (tx *Tx) User(id [16]byte) (u User, err error) {
	err = tx.one(`SELECT id, box FROM user WHERE id=?`, args{id[:]}, func(r row1) error {
		u, err = tx.readUser(r)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = tx.notRemoved(kindUser, id[:])
	}
	return u, err
}

// Users returns all users by identifier.
func (tx *Tx) Users() (us []User, err error) {
	err = tx.each(`SELECT id, box FROM user ORDER BY id`, nil, func(r row1) error {
		u, err := tx.readUser(r)
		us = append(us, u)
		return err
	})
	return us, err
}

// DeleteUser forgets a user, if there is one.
func (tx *Tx) DeleteUser(id [16]byte) error {
	if err := tx.exec(`DELETE FROM user WHERE id=?`, id[:]); err != nil {
		return err
	}
	return tx.drop(kindUser, id[:])
}

func (tx *Tx) readUser(r row1) (User, error) {
	b, err := tx.get(tx.rows(), kindUser, r.blob(0), r.blob(1))
	if err != nil {
		return User{}, fmt.Errorf("failed to open a user: %w", err)
	}
	return parseUser(b)
}

func encodeUser(u User) ([]byte, error) {
	return canon.Marshal(userRecord{ID: u.ID, Name: u.Name, Roles: u.Roles, Person: u.Person, Subject: u.Subject, Passkeys: u.Passkeys})
}

func parseUser(b []byte) (User, error) {
	var r userRecord
	if err := canon.Unmarshal(b, maxUser, &r); err != nil {
		return User{}, fmt.Errorf("%w: user: %w", ErrTampered, err)
	}
	return User{ID: r.ID, Name: r.Name, Roles: r.Roles, Person: r.Person, Subject: r.Subject, Passkeys: r.Passkeys}, nil
}
