package store

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ncruces/go-sqlite3"
)

// Decisions a caller can take.
var (
	ErrNotFound   = errors.New("not in the store")
	ErrAmbiguous  = errors.New("more than one message begins like that: give more characters")
	ErrInUse      = errors.New("another process has this store open: stop it, or talk to the running daemon")
	ErrExists     = errors.New("there is a store in this folder already")
	ErrTampered   = errors.New("stored content is not what this device wrote there: stop, keep the folder, ask the security officer")
	ErrRolledBack = errors.New("this is an older copy of the store: enrol as a new device, and let another device of the desk bring the history")
	ErrDamaged    = errors.New("store file damaged: enrol as a new device, and let another device of the desk bring the history")
	ErrNewer      = errors.New("a newer version of this program made this store: update this one")
	ErrFull       = errors.New("no room left on the disk of the store")
	ErrReadOnly   = errors.New("this transaction only reads")
	ErrBroken     = errors.New("an earlier commit failed and nobody knows whether it is on disk: open the store again")
	ErrClosed     = errors.New("store is closed")
	ErrDestroyed  = errors.New("content was destroyed with the key of its case")
	ErrRestricted = errors.New("closed to the persons named for its case")
	ErrGap        = errors.New("entries do not follow what is stored")
	ErrOlder      = errors.New("older than what is stored")
	ErrConflict   = errors.New("something else is stored under this name")
	ErrTooLarge   = errors.New("too large to store")
)

// fail gives an error of SQLite the meaning it has for the caller.
func fail(what string, err error) error {
	meaning := error(nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB), errors.Is(err, sqlite3.IOERR_DATA),
		errors.Is(err, sqlite3.IOERR_SHORT_READ), errors.Is(err, sqlite3.IOERR_CORRUPTFS):
		meaning = ErrDamaged
	case errors.Is(err, sqlite3.FULL), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT): // a disk says it below SQLite
		meaning = ErrFull
	case errors.Is(err, sqlite3.BUSY):
		meaning = ErrInUse
	default:
		return fmt.Errorf("failed to %s: %w", what, err)
	}
	return fmt.Errorf("failed to %s: %w: %w", what, meaning, err)
}
