package redisqueue_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue/redisqueue/redistest"
)

// killedAnd kills a server, does something to its folder, and starts it again.
func killedAnd(t *testing.T, server *redistest.Server, do func()) {
	t.Helper()
	server.Kill()
	do()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
}

// Fault 15: Redis is killed in the middle of a transaction, takes envelopes when it is there
// again, and is killed once more. What was answered in between is there.
func TestTornTransaction(t *testing.T) {
	redistest.Need(t)
	dir := t.TempDir()
	server, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	store := mustOpen(t, server.Config())
	commit(t, store, put(1), put(2)) // not answered, as the file will have it
	store.Close()
	killedAnd(t, server, func() { tear(t, dir, 4) })
	store = mustOpen(t, server.Config())
	if n := len(read(t, store).Records); n != 0 {
		t.Fatalf("of a transaction that was cut %d records are there", n)
	}
	commit(t, store, put(3), put(4))
	commit(t, store, put(5))
	store.Close()
	killedAnd(t, server, func() {})
	var got []any
	for _, r := range read(t, mustOpen(t, server.Config())).Records {
		got = append(got, r.ID)
	}
	if len(got) != 3 || got[0] != put(3).ID || got[1] != put(4).ID || got[2] != put(5).ID {
		t.Errorf("three envelopes were answered, and there are %v", got)
	}
}

// Control: it is this server that loses what it answered, where its file is not written anew.
func TestTornTransactionOfRedis(t *testing.T) {
	redistest.Need(t)
	dir := t.TempDir()
	server, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	write := func(value string) {
		t.Helper()
		root := server.Root()
		defer root.Close()
		_, err := root.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
			p.XAdd(t.Context(), &redis.XAddArgs{Stream: "mail", ID: "1-0", Values: []string{"is", value}})
			p.Set(t.Context(), "said", value, 0)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	write("not answered")
	killedAnd(t, server, func() { tear(t, dir, 4) })
	write("answered")
	killedAnd(t, server, func() {})
	root := server.Root()
	defer root.Close()
	found, err := root.XRange(t.Context(), "mail", "-", "+").Result()
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if found[0].Values["is"] == "answered" {
		t.Skip("NOT TESTED: this server cuts a torn transaction off whole, so that TestTornTransaction shows nothing here")
	}
}
