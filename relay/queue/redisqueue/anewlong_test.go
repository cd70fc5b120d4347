//go:build linux

package redisqueue_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// says reports whether a server says all of this about its file.
func says(t *testing.T, server *redistest.Server, all ...string) bool {
	t.Helper()
	root := server.Root()
	defer root.Close()
	state, err := root.Info(t.Context(), "persistence").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range all {
		if !strings.Contains(state, line+"\r\n") {
			return false
		}
	}
	return true
}

// A server that was killed takes longer to write its file anew than anybody is patient. Two
// relays open meanwhile and wait for one writing; the one that runs is refused until it has
// ended, and then ends.
func TestWrittenAnewForLong(t *testing.T) {
	t.Parallel()                                       // it waits for the disk
	server := start(t, "rdb-key-save-delay", "100000") // a tenth of a second for each key
	c := server.Config()
	c.Watch = 50 * time.Millisecond
	running := impatient(t, c, 200*time.Millisecond)
	within(t, 30*time.Second, "a put is taken", func() bool { return commit(t, running, put(1))[0].Err == nil })
	killedAnd(t, server, func() {})
	var epochs [2][16]byte
	var opening sync.WaitGroup
	for i := range epochs {
		opening.Go(func() {
			store, err := redisqueue.Open(t.Context(), server.Config())
			if err != nil {
				t.Error(err)
				return
			}
			defer store.Close()
			if !says(t, server, "aof_rewrites:1", "aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok") {
				t.Error("a relay opened before the file was written anew, or had it written twice")
			}
			epochs[i] = epochOf(t, store)
			if r := commit(t, store, put(10+i))[0]; r.Err != nil {
				t.Error(r.Err)
			}
		})
	}
	refused := 0
	within(t, time.Minute, "the relay that runs ends", func() bool {
		results, err := running.Commit(t.Context(), []queue.Op{put(2)})
		if err != nil {
			return errors.Is(err, queue.ErrIndeterminate)
		}
		if !unanswered(results[0].Err) {
			t.Fatalf("a put meanwhile gave %v", results[0].Err)
		}
		refused++
		return false
	})
	opening.Wait()
	if epochs[0] != epochs[1] {
		t.Error("two relays opened, with two epochs")
	}
	if refused == 0 {
		t.Error("control: nothing was refused, the writing was not slow")
	}
	if n := len(read(t, mustOpen(t, server.Config())).Records); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

// A replica was killed in the middle of a transaction, and takes over without having seen its
// primary again: its own file is all that there is.
func TestTornReplicaTakesOver(t *testing.T) {
	t.Parallel() // it waits for the disk
	redistest.Need(t)
	pair, err := redistest.StartReplicas(t.TempDir(), 1, "replica-serve-stale-data", "yes") // or it does not even say that it started
	if err != nil {
		t.Fatal(err)
	}
	defer pair.Stop()
	store := mustOpen(t, pair.Config())
	for n := range 2 {
		if r := commit(t, store, put(n))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	store.Close()
	first, second := pair.Servers[0], pair.Servers[1]
	first.Kill()
	killedAnd(t, second, func() {
		if torn, err := second.Tear(); err != nil || !torn {
			t.Fatalf("torn %t, %v", torn, err)
		}
	})
	if err := pair.Promote(second); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 5; n++ { // and is killed once more, after two of them
		store := mustOpen(t, second.Config())
		if r := commit(t, store, put(n))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		store.Close()
		if n == 3 {
			killedAnd(t, second, func() {})
		}
	}
	for n := range 5 {
		if !has(t, mustOpen(t, second.Config()), put(n).ID) {
			t.Errorf("envelope %d was answered, and is not there", n)
		}
	}
}

// One primary of a cluster is killed, is there again before anybody takes over, and writes its
// file anew for long. Its desks are refused meanwhile, those of the others are
// served under the epoch of before; then a new one begins.
func TestClusterPartWrittenAnew(t *testing.T) {
	t.Parallel() // it waits for the disk
	cluster, c := startCluster(t, "cluster-node-timeout", "20000")
	c.Watch = time.Hour // or it would come before the writing is slow
	n := 6000
	store := mustOpen(t, c)
	within(t, time.Minute, "all desks are served", func() bool {
		for _, op := range putsTo(&n) {
			results, err := store.Commit(t.Context(), []queue.Op{op})
			if err != nil { // the first replica is a new epoch
				store = mustOpen(t, c)
			}
			if err != nil || results[0].Err != nil {
				return false
			}
		}
		return true
	})
	before := epochOf(t, store)
	leads, _ := ownerOf(t, cluster, 0)
	part := leads
	for bucket := 1; part == leads; bucket++ {
		part, _ = ownerOf(t, cluster, bucket)
	}
	killedAnd(t, part, func() {})
	root := part.Root()
	defer root.Close()
	if err := root.ConfigSet(t.Context(), "rdb-key-save-delay", "2000000").Err(); err != nil { // of each key; it is not waited for
		t.Fatal(err)
	}
	putAll := func() {
		for _, op := range putsTo(&n) {
			owner, _ := ownerOf(t, cluster, bucketOf(op.Desk))
			switch err := commit(t, store, op)[0].Err; {
			case owner == part && !unanswered(err):
				t.Errorf("a put to the part gave %v", err)
			case owner != part && err != nil:
				t.Errorf("a put to another part gave %v", err)
			}
		}
	}
	putAll()
	putAll()                                                                   // the relay has seen by now what became of the part
	if says(t, part, "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0") { // a replica that wants a whole copy comes first
		t.Error("control: the part does not write its file anew")
	}
	if err := root.ConfigSet(t.Context(), "rdb-key-save-delay", "0").Err(); err != nil {
		t.Fatal(err)
	}
	_ = killRewriter(part) // which has the delay of before
	within(t, 30*time.Second, "the store ends", func() bool {
		for _, op := range putsTo(&n) {
			if _, err := store.Commit(t.Context(), []queue.Op{op}); err != nil {
				return errors.Is(err, queue.ErrIndeterminate)
			}
		}
		return false
	})
	again := mustOpen(t, c)
	if epochOf(t, again) == before {
		t.Error("the epoch is that of before")
	}
	for _, op := range putsTo(&n) {
		within(t, 30*time.Second, "all desks are served", func() bool { return commit(t, again, op)[0].Err == nil })
	}
}

// putsTo are envelopes for a desk of each bucket.
func putsTo(n *int) (ops []*queue.Put) {
	for bucket := range redisqueue.Buckets {
		*n++
		op := putTo(*n)
		for at := 0; bucketOf(op.Desk) != bucket; at++ {
			op.Desk = identity.DeskID(fmt.Sprintf("politie/wijk-%d", at))
		}
		ops = append(ops, op)
	}
	return ops
}
