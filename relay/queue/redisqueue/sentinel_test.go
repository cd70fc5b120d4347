package redisqueue_test

import (
	"errors"
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// TestSentinel kills the primary: what was confirmed is at the one that takes over,
// nothing is taken under the epoch that ended, and opening waits for the new primary.
func TestSentinel(t *testing.T) {
	t.Parallel() // it waits for the disk
	redistest.Need(t)
	watched, err := redistest.StartSentinels(t.TempDir(), 2, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	c := watched.Config()
	c.Replicas, c.Start = 1, time.Minute
	store := mustOpen(t, c)
	before := epochOf(t, store)
	within(t, 20*time.Second, "a put is confirmed", func() bool { return commit(t, store, put(1))[0].Err == nil })
	watched.Primary().Kill()
	again, err := redisqueue.Open(t.Context(), c) // while sentinels name the dead one
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if epochOf(t, again) == before {
		t.Error("the epoch is the one of before")
	}
	if n := len(read(t, again).Records); n != 1 {
		t.Errorf("%d records after the failover, want 1", n)
	}
	within(t, 30*time.Second, "the other relay ends", func() bool {
		results, err := store.Commit(t.Context(), []queue.Op{put(2)})
		if err == nil && results[0].Err == nil {
			t.Fatal("a put was taken under the epoch that is over")
		}
		return errors.Is(err, queue.ErrIndeterminate)
	})
	within(t, 30*time.Second, "puts are confirmed again", func() bool { return commit(t, again, put(3))[0].Err == nil })
}
