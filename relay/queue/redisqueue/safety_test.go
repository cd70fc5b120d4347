package redisqueue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
)

// within waits for a condition.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(limit), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// TestD38UnsafeSettings starts with one wrong setting at a time: the refusal names it.
func TestD38UnsafeSettings(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	mustOpen(t, server.Config()).Close()
	for name, values := range map[string][2]string{
		"appendfsync":               {"everysec", "always"},
		"maxmemory-policy":          {"allkeys-lru", "noeviction"},
		"no-appendfsync-on-rewrite": {"yes", "no"},
	} {
		if err := root.ConfigSet(t.Context(), name, values[0]).Err(); err != nil {
			t.Fatal(err)
		}
		_, err := redisqueue.Open(t.Context(), server.Config())
		if !errors.Is(err, redisqueue.ErrUnsafe) || !strings.Contains(err.Error(), "in redis.conf: "+name+" "+values[1]) {
			t.Errorf("%s %s gave %v", name, values[0], err)
		}
		volatile := server.Config()
		volatile.Volatile = true
		store := mustOpen(t, volatile)
		if state, err := store.State(t.Context()); err != nil || state.Guarantee != queue.GuaranteeNone {
			t.Errorf("a volatile store promises %v, %v", state.Guarantee, err)
		}
		store.Close()
		root.ConfigSet(t.Context(), name, values[1])
	}
}

// TestWithoutFile is a server that keeps everything in memory.
func TestWithoutFile(t *testing.T) {
	server := start(t, "appendonly", "no")
	_, err := redisqueue.Open(t.Context(), server.Config())
	if !errors.Is(err, redisqueue.ErrUnsafe) || !strings.Contains(err.Error(), "in redis.conf: appendonly yes") {
		t.Errorf("gave %v", err)
	}
}

// TestUnsafeUsers changes rights: too many, too few, and those of the user by whom
// Redis loads its file, without which it would start empty.
func TestUnsafeUsers(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	mustOpen(t, server.Config()).Close()
	for _, change := range [][3]string{
		{"schakel-relay", "+eval", "-eval"}, {"schakel-relay", "+keys", "-keys"}, {"schakel-relay", "+xtrim", "-xtrim"},
		{"schakel-relay", "+flushall", "-flushall"}, {"schakel-relay", "-xdel", "+xdel"}, {"schakel-relay", "-bgrewriteaof", "+bgrewriteaof"}, {"schakel-relay", "~other:*", "resetkeys"},
		{"default", "-xadd", "+xadd"}, {"default", "-@all", "+@all"},
	} {
		if err := root.Do(t.Context(), "acl", "setuser", change[0], change[1]).Err(); err != nil {
			t.Fatal(err)
		}
		store, err := redisqueue.Open(t.Context(), server.Config())
		if err == nil {
			store.Close()
		}
		if (err == nil) != (change[1] == "~other:*") || err != nil && !errors.Is(err, redisqueue.ErrUnsafe) {
			t.Errorf("%s %s gave %v", change[0], change[1], err)
		}
		root.Do(t.Context(), "acl", "setuser", change[0], change[2])
		if change[2] == "resetkeys" {
			root.Do(t.Context(), "acl", "setuser", change[0], "~schakel:*")
		}
	}
	mustOpen(t, server.Config())
}

// TestUnsafeWhileRunning changes a setting under a running store: puts are refused
// soon, what makes room is not, and putting it back heals.
func TestUnsafeWhileRunning(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	c := server.Config()
	c.Watch = 20 * time.Millisecond
	store := mustOpen(t, c)
	at := commit(t, store, put(1))[0].Position
	root.ConfigSet(t.Context(), "appendfsync", "everysec")
	within(t, 30*time.Second, "a put is refused", func() bool {
		return errors.Is(commit(t, store, put(2))[0].Err, queue.ErrUnsafe)
	})
	if !strings.Contains(store.Unsafe(), "appendfsync always") {
		t.Errorf("the reason is %q", store.Unsafe())
	}
	if r := commit(t, store, &queue.Ack{Desk: desk, Device: target, Position: at})[0]; r.Err != nil {
		t.Errorf("ack gave %v", r.Err)
	}
	root.ConfigSet(t.Context(), "appendfsync", "always")
	within(t, 30*time.Second, "a put is taken again", func() bool { return commit(t, store, put(3))[0].Err == nil })
}

// What is written while the file is off, and until all of it is written when it is on again,
// is lost with a kill: nothing is answered then, although the settings are right again.
func TestFileTurnedOff(t *testing.T) {
	t.Parallel() // it waits for the disk
	server := start(t, "rdb-key-save-delay", "50000")
	root := server.Root()
	defer root.Close()
	c := server.Config()
	c.Watch = 20 * time.Millisecond
	store := mustOpen(t, c)
	commit(t, store, put(1))
	root.ConfigSet(t.Context(), "appendonly", "no")
	within(t, 30*time.Second, "a put is refused", func() bool {
		return errors.Is(commit(t, store, put(2))[0].Err, queue.ErrUnsafe)
	})
	root.ConfigSet(t.Context(), "appendonly", "yes")
	refused := 0
	within(t, time.Minute, "a put is taken again", func() bool {
		refused++
		return commit(t, store, put(3))[0].Err == nil
	})
	server.Kill()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if !has(t, mustOpen(t, server.Config()), put(3).ID) {
		t.Error("an envelope was answered while the file was not written yet, and is not there")
	}
	t.Logf("refused %d times", refused-1)
}

// TestFunctionsByOperator opens without an administrator.
func TestFunctionsByOperator(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	c := server.Config()
	c.Admin = redisqueue.Login{}
	if _, err := redisqueue.Open(t.Context(), c); !errors.Is(err, redisqueue.ErrUnsafe) || !strings.Contains(err.Error(), "FUNCTION LOAD") {
		t.Errorf("without functions: %v", err)
	}
	if err := root.FunctionLoad(t.Context(), redisqueue.Functions()).Err(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, c)
}
