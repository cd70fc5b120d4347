package store_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"schakel/clients/store"
)

func TestShelves(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	row := func(id string, after time.Duration) store.Kept {
		return store.Kept{ID: []byte(id), At: now.Add(after), Content: []byte("content of " + id)}
	}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.Keep(store.ShelfTokens, row("a", time.Hour)), tx.Keep(store.ShelfTokens, row("a", 0)), tx.Keep(store.ShelfTokens, row("b", time.Minute)),
			tx.Keep(store.ShelfTokens, row("c", time.Hour)), tx.Keep(store.ShelfParcels, row("a", 0)), tx.Keep(store.ShelfTokens, row("d", 0)),
			tx.Forget(store.ShelfTokens, []byte("d")), tx.Forget(store.ShelfTokens, []byte("e")))
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = p.open(t)
	view(t, s, func(tx *store.Tx) error {
		due, err := tx.KeptUntil(store.ShelfTokens, now.Add(time.Minute), 10)
		if err != nil || len(due) != 2 || string(due[0].ID) != "a" || string(due[1].ID) != "b" || !due[1].At.Equal(now.Add(time.Minute)) {
			t.Errorf("due: %v, %v", due, err)
		}
		if first, err := tx.KeptUntil(store.ShelfTokens, now.Add(time.Hour), 1); err != nil || len(first) != 1 {
			t.Errorf("one: %v, %v", first, err)
		}
		if _, err := tx.Kept(store.ShelfTokens, []byte("d")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("forgotten: %v", err)
		}
		if k, err := tx.Kept(store.ShelfParcels, []byte("a")); err != nil || string(k.Content) != "content of a" {
			t.Errorf("of another shelf: %v, %v", k, err)
		}
		n, err := tx.CountKept(store.ShelfTokens)
		if n != 3 {
			t.Errorf("%d rows", n)
		}
		return err
	})
	for _, k := range []store.Kept{{}, {ID: bytes.Repeat([]byte{1}, 65)}, {ID: []byte{1}, Content: make([]byte, 300<<10)}} {
		if err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.Keep(store.ShelfTokens, k) }); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%d bytes under %d: %v", len(k.Content), len(k.ID), err)
		}
	}
}

// Who can write pages cannot give a program a right, take a row away, or put one in the
// place of another, of this shelf or of one more.
func TestShelvesAreSealed(t *testing.T) {
	for name, sql := range map[string]string{
		"edit":    `UPDATE kept SET box=zeroblob(length(box)) WHERE row=x'0101'`,
		"delete":  `DELETE FROM kept WHERE row=x'0101'`,
		"swap":    `UPDATE kept SET box=(SELECT box FROM kept WHERE row=x'0102') WHERE row=x'0101'`,
		"reshelf": `UPDATE kept SET row=x'0201', shelf=2 WHERE row=x'0101'`,
	} {
		s := newStore(t)
		update(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.Keep(store.ShelfTokens, store.Kept{ID: []byte{1}, Content: []byte("a")}), tx.Keep(store.ShelfTokens, store.Kept{ID: []byte{2}, Content: []byte("b")}))
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
