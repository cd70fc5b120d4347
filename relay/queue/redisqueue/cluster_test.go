package redisqueue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

func startCluster(t *testing.T, settings ...string) (*redistest.Cluster, redisqueue.Config) {
	t.Helper()
	redistest.Need(t)
	cluster, err := redistest.StartCluster(t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	return cluster, cluster.Config()
}

// putTo is an envelope for one of many desks.
func putTo(n int) *queue.Put {
	p := put(n)
	p.Desk = identity.DeskID(fmt.Sprintf("politie/wacht-%d", n%40))
	p.ID = envelope.ID{7, byte(n >> 8), byte(n)}
	return p
}

// ownerOf returns the primary that has the bucket of a desk.
func ownerOf(t *testing.T, cluster *redistest.Cluster, bucket int) (*redistest.Server, int) {
	t.Helper()
	slot, err := cluster.SlotOf(metaOf(bucket))
	if err != nil {
		t.Fatal(err)
	}
	owner, err := cluster.Owner(slot)
	if err != nil || owner == nil {
		t.Fatalf("nobody has slot %d: %v", slot, err)
	}
	return owner, slot
}

// TestCluster is one test, for a cluster takes long to start.
func TestCluster(t *testing.T) {
	t.Parallel() // it waits for the disk
	cluster, c := startCluster(t, "cluster-node-timeout", "20000")
	calm := c // what follows first is not about servers that are slow
	calm.Patience = unhurried
	t.Run("promises", func(t *testing.T) { checkFew(t, func(string) redisqueue.Config { return calm }) })
	t.Run("doorbells", func(t *testing.T) { checkDoorbells(t, calm) })
	t.Run("nodes", func(t *testing.T) { checkNodes(t, calm) })
	t.Run("timers", func(t *testing.T) { checkJournal(t, calm) })
	t.Run("moved", func(t *testing.T) { checkMoved(t, cluster, c) })
	t.Run("undeclared", func(t *testing.T) { checkUndeclared(t, cluster) })
	t.Run("one part", func(t *testing.T) { checkOnePart(t, cluster, c) })
	t.Run("coverage", func(t *testing.T) { checkCoverage(t, cluster, c) })
}

// checkDoorbells rings for desks of all parts over one subscription.
func checkDoorbells(t *testing.T, c redisqueue.Config) {
	writer, listener := mustOpen(t, c), mustOpen(t, c)
	var mu sync.Mutex
	rung := make(map[identity.DeskID]bool)
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() {
		listener.Listen(ctx, func(desk identity.DeskID) {
			mu.Lock()
			defer mu.Unlock()
			rung[desk] = true
		})
	})
	defer listening.Wait()
	defer cancel()
	n := 5000
	within(t, 20*time.Second, "forty desks are rung for", func() bool {
		var ops []queue.Op
		for range 40 {
			n++
			ops = append(ops, putTo(n))
		}
		commit(t, writer, ops...)
		mu.Lock()
		defer mu.Unlock()
		return len(rung) == 40
	})
}

