package store_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"

	"schakel/clients/store"
	"schakel/crypto/message"
)

// TestPowerCut runs transactions on a disk that keeps a journal of every write and
// sync, and then cuts the power at random points of that journal: what was not
// synced may be on disk or not, sector by sector. Whatever is left must hold every
// transaction that had returned, and nothing half.
func TestPowerCut(t *testing.T) {
	p := newPlace(t)
	d := recordRun(t, p, 60)
	if !slices.ContainsFunc(d.journal[d.created:], func(o op) bool { return o.kind == opWrite && o.file == "store.db" }) {
		t.Error("the run is too short: the log was never folded into the database")
	}
	cuts := 25
	if testing.Short() {
		cuts = 5
	}
	for i := range cuts {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		at := d.created + rng.IntN(len(d.journal)-d.created)
		after := place{dir: filepath.Join(t.TempDir(), "store"), ways: p.ways}
		confirmed := d.cut(t, p, after, at, rng)
		checkAfterCrash(t, after, confirmed)
		if t.Failed() {
			t.Fatalf("cut %d at %d of %d", i, at, len(d.journal))
		}
	}
}

// TestPowerCutNotices is the control: with syncs that do nothing, the same cuts
// lose transactions, and the checks above see it.
func TestPowerCutNotices(t *testing.T) {
	p := newPlace(t)
	d := recordRun(t, p, 60)
	for i := range d.journal[d.created:] {
		if op := &d.journal[d.created+i]; op.kind == opSync {
			op.kind = opNothing
		}
	}
	for i := range 20 {
		rng := rand.New(rand.NewPCG(8, uint64(i)))
		after := place{dir: filepath.Join(t.TempDir(), "store"), ways: p.ways}
		confirmed := d.cut(t, p, after, len(d.journal)-1, rng)
		if last, err := lastStep(t, after); err != nil || last < confirmed {
			return
		}
	}
	t.Error("a disk that never syncs lost nothing")
}

func lastStep(t *testing.T, p place) (last uint64, err error) {
	s, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	err = s.View(t.Context(), func(tx *store.Tx) error {
		last, err = tx.LastCounter(peer)
		return err
	})
	return last, err
}

// A disk that refuses to write or to sync ends the store for this process: nobody
// knows what is on it. Opened again, it is either before or after that transaction.
func TestFailingDisk(t *testing.T) {
	for name, failure := range map[string]struct {
		write, sync error
		want        error
	}{
		"full":    {write: sqlite3.FULL, want: store.ErrFull},
		"no sync": {sync: sqlite3.IOERR_FSYNC, want: store.ErrBroken},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			d, s := journalled(t, p)
			fill(t, s, 1, 5)
			d.fail(failure.write, failure.sync)
			_, err := crashStep(t, s)
			if err == nil || failure.write != nil && !errors.Is(err, failure.want) {
				t.Errorf("on a failing disk: %v", err)
			}
			d.fail(nil, nil)
			if _, err := crashStep(t, s); !errors.Is(err, store.ErrBroken) {
				t.Errorf("afterwards: %v", err)
			}
			s.Close()
			if last, err := lastStep(t, p); err != nil || last < 5 || last > 6 {
				t.Errorf("opened again: transaction %d, %v", last, err)
			}
		})
	}
}

// A function that goes on after a write has failed: SQLite has rolled back by
// itself, and nothing of what it does afterwards may stay.
func TestGoingOnAfterFailure(t *testing.T) {
	p := newPlace(t)
	d, s := journalled(t, p)
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		d.fail(sqlite3.FULL, nil)
		for n := range uint64(100) { // more than the cache holds
			tx.SaveMessage(store.Message{Hash: storedMessage(n, store.Out).Hash, Raw: make([]byte, message.MaxSize)})
		}
		d.fail(nil, nil)
		tx.SetSetting("afterwards", nil)
		return nil
	})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("update: %v", err)
	}
	view(t, s, func(tx *store.Tx) error {
		if _, err := tx.Setting("afterwards"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what was done after the failure: %v", err)
		}
		return nil
	})
	fill(t, s, 1, 3) // room again: it works on
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// recordRun creates a store on a journalling disk and runs transactions on it.
func recordRun(t *testing.T, p place, transactions int) *disk {
	t.Helper()
	d, s := journalled(t, p)
	defer s.Close()
	d.mark(t, p, 0)
	d.created = len(d.journal) - 1
	for range transactions {
		n, err := crashStep(t, s)
		if err != nil {
			t.Fatal(err)
		}
		d.mark(t, p, n)
	}
	return d
}

