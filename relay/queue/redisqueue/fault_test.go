package redisqueue_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

const desk = identity.DeskID("politie/wacht")

var target = identity.DeviceID{1}

func put(n int) *queue.Put { return putOf(n, 1000) }

func putOf(n, size int) *queue.Put {
	raw := make([]byte, size)
	copy(raw, fmt.Sprint(n))
	return &queue.Put{
		ID: envelope.ID{1, byte(n >> 8), byte(n)}, Desk: desk, Targets: []identity.DeviceID{target}, Sealer: identity.DeviceID{2},
		SealerDesk: "knooppunt/piket", Created: 1000, Expires: 2000, Digest: sha256.Sum256(raw), Salt: [16]byte{byte(n), 7}, Envelope: raw,
	}
}

func commit(t testing.TB, s queue.Store, ops ...queue.Op) []queue.Result {
	t.Helper()
	results, err := s.Commit(context.Background(), ops)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func read(t testing.TB, s queue.Store) queue.Page {
	t.Helper()
	page, err := s.Read(context.Background(), desk, 0, queue.Limit{Records: 1000, Bytes: 1 << 24})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// proxy passes bytes on to Redis. While deaf, it carries every request and cuts
// the connection instead of carrying the answer.
type proxy struct {
	listener net.Listener
	to       atomic.Pointer[string]
	deaf     atomic.Bool
	dropped  atomic.Int64
	running  sync.WaitGroup
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	p.to.Store(&to)
	p.running.Go(p.run)
	t.Cleanup(func() {
		l.Close()
		p.running.Wait()
	})
	return p
}

func (p *proxy) run() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", *p.to.Load())
		if err != nil {
			from.Close()
			continue
		}
		p.running.Go(func() {
			io.Copy(to, from)
			to.Close()
		})
		p.running.Go(func() { p.answer(from, to) })
	}
}

func (p *proxy) answer(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := to.Read(buffer)
		if err != nil {
			return
		}
		if p.deaf.CompareAndSwap(true, false) {
			p.dropped.Add(1)
			return
		}
		if _, err := from.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestReplyLost loses the answer of a batch that Redis has carried out: the second
// attempt must find it, store nothing twice, and answer as the first would have.
func TestReplyLost(t *testing.T) {
	server := start(t)
	p := newProxy(t, server.Address)
	c := server.Config()
	c.Address = p.listener.Addr().String()
	store := mustOpen(t, c)
	first := commit(t, store, put(1))[0]
	for n := range 20 {
		p.deaf.Store(true)
		op := put(2 + n)
		r := commit(t, store, op, put(1), &queue.Ack{Desk: desk, Device: identity.DeviceID{9}, Position: first.Position})
		if r[0].Err != nil || r[0].Duplicate || r[0].Salt != op.Salt || r[0].Position == 0 {
			t.Fatalf("put whose answer was lost gave %+v", r[0])
		}
		if !r[1].Duplicate && r[1].Position != first.Position || r[2].Err != nil {
			t.Fatalf("others in the batch gave %+v", r[1:])
		}
	}
	if p.dropped.Load() != 20 {
		t.Fatalf("%d answers were lost, want 20: the test is blind", p.dropped.Load())
	}
	if n := len(read(t, store).Records); n != 21 {
		t.Errorf("%d records, want 21", n)
	}
}

// TestAnotherServer puts a restored copy in the place of the server, while the store
// runs: not one envelope is taken under the epoch that is over.
func TestAnotherServer(t *testing.T) {
	redistest.Need(t)
	dir := t.TempDir()
	server, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, server.Address)
	c := server.Config()
	c.Address = p.listener.Addr().String()
	store := mustOpen(t, c)
	commit(t, store, put(1))
	server.Stop()
	restarted, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer restarted.Stop()
	p.to.Store(&restarted.Address)
	within(t, 30*time.Second, "the store ends", func() bool {
		results, err := store.Commit(t.Context(), []queue.Op{put(2)})
		if err == nil && !errors.Is(results[0].Err, queue.ErrUnavailable) { // while it writes its file anew
			t.Fatalf("a put to another server gave %+v", results[0])
		}
		return errors.Is(err, queue.ErrIndeterminate)
	})
	again := mustOpen(t, c)
	if n := len(read(t, again).Records); n != 1 {
		t.Errorf("%d records, want the one of before", n)
	}
	again.Close()
}

