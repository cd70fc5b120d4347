//go:build linux

package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"schakel/clients/store"
	"schakel/relay/queue/queuetest/disktest"
)

// A real disk runs full below a store. While there is little room it takes nothing, which it
// says by name, and goes on as soon as there is more; where the disk fills up within a transaction,
// it says the same, and has to be opened again. Nothing that had returned is lost. The control is
// that a file takes the last of the room.
func TestDiskFull(t *testing.T) {
	dir := disktest.TmpfsWithin(t, 64<<20)
	if dir == "" {
		return // it was run there
	}
	p := newPlace(t)
	p.dir = filepath.Join(dir, "store")
	s := p.create(t)
	fill(t, s, 1, 5)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := crashStep(t, s); !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrBroken) {
		t.Errorf("with little room: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 6, 7)

	err := s.Update(t.Context(), func(tx *store.Tx) error {
		if err := os.WriteFile(ballast, make([]byte, 64<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal("the control: there is room:", err)
		}
		for n := uint64(8); n < 100; n++ {
			if err := sendOne(tx, n, crashBody(n)); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("filled up within a transaction: %v", err)
	}
	if err := errors.Join(s.Close(), os.Remove(ballast)); err != nil {
		t.Fatal(err)
	}
	if last, err := lastStep(t, p); err != nil || last != 7 {
		t.Errorf("opened again: transaction %d, %v", last, err)
	}
}
