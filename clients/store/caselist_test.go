package store_test

import (
	"errors"
	"testing"

	"schakel/clients/store"
	"schakel/crypto/identity"
)

// The case that moved last stands first, with what is unread in it; a destroyed one is
// in no list.
func TestCases(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		for _, n := range []uint64{1, 2, 3, 8} { // 8 is of case 1
			m := storedMessage(n, store.In)
			if n == 8 {
				m.Case = caseOf(1)
			}
			if _, err := tx.SaveMessage(m); err != nil {
				return err
			}
		}
		return errors.Join(tx.SetOpened(storedMessage(1, store.In).Hash, now, identity.PersonID{}), tx.DestroyCase(caseOf(3), now))
	})
	view(t, s, func(tx *store.Tx) error {
		all, err := tx.Cases(10, 0)
		if err != nil || len(all) != 2 || all[0].Ref != caseOf(1) || all[0].Messages != 2 || all[0].Unread != 1 || all[1].Ref != caseOf(2) || all[0].Last.IsZero() {
			t.Errorf("%+v, %v", all, err)
		}
		one, err := tx.Cases(1, 0)
		if err != nil || len(one) != 1 || one[0].Ref != caseOf(1) {
			t.Errorf("limited: %+v, %v", one, err)
		}
		rest, err := tx.Cases(10, 1)
		if err != nil || len(rest) != 1 || rest[0].Ref != caseOf(2) {
			t.Errorf("without the first: %+v, %v", rest, err)
		}
		return nil
	})
}

// A destroyed case has no key, and a list of what lives has no row of it.
func TestCaseRefs(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		for _, n := range []uint64{1, 2} {
			if _, err := tx.SaveMessage(storedMessage(n, store.In)); err != nil {
				return err
			}
		}
		return tx.DestroyCase(caseOf(2), now)
	})
	view(t, s, func(tx *store.Tx) error {
		refs, err := tx.CaseRefs()
		if err != nil || len(refs) != 1 || refs[0] != caseOf(1) {
			t.Errorf("%v, %v", refs, err)
		}
		for live, want := range map[bool]int{true: 1, false: 2} {
			if rows, err := tx.Messages(store.Query{Live: live}); err != nil || len(rows) != want {
				t.Errorf("live %t: %d rows, %v", live, len(rows), err)
			}
		}
		return nil
	})
}
