// Package boltqueue keeps a relay's mailboxes in one bbolt file on one disk.
//
//	store, err := boltqueue.Open(boltqueue.Config{Path: "/var/lib/schakel/queue.db", Log: log})
//	if err != nil { ... }            // queue.ErrInUse, ErrDamaged, ErrVersion
//	defer store.Close()
//	committer := queue.NewCommitter(store, queue.CommitterConfig{...})
//
// Envelopes stand in the file in the order of arrival; which of them make up a
// mailbox is kept in memory (48 bytes for each that waits) and made again at open.
// The file does not shrink: freed pages are used again.
//
// Every Commit ends with fdatasync. After an error of the disk the store refuses
// all further work, because a second fsync after a failed one reports success
// without having written; the process must end, and opening the file again
// tells what is there.
//
// The file is trusted to be complete and its owner is not trusted with anything
// else: who can modify it can at most withhold, delay, repeat, reorder or destroy
// envelopes, forge acknowledgements, notices and attention, and read what the
// relay reads (which desk wrote to which, when, how much, how urgently). They
// cannot read an envelope, and cannot forge or change one without the recipient
// noticing, because envelopes are sealed and signed by devices. What they
// withhold is missed by the signed statements of the recipients. The checksums
// are against accidents, not against them.
package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Config says where the file is and how much it takes.
type Config struct {
	Path  string      // of the file; made when it does not exist, in a directory that does
	Quota queue.Quota // zero fields take the defaults
	// MinFree is the number of bytes that must stay free, on the file system and
	// within the file together: below it puts are refused, while acknowledgements
	// and expiry, which need some pages before they free others, still work.
	// Default 256 MiB.
	MinFree uint64
	// Free returns the free bytes; nil asks the file system of Path.
	Free func() (uint64, error)
	Log  *slog.Logger // nil discards

	// unsynced leaves out fsync, so that a test can show that it notices.
	unsynced bool
	// examined leaves a copy without an epoch: it is looked at and not used.
	examined bool
	// untallied believes that all rows are there, for the same reason.
	untallied bool
}

// Store implements [queue.Store] on one file.
type Store struct {
	config Config
	log    *slog.Logger
	db     *bolt.DB
	file   *os.File // of db; its flock keeps a second process out

	failed atomic.Pointer[error] // why nothing works any more

	// committed is the sequence of the latest durable record: readers pass over
	// entries beyond it.
	committed atomic.Uint64
	// index guards byName, byNumber, and what readers look at of each desk. The
	// writer takes it to change them, and may read without.
	index    sync.RWMutex
	byName   map[identity.DeskID]*desk
	byNumber map[deskNumber]*desk

	write    sync.Mutex // one Commit at a time; guards what follows
	epoch    [16]byte   // constant after Open
	now      uint64     // of the latest Expire
	sequence uint64     // of the latest record in log
	tallies  tallies    // of the rows in the file, the running batch included
	shares   map[identity.OrgID]*share
	behind   map[*device]struct{} // devices whose sweep has not reached its goal
	// moves is the number of rows in the bucket of that name, and unsettled the
	// devices in them.
	moves     uint64
	unsettled map[*device]struct{}
	arena     []byte  // memory for the rows of one batch, used again
	strays    []stray // found at open
}

var _ queue.Store = (*Store)(nil)

// State returns the epoch of the file.
func (s *Store) State(context.Context) (queue.State, error) {
	if err := s.usable(); err != nil {
		return queue.State{}, err
	}
	state := queue.State{Epoch: s.epoch, Guarantee: queue.GuaranteeDisk}
	if s.config.unsynced {
		state.Guarantee = queue.GuaranteeNone
	}
	return state, nil
}

// Close waits for a running Commit and closes the file.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	err := s.usable()
	if errors.Is(err, queue.ErrClosed) {
		return nil
	}
	s.fail(queue.ErrClosed)
	if err != nil {
		return s.abandon()
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("failed to close the queue file: %w", err)
	}
	return nil
}

// abandon closes the file without bbolt, whose own locks a failed transaction may
// hold for ever. Its memory map stays until the process ends, and would keep the
// lock on the file, so that is given up by name.
func (s *Store) abandon() error {
	return errors.Join(syscall.Flock(int(s.file.Fd()), syscall.LOCK_UN), s.file.Close())
}

func (s *Store) usable() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Store) fail(err error) { s.failed.Store(&err) }

// guard turns a panic of bbolt on a damaged page, and a fault on a page that is
// not there any more, into ErrDamaged.
func (s *Store) guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			s.log.Error("panic in the queue file", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", queue.ErrDamaged, r)
		}
	}()
	return f()
}
