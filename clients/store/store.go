// Package store is the encrypted, crash-safe memory of one device: what it sent,
// received, promised and must not forget.
//
//	s, err := store.Create(ctx, dir, store.CreateOptions{Keys: []vault.Way{recovery, keyFile}})
//	s, err := store.Open(ctx, dir, store.Unlock{Keys: []vault.Way{keyFile}})
//	err = s.Update(ctx, func(tx *store.Tx) error { ... })   // durable when it returns nil
//	err = s.View(ctx, func(tx *store.Tx) error { ... })
//
// One process has a store open at a time; another gets ErrInUse. Transactions of
// one process take turns. A Tx is valid inside its function only, and for one
// goroutine; starting another transaction inside one would wait for ever.
//
// # What is where
//
//	store.db, store.db-wal   SQLite in pages of 4 KiB, encrypted with Adiantum, each with a checksum inside
//	generation               the number of the last transaction and a sum over all sealed rows, sealed
//	attachments/             sealed files of attachments, each as it travels, under random names
//	keys/                    the data key, wrapped in each way: see package vault
//
// Contents and secrets are sealed once more inside the pages (XChaCha20-Poly1305,
// random nonce): messages, notes and drafts under the key of their case, everything else under a key
// of the store. A seal is bound to the store, the kind, the row and the version of
// the row; versions stand in a table of their own, and a keyed sum over that table
// stands in each commit. Not sealed, only encrypted, is what must be searched or
// counted: classes, desks, case references, times, states, counters of arrivals,
// alarms.
//
// # Trusted and not trusted
//
// Trusted: this program while it runs, the memory of its process, and the disk to
// keep what was synced. Not trusted: everything in the folder.
//
// Who can copy the folder, but has none of the ways to the data key, learns its
// size, when it changed and, from two copies, which 4 KiB blocks changed. Who also
// has the passphrase, key file, credential or unlocked session that opens one of
// the ways has everything but the person keys, and needs only the PINs for those.
//
// Who can modify the folder without a key can destroy it, which Open or the next
// read refuses with ErrDamaged, ErrTampered or ErrRolledBack. Sealed rows cannot be
// changed, exchanged, taken away or put back unnoticed. Single blocks with unsealed
// columns can be put back as they once were: so he can at most make this device
// forget that something was opened, acknowledged, arrived or raised, and do it
// again; he cannot make it believe what never was.
//
// Who can roll back the folder: the database alone, or with its log, is refused with
// ErrRolledBack. The whole folder at once, such as a restored snapshot of the
// machine, looks right from within. CreateOptions.GenerationFile outside of what is
// rolled back catches it. Otherwise only others can tell: [Tx.Confirmed] reports
// ahead as soon as a peer states that it has counters this device never gave out.
//
// What was destroyed, a case or an epoch key, is gone from this folder, and pages
// that held it are overwritten. The disk below, its snapshots and earlier copies
// may still hold it, and the data key opens those: nothing here erases them.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"schakel/clients/store/vault"
)

const (
	databaseFile   = "store.db"
	generationFile = "generation"
	pageVFS        = "adiantum"
)

// CreateOptions says how a new store is locked.
type CreateOptions struct {
	// Keys are the ways to the data key: the recovery passphrase and at least one
	// other, or vault.Attended alone.
	Keys []vault.Way
	// GenerationFile is where the second copy of the generation number goes; empty
	// means inside the folder. On another disk, or outside what is snapshotted and
	// backed up, it notices more.
	GenerationFile string
}

// Unlock says how to open a store.
type Unlock struct {
	Keys           []vault.Way // tried in order
	GenerationFile string      // as at creation

	// ReadOnly opens a store that is rolled back or tampered with as far as it
	// opens, to save what can be read. Update refuses with ErrReadOnly.
	ReadOnly bool
}

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	dir      string
	keys     *secrets
	dataKey  vault.Key
	readOnly bool
	attended bool

	// made has the names of the files that this process made and did not delete: no crash left
	// them behind. Their age would not tell. A machine that sleeps over the weekend while a file
	// is attached wakes up with a file that nothing names yet, and that is older than a day.
	made sync.Map

	turn  chan struct{} // holds one token: whoever took it owns all below
	conn  *connection   // nil once closed
	side  *sideFile     // nil when read-only
	last  state         // as committed
	found *search       // nil until somebody searched
	lost  error         // why nothing may be written any more
}