// TestFrozen stops the server: one batch waits no longer than the patience and is
// unconfirmed, the next ones are refused at once, and when the server goes on, the
// store does too: the process that was vouched for has forgotten nothing.
func TestFrozen(t *testing.T) {
	server := start(t)
	const patience = 300 * time.Millisecond
	store := impatient(t, server.Config(), patience)
	server.Process().Signal(syscall.SIGSTOP)
	defer server.Process().Signal(syscall.SIGCONT)
	if r := commit(t, store, put(1))[0]; !errors.Is(r.Err, queue.ErrUnconfirmed) {
		t.Errorf("a put without an answer gave %v", r.Err)
	}
	if r := commit(t, store, put(2))[0]; !errors.Is(r.Err, queue.ErrUnavailable) {
		t.Errorf("the next gave %v", r.Err)
	}
	if many() {
		staysFrozen(t, store, patience)
	}
	server.Process().Signal(syscall.SIGCONT)
	within(t, 20*time.Second, "puts are taken again", func() bool { return commit(t, store, put(1))[0].Err == nil })
	if n := len(read(t, store).Records); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

// staysFrozen asks for a minute: nothing is promised or read, and nobody waits for long.
func staysFrozen(t *testing.T, store *redisqueue.Store, patience time.Duration) {
	t.Helper()
	asked, longest := 0, time.Duration(0)
	for began := time.Now(); time.Since(began) < time.Minute; asked++ {
		before := time.Now()
		if r := commit(t, store, put(2+asked))[0]; !unanswered(r.Err) {
			t.Fatalf("a frozen server answers %+v", r)
		}
		if _, err := store.Read(t.Context(), desk, 0, queue.Limit{Records: 1, Bytes: 1}); !errors.Is(err, queue.ErrUnavailable) {
			t.Fatalf("a mailbox of a frozen server gave %v", err)
		}
		longest = max(longest, time.Since(before))
		<-time.After(20 * time.Millisecond)
	}
	if longest > 20*patience {
		t.Errorf("a put and a read waited for %v", longest)
	}
	t.Logf("asked %d times in a minute, waited for %v at most", asked, longest.Round(time.Millisecond))
}

// TestDown has no server: nothing was sent.
func TestDown(t *testing.T) {
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := mustOpen(t, server.Config())
	server.Kill()
	for range 2 { // the first may find a connection that breaks
		r := commit(t, store, put(1))[0]
		if !errors.Is(r.Err, queue.ErrUnavailable) && !errors.Is(r.Err, queue.ErrUnconfirmed) {
			t.Fatalf("a put without a server gave %v", r.Err)
		}
	}
	if _, err := redisqueue.Open(t.Context(), server.Config()); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("opening gave %v", err)
	}
}

// TestMaxMemory fills the memory: puts are refused by name; reading, acknowledging,
// notices and expiry go on, and make room.
func TestMaxMemory(t *testing.T) {
	server := start(t, "maxmemory", "24mb")
	store := mustOpen(t, server.Config())
	var last queue.Position
	refused := 0
	for n := 0; refused == 0 && n < 200; n++ {
		r := commit(t, store, putOf(n, 500_000))[0]
		if errors.Is(r.Err, queue.ErrFullMemory) {
			refused++
		} else if r.Err != nil {
			t.Fatal(r.Err)
		} else {
			last = r.Position
		}
	}
	if refused == 0 || last == 0 {
		t.Fatal("24 MiB never filled up")
	}
	results := commit(t, store, putOf(0, 500_000), putOf(999, 10),
		&queue.Notice{Desk: desk, Device: target, Kind: queue.NoticeDamaged, ID: envelope.ID{3}, Created: 1000},
		&queue.Ack{Desk: desk, Device: target, Position: last})
	if !results[0].Duplicate || !errors.Is(results[1].Err, queue.ErrFullMemory) || results[2].Err != nil || results[3].Err != nil {
		t.Errorf("at maxmemory: %+v", results)
	}
	if n := len(read(t, store).Records); n != 1 {
		t.Errorf("%d records after the acknowledgement, want the notice", n)
	}
	if r := commit(t, store, putOf(999, 500_000))[0]; r.Err != nil {
		t.Errorf("after room was made: %v", r.Err)
	}
}

// TestEmptied empties the store behind its back: no put is taken under the old
// epoch, not even before the watch notices, and the new one differs.
func TestEmptied(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	c := server.Config()
	store, watching := mustOpen(t, c), c
	watching.Watch = 20 * time.Millisecond
	watched := mustOpen(t, watching)
	commit(t, store, put(1))
	before, _ := store.State(t.Context())
	if err := root.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), []queue.Op{put(2)}); !errors.Is(err, queue.ErrIndeterminate) {
		t.Errorf("put into an emptied store: %v", err)
	}
	if _, err := store.Read(t.Context(), desk, 0, queue.Limit{Records: 1, Bytes: 1}); err == nil {
		t.Error("an emptied store reads as an empty mailbox")
	}
	within(t, 30*time.Second, "the watch notices", func() bool {
		_, err := watched.State(t.Context())
		return errors.Is(err, queue.ErrIndeterminate)
	})
	after, err := mustOpen(t, c).State(t.Context())
	if err != nil || after.Epoch == before.Epoch {
		t.Errorf("epoch after FLUSHALL is the one before, %v", err)
	}
}

// TestPartEmptied deletes one bucket's marker, as a lost shard would.
func TestPartEmptied(t *testing.T) {
	server := start(t)
	root := server.Root()
	defer root.Close()
	store := mustOpen(t, server.Config())
	before, _ := store.State(t.Context())
	root.Del(t.Context(), "schakel:{q15}:meta")
	after, err := mustOpen(t, server.Config()).State(t.Context())
	if err != nil || after.Epoch == before.Epoch {
		t.Errorf("a store that lost a bucket kept its epoch, %v", err)
	}
}

// TestBackupRestored starts with an old copy of the folder: a new epoch.
func TestBackupRestored(t *testing.T) {
	redistest.Need(t)
	dir := t.TempDir()
	server, err := redistest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	store := mustOpen(t, server.Config())
	commit(t, store, put(1))
	before, _ := store.State(t.Context())
	store.Close()
	server.Stop()
	backup := t.TempDir()
	if err := os.CopyFS(backup+"/copy", os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	restored, err := redistest.Start(backup + "/copy")
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Stop()
	again := mustOpen(t, restored.Config())
	after, _ := again.State(t.Context())
	if after.Epoch == before.Epoch || len(read(t, again).Records) != 1 {
		t.Errorf("epoch %x, was %x", after.Epoch, before.Epoch)
	}
	again.Close()
}