// checkMoved moves a bucket to another primary, a few keys at a time, while it is written
// to: no answer is wrong, and the epoch stays, for nothing was lost.
func checkMoved(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	store := impatient(t, c, 300*time.Millisecond)
	before := epochOf(t, store)
	within(t, 20*time.Second, "the bucket is served", func() bool { return commit(t, store, put(0))[0].Err == nil })
	from, slot := ownerOf(t, cluster, bucketOfDesk)
	to := cluster.Nodes[0]
	if to == from {
		to = cluster.Nodes[1]
	}
	answers := []error{nil}
	err := cluster.Move(slot, 16, from, to, func() {
		answers = append(answers, commit(t, store, put(len(answers)))[0].Err)
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "the bucket is served again", func() bool { return commit(t, store, put(0))[0].Err == nil })
	checkAnswers(t, store, answers)
	if epochOf(t, store) != before || epochOf(t, mustOpen(t, c)) != before {
		t.Error("a bucket that moved has another epoch")
	}
}

// checkAnswers wants each put in the store that was answered, and none that was refused. What
// this machine was too slow to confirm may be there, and is taken when it is offered again.
func checkAnswers(t *testing.T, store *redisqueue.Store, answers []error) {
	t.Helper()
	refused := 0
	for n, err := range answers {
		there := has(t, store, put(n).ID)
		switch {
		case err == nil && !there:
			t.Errorf("put %d was answered while the bucket moved, and is not there", n)
		case errors.Is(err, queue.ErrUnavailable) && there:
			t.Errorf("put %d was refused while the bucket moved, and is there", n)
		case err != nil && !unanswered(err):
			t.Errorf("put %d while the bucket moved: %v", n, err)
		case err != nil:
			refused++
			within(t, 20*time.Second, "it is taken", func() bool { return commit(t, store, put(n))[0].Err == nil })
		}
	}
	t.Logf("%d puts while the bucket moved, %d of them not answered", len(answers)-1, refused)
	if there := len(read(t, store).Records); there != len(answers) {
		t.Errorf("%d records, want %d", there, len(answers))
	}
}

// both writes to two keys, of which the second need not be declared.
const both = `#!lua name=test_both
redis.register_function('test_both', function(keys, args)
  redis.call('HSET', keys[1], 'f', args[1])
  redis.call('HSET', args[2], 'f', args[1])
  return 'K'
end)`

// checkUndeclared is the control for declaring all keys of a bucket: while a slot
// moves, a function that touches a key it has not declared fails half-way.
func checkUndeclared(t *testing.T, cluster *redistest.Cluster) {
	slot, err := cluster.SlotOf("{control}a")
	if err != nil {
		t.Fatal(err)
	}
	from, err := cluster.Owner(slot)
	if err != nil {
		t.Fatal(err)
	}
	to := cluster.Nodes[0]
	if to == from {
		to = cluster.Nodes[1]
	}
	root := from.Root()
	defer root.Close()
	if err := root.FunctionLoad(t.Context(), both).Err(); err != nil {
		t.Fatal(err)
	}
	call := func(value string, keys ...string) string {
		err := root.FCall(t.Context(), "test_both", keys, value, "{control}b").Err()
		return root.HGet(t.Context(), "{control}a", "f").Val() + " " + fmt.Sprint(err != nil)
	}
	if got := call("before", "{control}a"); got != "before false" {
		t.Fatalf("before the slot moves: %s", got)
	}
	step, checked := 0, false
	err = cluster.Move(slot, 1, from, to, func() {
		if step++; step != 2 || root.Exists(t.Context(), "{control}a").Val() == 0 {
			return
		}
		checked = true
		if got := call("declared", "{control}a", "{control}b"); got != "before true" {
			t.Errorf("with all keys declared: %s", got)
		}
		if got := call("undeclared", "{control}a"); got != "undeclared true" {
			t.Errorf("control: with one key declared: %s, it does not fail half-way", got)
		}
	})
	if err != nil || !checked {
		t.Fatalf("checked %t, %v", checked, err)
	}
}

// checkOnePart freezes one primary and its replica: its desks are not confirmed, and
// those of the others are, in the same batch and after.
func checkOnePart(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	store := mustOpen(t, c)
	frozen, _ := ownerOf(t, cluster, bucketOfDesk)
	part := []*redistest.Server{frozen, cluster.ReplicaOf(frozen)}
	for _, server := range part {
		server.Process().Signal(syscall.SIGSTOP)
		defer server.Process().Signal(syscall.SIGCONT)
	}
	ops := []queue.Op{put(1000)}
	for n := range 40 {
		ops = append(ops, putTo(n))
	}
	if r := commit(t, store, ops...)[0]; !errors.Is(r.Err, queue.ErrUnconfirmed) {
		t.Errorf("a put to the frozen part gave %v", r.Err)
	}
	within(t, 30*time.Second, "the desks of the others are served", func() bool {
		served := 0
		for _, r := range commit(t, store, ops[1:]...) {
			if r.Err == nil {
				served++
			}
		}
		return served >= 10
	})
	within(t, 30*time.Second, "a put to the frozen part is refused at once", func() bool {
		return errors.Is(commit(t, store, put(1001))[0].Err, queue.ErrUnavailable)
	})
	for _, server := range part {
		server.Process().Signal(syscall.SIGCONT)
	}
	within(t, 30*time.Second, "all desks are served again", func() bool { return commit(t, store, put(1000))[0].Err == nil })
}

// checkCoverage changes the setting by which one part would stop all.
func checkCoverage(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	root := cluster.Nodes[1].Root()
	defer root.Close()
	root.ConfigSet(t.Context(), "cluster-require-full-coverage", "yes")
	defer root.ConfigSet(t.Context(), "cluster-require-full-coverage", "no")
	_, err := redisqueue.Open(t.Context(), c)
	if !errors.Is(err, redisqueue.ErrUnsafe) || !strings.Contains(err.Error(), "in redis.conf: cluster-require-full-coverage no") {
		t.Errorf("gave %v", err)
	}
}
