//go:build linux

package system_test

import (
	"cmp"
	"os"
	"testing"

	"schakel/relay/queue/redisqueue/redistest"
)

// Where a chain keeps its mailboxes: in a file of its relay, in Redis, or in Redis
// with two relays on it.
const (
	onBolt    = "bolt"
	onRedis   = "redis"
	twoRelays = "two relays"
)

// onEach runs a test with a chain on every store, and with two relays.
func onEach(t *testing.T, test func(t *testing.T, c *chain)) {
	for _, store := range []string{onBolt, onRedis, twoRelays} {
		t.Run(store, func(t *testing.T) { test(t, newChainOn(t, store)) })
	}
}

// onEachStore is onEach, with two relays only in the full run.
func onEachStore(t *testing.T, test func(t *testing.T, c *chain)) {
	onEach(t, func(t *testing.T, c *chain) {
		if len(c.relays) > 1 && !*full {
			t.Skip("two relays: with -full")
		}
		test(t, c)
	})
}

// newChainOn is newChain with the mailboxes in a store.
func newChainOn(t testing.TB, store string) *chain {
	t.Helper()
	c := newChain(t)
	if store != onBolt {
		redistest.Need(t)
		if err := os.Mkdir(c.file("redis"), 0o700); err != nil {
			t.Fatal(err)
		}
		c.redis = must[*redistest.Server](t)(redistest.Start(c.file("redis")))
		t.Cleanup(c.redis.Stop)
	}
	if store == twoRelays {
		c.addRelay()
		c.putBehindLine()
	}
	return c
}

// storeFlags say to a relay where its mailboxes are.
func (c *chain) storeFlags() []string {
	if c.redis == nil {
		return nil
	}
	password := c.file("redis", "password")
	return []string{"--store", "redis", "--redis-address", cmp.Or(c.redisAt, c.redis.Address),
		"--redis-password-file", password, "--redis-admin-password-file", password}
}

// restartRedis starts Redis where it was, after it was killed. Relays that ran
// meanwhile find that it is another process and end, and are started again, as
// systemd would.
func (l *load) restartRedis() {
	l.t.Helper()
	if err := l.redis.Restart(); err != nil {
		l.t.Fatal(err)
	}
	for _, r := range l.relays {
		eventually(l.t, r.name+" sees that Redis was restarted", patience, func() bool { return r.ended() != nil })
	}
	l.startRelays()
}

// loseStore deletes everything that waits. No relay runs.
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
