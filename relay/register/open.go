package register

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Buckets of the file.
//
//	entries  u64 index          -> u64 seconds when appended | entry
//	hashes   EntryHash          -> u64 index
//	keys     device | u64 epoch -> recipient string
//	meta     "format", "head"   -> formatText, u64 size | Merkle root
var (
	bucketEntries = []byte("entries")
	bucketHashes  = []byte("hashes")
	bucketKeys    = []byte("keys")
	bucketMeta    = []byte("meta")
	keyFormat     = []byte("format")
	keyHead       = []byte("head")
)

const formatText = "schakel register 1"

// lockWait is how long Open waits for a process that is just ending.
const lockWait = 500 * time.Millisecond

// Open opens the file, or makes it, and replays every entry: whatever does not
// add up to the stored head answers ErrCorrupt. A second process answers ErrInUse.
func Open(config Config) (*Log, error) {
	if config.LogKey == nil {
		return nil, errors.New("register.Config without LogKey")
	}
	if config.PerDay == 0 {
		config.PerDay = 5000
	}
	l := &Log{config: config, counts: make(map[identity.OrgID]dayCount)}
	if err := l.open(); err != nil {
		if l.db != nil {
			l.db.Close()
		}
		return nil, fmt.Errorf("failed to open the register file %s: %w", config.Path, err)
	}
	return l, nil
}

func (l *Log) open() error {
	_, err := os.Stat(l.config.Path)
	fresh := errors.Is(err, os.ErrNotExist)
	if err := guard(l.attach); err != nil {
		return err
	}
	if fresh {
		if err := syncDirectory(filepath.Dir(l.config.Path)); err != nil {
			return err
		}
	}
	var reg *trust.Register
	err = guard(func() error {
		return l.db.View(func(tx *bolt.Tx) (err error) {
			reg, err = l.replay(tx)
			return err
		})
	})
	if err != nil {
		return err
	}
	if reg == nil {
		l.now.Store(&snapshot{grown: make(chan struct{})})
		return nil
	}
	return l.publish(reg)
}

// attach opens the bbolt file. The free list is written with every commit, which
// is cheap here, and spares bbolt a walk over all pages at open: it would do that
// in a goroutine of its own, whose panic on a damaged page nobody can recover.
func (l *Log) attach() error {
	db, err := bolt.Open(l.config.Path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case err != nil:
		return err
	}
	l.db = db
	return db.Update(func(tx *bolt.Tx) error {
		if tx.Bucket(bucketMeta) != nil {
			return nil
		}
		for _, name := range [][]byte{bucketEntries, bucketHashes, bucketKeys, bucketMeta} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, []byte(formatText))
	})
}

// replay rebuilds the register, and what each organisation added on its last day.
func (l *Log) replay(tx *bolt.Tx) (*trust.Register, error) {
	for _, name := range [][]byte{bucketEntries, bucketHashes, bucketKeys, bucketMeta} {
		if tx.Bucket(name) == nil {
			return nil, fmt.Errorf("%w: bucket %s is missing", ErrCorrupt, name)
		}
	}
	if f := tx.Bucket(bucketMeta).Get(keyFormat); string(f) != formatText {
		return nil, fmt.Errorf("%w: it does not say %q", ErrCorrupt, formatText)
	}
	var reg *trust.Register
	err := tx.Bucket(bucketEntries).ForEach(func(k, v []byte) (err error) {
		if len(k) != 8 || len(v) < 8 {
			return fmt.Errorf("%w: entry row of %d bytes", ErrCorrupt, len(v))
		}
		at := time.Unix(int64(binary.BigEndian.Uint64(v)), 0)
		reg, err = l.replayed(reg, binary.BigEndian.Uint64(k), append([]byte(nil), v[8:]...), at)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reg, checkHead(tx, reg)
}

func (l *Log) replayed(reg *trust.Register, index uint64, entry []byte, at time.Time) (*trust.Register, error) {
	if reg == nil {
		reg, err := trust.New(entry, trust.GenesisFingerprint(entry))
		if err != nil || index != 0 {
			return nil, fmt.Errorf("%w: entry %d is no genesis: %v", ErrCorrupt, index, err)
		}
		return reg, nil
	}
	if index != reg.Size() {
		return nil, fmt.Errorf("%w: entry %d is missing", ErrCorrupt, reg.Size())
	}
	if err := reg.Apply(entry); err != nil {
		return nil, fmt.Errorf("%w: entry %d, once accepted: %v", ErrCorrupt, index, err)
	}
	if e, err := trust.ParseEntry(entry); err == nil {
		l.charge(charged(e, reg), at) // over the limit is fine here: it may have been lowered
	}
	return reg, nil
}

func putHead(tx *bolt.Tx, reg *trust.Register) error {
	root := reg.Root()
	return tx.Bucket(bucketMeta).Put(keyHead, append(binary.BigEndian.AppendUint64(nil, reg.Size()), root[:]...))
}

// checkHead notices entries that are missing at the end, which the entries alone
// cannot show.
func checkHead(tx *bolt.Tx, reg *trust.Register) error {
	head := tx.Bucket(bucketMeta).Get(keyHead)
	if reg == nil && head == nil {
		return nil
	}
	if reg == nil || len(head) != 8+32 || binary.BigEndian.Uint64(head) != reg.Size() || trust.Hash(head[8:]) != reg.Root() {
		return fmt.Errorf("%w: the entries do not add up to the stored head", ErrCorrupt)
	}
	return nil
}

// guard turns a panic of bbolt on a damaged page, and a fault on a page that is
// not there any more, into ErrCorrupt.
func guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	return f()
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Close waits for a running commit and closes the file.
func (l *Log) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	if errors.Is(l.failed, ErrClosed) {
		return nil
	}
	l.failed = ErrClosed
	if err := l.db.Close(); err != nil {
		return fmt.Errorf("failed to close the register file: %w", err)
	}
	return nil
}
