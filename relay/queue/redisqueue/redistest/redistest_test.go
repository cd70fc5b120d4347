package redistest_test

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/relay/queue/redisqueue/redistest"
)

// orphaned starts this binary again, as a test that will be killed.
const orphaned = "SCHAKEL_TEST_REDIS_ORPHANED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphaned); dir != "" {
		server, err := redistest.Start(dir)
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(server.Address + "\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(time.Minute), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("never happened: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write writes as the operator, so that the tests see what a primary passes on.
func write(t *testing.T, s *redistest.Server, key string) {
	t.Helper()
	client := s.Root()
	defer client.Close()
	must(t, client.Set(t.Context(), key, "fictief", 0).Err())
}

func has(t *testing.T, s *redistest.Server, key string) bool {
	t.Helper()
	client := s.Root()
	defer client.Close()
	pipe := client.Pipeline()
	pipe.Do(t.Context(), "readonly") // or a replica in a cluster would send us on
	found := pipe.Exists(t.Context(), key)
	_, _ = pipe.Exec(t.Context())
	return found.Val() == 1
}

// A server comes back where it was, with what it had.
func TestRestart(t *testing.T) {
	redistest.Need(t)
	s, err := redistest.Start(t.TempDir())
	must(t, err)
	defer s.Stop()
	address := s.Address
	write(t, s, "key")
	if s.Restart() == nil {
		t.Error("a server that runs was started again")
	}
	s.Kill()
	must(t, s.Restart())
	if s.Address != address || !has(t, s, "key") {
		t.Errorf("it came back at %s, was at %s", s.Address, address)
	}
}

// A test that is killed leaves no server behind.
func TestNothingIsLeft(t *testing.T) {
	redistest.Need(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), orphaned+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it did not start")
	}
	must(t, parent.Process.Signal(syscall.SIGKILL))
	_ = parent.Wait()
	eventually(t, "the server ends with the test", func() bool { return !redistest.Listens(lines.Text()) })
}

// A replica has what the primary has, and takes over by hand.
func TestReplicas(t *testing.T) {
	t.Parallel() // it waits for others
	redistest.Need(t)
	r, err := redistest.StartReplicas(t.TempDir(), 1)
	must(t, err)
	defer r.Stop()
	first, second := r.Servers[0], r.Servers[1]
	write(t, first, "key")
	second.Freeze()
	write(t, first, "while frozen")
	second.Thaw()
	eventually(t, "the replica has both", func() bool { return has(t, second, "key") && has(t, second, "while frozen") })
	first.Kill()
	must(t, r.Promote(second))
	write(t, second, "later")
	must(t, r.Return(first))
	must(t, r.Settle())
	if r.Primary() != second || !has(t, first, "later") {
		t.Error("the former primary does not follow the new one")
	}
}

// Sentinels have the replica take over, with the shipped rights and no more.
func TestSentinels(t *testing.T) {
	t.Parallel() // it waits for others
	redistest.Need(t)
	s, err := redistest.StartSentinels(t.TempDir(), 1, 2*time.Second)
	must(t, err)
	defer s.Stop()
	before := s.Primary()
	must(t, s.Failover())
	eventually(t, "the other takes over", func() bool { now := s.Primary(); return now != nil && now != before })
	must(t, s.Settle())
	for range 2 { // and back again
		primary := s.Primary()
		primary.Kill()
		began := time.Now()
		eventually(t, "the other takes over", func() bool { return s.Primary() != nil })
		t.Logf("another primary after %v", time.Since(began))
		must(t, s.Return(primary))
		must(t, s.Settle())
	}
}

// Slots move with their keys, and a replica takes over in its part.
func TestCluster(t *testing.T) {
	t.Parallel() // it waits for others
	redistest.Need(t)
	c, err := redistest.StartCluster(t.TempDir())
	must(t, err)
	defer c.Stop()
	slot, err := c.SlotOf("{q07}x")
	must(t, err)
	from, err := c.Owner(slot)
	must(t, err)
	write(t, from, "{q07}x")
	to := c.Nodes[(indexOf(c, from)+1)%3]
	must(t, c.Move(slot, 1, from, to, func() {}))
	eventually(t, "the slot has moved", func() bool { owner, _ := c.Owner(slot); return owner == to && has(t, to, "{q07}x") })
	replica := c.ReplicaOf(to)
	eventually(t, "the replica has the key", func() bool { return has(t, replica, "{q07}x") })
	to.Kill()
	eventually(t, "the replica takes over", func() bool { owner, _ := c.Owner(slot); return owner == replica && has(t, replica, "{q07}x") })
	must(t, to.Restart())
	must(t, c.Settle())
}

func indexOf(c *redistest.Cluster, s *redistest.Server) int {
	for i, node := range c.Nodes {
		if node == s {
			return i
		}
	}
	return -1
}
