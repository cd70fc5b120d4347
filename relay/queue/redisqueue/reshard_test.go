//go:build linux

package redisqueue_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// TestClusterUnderLoad is one test, for a cluster takes long to start.
func TestClusterUnderLoad(t *testing.T) {
	t.Parallel() // it waits for the cluster
	settings := []string{"cluster-node-timeout", "2000"}
	if full() {
		settings = nil // what is shipped
	}
	cluster, c := startCluster(t, settings...)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *redistest.Cluster, redisqueue.Config)
	}{{"reshard", reshard}, {"failover", clusterFailover}, {"failover without confirmation", clusterFailoverLoses}, {"part full", partFull}, {"part down", partDown}} {
		t.Run(part.name, func(t *testing.T) {
			own := c
			own.Prefix = prefixOf(part.name)
			part.run(t, cluster, own)
		})
	}
}

func metaIn(c redisqueue.Config, bucket int) string {
	return fmt.Sprintf("%s{q%02d}:meta", c.Prefix, bucket)
}

// bucketOf is part of the format of the store.
func bucketOf(desk identity.DeskID) int {
	sum := fnv.New32a()
	sum.Write([]byte(desk))
	return int(sum.Sum32() % redisqueue.Buckets)
}

// slotOf returns the slot of a bucket, and who has it.
func slotOf(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config, bucket int) (int, *redistest.Server) {
	t.Helper()
	slot, err := cluster.SlotOf(metaIn(c, bucket))
	if err != nil {
		t.Fatal(err)
	}
	owner, err := cluster.Owner(slot)
	if err != nil || owner == nil {
		t.Fatalf("nobody has slot %d: %v", slot, err)
	}
	return slot, owner
}

// Fault 43: buckets move to another primary and back under load, key by key. Nothing
// is lost, nothing is there twice, the load goes on, and the epoch stays: nothing
// needs to be offered again.
func reshard(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	before := epochOf(t, mustOpen(t, c))
	l := begin(t, c)
	l.goesOn(t, 500, nil)
	_, from := slotOf(t, cluster, c, 0)
	to := cluster.Nodes[0]
	if to == from {
		to = cluster.Nodes[1]
	}
	moved := moveBuckets(t, cluster, c, from, to)
	l.goesOn(t, 500, nil)
	back := moveBuckets(t, cluster, c, to, from)
	l.goesOn(t, 500, nil)
	t.Logf("%d buckets moved, %d back", moved, back)
	if moved == 0 || back == 0 {
		t.Error("no bucket moved: the test is blind")
	}
	if err := l.end(t); err != nil {
		t.Error(err)
	}
	if l.opened != 1 || epochOf(t, mustOpen(t, c)) != before {
		t.Error("a reshard began a new epoch")
	}
}

