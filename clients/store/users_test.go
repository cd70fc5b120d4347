package store_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"schakel/clients/store"
	"schakel/crypto/identity"
)

func TestUsers(t *testing.T) {
	s := newStore(t)
	want := store.User{ID: [16]byte{1}, Name: "Zoë", Roles: []string{"piket", "beheerder"}, Person: identity.PersonID{2}, Subject: "https://sso.example 7", Passkeys: [][]byte{{1}, {2, 3}}}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.SetUser(store.User{ID: want.ID, Name: "before"}), tx.SetUser(want), tx.SetUser(store.User{ID: [16]byte{9}}), tx.DeleteUser([16]byte{9}), tx.DeleteUser([16]byte{8}))
	})
	view(t, s, func(tx *store.Tx) error {
		got, err := tx.User(want.ID)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v", got)
		}
		if _, err := tx.User([16]byte{9}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
		if all, err := tx.Users(); len(all) != 1 || err != nil {
			t.Errorf("all: %v, %v", all, err)
		}
		return err
	})
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		return tx.SetUser(store.User{Passkeys: [][]byte{bytes.Repeat([]byte{1}, 70<<10)}})
	})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}
