package redisqueue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

func startReplicas(t *testing.T, n int) *redistest.Replicas {
	t.Helper()
	redistest.Need(t)
	replicas, err := redistest.StartReplicas(t.TempDir(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replicas.Stop)
	return replicas
}

// Faults 39 and 40: while the replica is frozen nothing is promised, also not when
// the envelope is known already and comes again over another connection.
func TestReplicaFrozen(t *testing.T) {
	t.Parallel() // it waits for the replica
	replicas := startReplicas(t, 1)
	first, second := mustOpen(t, replicas.Config()), mustOpen(t, replicas.Config())
	if r := commit(t, first, put(1))[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	replicas.Servers[1].Freeze()
	if r := commit(t, first, put(2))[0]; !errors.Is(r.Err, queue.ErrUnconfirmed) {
		t.Errorf("a put without the replica gave %v", r.Err)
	}
	for range 3 {
		for name, store := range map[string]*redisqueue.Store{"the same": first, "another": second} {
			for n, op := range map[string]*queue.Put{"confirmed": put(1), "unconfirmed": put(2), "new": put(3)} {
				if r := commit(t, store, op)[0]; !unanswered(r.Err) {
					t.Errorf("%s relay: an envelope that was %s gave %+v", name, n, r)
				}
			}
		}
	}
	third := mustOpen(t, replicas.Config()) // another connection, that has written nothing
	if r := commit(t, third, put(2))[0]; !unanswered(r.Err) {
		t.Errorf("a new relay: a known envelope gave %+v", r)
	}
	replicas.Servers[1].Thaw()
	for _, store := range []*redisqueue.Store{first, second, third} {
		within(t, 30*time.Second, "it is confirmed again", func() bool { return commit(t, store, put(2))[0].Err == nil })
		if r := commit(t, store, put(2))[0]; !r.Duplicate || r.Salt != put(2).Salt {
			t.Errorf("afterwards: %+v", r)
		}
	}
}

// The controls: without replicas in the configuration all of that is promised at
// once; and whoever asks on another connection than the one that has written is told
// that everybody has it.
func TestReplicaFrozenIsIgnored(t *testing.T) {
	t.Parallel() // it waits for the replica
	replicas := startReplicas(t, 1)
	c := replicas.Config()
	c.Replicas = 0
	store := mustOpen(t, c)
	root := replicas.Servers[0].Root()
	defer root.Close()
	another := root.Conn()
	defer another.Close()
	if n, err := another.Wait(context.Background(), 1, 20*time.Second).Result(); n != 1 {
		t.Fatalf("%d replicas confirm what there is, %v", n, err)
	}
	replicas.Servers[1].Freeze()
	if r := commit(t, store, put(1))[0]; r.Err != nil {
		t.Errorf("without replicas: %v", r.Err)
	}
	if n, err := another.Wait(context.Background(), 1, 100*time.Millisecond).Result(); n != 1 {
		t.Errorf("%d replicas confirm to another connection, %v: the test is blind", n, err)
	}
}
