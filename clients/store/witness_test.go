package store_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"schakel/clients/store"
	"schakel/crypto/identity"
)

// written is a log of n lines on a store of its own, as runs of one line.
func writtenLog(t *testing.T, n int, action string) []store.LogRun {
	t.Helper()
	s := newStore(t)
	var runs []store.LogRun
	var chain [sha256.Size]byte
	update(t, s, func(tx *store.Tx) error {
		for i := range n {
			if err := tx.Audit(action, "subject", identity.PersonID{}, now); err != nil {
				return err
			}
			run, err := tx.AuditRun(uint64(i), chain, 1)
			if err != nil {
				return err
			}
			runs, chain = append(runs, run), run.After()
		}
		return nil
	})
	return runs
}

// Runs in any order make the same log; one that rewrites what was shown is refused.
func TestWitnessedLog(t *testing.T) {
	device := identity.DeviceID{7}
	honest, rewritten := writtenLog(t, 6, "opened"), writtenLog(t, 6, "altered")
	s := newStore(t)
	witness := func(run store.LogRun) (err error) {
		update(t, s, func(tx *store.Tx) error { err = tx.Witness(device, run); return nil })
		return err
	}
	for _, i := range []int{0, 3, 1, 4, 1} {
		if err := witness(honest[i]); err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	if lines, missing := witnessed(t, s, device); lines != 4 || missing != 1 {
		t.Errorf("%d lines, %d missing", lines, missing)
	}
	restarted := rewritten[0] // the log was cut to nothing and grew again
	for name, run := range map[string]store.LogRun{
		"rewritten line":   rewritten[1],
		"rewritten gap":    rewritten[2],
		"rewritten end":    rewritten[5],
		"begun again":      restarted,
		"number skipped":   {From: 9, Before: honest[5].Before, Lines: honest[5].Lines},
		"no lines":         {From: 6, Before: honest[5].Before},
		"rubbish":          {From: 6, Before: honest[5].Before, Lines: [][]byte{{1}}},
		"not from nothing": {From: 1, Before: [32]byte{1}, Lines: honest[0].Lines},
	} {
		if err := witness(run); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, i := range []int{2, 5} { // the control: what continues is taken after all that
		if err := witness(honest[i]); err != nil {
			t.Errorf("run %d: %v", i, err)
		}
	}
	if lines, missing := witnessed(t, s, device); lines != 6 || missing != 0 {
		t.Errorf("%d lines, %d missing", lines, missing)
	}
}

func witnessed(t *testing.T, s *store.Store, d identity.DeviceID) (lines int, missing uint64) {
	t.Helper()
	view(t, s, func(tx *store.Tx) (err error) {
		missing, err = tx.WitnessedLog(d, func(store.AuditEntry) error { lines++; return nil })
		return err
	})
	return lines, missing
}

// Who can write pages of the database cannot edit, delete, cut off or reorder what
// other devices showed.
func TestWitnessedLogIsSealed(t *testing.T) {
	device, runs := identity.DeviceID{7}, writtenLog(t, 3, "opened")
	for name, sql := range map[string][]string{
		"edit":     {`UPDATE witnessed SET box=zeroblob(length(box)) WHERE number=2`},
		"delete":   {`DELETE FROM witnessed WHERE number=2`},
		"truncate": {`DELETE FROM witnessed WHERE number>=2`},
		"reorder": {`UPDATE witnessed SET number=99 WHERE number=1`, `UPDATE witnessed SET number=1 WHERE number=2`,
			`UPDATE witnessed SET number=2 WHERE number=99`},
	} {
		s := newStore(t)
		update(t, s, func(tx *store.Tx) error {
			for _, run := range runs {
				if err := tx.Witness(device, run); err != nil {
					return err
				}
			}
			return nil
		})
		if err := s.Verify(t.Context()); err != nil {
			t.Fatalf("control: %v", err)
		}
		for _, one := range sql {
			if _, err := s.Meddle(one); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Verify(t.Context()); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same four on this device's own log.
func TestOwnLogIsChained(t *testing.T) {
	for name, sql := range map[string][]string{
		"control":  nil,
		"edit":     {`UPDATE audit SET entry=(SELECT entry FROM audit WHERE number=1) WHERE number=2`},
		"delete":   {`DELETE FROM audit WHERE number=2`},
		"truncate": {`DELETE FROM audit WHERE number>=2`},
		"reorder": {`UPDATE audit SET number=99 WHERE number=1`, `UPDATE audit SET number=1 WHERE number=2`,
			`UPDATE audit SET number=2 WHERE number=99`},
	} {
		s := newStore(t)
		update(t, s, func(tx *store.Tx) error {
			for _, subject := range []string{"a", "b", "c"} {
				if err := tx.Audit("opened", subject, identity.PersonID{}, now); err != nil {
					return err
				}
			}
			return nil
		})
		for _, one := range sql {
			if _, err := s.Meddle(one); err != nil {
				t.Fatal(err)
			}
		}
		err := s.View(t.Context(), func(tx *store.Tx) error {
			return tx.AuditLog(func(store.AuditEntry) error { return nil })
		})
		if errors.Is(err, store.ErrTampered) != (sql != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