// journalled creates a store on a journalling disk.
func journalled(t *testing.T, p place) (*disk, *store.Store) {
	t.Helper()
	d := &disk{VFS: vfs.Find("")}
	name := "disk-of-" + strings.ReplaceAll(t.Name(), "/", "-")
	vfs.Register(name, adiantum.Wrap(d, nil))
	s, err := store.CreateOn(t.Context(), name, p.dir, store.CreateOptions{Keys: p.ways})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); vfs.Unregister(name) })
	return d, s
}

type opKind int

const (
	opNothing opKind = iota
	opWrite
	opTruncate
	opSync
	opDelete
	opMark // transaction n returned; data is the generation file then
)

type op struct {
	kind opKind
	file string
	off  int64
	data []byte
	n    uint64
}

// disk passes everything through and keeps the journal.
type disk struct {
	vfs.VFS
	mu      sync.Mutex
	journal []op
	created int // index of the mark after Create

	failWrite, failSync error
}

// fail makes writes and syncs fail from now on; nil: no longer.
func (d *disk) fail(write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failWrite, d.failSync = write, sync
}

func (d *disk) failures() (write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failWrite, d.failSync
}

func (d *disk) note(o op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.journal = append(d.journal, o)
}

func (d *disk) mark(t *testing.T, p place, n uint64) {
	b, err := os.ReadFile(filepath.Join(p.dir, "generation"))
	if err != nil {
		t.Fatal(err)
	}
	d.note(op{kind: opMark, data: b, n: n})
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(d.VFS, name, flags)
	if err != nil {
		return f, flags, err
	}
	return &diskFile{File: f, disk: d, name: filepath.Base(name.String())}, flags, nil
}

func (d *disk) Delete(name string, syncDir bool) error {
	d.note(op{kind: opDelete, file: filepath.Base(name)})
	return d.VFS.Delete(name, syncDir)
}

type diskFile struct {
	vfs.File
	disk *disk
	name string
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	if err, _ := f.disk.failures(); err != nil {
		return 0, err
	}
	f.disk.note(op{kind: opWrite, file: f.name, off: off, data: append([]byte(nil), p...)})
	return f.File.WriteAt(p, off)
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.note(op{kind: opTruncate, file: f.name, off: size})
	return f.File.Truncate(size)
}

func (f *diskFile) Sync(flags vfs.SyncFlag) error {
	if _, err := f.disk.failures(); err != nil {
		return err
	}
	err := f.File.Sync(flags)
	f.disk.note(op{kind: opSync, file: f.name})
	return err
}

const sector = 512

// cut writes what the disk may hold after a power cut before op number at, and
// returns the last transaction that had returned.
func (d *disk) cut(t *testing.T, from, to place, at int, rng *rand.Rand) (confirmed uint64) {
	t.Helper()
	durable, pending := map[string][]byte{}, map[string][]op{}
	var side []byte
	for i, o := range d.journal[:at+1] {
		switch o.kind {
		case opWrite, opTruncate:
			pending[o.file] = append(pending[o.file], o)
		case opSync:
			durable[o.file] = applyAll(durable[o.file], pending[o.file], nil)
			delete(pending, o.file)
		case opDelete:
			delete(durable, o.file)
			delete(pending, o.file)
		case opMark:
			confirmed = o.n
			if i == d.created || rng.IntN(2) == 0 { // never synced: any earlier one may be on disk
				side = o.data
			}
		}
	}
	for file, ops := range pending {
		durable[file] = applyAll(durable[file], ops, rng)
	}
	d.lay(t, from, to, durable, side)
	return confirmed
}

func (d *disk) lay(t *testing.T, from, to place, files map[string][]byte, side []byte) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(to.dir, "keys"), os.DirFS(filepath.Join(from.dir, "keys"))); err != nil {
		t.Fatal(err)
	}
	files["generation"] = side
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(to.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// applyAll applies writes to a file; with rng, each sector of each write only
// perhaps, as a disk may that was not told to sync.
func applyAll(b []byte, ops []op, rng *rand.Rand) []byte {
	b = append([]byte(nil), b...)
	for _, o := range ops {
		if o.kind == opTruncate {
			if rng == nil || rng.IntN(2) == 0 {
				b = resize(b, o.off)
			}
			continue
		}
		for i := 0; i < len(o.data); i += sector {
			if rng != nil && rng.IntN(2) == 0 {
				continue
			}
			end := min(i+sector, len(o.data))
			b = resize(b, max(int64(len(b)), o.off+int64(end)))
			copy(b[o.off+int64(i):], o.data[i:end])
		}
	}
	return b
}

func resize(b []byte, size int64) []byte {
	if int64(len(b)) >= size {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}
