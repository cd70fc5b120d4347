package boltqueue_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
)

func copyTo(t *testing.T, store *boltqueue.Store, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Copy(t.Context(), file), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestCopy copies a store, goes on, and opens the copy: it keeps what was there,
// gives no position again, and has a new epoch each time that it is opened afresh.
func TestCopy(t *testing.T) {
	c, copied := config(t.TempDir(), queue.Quota{}), config(t.TempDir(), queue.Quota{})
	store := mustOpen(t, c)
	first := commit(t, store, samplePut(1))[0].Position
	copyTo(t, store, copied.Path)
	commit(t, store, samplePut(2))
	if found, err := boltqueue.FinishCopy(copied.Path); err != nil || found != (boltqueue.Contents{Envelopes: 1}) {
		t.Fatalf("the copy holds %+v, %v", found, err)
	}
	raw, err := os.ReadFile(copied.Path)
	if err != nil {
		t.Fatal(err)
	}
	epochs := map[[16]byte]bool{epochOf(t, store): true}
	for range 2 {
		if err := os.WriteFile(copied.Path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := boltqueue.CheckCopy(copied.Path); err != nil {
			t.Error(err)
		}
		restored := mustOpen(t, copied)
		epochs[epochOf(t, restored)] = true
		results := commit(t, restored, samplePut(1), samplePut(2))
		if !results[0].Duplicate || results[1].Duplicate || results[1].Position <= first+1<<31 {
			t.Errorf("in the copy %+v", results)
		}
		restored.Close()
		if _, err := boltqueue.CheckCopy(copied.Path); !errors.Is(err, queue.ErrVersion) {
			t.Errorf("a file in use passes for a copy: %v", err)
		}
	}
	if len(epochs) != 3 || epochs[[16]byte{}] {
		t.Errorf("%d epochs of a store and two restored copies", len(epochs))
	}
}

// TestCopyWhileWriting copies in the middle of commits: each copy is one moment.
// The control is a plain copy of the same file, which sooner or later is none.
func TestCopyWhileWriting(t *testing.T) {
	c := config(t.TempDir(), queue.Quota{})
	store := mustOpen(t, c)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			put := samplePut(byte(n))
			put.ID[4], put.ID[5], put.ID[6] = byte(n>>8), byte(n>>16), 7
			put.Envelope = make([]byte, 9000)
			at := commit(t, store, put)[0].Position
			if n%3 > 0 {
				commit(t, store, &queue.Ack{Desk: put.Desk, Device: put.Targets[0], Position: at - queue.Position(n%3)})
			}
		}
	})
	defer writing.Wait()
	defer close(stop)
	path := filepath.Join(t.TempDir(), "copy.db")
	for range 10 {
		copyTo(t, store, path)
		if found, err := boltqueue.FinishCopy(path); err != nil || found.Damaged > 0 {
			t.Fatalf("a copy holds %+v, %v", found, err)
		}
	}
	for range 500 {
		if torn(t, c.Path, path) {
			return
		}
	}
	t.Error("500 plain copies of a file that is being written were sound: the test is blind")
}

func torn(t *testing.T, from, to string) bool {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	file, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{source}, make([]byte, 4096))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	found, err := boltqueue.FinishCopy(to)
	return err != nil || found.Damaged > 0
}
