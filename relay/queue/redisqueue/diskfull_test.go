//go:build linux

package redisqueue_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
	"schakel/relay/queue/queuetest/disktest"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// fillUp puts until something is refused, and returns what was answered.
func fillUp(t *testing.T, store *redisqueue.Store) (answered []envelope.ID, last queue.Position, refused error) {
	t.Helper()
	for n := range 1000 {
		op := putOf(n, 100_000)
		results, err := store.Commit(t.Context(), []queue.Op{op})
		if err == nil {
			err = results[0].Err
		}
		if err != nil {
			return answered, last, err
		}
		answered, last = append(answered, op.ID), results[0].Position
	}
	t.Fatal("the disk never filled up")
	return nil, 0, nil
}

func aofSize(persistence string) (size int) {
	_, after, _ := strings.Cut(persistence, "aof_current_size:")
	fmt.Sscan(after, &size)
	return size
}

// rewrites has the file be rewritten, which does not end soon, and returns by which process.
func rewrites(t *testing.T, server *redistest.Server) (pid int) {
	t.Helper()
	root := server.Root()
	defer root.Close()
	if err := root.BgRewriteAOF(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "the file is being rewritten", func() bool { pid = childOf(server); return pid > 0 })
	return pid
}

// rewritesForLong is rewrites of a file for longer than any disk takes to fill up: a second for
// each key.
func rewritesForLong(t *testing.T, server *redistest.Server) (pid int) {
	t.Helper()
	root := server.Root()
	defer root.Close()
	if err := root.ConfigSet(t.Context(), "rdb-key-save-delay", "1000000").Err(); err != nil {
		t.Fatal(err)
	}
	return rewrites(t, server)
}

// TestDiskFull fills the disk below Redis, which then ends: appendfsync always leaves
// it no choice. Puts are refused by name and what was answered is there, once the
// reserve of the handbook has made room; then devices read and acknowledge, and that
// makes more. The same, when it fills up while the file is being rewritten (fault 22).
func TestDiskFull(t *testing.T) {
	redistest.Need(t)
	for name, rewriting := range map[string]bool{"in quiet": false, "during a rewrite": true} {
		t.Run(name, func(t *testing.T) { diskFull(t, rewriting) })
	}
}

func diskFull(t *testing.T, rewriting bool) {
	disk := disktest.Tmpfs(t, 24<<20)
	reserve := disk.Path("reserve")
	if err := os.WriteFile(reserve, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := redistest.Start(disk.Path("redis"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { server.Stop() }()
	store := mustOpen(t, server.Config())
	rewriter := 0
	if rewriting {
		rewriter = rewritesForLong(t, server)
	}
	answered, last, refused := fillUp(t, store)
	if !unanswered(refused) && !errors.Is(refused, queue.ErrFull) {
		t.Errorf("refused with %v", refused)
	}
	within(t, 20*time.Second, "redis ends", func() bool { return !redistest.Listens(server.Address) })
	if rewriter > 0 { // it outlives the server; systemd ends both
		_ = syscall.Kill(rewriter, syscall.SIGKILL)
	}
	// Once is when it started.
	if log, err := os.ReadFile(disk.Path("redis", "redis.log")); err != nil || strings.Count(string(log), "rewrite finished successfully") != 1 {
		t.Errorf("control: the file was rewritten before the disk was full: %v", err)
	}
	if results, err := store.Commit(t.Context(), []queue.Op{put(2000)}); err == nil && !unanswered(results[0].Err) {
		t.Errorf("a put to a Redis that has ended gave %+v", results[0])
	}
	store.Close()
	if err := os.Remove(reserve); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, server.Config())
	there := make(map[envelope.ID]bool)
	for _, r := range read(t, again).Records {
		there[r.ID] = true
	}
	for _, id := range answered {
		if !there[id] {
			t.Errorf("%x was answered and is lost", id)
		}
	}
	t.Logf("%d envelopes answered on a disk of 16 MiB, then: %v", len(answered), refused)
	if r := commit(t, again, &queue.Ack{Desk: desk, Device: target, Position: last})[0]; r.Err != nil {
		t.Errorf("acknowledging gave %v", r.Err)
	}
	root := server.Root()
	defer root.Close()
	if err := errors.Join(root.ConfigSet(t.Context(), "rdb-key-save-delay", "0").Err(), root.BgRewriteAOF(t.Context()).Err()); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "the file is rewritten", func() bool {
		state := root.Info(t.Context(), "persistence").Val()
		return strings.Contains(state, "aof_rewrite_in_progress:0") && strings.Contains(state, "aof_last_bgrewrite_status:ok") &&
			aofSize(state) < 1<<20
	})
	if err := os.WriteFile(reserve, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := commit(t, again, putOf(3000, 100_000))[0]; r.Err != nil {
		t.Errorf("afterwards: %v", r.Err)
	}
}
