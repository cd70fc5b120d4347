package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/seal"
)

func readKey(t testing.TB) *seal.ReadKey {
	t.Helper()
	k, err := seal.NewReadKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func trace(what string) string { return "canary of a " + what }

// fillCase puts an inbound and an outbound message, a note and a draft in case 1, each
// with a canary, of which the outbound one still waits for a desk.
func fillCase(tx *store.Tx, t *testing.T, n uint64) error {
	in, out := storedMessage(8*n+1, store.In), storedMessage(8*(n+100)+1, store.Out)
	in.Raw, out.Raw = fmt.Appendf(nil, "%s %d", trace("inbound message"), n), fmt.Appendf(nil, "%s %d", trace("outbound message"), n)
	_, err1 := tx.SaveMessage(in)
	_, err2 := tx.SaveMessage(out)
	_, err3 := tx.SaveRecord(storedRecord(t, delivery.RecordNote, fmt.Sprint(trace("note"), n)), true)
	_, err4 := tx.SaveRecord(storedRecord(t, delivery.RecordDraft, fmt.Sprint(trace("draft"), n)), true)
	return errors.Join(err1, err2, err3, err4, tx.AddRecipient(out.Hash, peer, now, now))
}

// seen are the canaries that somebody with the store's keys finds.
func seen(t *testing.T, s *store.Store) (found []string) {
	t.Helper()
	here := map[string]bool{}
	kinds := []string{"inbound message", "outbound message", "note", "draft"}
	err := s.Readable(t.Context(), func(b []byte) {
		for _, what := range kinds {
			here[what] = here[what] || bytes.Contains(b, []byte(trace(what)))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range kinds {
		if here[what] {
			found = append(found, what)
		}
	}
	return found
}

// Nobody who has the keys of the store finds content of a restricted case in it: not what
// was there, nor what came later. The control: of an open case he finds everything.
func TestRestrictedCaseIsNotInTheStore(t *testing.T) {
	p := newPlace(t)
	s, key := p.create(t), readKey(t)
	update(t, s, func(tx *store.Tx) error { return fillCase(tx, t, 1) })
	if found := seen(t, s); len(found) != 4 {
		t.Fatalf("the control finds %v in an open case", found)
	}
	before, err := s.CaseKeyForTest(t.Context(), caseOf(1))
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error { return tx.RestrictCase(caseOf(1), key.Lock()) })
	if found := seen(t, s); fmt.Sprint(found) != "[outbound message]" {
		t.Fatalf("found %v: only what must still be sealed for a desk may be there", found)
	}
	after, err := s.CaseKeyForTest(t.Context(), caseOf(1))
	if err != nil || bytes.Equal(before[:32], after[:32]) {
		t.Errorf("the key of the open case is still there: %v", err)
	}
	if st, err := os.Stat(filepath.Join(p.dir, "store.db-wal")); err != nil || st.Size() != 0 {
		t.Errorf("the log was not folded: %v, %v", st.Size(), err)
	}
	update(t, s, func(tx *store.Tx) error {
		if err := fillCase(tx, t, 2); err != nil {
			return err
		}
		for _, n := range []uint64{1, 2} { // every desk has stated them
			if err := tx.SetRecipient(storedMessage(8*(n+100)+1, store.Out).Hash, peer, store.Delivered, now, ""); err != nil {
				return err
			}
		}
		closed, err := tx.CloseSent()
		if closed != 2 {
			t.Errorf("%d messages closed", closed)
		}
		return err
	})
	if found := seen(t, s); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
	opensWith(t, p.open(t), key, 4, 4)
}

// opensWith counts what opens of case 1, without a key and with one.
func opensWith(t *testing.T, s *store.Store, key *seal.ReadKey, messages, records int) {
	t.Helper()
	view(t, s, func(tx *store.Tx) error {
		ms, err := tx.Messages(store.Query{Case: caseOf(1)})
		if err != nil || len(ms) != messages {
			t.Fatalf("%d messages, %v", len(ms), err)
		}
		for _, m := range ms {
			if got, err := tx.Message(m.Hash); !errors.Is(err, store.ErrRestricted) || got.Raw != nil || got.Class != "melding" {
				t.Errorf("without a key: %q, %v", got.Raw, err)
			}
		}
		tx.OpenWith(readKey(t))
		if _, err := tx.Message(ms[0].Hash); !errors.Is(err, store.ErrRestricted) {
			t.Errorf("with another key: %v", err)
		}
		tx.OpenWith(key)
		for _, m := range ms {
			if got, err := tx.Message(m.Hash); err != nil || !bytes.HasPrefix(got.Raw, []byte("canary")) {
				t.Errorf("with the key: %q, %v", got.Raw, err)
			}
		}
		open := 0
		for _, k := range []delivery.RecordKind{delivery.RecordNote, delivery.RecordDraft} {
			rs, err := tx.Records(k, caseOf(1))
			if err != nil {
				return err
			}
			for _, r := range rs {
				if bytes.Contains(r.Raw, []byte("canary")) && len(r.Closed) == len(r.Raw)+seal.ReadOverhead {
					open++
				}
			}
		}
		if open != records {
			t.Errorf("%d notes and drafts open, want %d", open, records)
		}
		return nil
	})
}

// A second lock closes what comes from then on; what was closed to the first stays so.
func TestRestrictedAgain(t *testing.T) {
	s, first, second := newStore(t), readKey(t), readKey(t)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(fillCase(tx, t, 1), tx.RestrictCase(caseOf(1), first.Lock()), tx.RestrictCase(caseOf(1), second.Lock()), fillCase(tx, t, 2))
	})
	view(t, s, func(tx *store.Tx) error {
		lock, err := tx.CaseLock(caseOf(1))
		if !bytes.Equal(lock, second.Lock().Bytes()) {
			t.Error("the case is closed to another lock")
		}
		ids, err2 := tx.LocksOf(caseOf(1))
		if len(ids) != 2 {
			t.Errorf("%d locks", len(ids))
		}
		tx.OpenWith(second)
		old, err3 := tx.Message(storedMessage(8+1, store.In).Hash)
		if !errors.Is(err3, store.ErrRestricted) || old.Lock != first.Lock().ID() {
			t.Errorf("the second key opens what was closed to the first: %v", err3)
		}
		fresh, err4 := tx.Message(storedMessage(16+1, store.In).Hash)
		if len(fresh.Raw) == 0 {
			t.Error("the second key does not open what came later")
		}
		return errors.Join(err, err2, err4)
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A closed note travels to another device of the desk, and opens there with the same key.
func TestClosedRecordTravels(t *testing.T) {
	s, other, key := newStore(t), newStore(t), readKey(t)
	note := storedRecord(t, delivery.RecordNote, trace("note"))
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.SaveRecord(note, true)
		return errors.Join(err, tx.RestrictCase(caseOf(1), key.Lock()))
	})
	var row store.Record
	view(t, s, func(tx *store.Tx) (err error) { row, err = tx.Record(note.Hash()); return err })
	update(t, other, func(tx *store.Tx) error {
		for _, fresh := range []bool{true, false} {
			if got, err := tx.SaveClosed(row, nil); err != nil || got != fresh {
				t.Errorf("saved: %v, %v", got, err)
			}
		}
		for _, wrong := range []store.Record{{Kind: delivery.RecordAssign, Case: row.Case, Lock: row.Lock, Closed: row.Closed},
			{Kind: row.Kind, Lock: row.Lock, Closed: row.Closed}, {Kind: row.Kind, Case: row.Case, Closed: row.Closed}, {Kind: row.Kind, Case: row.Case, Lock: row.Lock}} {
			if _, err := tx.SaveClosed(wrong, nil); !errors.Is(err, store.ErrConflict) {
				t.Errorf("saved %+v: %v", wrong, err)
			}
		}
		tx.OpenWith(key)
		got, err := tx.Record(note.Hash())
		if !bytes.Equal(got.Raw, note.Raw) {
			t.Error("the note does not open")
		}
		return err
	})
}

// Destroying a restricted case takes everything with it.
func TestRestrictedCaseDestroyed(t *testing.T) {
	s, key := newStore(t), readKey(t)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(fillCase(tx, t, 1), tx.RestrictCase(caseOf(1), key.Lock()))
	})
	update(t, s, func(tx *store.Tx) error { return tx.DestroyCase(caseOf(1), now) })
	if found := seen(t, s); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// The power fails at every write of the transaction that restricts a case: the case is
// open, whole, or closed, whole.
func TestPowerCutWhileRestricting(t *testing.T) {
	p := newPlace(t)
	d, s := journalled(t, p)
	key := readKey(t)
	update(t, s, func(tx *store.Tx) error { return fillCase(tx, t, 1) })
	d.mark(t, p, 0)
	d.created = len(d.journal) - 1
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.RestrictCase(caseOf(1), key.Lock()), tx.SetRecipient(storedMessage(809, store.Out).Hash, peer, store.Delivered, now, ""), sent(tx))
	})
	outcomes := map[int]int{}
	for at := d.created + 1; at < len(d.journal); at++ {
		after := place{dir: filepath.Join(t.TempDir(), "store"), ways: p.ways}
		d.cut(t, p, after, at, rand.New(rand.NewPCG(9, uint64(at))))
		left := after.open(t)
		found := seen(t, left)
		outcomes[len(found)]++
		if err := left.Verify(t.Context()); err != nil || len(found) != 0 && len(found) != 4 {
			t.Fatalf("cut at %d: found %v, %v", at, found, err)
		}
		left.Close()
	}
	if outcomes[0] == 0 || outcomes[4] == 0 {
		t.Errorf("the cuts do not show both outcomes: %v", outcomes)
	}
}

