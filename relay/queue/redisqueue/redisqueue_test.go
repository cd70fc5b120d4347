package redisqueue_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/relay/queue"
	"schakel/relay/queue/queuetest"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// The environment variables by which a test starts this binary again as a process
// that holds a store, to be killed.
const (
	crashAddress  = "SCHAKEL_TEST_REDIS_ADDRESS"
	crashPassword = "SCHAKEL_TEST_REDIS_PASSWORD"
	crashPrefix   = "SCHAKEL_TEST_REDIS_PREFIX"
	crashVolatile = "SCHAKEL_TEST_REDIS_VOLATILE"
	crashMaster   = "SCHAKEL_TEST_REDIS_MASTER"
	crashReplicas = "SCHAKEL_TEST_REDIS_REPLICAS"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(crashAddress); address != "" {
		os.Exit(serveCrash(address))
	}
	goleak.VerifyTestMain(m)
}

func serveCrash(address string) int {
	replicas, _ := strconv.Atoi(os.Getenv(crashReplicas))
	store, err := redisqueue.Open(context.Background(), redisqueue.Config{
		Address: address, Master: os.Getenv(crashMaster), Replicas: replicas,
		Prefix: os.Getenv(crashPrefix), Volatile: os.Getenv(crashVolatile) == "true",
		Password: func() (string, error) { return os.Getenv(crashPassword), nil },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = queuetest.ServeCrash(store, os.Stdin, os.Stdout)
	if errors.Is(err, queue.ErrIndeterminate) {
		return queuetest.ExitIndeterminate
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// prefixOf gives every folder of the suite a part of one server.
func prefixOf(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "schakel:" + hex.EncodeToString(sum[:6]) + ":"
}

func start(t testing.TB, settings ...string) *redistest.Server {
	t.Helper()
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

func open(c redisqueue.Config) (queue.Store, error) {
	store, err := redisqueue.Open(context.Background(), c)
	if err != nil {
		return nil, err // a nil *Store would not be a nil queue.Store
	}
	return store, nil
}

func mustOpen(t testing.TB, c redisqueue.Config) *redisqueue.Store {
	t.Helper()
	store, err := redisqueue.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// impatient opens a store that waits for less than this machine may take to open one.
func impatient(t testing.TB, c redisqueue.Config, patience time.Duration) (store *redisqueue.Store) {
	t.Helper()
	c.Patience = patience
	for began := time.Now(); store == nil; {
		var err error
		if store, err = redisqueue.Open(t.Context(), c); err != nil && time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func process(c redisqueue.Config) *exec.Cmd {
	password, _ := c.Password()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), crashAddress+"="+c.Address, crashPassword+"="+password, crashPrefix+"="+c.Prefix,
		crashVolatile+"="+strconv.FormatBool(c.Volatile), crashMaster+"="+c.Master, crashReplicas+"="+strconv.Itoa(c.Replicas))
	command.Stderr = os.Stderr
	return command
}

// TestStore runs the suite on one server; each of its folders is a prefix there.
// Its crashes are those of the relay.
func TestStore(t *testing.T) {
	t.Parallel() // it waits for the disk
	server := start(t)
	config := func(dir string) redisqueue.Config {
		c := server.Config()
		c.Prefix = prefixOf(dir)
		return c
	}
	queuetest.Run(t, queuetest.Backend{
		Open: func(dir string, quota queue.Quota) (queue.Store, error) {
			c := config(dir)
			c.Quota, c.Patience = quota, unhurried
			return open(c)
		},
		Process: func(dir string) *exec.Cmd { return process(config(dir)) },
	})
}

// TestServerKilled kills the server in the middle of writing. What it had answered
// must be there when it starts again.
func TestServerKilled(t *testing.T) {
	t.Parallel() // it waits for the disk
	redistest.Need(t)
	var mu sync.Mutex
	servers := make(map[string]*redistest.Server)
	running := func(dir string) *redistest.Server {
		mu.Lock()
		defer mu.Unlock()
		if servers[dir] == nil {
			server, err := redistest.Start(dir)
			if err != nil {
				t.Fatal(err)
			}
			servers[dir] = server
		}
		return servers[dir]
	}
	dir := t.TempDir()
	err := queuetest.Crash(queuetest.Backend{
		Open: func(dir string, quota queue.Quota) (queue.Store, error) { return open(running(dir).Config()) },
		Process: func(dir string) *exec.Cmd {
			c := running(dir).Config()
			store, err := open(c) // loads the functions
			if err != nil {
				t.Fatal(err)
			}
			store.Close()
			return process(c)
		},
		Kill: func(dir string, process *exec.Cmd) {
			running(dir).Kill()
			process.Process.Kill() // it would only refuse until the server is back
			mu.Lock()
			delete(servers, dir)
			mu.Unlock()
		},
	}, dir, 6)
	if err != nil {
		t.Error(err)
	}
	running(dir).Stop()
}