// moveBuckets moves slots from one primary to another: those of some buckets, and in
// the full run half of what it has, with Redis's own program.
func moveBuckets(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config, from, to *redistest.Server) (moved int) {
	t.Helper()
	var slots []int
	for bucket := range redisqueue.Buckets {
		if slot, owner := slotOf(t, cluster, c, bucket); owner == from {
			slots = append(slots, slot)
		}
	}
	if full() {
		if err := cluster.Reshard(16384/6, from, to); err != nil {
			t.Fatal(err)
		}
	} else {
		for _, slot := range slots[:min(len(slots), 6)] {
			if err := cluster.Move(slot, 5, from, to, func() {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, slot := range slots {
		if owner, err := cluster.Owner(slot); err == nil && owner == to {
			moved++
		}
	}
	return moved
}

// desksOf returns which desks of a load a primary has.
func desksOf(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config, primary *redistest.Server) map[identity.DeskID]bool {
	t.Helper()
	of := make(map[identity.DeskID]bool)
	for n := range loadDesks {
		_, owner := slotOf(t, cluster, c, bucketOf(deskOf(n)))
		of[deskOf(n)] = owner == primary
	}
	return of
}

// takeOver waits until another has the bucket of one that was killed, and has that
// come back as its replica.
func takeOver(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config, bucket int, killed *redistest.Server) {
	t.Helper()
	slot, err := cluster.SlotOf(metaIn(c, bucket))
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "the replica takes over", func() bool {
		owner, err := cluster.Owner(slot)
		return err == nil && owner != killed
	})
	if err := killed.Restart(); err != nil {
		t.Fatal(err)
	}
}

// One primary after the other is killed under load, and its replica takes over:
// what was confirmed is there.
func clusterFailover(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	l := begin(t, c)
	for n := range max(1, *failovers/5) {
		l.goesOn(t, 500, nil)
		_, primary := slotOf(t, cluster, c, n*5%redisqueue.Buckets)
		gone := desksOf(t, cluster, c, primary)
		primary.Kill()
		began := time.Now()
		takeOver(t, cluster, c, n*5%redisqueue.Buckets, primary)
		taken := time.Since(began)
		l.goesOn(t, loadBatch, func(desk identity.DeskID) bool { return gone[desk] })
		t.Logf("another primary after %v, its desks are served after %v", taken.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		if err := cluster.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.end(t); err != nil {
		t.Error(err)
	}
	if l.opened < 2 {
		t.Error("a failover did not begin a new epoch")
	}
}

// The control: without confirmation, and with a replica that has fallen behind, what
// was answered is gone, and the check sees it.
func clusterFailoverLoses(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	onlyFull(t)
	c.Replicas = 0
	before := epochOf(t, mustOpen(t, c))
	l := begin(t, c)
	l.goesOn(t, 500, nil)
	_, primary := slotOf(t, cluster, c, 0)
	replica := cluster.ReplicaOf(primary)
	replica.Freeze()
	root := primary.Root()
	err := root.Do(t.Context(), "client", "kill", "type", "replica").Err()
	root.Close()
	if err != nil {
		t.Fatal(err)
	}
	l.goesOn(t, 500, nil)
	primary.Kill()
	replica.Thaw()
	takeOver(t, cluster, c, 0, primary)
	if err := l.end(t); !errors.Is(err, errLost) {
		t.Errorf("gave %v: the test is blind", err)
	}
	if epochOf(t, mustOpen(t, c)) == before {
		t.Error("what was lost is not offered again: the epoch is the same")
	}
	if err := cluster.Settle(); err != nil {
		t.Fatal(err)
	}
}

// The memory of one part is full: its desks are refused by that name, read and
// acknowledged, and the others served as before.
func partFull(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	store := mustOpen(t, c)
	_, primary := slotOf(t, cluster, c, 63)
	full := desksOf(t, cluster, c, primary)
	var before []queue.Result
	for n := range loadDesks {
		before = append(before, commit(t, patient{store}, loadPut(n))[0])
	}
	root := primary.Root()
	defer root.Close()
	defer root.ConfigSet(t.Context(), "maxmemory", "2gb")
	if err := root.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for n := range loadDesks {
		results := commit(t, patient{store}, loadPut(n), loadPut(loadDesks+n),
			&queue.Ack{Desk: deskOf(n), Device: target, Position: before[n].Position})
		if !results[0].Duplicate || results[0].Err != nil || results[2].Err != nil {
			t.Errorf("desk %d: known %+v, acknowledged %+v", n, results[0], results[2])
		}
		if err := results[1].Err; full[deskOf(n)] != errors.Is(err, queue.ErrFullMemory) || !full[deskOf(n)] && err != nil {
			t.Errorf("desk %d, full %t: %v", n, full[deskOf(n)], err)
		}
		if errors.Is(results[1].Err, queue.ErrFullMemory) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no desk was refused: the test is blind")
	}
}

// notLeading returns a primary that has buckets, and not bucket 0: without that one
// no relay opens.
func notLeading(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) *redistest.Server {
	t.Helper()
	_, leader := slotOf(t, cluster, c, 0)
	for bucket := range redisqueue.Buckets {
		if _, owner := slotOf(t, cluster, c, bucket); owner != leader {
			return owner
		}
	}
	t.Fatal("one primary has all buckets")
	return nil
}

// One primary and its replica are both gone: their desks are refused, the others
// served as before, also by a relay that starts now; afterwards all are served.
func partDown(t *testing.T, cluster *redistest.Cluster, c redisqueue.Config) {
	l := begin(t, c)
	l.goesOn(t, 500, nil)
	primary := notLeading(t, cluster, c)
	gone := desksOf(t, cluster, c, primary)
	others := func(desk identity.DeskID) bool { return !gone[desk] }
	its := func(desk identity.DeskID) bool { return gone[desk] }
	replica := cluster.ReplicaOf(primary)
	replica.Kill()
	primary.Kill()
	l.goesOn(t, 500, others)
	served := l.count(its)
	l.goesOn(t, 500, others)
	if now := l.count(its); now != served {
		t.Errorf("%d envelopes were answered by a part that is gone", now-served)
	}
	late := mustOpen(t, c)
	for n := range loadDesks {
		op := loadPut(loadMost + n)
		if r := commit(t, late, op)[0]; gone[op.Desk] != unanswered(r.Err) || !gone[op.Desk] && r.Err != nil {
			t.Errorf("desk %s, gone %t: %v", op.Desk, gone[op.Desk], r.Err)
		}
	}
	late.Close()
	for _, server := range []*redistest.Server{primary, replica} {
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	l.goesOn(t, loadBatch, its)
	if err := l.end(t); err != nil {
		t.Error(err)
	}
}
