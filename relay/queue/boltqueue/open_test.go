package boltqueue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
)

func mustOpen(t *testing.T, c boltqueue.Config) *boltqueue.Store {
	t.Helper()
	store, err := boltqueue.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func samplePut(n byte) *queue.Put {
	return &queue.Put{
		ID: envelope.ID{n, 1}, Desk: "politie/wacht", Targets: []identity.DeviceID{{1}},
		Sealer: identity.DeviceID{2}, SealerDesk: "knooppunt/piket", Created: 1000, Expires: 2000,
		Digest: [32]byte{n}, Envelope: make([]byte, 300),
	}
}

func commit(t *testing.T, s *boltqueue.Store, ops ...queue.Op) []queue.Result {
	t.Helper()
	results, err := s.Commit(context.Background(), ops)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func epochOf(t *testing.T, s *boltqueue.Store) [16]byte {
	t.Helper()
	state, err := s.State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return state.Epoch
}

func TestSecondProcessIsRefused(t *testing.T) {
	c := config(t.TempDir(), queue.Quota{})
	first := mustOpen(t, c)
	if _, err := boltqueue.Open(c); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("second open gave %v", err)
	}
	if _, err := boltqueue.FinishCopy(c.Path); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("renew beside it gave %v", err)
	}
	commit(t, first, samplePut(1))
	first.Close()
	mustOpen(t, c)
}

