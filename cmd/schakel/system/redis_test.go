//go:build linux

package system_test

import (
	"os"
	"testing"

	"schakel/relay/queue/redisqueue/redistest"
)

// stores are where a relay can keep its mailboxes.
var stores = []string{"bolt", "redis"}

// onEach runs a test with a chain on every store.
func onEach(t *testing.T, test func(t *testing.T, c *chain)) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) { test(t, newChainOn(t, store)) })
	}
}

// newChainOn is newChain with the mailboxes in a store.
func newChainOn(t testing.TB, store string) *chain {
	t.Helper()
	c := newChain(t)
	if store == "redis" {
		redistest.Need(t)
		if err := os.Mkdir(c.file("redis"), 0o700); err != nil {
			t.Fatal(err)
		}
		c.redis = must[*redistest.Server](t)(redistest.Start(c.file("redis")))
		t.Cleanup(c.redis.Stop)
	}
	return c
}

// storeFlags say to a relay where its mailboxes are.
func (c *chain) storeFlags() []string {
	if c.redis == nil {
		return nil
	}
	password := c.file("redis", "password")
	return []string{"--store", "redis", "--redis-address", c.redis.Address,
		"--redis-password-file", password, "--redis-admin-password-file", password}
}

// restartRedis starts Redis where it was, after it was killed. A relay that ran
// meanwhile finds that it is another process and ends, and is started again, as
// systemd would.
func (l *load) restartRedis() {
	l.t.Helper()
	if err := l.redis.Restart(); err != nil {
		l.t.Fatal(err)
	}
	eventually(l.t, "the relay sees that Redis was restarted", patience, func() bool { return l.relay.ended() != nil })
	l.startRelay()
}

// loseStore deletes everything that waits. The relay does not run.
func (c *chain) loseStore() {
	c.t.Helper()
	if c.redis == nil {
		if err := os.Remove(c.file("relay", "queue.db")); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	c.redis.Kill()
	if err := os.RemoveAll(c.file("redis", "appendonlydir")); err != nil {
		c.t.Fatal(err)
	}
	if err := c.redis.Restart(); err != nil {
		c.t.Fatal(err)
	}
}
