package redis_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"schakel/clients/redis"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is started is a Redis as the relay demands it, within reach of its folder
// only; and it ends.
func TestStart(t *testing.T) {
	redistest.Need(t)
	dir := filepath.Join(t.TempDir(), "redis")
	server, err := redis.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	password := func() (string, error) { return server.Password, nil }
	store, err := redisqueue.Open(t.Context(), redisqueue.Config{
		Address: server.Socket, Password: password, Admin: redisqueue.Login{User: "schakel-admin", Password: password},
	})
	if err != nil {
		t.Fatalf("the relay refuses it: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the folder is open to others: %v, %v", st.Mode(), err)
	}
	if listening := listeners(t, server.PID()); len(listening) > 0 {
		t.Errorf("it listens at %v", listening)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", server.Socket); err == nil {
		t.Error("it still answers")
	}
}

// listeners are the addresses in the process's network that its sockets listen at.
func listeners(t *testing.T, pid int) (all []string) {
	t.Helper()
	own := map[string]bool{}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil {
			own[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	for _, family := range []string{"tcp", "tcp6"} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, family))
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && own[f[9]] {
				all = append(all, f[1])
			}
		}
	}
	return all
}

func TestStartWithoutRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := redis.Start(t.Context(), t.TempDir()); !errors.Is(err, redis.ErrMissing) {
		t.Errorf("without redis-server: %v", err)
	}
}

// A server that ends instead of answering says what its log says.
func TestStartThatFails(t *testing.T) {
	redistest.Need(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30)) // more than the path of a socket may have
	_, err := redis.Start(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "redis-server ended by itself") {
		t.Errorf("a server that cannot start: %v", err)
	}
}
