// Package redistest starts Redis with the configuration and the users that are
// shipped, for tests and for the demonstration: one server, a primary with
// replicas, sentinels beside such a pair, or a cluster of six.
//
//	redistest.Need(t)                     // skips where there is no redis-server
//	server, err := redistest.Start(dir)
//	defer server.Stop()
//	store, err := redisqueue.Open(ctx, server.Config())
//
// Every server can be killed, frozen, and started again where it was.
package redistest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue/redisqueue"
)

// program is the server of Debian, which is the sentinel as well.
const program = "redis-server"

// Need skips the test where there is no redis-server, and fails it instead when
// SCHAKEL_TEST_NEED_REDIS is set.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SCHAKEL_TEST_NEED_REDIS") != "" {
		t.Fatal("SCHAKEL_TEST_NEED_REDIS is set and there is no redis-server: apt-get install redis-server")
	}
	t.Skip("NOT TESTED: the Redis store needs redis-server 7.0 or later: apt-get install redis-server")
}

// Start starts a server in dir, or again with what is there. Settings change those
// of the shipped configuration: "appendfsync", "everysec". A server that does not
// start is an ErrStart.
func Start(dir string, settings ...string) (*Server, error) {
	return startNode(dir, single, settings)
}

// Config connects as the relay, which may have the functions loaded.
func (s *Server) Config() redisqueue.Config {
	password := func() (string, error) { return s.password, nil }
	return redisqueue.Config{
		Address: s.Address, Password: password, Admin: redisqueue.Login{User: "schakel-admin", Password: password},
	}
}

// operator is the user who may do everything.
const operator = "schakel-operator"

// Root is a connection of the operator.
func (s *Server) Root() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.Address, Username: operator, Password: s.password, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
	})
}
