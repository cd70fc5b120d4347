package redisqueue_test

import (
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue/redistest"
)

// split has two servers that both believe to be the primary: the one was silent for a
// while, and sentinels let another take over. It returns what a relay beside the first
// is answered now, and a store on the other once the first has given in.
func split(t *testing.T, replicas int) (old error, now queue.Store) {
	t.Helper()
	redistest.Need(t)
	servers, err := redistest.StartSentinels(t.TempDir(), 2, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Stop)
	c := servers.Config()
	c.Replicas = replicas
	first := servers.Primary()
	beside := c
	beside.Address, beside.Master = first.Address, ""
	store := mustOpen(t, beside)
	within(t, 30*time.Second, "a put is taken", func() bool { return commit(t, store, put(1))[0].Err == nil })
	first.Freeze()
	within(t, time.Minute, "another takes over, and is followed", func() bool {
		primary := servers.Primary()
		return primary != nil && primary != first && primary.Replication()["connected_slaves"] == "1"
	})
	first.Thaw()
	results, err := store.Commit(t.Context(), []queue.Op{put(2)})
	if err == nil {
		err = results[0].Err
	}
	within(t, time.Minute, "the first gives in", func() bool { return first.Replication()["role"] == "slave" })
	if err := servers.Settle(); err != nil {
		t.Fatal(err)
	}
	return err, patient{mustOpen(t, c)}
}

func has(t *testing.T, store queue.Store, id envelope.ID) bool {
	t.Helper()
	for _, r := range read(t, store).Records {
		if r.ID == id {
			return true
		}
	}
	return false
}

// Fault 42: a primary that was taken for dead comes back, and a relay beside it puts
// there: it is not answered, because no replica confirms, and so may be undone.
func TestTwoPrimaries(t *testing.T) {
	t.Parallel() // it waits for sentinels
	old, now := split(t, 1)
	if old == nil {
		t.Error("a primary that nobody follows was believed")
	}
	if !has(t, now, put(1).ID) || has(t, now, put(2).ID) {
		t.Error("not what was confirmed, and only that, is there")
	}
	if r := commit(t, now, put(2))[0]; r.Err != nil || r.Duplicate {
		t.Errorf("offered again: %+v", r)
	}
}

// The control: without confirmation the relay answers, and what it answered for is
// undone.
func TestTwoPrimariesWithoutConfirmation(t *testing.T) {
	t.Parallel() // it waits for sentinels
	old, now := split(t, 0)
	if old != nil || has(t, now, put(2).ID) {
		t.Errorf("answered %v, there %t: the test is blind", old, has(t, now, put(2).ID))
	}
}
