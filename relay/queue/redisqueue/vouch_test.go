package redisqueue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

func epochOf(t testing.TB, s queue.Store) [16]byte {
	t.Helper()
	state, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state.Epoch
}

func metaOf(bucket int) string { return fmt.Sprintf("schakel:{q%02d}:meta", bucket) }

// TestOpenedTogether has relays open a store that lost a part, all at once, and some
// of them end half-way. Those that open agree in the end, and none of them takes an
// envelope under the epoch of before.
func TestOpenedTogether(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	first := mustOpen(t, server.Config())
	before := epochOf(t, first)
	for round := range 8 {
		root.Del(t.Context(), metaOf(round*2))
		openTogether(t, server.Config(), 6)
		last := mustOpen(t, server.Config())
		after := epochOf(t, last)
		if after == before {
			t.Fatalf("round %d: the epoch is the one of before", round)
		}
		if again := mustOpen(t, server.Config()); epochOf(t, again) != after {
			t.Fatalf("round %d: two relays opened, with two epochs", round)
		}
		if r := commit(t, last, put(round))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		before = after
	}
	if _, err := first.Commit(t.Context(), []queue.Op{put(100)}); !errors.Is(err, queue.ErrIndeterminate) {
		t.Errorf("a put under the first epoch gave %v", err)
	}
}

// openTogether opens at once; every second opener has little time, and ends when it
// is over: before, in the middle of, or after its writes.
func openTogether(t *testing.T, c redisqueue.Config, n int) {
	var opening sync.WaitGroup
	for i := range n {
		opening.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 1 {
				time.AfterFunc(time.Duration(i*7)*time.Millisecond, cancel)
			}
			store, err := redisqueue.Open(ctx, c)
			if err == nil {
				store.Close()
			} else if ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
}

// TestUnfinishedRenewal begins a renewal as a relay that was killed would have, and
// has the next relay, or one that runs, finish it.
func TestUnfinishedRenewal(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	running := mustOpen(t, server.Config())
	before := epochOf(t, running)
	// A bucket that lost nothing and has an older marker gets that of bucket 0 back.
	root.HSet(t.Context(), metaOf(bucketOfDesk), "epoch", "an older one")
	if r := commit(t, running, put(1))[0]; r.Err != nil {
		t.Errorf("a bucket without losses was not taken back: %v", r.Err)
	}
	// Bucket 0 leads: with another marker there a renewal has begun.
	root.HSet(t.Context(), metaOf(0), "epoch", "a new one")
	after := epochOf(t, mustOpen(t, server.Config()))
	if after == before {
		t.Error("the renewal was taken back")
	}
	if marker := root.HGet(t.Context(), metaOf(redisqueue.Buckets-1), "epoch").Val(); marker != "a new one" {
		t.Errorf("the renewal was not finished: %q", marker)
	}
	if _, err := running.Commit(t.Context(), []queue.Op{put(2)}); !errors.Is(err, queue.ErrIndeterminate) {
		t.Errorf("a put under the old epoch gave %v", err)
	}
}

// bucketOfDesk is where the desk of these tests is.
var bucketOfDesk = func() int {
	sum := uint32(2166136261)
	for i := range len(desk) {
		sum = (sum ^ uint32(desk[i])) * 16777619
	}
	return int(sum % redisqueue.Buckets)
}()

// TestThereAndBack has a replica take over and the former primary after it, while
// no relay looks: the process is the one that was vouched for, and what only it had
// is gone.
func TestThereAndBack(t *testing.T) {
	redistest.Need(t)
	t.Parallel() // it waits for the disk
	pair, err := redistest.StartReplicas(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pair.Stop()
	c := pair.Config()
	store := mustOpen(t, c)
	if r := commit(t, store, put(1))[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	before := epochOf(t, store)
	for _, next := range []int{1, 0} {
		if err := errors.Join(pair.Promote(pair.Servers[next]), pair.Settle()); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 30*time.Second, "the relay ends", func() bool {
		results, err := store.Commit(t.Context(), []queue.Op{put(2)})
		if err == nil && results[0].Err == nil {
			t.Fatal("a put was taken by a primary that had been away")
		}
		return errors.Is(err, queue.ErrIndeterminate)
	})
	if epochOf(t, mustOpen(t, c)) == before {
		t.Error("the epoch is the one of before")
	}
}

// TestVouchedElsewhere is the control of the ones above: a copy of a store whose
// markers were made to fit is taken for the store, so it is them that tell.
func TestVouchedElsewhere(t *testing.T) {
	redistest.Need(t)
	dir := t.TempDir()
	server, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := server.Config()
	p := newProxy(t, server.Address)
	c.Address = p.listener.Addr().String()
	store := mustOpen(t, c)
	before := epochOf(t, store)
	commit(t, store, put(1))
	server.Stop()
	restarted, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer restarted.Stop()
	forge(t, restarted)
	p.to.Store(&restarted.Address)
	within(t, 20*time.Second, "the forged store is taken", func() bool { return commit(t, store, put(2))[0].Err == nil })
	if epochOf(t, store) != before {
		t.Error("another epoch")
	}
	store.Close()
}

// forge writes the server's own identity into all buckets.
func forge(t *testing.T, server *redistest.Server) {
	root := server.Root()
	defer root.Close()
	info := root.InfoMap(t.Context(), "server", "replication").Item
	_, err := root.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for bucket := range redisqueue.Buckets {
			pipe.HSet(t.Context(), metaOf(bucket), "by", info("Server", "run_id")+info("Replication", "master_replid"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOtherFormat opens a store that another version has laid out otherwise: it is refused,
// and not read in part.
func TestOtherFormat(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	mustOpen(t, server.Config()).Close()
	root.HSet(t.Context(), metaOf(redisqueue.Buckets-1), "format", "1")
	if _, err := redisqueue.Open(t.Context(), server.Config()); !errors.Is(err, queue.ErrVersion) {
		t.Errorf("a store of another format: %v", err)
	}
}

// TestTakenOverBetweenTransactions has a server follow another for a moment, and lead again as
// the same process: what happened meanwhile nobody knows. A transaction asks who its server is
// once, the next one asks again.
func TestTakenOverBetweenTransactions(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	store := mustOpen(t, server.Config())
	both := func(n int) []queue.Op { // in two buckets: in a transaction
		there := put(n)
		there.Desk = "elsewhere/desk"
		return []queue.Op{put(n), there}
	}
	if bucketOf(desk) == bucketOf("elsewhere/desk") {
		t.Fatal("both desks are in one bucket: the test is blind")
	}
	for _, r := range commit(t, store, both(1)...) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if err := errors.Join(root.SlaveOf(t.Context(), "127.0.0.1", "1").Err(), root.SlaveOf(t.Context(), "NO", "ONE").Err()); err != nil {
		t.Fatal(err)
	}
	if results, err := store.Commit(t.Context(), both(2)); !errors.Is(err, queue.ErrIndeterminate) {
		t.Errorf("puts after another history gave %+v, %v", results, err)
	}
}