// Create makes a store in dir, which it creates with mode 0700, and opens it. It
// refuses with ErrExists and vault.ErrTooFewWays, and takes away what it made when
// it fails. A crash in the middle leaves a folder that Open and Create refuse;
// nothing is in it yet, so delete it.
func Create(ctx context.Context, dir string, o CreateOptions) (*Store, error) {
	return createOn(ctx, pageVFS, dir, o)
}

// createOn creates a store on a VFS by name: tests put a failing disk under it.
func createOn(ctx context.Context, vfs, dir string, o CreateOptions) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	k, id, err := vault.Create(dir, o.Keys...)
	if err != nil {
		return nil, errors.Join(err, os.Remove(filepath.Join(dir, databaseFile)))
	}
	s, err := newStore(dir, k, id)
	if err != nil {
		return nil, err
	}
	return s.create(vfs, sidePath(dir, o.GenerationFile))
}

// Open opens the store in dir. It refuses with vault.ErrNoWay, ErrInUse, ErrNewer,
// ErrRolledBack, ErrTampered and ErrDamaged.
func Open(ctx context.Context, dir string, u Unlock) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k, id, err := vault.Open(dir, u.Keys...)
	if err != nil {
		return nil, err
	}
	s, err := newStore(dir, k, id)
	if err != nil {
		return nil, err
	}
	s.readOnly = u.ReadOnly
	return s.open(sidePath(dir, u.GenerationFile))
}

func newStore(dir string, k vault.Key, id vault.ID) (*Store, error) {
	keys, err := derive(k, id)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, keys: keys, dataKey: k, attended: vault.IsAttended(dir), turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s, nil
}

func sidePath(dir, chosen string) string {
	if chosen != "" {
		return chosen
	}
	return filepath.Join(dir, generationFile)
}

// makeFolder makes the folder and the empty database in it. Whoever makes that
// file, exclusively, is the one who creates the store.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("failed to make the folder of the store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("failed to close the folder of the store to others: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, databaseFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("failed to make the store: %w", err)
	}
	return f.Close()
}

// syncDir makes the names in a folder durable. Windows has no such call, and
// keeps names durable by itself.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("failed to open a folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *Store) database() string { return filepath.Join(s.dir, databaseFile) }

func (s *Store) create(vfs, side string) (_ *Store, err error) {
	if s.side, err = createSide(side, s.keys); err != nil {
		return nil, err
	}
	if s.conn, err = connect(s.database(), vfs, s.keys, true); err != nil {
		return nil, errors.Join(err, s.side.close())
	}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *Store) initialise() error {
	if err := s.upgrade(0); err != nil {
		return err
	}
	return errors.Join(syncDir(s.dir), syncDir(filepath.Dir(s.dir)))
}

func (s *Store) open(side string) (_ *Store, err error) {
	if s.conn, err = connect(s.database(), pageVFS, s.keys, false); err != nil {
		return nil, err
	}
	if err := s.check(side); err != nil {
		return nil, errors.Join(err, s.release())
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

// sweep takes away what a backup that was cut short left.
func (s *Store) sweep() error {
	rows, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("failed to look for what an earlier backup left: %w", err)
	}
	for _, row := range rows {
		if strings.HasPrefix(row.Name(), backupFolder) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, row.Name())))
		}
	}
	return err
}

// Close waits for the transaction in progress and closes the store.
func (s *Store) Close() error {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if s.conn == nil {
		return nil
	}
	return s.release()
}

func (s *Store) release() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.close())
	}
	if s.side != nil {
		errs = append(errs, s.side.close())
	}
	s.conn, s.side, s.dataKey, s.found = nil, nil, vault.Key{}, nil
	return errors.Join(errs...)
}

// Attended reports whether only a person's passphrase opens this store: it is that of
// a light device.
func (s *Store) Attended() bool { return s.attended }

// AddKey wraps the data key in one more way.
func (s *Store) AddKey(w vault.Way) error { return vault.Add(s.dir, s.keys.id, s.dataKey, w) }

// RemoveKey forgets a way to the data key, such as a lost key file.
func (s *Store) RemoveKey(w vault.Way) error { return vault.Remove(s.dir, w) }
