package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"schakel/clients/store"
	"schakel/crypto/message"
)

// The first proof of each step stays, a statement that speaks of many messages is kept
// once, and it goes with the last case that it speaks of.
func TestProofs(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	fill(t, s, 1, 9) // 1 and 9 are in one case
	hash := func(n uint64) message.Hash { return storedMessage(n, store.Out).Hash }
	both, late := []byte("a statement on 1, 9 and 2"), []byte("a later one on 1")
	update(t, s, func(tx *store.Tx) error {
		for _, n := range []uint64{1, 9, 2} {
			if err := tx.KeepProof(hash(n), "vt20/crisis", store.Delivered, both); err != nil {
				return err
			}
		}
		return errors.Join(tx.KeepProof(hash(1), "vt20/crisis", store.Delivered, late), tx.KeepProof(hash(1), "vt20/crisis", store.Opened, late))
	})
	var first, opened store.Proof
	view(t, s, func(tx *store.Tx) error {
		ps, err := tx.Proofs(hash(1))
		if err != nil || len(ps) != 2 {
			t.Fatalf("%d proofs, %v", len(ps), err)
		}
		first, opened = ps[0], ps[1]
		raw, err := tx.Proven(first.Hash)
		if !bytes.Equal(raw, both) {
			t.Errorf("the first proof is %q", raw)
		}
		return err
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	kept := func(h [32]byte) (kept bool) {
		view(t, s, func(tx *store.Tx) error {
			_, err := tx.Proven(h)
			if kept = err == nil; errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			return err
		})
		return kept
	}
	destroy := func(n uint64) {
		update(t, s, func(tx *store.Tx) error { return tx.DestroyCase(caseOf(n), now) })
	}
	destroy(1)
	if !kept(first.Hash) || kept(opened.Hash) {
		t.Error("a proof of another case went, or one of nothing stayed")
	}
	destroy(2)
	if kept(first.Hash) {
		t.Error("a proof of nothing stayed")
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	update(t, s, func(tx *store.Tx) error {
		if err := tx.KeepProof(hash(3), "vt20/crisis", store.Delivered, make([]byte, store.MaxProof+1)); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("a blown-up proof: %v", err)
		}
		return nil
	})
}

// A changed proof is refused, and so is one that was taken away.
func TestMeddledProofs(t *testing.T) {
	for name, sql := range map[string]string{"changed": `UPDATE proof SET box=zeroblob(60)`, "taken away": `DELETE FROM proof`} {
		p := newPlace(t)
		s := p.create(t)
		fill(t, s, 1, 1)
		h := storedMessage(1, store.Out).Hash
		update(t, s, func(tx *store.Tx) error { return tx.KeepProof(h, "vt20/crisis", store.Delivered, []byte("statement")) })
		if _, err := s.Meddle(sql); err != nil {
			t.Fatal(err)
		}
		view(t, s, func(tx *store.Tx) error {
			ps, err := tx.Proofs(h)
			if err != nil {
				return err
			}
			if _, err := tx.Proven(ps[0].Hash); !errors.Is(err, store.ErrTampered) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
}

// A store of every earlier schema opens, with everything in it, and can do what is new.
func TestOpensEarlierSchemas(t *testing.T) {
	for version := len(undo); version >= 1; version-- {
		p := filled(t, 3)
		s := p.open(t)
		toSchema(t, s, version)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = p.open(t)
		update(t, s, func(tx *store.Tx) error {
			return tx.KeepProof(storedMessage(1, store.Out).Hash, "vt20/crisis", store.Delivered, []byte("statement"))
		})
		if err := s.Verify(t.Context()); err != nil {
			t.Errorf("schema %d: %v", version, err)
		}
		view(t, s, func(tx *store.Tx) error {
			m, err := tx.Message(storedMessage(2, store.Out).Hash)
			if err != nil || !bytes.Equal(m.Raw, crashBody(2)) {
				t.Errorf("schema %d: message 2: %v", version, err)
			}
			return nil
		})
		s.Close()
	}
}

// undo takes away what each schema added, from 2 on.
var undo = [...][]string{
	{`DROP TABLE record`, `DROP TABLE followed`, `DROP TABLE witnessed`},
	{`DROP TABLE proves`, `DROP TABLE proof`},
	{`DROP INDEX message_verdict`, `ALTER TABLE message DROP COLUMN lock`, `ALTER TABLE message DROP COLUMN verdict`,
		`ALTER TABLE message DROP COLUMN addressed`, `ALTER TABLE record DROP COLUMN lock`, `DROP TABLE unsent`},
	{`DROP TABLE watch`, `DROP TABLE paged`},
	{`DROP INDEX message_list`, `DROP INDEX message_unread`, `DROP INDEX message_unacked`, `DROP TABLE user`},
	{`DROP INDEX recipient_again`, `ALTER TABLE recipient DROP COLUMN counter`, `ALTER TABLE recipient DROP COLUMN envelope`, `ALTER TABLE recipient DROP COLUMN again`},
	{`DROP TABLE kept`},
	{`DROP TABLE attachment`},
}

// toSchema takes away what came after a schema.
func toSchema(t *testing.T, s *store.Store, version int) {
	t.Helper()
	for from := len(undo) + 1; from > version; from-- {
		for _, sql := range append(undo[from-2], fmt.Sprintf(`PRAGMA user_version=%d`, from-1)) {
			if _, err := s.Meddle(sql); err != nil {
				t.Fatal(sql, err)
			}
		}
	}
}