// TestForeignFiles opens what is no queue file. None may be changed.
func TestForeignFiles(t *testing.T) {
	for name, file := range map[string]struct {
		content []byte
		want    error
	}{
		"empty":    {nil, queue.ErrDamaged},
		"text":     {[]byte("relay.toml\n"), queue.ErrDamaged},
		"zeros":    {make([]byte, 100_000), queue.ErrDamaged},
		"no queue": {boltFile(t, "", ""), queue.ErrVersion},
		"other":    {boltFile(t, "format", "schakel queue 99\n"), queue.ErrVersion},
		"bare":     {boltFile(t, "format", "schakel queue 2\n"), queue.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t.TempDir(), queue.Quota{})
			if err := os.WriteFile(c.Path, file.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := boltqueue.Open(c); !errors.Is(err, file.want) {
				t.Errorf("gave %v, want %v", err, file.want)
			}
			if after, err := os.ReadFile(c.Path); err != nil || string(after) != string(file.content) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}

// boltFile returns a bbolt file with one row in a bucket called meta.
func boltFile(t *testing.T, key, value string) []byte {
	path := filepath.Join(t.TempDir(), "foreign.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("meta"))
		if err != nil || key == "" {
			return err
		}
		return bucket.Put([]byte(key), []byte(value))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestCrashWhileMaking leaves the file that a killed process was still making.
func TestCrashWhileMaking(t *testing.T) {
	c := config(t.TempDir(), queue.Quota{})
	if err := os.WriteFile(c.Path+".new", []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	commit(t, mustOpen(t, c), samplePut(1))
	if _, err := os.Stat(c.Path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half file is still there: %v", err)
	}
}

func TestNoDirectory(t *testing.T) {
	_, err := boltqueue.Open(config(filepath.Join(t.TempDir(), "nowhere"), queue.Quota{}))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gave %v", err)
	}
}

// TestLostMeta damages either meta page: bbolt goes on with the other, which may
// lack the last commit, so the epoch must change. Without damage it must not.
func TestLostMeta(t *testing.T) {
	for page := range int64(2) {
		c := config(t.TempDir(), queue.Quota{})
		store := mustOpen(t, c)
		before := epochOf(t, store)
		for n := range byte(3) {
			commit(t, store, samplePut(n+1))
		}
		store.Close()
		if err := corrupt(c.Path, page*4096+30); err != nil {
			t.Fatal(err)
		}
		store = mustOpen(t, c)
		if epochOf(t, store) == before {
			t.Errorf("meta page %d lost: the epoch is the same", page)
		}
		for n := range byte(4) {
			if r := commit(t, store, samplePut(n+1))[0]; r.Err != nil {
				t.Errorf("put again after lost meta: %+v", r)
			}
		}
		page, err := store.Read(context.Background(), "politie/wacht", 0, queue.Limit{Records: 9, Bytes: 1 << 20})
		if err != nil || len(page.Records) != 4 {
			t.Errorf("%d records, %v", len(page.Records), err)
		}
	}
}

func corrupt(path string, at int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte{0xa5, 0x5a, 0xa5}, at)
	return errors.Join(err, file.Close())
}

// TestWatermark refuses puts on a nearly full disk, and nothing that makes room.
func TestWatermark(t *testing.T) {
	free := uint64(1 << 30)
	c := config(t.TempDir(), queue.Quota{})
	c.Free = func() (uint64, error) { return free, nil }
	store := mustOpen(t, c)
	at := commit(t, store, samplePut(1))[0].Position
	free = 1 << 10
	results := commit(t, store, samplePut(2), samplePut(1),
		&queue.Ack{Desk: "politie/wacht", Device: identity.DeviceID{1}, Position: at},
		&queue.Notice{Desk: "knooppunt/piket", Device: identity.DeviceID{2}, Kind: queue.NoticeExpired})
	if !errors.Is(results[0].Err, queue.ErrFullDisk) || !errors.Is(results[0].Err, queue.ErrFull) {
		t.Errorf("put gave %v", results[0].Err)
	}
	if !results[1].Duplicate || results[2].Err != nil || results[3].Err != nil {
		t.Errorf("the others gave %+v", results[1:])
	}
	free = 1 << 30
	commit(t, store, samplePut(3))
	c.Free = nil
	store.Close()
	commit(t, mustOpen(t, c), samplePut(4))
}

// TestWatermarkAfterDraining fills the disk to the watermark, and wants room again
// when the devices have read: the file itself never gets smaller.
func TestWatermarkAfterDraining(t *testing.T) {
	c := config(t.TempDir(), queue.Quota{})
	c.MinFree = 2 << 20
	c.Free = func() (uint64, error) {
		stat, err := os.Stat(c.Path)
		if err != nil {
			return 0, err
		}
		blocks := uint64(stat.Sys().(*syscall.Stat_t).Blocks) * 512
		return 6<<20 - min(blocks, 6<<20), nil // a disk of 6 MiB
	}
	store := mustOpen(t, c)
	for round := range 3 {
		var last queue.Position
		n := 0
		for ; n < 1000; n++ {
			put := samplePut(byte(n))
			binary.BigEndian.PutUint32(put.ID[4:], uint32(round*1000+n))
			put.Envelope = make([]byte, 20_000)
			r := commit(t, store, put)[0]
			if errors.Is(r.Err, queue.ErrFullDisk) {
				break
			} else if r.Err != nil {
				t.Fatal(r.Err)
			}
			last = r.Position
		}
		if n < 50 || n == 1000 {
			t.Fatalf("round %d: %d envelopes until the disk was full", round, n)
		}
		commit(t, store, &queue.Ack{Desk: "politie/wacht", Device: identity.DeviceID{1}, Position: last})
		commit(t, store) // what the commit before freed can be used now
	}
}

func TestUnknownFreeSpace(t *testing.T) {
	c := config(t.TempDir(), queue.Quota{})
	c.Free = func() (uint64, error) { return 0, errors.New("no file system") }
	_, err := mustOpen(t, c).Commit(context.Background(), []queue.Op{samplePut(1)})
	if !errors.Is(err, queue.ErrUnavailable) || errors.Is(err, queue.ErrIndeterminate) {
		t.Errorf("gave %v, want ErrUnavailable", err)
	}
}

// TestDamageWhileOpen zeroes the whole tree and then cuts the file under an open
// store: typed errors, no panic, and no more work.
func TestDamageWhileOpen(t *testing.T) {
	for name, damage := range map[string]func(*os.File) error{
		"zeroed": func(f *os.File) error {
			_, err := f.WriteAt(make([]byte, 1<<20), 2*4096)
			return err
		},
		"cut": func(f *os.File) error { return f.Truncate(2 * 4096) },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t.TempDir(), queue.Quota{})
			store := mustOpen(t, c)
			commit(t, store, samplePut(1))
			file, err := os.OpenFile(c.Path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
			_, err = store.Read(t.Context(), "politie/wacht", 0, queue.Limit{Records: 1, Bytes: 1})
			if !errors.Is(err, queue.ErrDamaged) {
				t.Errorf("read gave %v", err)
			}
			for range 2 {
				_, err = store.Commit(t.Context(), []queue.Op{samplePut(2)})
				if !errors.Is(err, queue.ErrDamaged) || !errors.Is(err, queue.ErrIndeterminate) {
					t.Errorf("commit gave %v", err)
				}
			}
			store.Close()
			if _, err := boltqueue.Open(c); !errors.Is(err, queue.ErrDamaged) {
				t.Errorf("open gave %v", err)
			}
		})
	}
}

// TestQuarantine damages the one envelope of a mailbox, and follows it to the
// notice for its sealer and to being put again.
func TestQuarantine(t *testing.T) {
	c := config(t.TempDir(), queue.Quota{})
	store := mustOpen(t, c)
	put := samplePut(1)
	for i := range put.Envelope {
		put.Envelope[i] = 0xee
	}
	commit(t, store, put)
	store.Close()
	damageValue(t, c.Path, 0xee)
	store = mustOpen(t, c)
	limit := queue.Limit{Records: 9, Bytes: 1 << 20}
	page, err := store.Read(t.Context(), put.Desk, 0, limit)
	if err != nil || len(page.Records) != 0 || len(page.Damaged) != 1 {
		t.Fatalf("read %+v, %v", page, err)
	}
	q := &queue.Quarantine{Desk: put.Desk, Position: page.Damaged[0].Position, Now: 1500}
	if r := commit(t, store, q, q); r[0].Noticed != put.SealerDesk || r[1].Noticed != "" || r[1].Err != nil {
		t.Errorf("quarantine gave %+v", r)
	}
	notices, err := store.Read(t.Context(), put.SealerDesk, 0, limit)
	if err != nil || len(notices.Records) != 1 || notices.Records[0].Notice != queue.NoticeDamaged || notices.Records[0].ID != put.ID {
		t.Fatalf("notices %+v, %v", notices, err)
	}
	if r := commit(t, store, put)[0]; r.Err != nil || r.Duplicate {
		t.Errorf("put again gave %+v", r)
	}
	gone := commit(t, store, &queue.Expire{Now: 2000, Max: 9})[0].Expired
	if len(gone) != 1 || gone[0].Delivered {
		t.Errorf("expired %+v, want the second only", gone)
	}
}

// damageValue flips a bit in the first run of 300 bytes of fill in the file.
func damageValue(t *testing.T, path string, fill byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	run := 0
	for i, b := range raw {
		if run++; b != fill {
			run = 0
		}
		if run == 150 {
			raw[i] ^= 4
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the value is not in the file")
}

// FuzzInspect patches a small queue file: each three bytes of patches are an
// offset within the used part, in steps of the file's sixteenths of a page, and a
// byte to write. What passes inspection must open and be walked without a panic;
// bbolt's would end the whole process.
func FuzzInspect(f *testing.F) {
	c := config(f.TempDir(), queue.Quota{})
	store, err := boltqueue.Open(c)
	if err != nil {
		f.Fatal(err)
	}
	for n := range byte(40) {
		if _, err := store.Commit(f.Context(), []queue.Op{samplePut(n + 1)}); err != nil {
			f.Fatal(err)
		}
	}
	store.Close()
	raw, err := os.ReadFile(c.Path)
	if err != nil {
		f.Fatal(err)
	}
	used := min(len(raw), 1<<17)
	path := filepath.Join(f.TempDir(), "patched.db")
	f.Add([]byte{0, 24, 1, 0, 40, 1})
	f.Add([]byte{1, 0, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, patches []byte) {
		patched := append([]byte(nil), raw[:used]...)
		for ; len(patches) >= 3; patches = patches[3:] {
			patched[int(binary.BigEndian.Uint16(patches))*2%used] = patches[2]
		}
		if err := errors.Join(os.WriteFile(path, patched, 0o600), os.Truncate(path, int64(len(raw)))); err != nil {
			t.Fatal(err)
		}
		store, err := boltqueue.Open(boltqueue.Config{Path: path})
		if errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrVersion) {
			return
		} else if err != nil {
			t.Fatalf("error of no type: %v", err)
		}
		defer store.Close()
		if _, err := store.Read(t.Context(), "politie/wacht", 0, queue.Limit{Records: 99, Bytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Commit(t.Context(), []queue.Op{samplePut(99), &queue.Expire{Now: 5000, Max: 99}}); err != nil {
			t.Fatal(err)
		}
	})
}
