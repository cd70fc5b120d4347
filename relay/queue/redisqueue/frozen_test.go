package redisqueue_test

import (
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
)

// Fault 40, for every relay and every envelope: while the replica is frozen nothing
// is promised, neither by a relay that opened the store only then nor about an
// envelope that had been confirmed.
func TestReplicaFrozenForAll(t *testing.T) {
	t.Parallel() // it waits for the replica
	replicas := startReplicas(t, 1)
	first := mustOpen(t, replicas.Config())
	within(t, 30*time.Second, "a put is confirmed", func() bool { return commit(t, first, put(1))[0].Err == nil })
	replicas.Servers[1].Freeze()
	commit(t, first, put(2))
	second := mustOpen(t, replicas.Config())
	for range 3 {
		for name, store := range map[string]*redisqueue.Store{"the same": first, "another": second} {
			for n, op := range map[string]*queue.Put{"confirmed": put(1), "unconfirmed": put(2), "new": put(3)} {
				if r := commit(t, store, op)[0]; !unanswered(r.Err) {
					t.Errorf("%s relay: an envelope that was %s gave %+v", name, n, r)
				}
			}
		}
	}
	replicas.Servers[1].Thaw()
	for _, store := range []*redisqueue.Store{first, second} {
		within(t, 30*time.Second, "it is confirmed again", func() bool { return commit(t, store, put(2))[0].Err == nil })
		if r := commit(t, store, put(2))[0]; !r.Duplicate || r.Salt != put(2).Salt {
			t.Errorf("afterwards: %+v", r)
		}
	}
}

// The control: without replicas in the configuration all of that is promised.
func TestReplicaFrozenIsIgnored(t *testing.T) {
	t.Parallel() // it waits for the replica
	replicas := startReplicas(t, 1)
	c := replicas.Config()
	c.Replicas = 0
	replicas.Servers[1].Freeze()
	first, second := mustOpen(t, c), mustOpen(t, c)
	if r := commit(t, first, put(1))[0]; r.Err != nil {
		t.Errorf("a new envelope: %v", r.Err)
	}
	if r := commit(t, second, put(1))[0]; r.Err != nil || !r.Duplicate {
		t.Errorf("offered again to another relay: %+v", r)
	}
}
