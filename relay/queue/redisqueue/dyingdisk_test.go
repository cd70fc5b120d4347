//go:build linux

package redisqueue_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// tampered has strace change what a running server's calls of the disk give (see
// strace(1), -e inject) until the test ends. It skips the test where strace cannot
// trace.
func tampered(t *testing.T, server *redistest.Server, inject string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("NOT TESTED: a dying disk needs strace: apt-get install strace")
	}
	call, _, _ := strings.Cut(inject, ":")
	command := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "trace="+call, "-e", "inject="+inject,
		"-p", strconv.Itoa(server.Process().Pid))
	says, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 200)
	n, _ := says.Read(first)
	if text := string(first[:n]); !strings.Contains(text, "attached") {
		_ = command.Process.Kill()
		_ = command.Wait()
		t.Skip("strace may not trace here: ", text)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// putUntil puts until a put is not taken, at most so many, and returns what was taken.
func putUntil(t *testing.T, store *redisqueue.Store, most int) (answered []envelope.ID, refused error) {
	t.Helper()
	for n := range most {
		op := putOf(n, 2000)
		results, err := store.Commit(context.Background(), []queue.Op{op})
		if err == nil {
			err = results[0].Err
		}
		if err != nil {
			return answered, err
		}
		answered = append(answered, op.ID)
	}
	return answered, nil
}

// Fault 19: the disk refuses the nth time that Redis asks it to keep what it wrote.
// Redis ends at that, and the put that it belonged to is not taken; everything that
// was, is there afterwards.
func TestDyingDisk(t *testing.T) {
	t.Parallel() // it waits for the disk
	redistest.Need(t)
	nth := []int{1, 3}
	if *cuts > 50 { // make faults
		nth = nil
		for n := range 50 {
			nth = append(nth, n+1)
		}
	}
	for _, n := range nth {
		t.Run(fmt.Sprint(n), func(t *testing.T) { dyingDisk(t, n) })
	}
}

func dyingDisk(t *testing.T, when int) {
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { server.Stop() }()
	c := server.Config()
	store := mustOpen(t, c)
	tampered(t, server, fmt.Sprintf("fdatasync:error=EIO:when=%d+", when))
	answered, refused := putUntil(t, store, 500)
	if !unanswered(refused) {
		t.Fatalf("%d puts are taken, then: %v", len(answered), refused)
	}
	if len(answered) >= when {
		t.Errorf("%d puts are taken and the disk kept %d", len(answered), when-1)
	}
	within(t, 20*time.Second, "redis ends", func() bool { return !redistest.Listens(server.Address) })
	store.Close()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	there := make(map[envelope.ID]bool)
	for _, r := range read(t, mustOpen(t, c)).Records {
		there[r.ID] = true
	}
	for _, id := range answered {
		if !there[id] {
			t.Errorf("%x was taken and is lost", id)
		}
	}
}

// The control: a Redis that does not ask the disk does not hear that it fails, and
// takes everything.
func TestDyingDiskNoticesUnsynced(t *testing.T) {
	t.Parallel() // it waits for the disk
	server := start(t, "appendfsync", "no")
	c := server.Config()
	c.Volatile = true
	store := mustOpen(t, c)
	tampered(t, server, "fdatasync:error=EIO:when=1+")
	if answered, refused := putUntil(t, store, 50); refused != nil || len(answered) != 50 {
		t.Errorf("%d puts are taken, then %v: something else than the disk refuses them", len(answered), refused)
	}
}

// Fault 20: the disk takes longer than the relay is patient. The put is not confirmed,
// the next ones are refused at once, and nothing is taken that is not on the disk;
// when it is fast again, puts are taken, and the first is there once. Where this machine is as
// slow as the disk, the next one may be sent, and unconfirmed as well.
func TestSlowDisk(t *testing.T) {
	t.Parallel() // it waits for the disk
	server := start(t)
	store := impatient(t, server.Config(), 300*time.Millisecond)
	tampered(t, server, "fdatasync:delay_enter=2000000:when=1")
	began := time.Now()
	if r := commit(t, store, put(1))[0]; !errors.Is(r.Err, queue.ErrUnconfirmed) {
		t.Errorf("after %v a put over a slow disk gave %v", time.Since(began), r.Err)
	}
	if r := commit(t, store, put(2))[0]; !unanswered(r.Err) && r.Err != nil {
		t.Errorf("the next gave %v", r.Err)
	}
	within(t, 20*time.Second, "puts are taken again", func() bool { return commit(t, store, put(1))[0].Err == nil })
	if r := commit(t, store, put(1))[0]; !r.Duplicate || r.Salt != put(1).Salt {
		t.Errorf("offered again: %+v", r)
	}
}
