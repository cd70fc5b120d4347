package redisqueue_test

import (
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

func has(t *testing.T, store queue.Store, id envelope.ID) bool {
	t.Helper()
	for _, r := range read(t, store).Records {
		if r.ID == id {
			return true
		}
	}
	return false
}

// answerOf puts once more and says what the relay would have been told.
func answerOf(t *testing.T, store queue.Store, op *queue.Put) error {
	results, err := store.Commit(t.Context(), []queue.Op{op})
	if err != nil {
		return err
	}
	return results[0].Err
}

// Fault 42: a primary was silent for a while, sentinels let another take over, and it
// comes back. A relay beside it puts there and is not answered, because no replica
// confirms: it will be undone. The control is a relay that does not ask for that: it
// answers, and what it answered for is undone as well.
func TestTwoPrimaries(t *testing.T) {
	t.Parallel() // it waits for sentinels
	redistest.Need(t)
	servers, err := redistest.StartSentinels(t.TempDir(), 2, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Stop)
	first := servers.Primary()
	asks, trusts := servers.Config(), servers.Config()
	asks.Replicas, asks.Prefix = 1, prefixOf("asks")
	trusts.Replicas, trusts.Prefix = 0, prefixOf("trusts")
	beside := func(c redisqueue.Config) queue.Store {
		c.Address, c.Master = first.Address, ""
		store := mustOpen(t, c)
		within(t, 30*time.Second, "a put is taken", func() bool { return answerOf(t, store, put(1)) == nil })
		return store
	}
	careful, control := beside(asks), beside(trusts)
	awaitConfirmed(t, first)
	first.Freeze()
	within(t, time.Minute, "another takes over, and is followed", func() bool {
		primary := servers.Primary()
		return primary != nil && primary != first && primary.Replication()["connected_slaves"] == "1"
	})
	first.Thaw()
	if answerOf(t, careful, put(2)) == nil {
		t.Error("a primary that nobody follows was believed")
	}
	if err := answerOf(t, control, put(2)); err != nil {
		t.Errorf("the control gave %v", err)
	}
	within(t, time.Minute, "the first gives in", func() bool { return first.Replication()["role"] == "slave" })
	if err := servers.Settle(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]redisqueue.Config{"with confirmation": asks, "without": trusts} {
		now := patient{mustOpen(t, c)}
		if !has(t, now, put(1).ID) || has(t, now, put(2).ID) {
			t.Errorf("%s: the envelope of before is there %t, that of the first %t", name, has(t, now, put(1).ID), has(t, now, put(2).ID))
		}
		if r := commit(t, now, put(2))[0]; r.Err != nil || r.Duplicate {
			t.Errorf("%s, offered again: %+v", name, r)
		}
	}
}

// awaitConfirmed waits until every replica has what there is.
func awaitConfirmed(t *testing.T, primary *redistest.Server) {
	t.Helper()
	root := primary.Root()
	defer root.Close()
	if n, err := root.Wait(t.Context(), 2, 20*time.Second).Result(); err != nil || n != 2 {
		t.Fatalf("%d replicas have everything, %v", n, err)
	}
}
