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

// Who can write pages cannot give himself a role, take a user away, or put one in the place
// of another.
func TestUsersAreSealed(t *testing.T) {
	for name, sql := range map[string]string{
		"edit":   `UPDATE user SET box=zeroblob(length(box)) WHERE id=(SELECT min(id) FROM user)`,
		"delete": `DELETE FROM user WHERE id=(SELECT min(id) FROM user)`,
		"swap":   `UPDATE user SET box=(SELECT box FROM user ORDER BY id DESC LIMIT 1) WHERE id=(SELECT min(id) FROM user)`,
	} {
		s := newStore(t)
		update(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.SetUser(store.User{ID: [16]byte{1}, Roles: []string{"piket"}}), tx.SetUser(store.User{ID: [16]byte{2}, Roles: []string{"beheerder"}}))
		})
		if err := s.Verify(t.Context()); err != nil {
			t.Errorf("control: %v", err)
		}
		if _, err := s.Meddle(sql); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(t.Context()); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
