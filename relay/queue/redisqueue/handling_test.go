package redisqueue_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue/redistest"
)

// Fault 24: the end of the file is torn off, some bytes at a time. Redis loads what is
// whole; the store says by a new epoch that something may be gone, so senders offer
// again, and then everything is there once.
func TestTornTail(t *testing.T) {
	t.Parallel() // it waits for the disk
	redistest.Need(t)
	dir := t.TempDir()
	server, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	store := mustOpen(t, server.Config())
	const count = 5
	for n := range count {
		commit(t, store, putOf(n, 100))
	}
	before := epochOf(t, store)
	store.Close()
	server.Kill()
	step := 67
	if *damages > 500 { // make faults
		step = 1
	}
	lost := 0
	for torn := 1; torn <= 200; torn += step {
		t.Run(fmt.Sprint(torn), func(t *testing.T) {
			part := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(part, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			tear(t, part, int64(torn))
			server, err := redistest.Start(part)
			if err != nil {
				t.Fatal(err)
			}
			defer server.Stop()
			store := mustOpen(t, server.Config())
			defer store.Close()
			if epochOf(t, store) == before {
				t.Error("the epoch is that of before")
			}
			lost += count - len(read(t, store).Records)
			for n := range count {
				if r := commit(t, store, putOf(n, 100))[0]; r.Err != nil {
					t.Errorf("%d offered again: %v", n, r.Err)
				}
			}
			if n := len(read(t, store).Records); n != count {
				t.Errorf("%d records, want %d", n, count)
			}
			store.Close()
			killedAnd(t, server, func() {}) // what is written behind a torn end must stand firm
			again := mustOpen(t, server.Config())
			defer again.Close()
			if n := len(read(t, again).Records); n != count {
				t.Errorf("%d records after another start, want %d", n, count)
			}
		})
	}
	if t.Logf("%d envelopes were torn off, and offered again", lost); lost == 0 {
		t.Error("nothing was torn off: the test is blind")
	}
}

// tear cuts bytes from the end of the append-only file.
func tear(t *testing.T, dir string, bytes int64) {
	t.Helper()
	file, err := redistest.LastFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	about, err := os.Stat(file)
	if err := errors.Join(err, os.Truncate(file, about.Size()-bytes)); err != nil {
		t.Fatal(err)
	}
}

// Fault 36: the password of the relay's user is changed while the relay runs, and its
// connections are cut. Until it has the new one it takes nothing and loses nothing;
// then it goes on.
func TestPasswordChanged(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	c := server.Config()
	old, err := c.Password()
	if err != nil {
		t.Fatal(err)
	}
	var password atomic.Pointer[string]
	password.Store(&old)
	c.Password = func() (string, error) { return *password.Load(), nil }
	store := mustOpen(t, c)
	commit(t, store, put(1))
	fresh := old + "-fresh"
	user := root.Do(t.Context(), "acl", "setuser", "schakel-relay", "resetpass", ">"+fresh)
	if err := errors.Join(user.Err(), root.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err()); err != nil {
		t.Fatal(err)
	}
	within(t, 30*time.Second, "a put is refused", func() bool {
		err := commit(t, store, put(2))[0].Err
		if err != nil && !unanswered(err) {
			t.Fatal(err)
		}
		return errors.Is(err, queue.ErrUnavailable)
	})
	password.Store(&fresh)
	within(t, 30*time.Second, "a put is taken", func() bool { return commit(t, store, put(3))[0].Err == nil })
	if n := len(read(t, store).Records); n < 2 || n > 3 { // the second may have come before the cut
		t.Errorf("%d records", n)
	}
}

// Fault 72: the same envelope a hundred times, at three relays at once, each with a
// salt of its own. It is stored once, and all are answered with one salt.
func TestHundredTimes(t *testing.T) {
	server := start(t)
	var mu sync.Mutex // guards what follows
	fresh, salts, positions := 0, map[[16]byte]int{}, map[queue.Position]int{}
	var putting sync.WaitGroup
	for relay := range 3 {
		store := mustOpen(t, server.Config())
		putting.Go(func() {
			for n := range 34 {
				op := put(1)
				op.Salt = [16]byte{byte(relay), byte(n), 1}
				results, err := store.Commit(t.Context(), []queue.Op{op})
				if err != nil || results[0].Err != nil {
					t.Errorf("%v, %v", err, results)
					return
				}
				mu.Lock()
				if !results[0].Duplicate {
					fresh++
				}
				salts[results[0].Salt]++
				positions[results[0].Position]++
				mu.Unlock()
			}
		})
	}
	putting.Wait()
	if fresh != 1 || len(salts) != 1 || len(positions) != 1 {
		t.Errorf("new %d times, with %d salts at %d positions", fresh, len(salts), len(positions))
	}
	if n := len(read(t, mustOpen(t, server.Config())).Records); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}
