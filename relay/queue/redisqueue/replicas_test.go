package redisqueue_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/queuetest"
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

// few are the promises that are checked again on more than one server; the others do
// not depend on how many there are.
var few = map[string]bool{
	"idempotence": true, "isolation": true, "cursors of many desks": true, "deletion by all devices": true,
	"quota of an organisation": true, "expiry": true, "notices": true, "waiting": true, "concurrency": true,
}

// unhurried is the patience of a store with which nothing is to go wrong: a replica has a third
// of it to confirm, and the machine of these tests may need more than production gives.
const unhurried = 30 * time.Second

func checkFew(t *testing.T, config func(dir string) redisqueue.Config) {
	b := queuetest.Backend{Open: func(dir string, quota queue.Quota) (queue.Store, error) {
		c := config(dir)
		c.Prefix, c.Quota, c.Patience = prefixOf(dir), quota, unhurried
		return open(c)
	}}
	for _, check := range queuetest.Checks() {
		if !few[check.Name] {
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			if err := check.Run(b, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStoreOfTwo runs promises of the suite with a replica that confirms.
func TestStoreOfTwo(t *testing.T) {
	t.Parallel() // it waits for the disk
	pair := startReplicas(t, 1)
	checkFew(t, func(string) redisqueue.Config {
		c := pair.Config()
		c.Replicas = 1
		return c
	})
}

// TestReplicaFrozen stops the replica: an envelope that it does not have is not
// confirmed, neither the first time nor when it is offered again over another
// connection, which has written nothing else. When it goes on, it is.
func TestReplicaFrozen(t *testing.T) {
	t.Parallel() // it waits for the disk
	pair := startReplicas(t, 1)
	c := pair.Config()
	c.Replicas = 1
	store := mustOpen(t, c)
	if state, _ := store.State(t.Context()); state.Guarantee != queue.GuaranteeReplica {
		t.Errorf("guarantee %v", state.Guarantee)
	}
	within(t, 20*time.Second, "a put is confirmed", func() bool { return commit(t, store, put(1))[0].Err == nil })
	other := mustOpen(t, c)
	bystander := pair.Servers[0].Root()
	defer bystander.Close()
	within(t, 20*time.Second, "the replica has said that it has everything", func() bool {
		fields := pair.Servers[0].Replication()
		return strings.Contains(fields["slave0"], "offset="+fields["master_repl_offset"]+",")
	})
	bystander.Ping(t.Context())
	pair.Servers[1].Process().Signal(syscall.SIGSTOP)
	defer pair.Servers[1].Process().Signal(syscall.SIGCONT)
	if r := commit(t, store, put(2))[0]; !errors.Is(r.Err, queue.ErrUnconfirmed) {
		t.Errorf("a put that only the primary has gave %+v", r)
	}
	if r := commit(t, other, put(2))[0]; !errors.Is(r.Err, queue.ErrUnconfirmed) {
		t.Errorf("offered again over another connection: %+v", r)
	}
	// The control: on a connection whose last command was before the put, WAIT says
	// that the frozen replica has everything.
	if n, err := bystander.Wait(t.Context(), 1, 100*time.Millisecond).Result(); err != nil || n != 1 {
		t.Errorf("control: WAIT on another connection says %d, %v: this test shows nothing", n, err)
	}
	within(t, 20*time.Second, "it shows", func() bool {
		commit(t, store, put(2))
		return strings.Contains(store.Unsafe(), "redis-replicas (1)")
	})
	if n := len(read(t, store).Records); n != 2 {
		t.Errorf("%d records are read, want 2", n)
	}
	pair.Servers[1].Process().Signal(syscall.SIGCONT)
	within(t, 20*time.Second, "the put is confirmed", func() bool { return commit(t, store, put(2))[0].Err == nil })
	within(t, 20*time.Second, "all is well", func() bool { return store.Unsafe() == "" })
}

// TestReplicaMissing opens without the replica that is promised: nothing is taken,
// which shows, and what makes room works.
func TestReplicaMissing(t *testing.T) {
	server := start(t)
	c := server.Config()
	at := commit(t, mustOpen(t, c), put(1))[0].Position
	c.Replicas = 1
	store := mustOpen(t, c)
	if r := commit(t, store, put(2))[0]; !errors.Is(r.Err, queue.ErrUnavailable) {
		t.Errorf("a put without a replica gave %+v", r)
	}
	if r := commit(t, store, put(1))[0]; !errors.Is(r.Err, queue.ErrUnconfirmed) {
		t.Errorf("a put that is there gave %+v", r)
	}
	commit(t, store, &queue.Ack{Desk: desk, Device: target, Position: at})
	if n := len(read(t, store).Records); n != 0 || store.Unsafe() == "" {
		t.Errorf("%d records after the acknowledgement, %q", n, store.Unsafe())
	}
}

// TestReplicasDemanded has Redis itself demand a replica: nothing is written.
func TestReplicasDemanded(t *testing.T) {
	server := start(t, "min-replicas-to-write", "1", "min-replicas-max-lag", "10")
	root := server.Root()
	defer root.Close()
	root.ConfigSet(t.Context(), "min-replicas-to-write", "0")
	store := mustOpen(t, server.Config())
	root.ConfigSet(t.Context(), "min-replicas-to-write", "1")
	if r := commit(t, store, put(1))[0]; !errors.Is(r.Err, queue.ErrUnavailable) {
		t.Errorf("gave %+v", r)
	}
	if n := len(read(t, store).Records); n != 0 {
		t.Errorf("%d records", n)
	}
}
