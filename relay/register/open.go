package register

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"schakel/crypto/trust"
)

// Buckets of the file.
//
//	entries  u64 index          -> u64 seconds when appended, importedBit | entry
//	hashes   EntryHash          -> u64 index
//	keys     device | u64 epoch -> recipient string
//	meta     "format", "head"   -> formatText, u64 size | Merkle root
//	meta     "cosigned"         -> the last checkpoint that had its quorum
var (
	bucketEntries = []byte("entries")
	bucketHashes  = []byte("hashes")
	bucketKeys    = []byte("keys")
	bucketMeta    = []byte("meta")
	keyFormat     = []byte("format")
	keyHead       = []byte("head")
)

// importedBit marks entries that the operator imported: they count against nobody.
const importedBit = 1 << 63

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
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{config: config, log: config.Log, counts: make(dayCounts), missing: make(map[keyName]struct{})}
	if err := l.open(); err != nil {
		if l.db != nil {
			l.db.Close()
		}
		return nil, fmt.Errorf("failed to open the register file %s: %w", config.Path, err)
	}
	return l, nil
}

func (l *Log) open() error {
	info, err := os.Stat(l.config.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = create(l.config.Path)
	case err == nil && info.Size() == 0:
		err = fmt.Errorf("%w: it is empty", ErrCorrupt) // bbolt would begin a new one in it
	}
	if err != nil {
		return err
	}
	if l.db, err = attach(l.config.Path); err != nil {
		return err
	}
	if err := checkMetas(l.config.Path); err != nil {
		return err
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
	l.now.Store(&snapshot{grown: make(chan struct{})})
	if reg == nil {
		return nil
	}
	return l.publish(reg)
}

// create makes the file beside its place and links it there when it is complete
// and on disk. Link, unlike rename, leaves alone what another process made.
func create(path string) error {
	fresh := path + ".new"
	db, err := attach(fresh)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range allBuckets() {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, []byte(formatText))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := os.Remove(fresh); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// attach opens a bbolt file. The free list is written with every commit, which is
// cheap here, and spares bbolt a walk over all pages at open: it would do that in
// a goroutine of its own, whose panic on a damaged page nobody can recover.
func attach(path string) (db *bolt.DB, err error) {
	err = guard(func() error {
		db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
		return err
	})
	var pathError *fs.PathError
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrInUse
	case err == nil, errors.Is(err, ErrCorrupt), errors.As(err, &pathError):
		return db, err
	}
	return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// checkMetas demands that both meta pages of the file are whole. bbolt is content
// with one, and then silently goes back to the commit before the last: a log that
// forgot an entry would make every client alarm over a fork.
func checkMetas(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(os.Getpagesize())
	for i := range int64(2) {
		var page [16 + 64]byte // page header, meta: magic u32 ... FNV-1a u64 of what is before it
		if _, err := f.ReadAt(page[:], i*size); err != nil {
			return fmt.Errorf("%w: meta page %d: %w", ErrCorrupt, i, err)
		}
		meta, sum := page[16:72], fnv.New64a()
		sum.Write(meta)
		if binary.NativeEndian.Uint64(page[72:]) != sum.Sum64() {
			return fmt.Errorf("%w: meta page %d does not fit its checksum", ErrCorrupt, i)
		}
		if i == 0 {
			size = int64(binary.NativeEndian.Uint32(meta[8:]))
		}
	}
	return nil
}

func allBuckets() [][]byte { return [][]byte{bucketEntries, bucketHashes, bucketKeys, bucketMeta} }

// replay rebuilds the register, and what each organisation added on the last day.
func (l *Log) replay(tx *bolt.Tx) (*trust.Register, error) {
	for _, name := range allBuckets() {
		if tx.Bucket(name) == nil {
			return nil, fmt.Errorf("%w: bucket %s is missing", ErrCorrupt, name)
		}
	}
	if f := tx.Bucket(bucketMeta).Get(keyFormat); string(f) != formatText {
		return nil, fmt.Errorf("%w: it does not say %q", ErrCorrupt, formatText)
	}
	entries, times, err := readRows(tx)
	if err != nil || len(entries) == 0 {
		return nil, errors.Join(err, checkHead(tx, nil))
	}
	reg, err := trust.Replay(entries, trust.GenesisFingerprint(entries[0]))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if skipped := reg.Skipped(0); len(skipped) > 0 {
		return nil, fmt.Errorf("%w: entry %d, once accepted: %v", ErrCorrupt, skipped[0].Index, skipped[0].Reason)
	}
	l.recount(reg, entries, times)
	if l.config.Order != nil {
		l.missing = missingKeys(tx, entries)
	}
	return reg, checkHead(tx, reg)
}

func missingKeys(tx *bolt.Tx, entries [][]byte) map[keyName]struct{} {
	missing := make(map[keyName]struct{})
	for _, e := range entries {
		for _, name := range keyNames(e) {
			if tx.Bucket(bucketKeys).Get(name[:]) == nil {
				missing[name] = struct{}{}
			}
		}
	}
	return missing
}

func readRows(tx *bolt.Tx) (entries [][]byte, times []time.Time, err error) {
	err = tx.Bucket(bucketEntries).ForEach(func(k, v []byte) error {
		if len(k) != 8 || len(v) < 8 || binary.BigEndian.Uint64(k) != uint64(len(entries)) {
			return fmt.Errorf("%w: entry %d is missing or cut", ErrCorrupt, len(entries))
		}
		at, imported := unstamp(binary.BigEndian.Uint64(v))
		if imported {
			at = time.Time{}
		}
		times = append(times, at)
		entries = append(entries, bytes.Clone(v[8:]))
		return nil
	})
	return entries, times, err
}

// recount charges the entries of the last day again: a restart gives nobody a new
// allowance. Over the limit is fine here, it may have been lowered.
func (l *Log) recount(reg *trust.Register, entries [][]byte, times []time.Time) {
	last := slices.MaxFunc(times, time.Time.Compare)
	for i, at := range times {
		if at.IsZero() || day(at) != day(last) {
			continue
		}
		if e, err := trust.ParseEntry(entries[i]); err == nil {
			_ = l.counts.charge(charged(e, reg), at, l.config.PerDay)
		}
	}
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
