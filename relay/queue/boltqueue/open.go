package boltqueue

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Open opens the file at config.Path, or makes it. It answers queue.ErrInUse,
// queue.ErrVersion and queue.ErrDamaged for what the operator must decide; the
// file is then as it was.
func Open(config Config) (*Store, error) {
	config.Quota = config.Quota.WithDefaults()
	if config.MinFree == 0 {
		config.MinFree = 256 << 20
	}
	if config.Free == nil {
		config.Free = func() (uint64, error) { return freeBytes(filepath.Dir(config.Path)) }
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		config:    config,
		log:       config.Log,
		byName:    make(map[identity.DeskID]*desk),
		byNumber:  make(map[deskNumber]*desk),
		shares:    make(map[identity.OrgID]*share),
		behind:    make(map[*device]struct{}),
		unsettled: make(map[*device]struct{}),
	}
	if err := s.open(); err != nil {
		if s.file != nil {
			s.abandon() // the first error says more
		}
		return nil, fmt.Errorf("failed to open the queue file %s: %w", config.Path, err)
	}
	return s, nil
}

func (s *Store) open() error {
	file, err := os.OpenFile(s.config.Path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		if err := s.create(); err != nil {
			return err
		}
	} else if err != nil {
		return err
	} else if err := s.reopen(file); err != nil {
		return err
	}
	if err := s.guard(func() error { return s.db.View(s.load) }); err != nil {
		return err
	}
	if len(s.strays) == 0 {
		return nil
	}
	err = s.guard(func() error { return s.db.Update(s.mend) })
	s.strays = nil
	return err
}

// reopen looks at the whole structure of the file before bbolt does, because
// bbolt panics in goroutines of its own on a damaged one, where nobody can
// recover: that would be a crash at every start.
func (s *Store) reopen(file *os.File) error {
	s.file = file
	if err := lock(file); err != nil {
		return err
	}
	found, err := inspect(file)
	if err != nil {
		return err
	}
	if err := s.attach(file); err != nil {
		return err
	}
	if err := s.guard(func() error { return s.db.View(checkFormat) }); err != nil {
		return err
	}
	switch copied, err := s.isCopy(); {
	case err != nil:
		return err
	case found.metaLost:
		// One of bbolt's two meta pages is unreadable. It may be the one of the last
		// commit that was answered for: then the file has silently gone back by one.
		// A new epoch makes the senders offer again what that commit held.
		s.log.Error("the queue file may have lost its last commit; taking a new epoch")
	case copied && !s.config.examined:
		s.log.Warn("the queue file is a restored copy; taking a new epoch")
	default:
		return nil
	}
	return s.guard(func() error { return s.db.Update(renew) })
}

// isCopy reports whether the file has no epoch of its own: see FinishCopy.
func (s *Store) isCopy() (copied bool, err error) {
	err = s.guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			epoch, err := unseal(keyEpoch, tx.Bucket(bucketMeta).Get(keyEpoch), 16)
			if err != nil {
				return fmt.Errorf("%w: epoch: %w", queue.ErrDamaged, err)
			}
			copied = bytes.Equal(epoch, make([]byte, 16))
			return nil
		})
	})
	return copied, err
}

// create makes the file beside its place and links it there when it is complete
// and on disk, so that a file in place always has an epoch. Link, unlike rename,
// fails when another process was faster.
func (s *Store) create() error {
	fresh := s.config.Path + ".new"
	file, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	s.file = file
	if err := lock(file); err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	if err := s.attach(file); err != nil {
		return err
	}
	if err := s.db.Update(initialise); err != nil {
		return err
	}
	if err := os.Link(fresh, s.config.Path); errors.Is(err, os.ErrExist) {
		return queue.ErrInUse
	} else if err != nil {
		return err
	}
	if err := os.Remove(fresh); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(s.config.Path))
}

func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return queue.ErrInUse
	}
	return err
}

// attach gives an open, locked file to bbolt. The free list is not written with
// every commit but found again at open: after a long backlog has drained it
// would be megabytes per commit.
func (s *Store) attach(file *os.File) error {
	return s.guard(func() error {
		db, err := bolt.Open(file.Name(), 0o600, &bolt.Options{
			NoFreelistSync:  true,
			FreelistType:    bolt.FreelistMapType,
			InitialMmapSize: 1 << 30, // address space, not memory: growing it stops all readers
			NoSync:          s.config.unsynced,
			OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return file, nil },
		})
		if err != nil {
			return fmt.Errorf("%w: %w", queue.ErrDamaged, err)
		}
		db.AllocSize = 16 << 20
		s.db = db
		return nil
	})
}

func initialise(tx *bolt.Tx) error {
	for _, name := range allBuckets() {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	epoch, err := newEpoch()
	return errors.Join(err,
		meta.Put(keyFormat, []byte(formatText)),
		meta.Put(keyEpoch, epoch),
		meta.Put(keyNow, seal(keyNow, make([]byte, 8))),
		meta.Put(keyTallies, new(tallies).row()))
}

func newEpoch() ([]byte, error) {
	var epoch [16]byte
	if _, err := io.ReadFull(rand.Reader, epoch[:]); err != nil {
		return nil, fmt.Errorf("failed to read random bits for an epoch: %w", err)
	}
	return seal(keyEpoch, epoch[:]), nil
}

func checkFormat(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil || string(meta.Get(keyFormat)) != formatText {
		return fmt.Errorf("%w: it does not say %q", queue.ErrVersion, formatText)
	}
	for _, name := range allBuckets() {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: bucket %s is missing", queue.ErrDamaged, name)
		}
	}
	return nil
}

// renewStep is how far positions jump with a new epoch: beyond whatever the lost
// part of the past may have given.
const renewStep = 1 << 32

// renew gives the file a new epoch and moves every desk to positions that it
// never gave before.
func renew(tx *bolt.Tx) error {
	epoch, err := newEpoch()
	if err != nil {
		return err
	}
	desks := tx.Bucket(bucketDesks)
	rows := make(map[string][]byte)
	err = desks.ForEach(func(k, v []byte) error {
		value, err := unseal(k, v, 8)
		if err != nil {
			return fmt.Errorf("%w: desk: %w", queue.ErrDamaged, err)
		}
		reserved := binary.BigEndian.Uint64(value) + renewStep
		row := binary.BigEndian.AppendUint64(nil, reserved)
		rows[string(k)] = seal(k, append(row, value[8:]...))
		return nil
	})
	if err != nil {
		return err
	}
	for k, row := range rows {
		if err := desks.Put([]byte(k), row); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyEpoch, epoch)
}

func freeBytes(dir string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("failed to ask for free space: %w", err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
