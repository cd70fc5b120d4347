//go:build linux

package redisqueue_test

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
	"schakel/relay/queue/queuetest/disktest"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// noisy is a put of bytes that no rewriting makes smaller, as those of envelopes are.
func noisy(n int) *queue.Put {
	op := putOf(n, 100_000)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(op.Envelope) // never fails
	op.Digest = sha256.Sum256(op.Envelope)
	return op
}

// putSome puts until something is refused, at most so many, and returns what was answered.
func putSome(t *testing.T, store *redisqueue.Store, from, most int) (answered []envelope.ID, refused error) {
	t.Helper()
	for n := from; n < from+most; n++ {
		op := noisy(n)
		results, err := store.Commit(t.Context(), []queue.Op{op})
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

// thereAre demands of everything that was answered that it is in the store.
func thereAre(t *testing.T, store *redisqueue.Store, answered []envelope.ID, when string) {
	t.Helper()
	there := make(map[envelope.ID]bool)
	for from := queue.Position(0); ; {
		page, err := store.Read(t.Context(), desk, from, queue.Limit{Records: 100, Bytes: 1 << 24})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			there[r.ID], from = true, r.Position
		}
		if len(page.Records) == 0 {
			break
		}
	}
	for _, id := range answered {
		if !there[id] {
			t.Errorf("%s: %x was answered and is lost", when, id)
		}
	}
}

// TestDiskFillsDuringRewrite: the file of Redis is more than half of its disk when it is
// rewritten, so that the disk fills up while there are two of them. Left alone, the rewriting
// is given up and Redis goes on with the file that was there. While senders go on, Redis ends,
// as on any full disk; once the handbook's reserve has made room everything that was answered
// is there. The control is Redis' own word that the rewriting failed.
func TestDiskFillsDuringRewrite(t *testing.T) {
	redistest.Need(t)
	disk := disktest.Tmpfs(t, 48<<20)
	reserve := disk.Path("reserve")
	if err := os.WriteFile(reserve, make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := redistest.Start(disk.Path("redis"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { server.Stop() }()
	store := mustOpen(t, server.Config())
	answered, refused := putSome(t, store, 0, 130) // 13 of 24 MB
	if refused != nil {
		t.Fatal("before the rewriting:", refused)
	}
	root := server.Root()
	defer root.Close()
	if err := root.BgRewriteAOF(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "the rewriting fails", func() bool {
		return says(t, server, "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:err")
	})
	more, refused := putSome(t, store, 200, 10)
	if refused != nil {
		t.Error("after a rewriting that failed:", refused)
	}
	answered = append(answered, more...)
	thereAre(t, store, answered, "after a rewriting that failed")

	if err := root.BgRewriteAOF(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	more, refused = putSome(t, store, 1000, 200) // more than there is room for
	answered = append(answered, more...)
	if !unanswered(refused) && !errors.Is(refused, queue.ErrFull) {
		t.Errorf("refused with %v", refused)
	}
	t.Logf("%d envelopes were answered while it was rewritten, then: %v", len(more), refused)
	within(t, 20*time.Second, "redis ends", func() bool { return !redistest.Listens(server.Address) })
	store.Close()
	if err := os.Remove(reserve); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, server.Config())
	thereAre(t, again, answered, "after the restart")
	if r := commit(t, again, noisy(3000))[0]; r.Err != nil {
		t.Errorf("afterwards: %v", r.Err)
	}
}