func sent(tx *store.Tx) error {
	_, err := tx.CloseSent()
	return err
}

// A store of the version before this one opens, and its cases can be restricted.
func TestOlderStoreCanRestrict(t *testing.T) {
	p := newPlace(t)
	s, key := p.create(t), readKey(t)
	update(t, s, func(tx *store.Tx) error { return fillCase(tx, t, 1) })
	toSchema(t, s, 2)
	s.Close()
	s = p.open(t)
	update(t, s, func(tx *store.Tx) error { return tx.RestrictCase(caseOf(1), key.Lock()) })
	if found := seen(t, s); fmt.Sprint(found) != "[outbound message]" {
		t.Errorf("found %v", found)
	}
	opensWith(t, s, key, 2, 2)
}

// What comes in a restricted case after it was destroyed is for the same persons only.
func TestRestrictedCaseComesBackClosed(t *testing.T) {
	for _, restrict := range []bool{true, false} {
		s, key := newPlace(t).create(t), readKey(t)
		update(t, s, func(tx *store.Tx) error {
			if err := fillCase(tx, t, 1); err != nil || !restrict {
				return err
			}
			return tx.RestrictCase(caseOf(1), key.Lock())
		})
		update(t, s, func(tx *store.Tx) error { return tx.DestroyCase(caseOf(1), now) })
		update(t, s, func(tx *store.Tx) error {
			m := storedMessage(8*3+1, store.In)
			m.Raw = []byte(trace("inbound message"))
			_, err := tx.SaveMessage(m)
			return err
		})
		if found := seen(t, s); (len(found) == 0) != restrict {
			t.Errorf("restricted %v: found %v", restrict, found)
		}
		view(t, s, func(tx *store.Tx) error {
			if lock, err := tx.CaseLock(caseOf(1)); err != nil || restrict != bytes.Equal(lock, key.Lock().Bytes()) {
				t.Errorf("restricted %v: lock of %d bytes, %v", restrict, len(lock), err)
			}
			return nil
		})
		if err := s.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
