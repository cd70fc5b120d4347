package oncall_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/oncall/boltjournal"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/rota"
)

var taken = flag.Int("taken", 100_000, "envelopes that wait when a relay takes over, in BenchmarkTakeOver")

// BenchmarkTakeOver has a relay take over the timers of very many envelopes that nobody
// attended, on a real store. Only one is due, and it is the last in the order of the
// store: "page-s" is until who is on call for it is called. Or all are due, as after an
// outage: "all-s" is until every rung is begun and written. "heap-MB" is what the
// process used more at its peak, and "cpu-s" its processor time, which says more where
// others work on the same machine.
//
//	go test -run - -bench TakeOver -benchtime 1x ./relay/oncall
func BenchmarkTakeOver(b *testing.B) {
	for name, open := range map[string]func(testing.TB) (queue.Store, oncall.Journal){"bbolt": openBolt, "redis": openRedis} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				takeOver(b, open)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func openBolt(t testing.TB) (queue.Store, oncall.Journal) {
	dir := t.TempDir()
	store, err := boltqueue.Open(boltqueue.Config{Path: filepath.Join(dir, "queue.db"), MinFree: 1, Quota: roomy})
	if err != nil {
		t.Fatal(err)
	}
	journal, err := boltjournal.Open(filepath.Join(dir, "oncall.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = store.Close(), journal.Close() })
	return store, journal
}

func openRedis(t testing.TB) (queue.Store, oncall.Journal) {
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	c := server.Config()
	c.Quota = roomy
	store, err := redisqueue.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store, store.Journal()
}

var roomy = queue.Quota{DeskRecords: math.MaxInt32, DeskBytes: 1 << 50, SealerRecords: math.MaxInt32, SealerBytes: 1 << 50}

// ringing counts the pages at each target.
type ringing struct{ acute, others atomic.Int64 }

func (r *ringing) For(p page.Point) (page.Notifier, error) { return ring{r}, nil }

type ring struct{ *ringing }

func (r ring) Notify(_ context.Context, p page.Page) error {
	if p.Tier == envelope.TierAcute {
		r.acute.Add(1)
	} else {
		r.others.Add(1)
	}
	return nil
}

// letters are what waits: of a hundred desks, urgent, and the last one acute.
func letters(n int, created time.Time) []queue.Op {
	body := []byte("envelope")
	hash := sha256.Sum256([]byte("token"))
	ops := make([]queue.Op, n)
	for i := range ops {
		p := &queue.Put{
			Desk: identity.DeskID(fmt.Sprintf("vt%02d/desk", i%100)), Targets: []identity.DeviceID{{2}}, Sealer: identity.DeviceID{1}, SealerDesk: "pol-mn/zeden",
			Created: uint64(created.Unix()), Expires: uint64(created.Add(6 * 24 * time.Hour).Unix()), Tier: envelope.TierUrgent,
			AttendedHash: hash[:], Envelope: body, Digest: sha256.Sum256(body),
		}
		binary.BigEndian.PutUint64(p.ID[:], uint64(i+1))
		if i == n-1 {
			p.Tier = envelope.TierAcute
		}
		ops[i] = p
	}
	return ops
}

func takeOver(b *testing.B, open func(testing.TB) (queue.Store, oncall.Journal)) {
	store, journal := open(b)
	now := time.Now().Truncate(time.Second)
	ops := letters(*taken, now)
	for begin := 0; begin < len(ops); begin += 512 {
		results, err := store.Commit(b.Context(), ops[begin:min(begin+512, len(ops))])
		if err == nil && results[0].Err != nil {
			err = results[0].Err
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	for n := range 100 {
		desk := identity.DeskID(fmt.Sprintf("vt%02d/desk", n))
		p := rota.Plan{Desk: desk, Serial: 1, From: now, Until: now.Add(24 * time.Hour), Fallback: []rota.Contact{"f"},
			Points: []rota.Point{{Contact: "f", Channel: page.NTFY, Target: "https://ntfy.example/x"}}}
		raw, err := p.Encode()
		if err == nil {
			err = journal.Publish(b.Context(), desk, 1, raw)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	// The first to hold the timers writes rows of all.
	r := &ringing{}
	first := keep(b, store, journal, r, 0)
	first.until("all have rows", time.Second, func() bool { return begun(b, journal, 0) == *taken && r.acute.Load() == 1 })
	first.stop()
	for _, part := range []struct {
		what string
		late time.Duration // that the next relay comes
		look time.Duration // how often we see whether
		done func() bool
	}{
		{"page", 5 * time.Minute, time.Millisecond, func() bool { return r.acute.Load() > 0 }},
		{"all", 5 * time.Hour, time.Second, func() bool { return begun(b, journal, 1) == *taken }},
	} {
		r.acute.Store(0)
		before, began, cpu := heap(), time.Now(), processor()
		next := keep(b, store, journal, r, part.late)
		next.until(part.what, part.look, part.done)
		b.ReportMetric(time.Since(began).Seconds(), part.what+"-s")
		b.ReportMetric((processor() - cpu).Seconds(), part.what+"-cpu-s")
		next.stop()
		b.ReportMetric(float64(next.peak-before)/(1<<20), part.what+"-heap-MB")
	}
}

// begun counts the rows of timers that have begun so many rungs.
func begun(b *testing.B, j oncall.Journal, rungs uint32) (n int) {
	err := j.Rows(b.Context(), func(_ queue.Ref, row []byte) {
		if binary.BigEndian.Uint32(row[6:]) >= rungs {
			n++
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// late is a journal that is taken over some time after it was left.
type late struct {
	oncall.Journal
	by time.Duration
}

func (l *late) Hold(ctx context.Context, b oncall.Bid) (oncall.Lease, error) {
	lease, err := l.Journal.Hold(ctx, b)
	if lease.Held {
		lease.Steady, l.by = lease.Steady.Add(l.by), 0
	}
	return lease, err
}

// keeper is a relay that keeps the timers.
type keeper struct {
	b    *testing.B
	stop func()
	peak int64 // of the heap, once it has stopped
}

func keep(b *testing.B, store queue.Store, journal oncall.Journal, points oncall.Points, by time.Duration) *keeper {
	loop, err := oncall.New(oncall.Config{
		Journal: &late{journal, by}, Waiting: store.(oncall.Waiting), Points: points,
		Operator: []page.Point{{Channel: page.NTFY, Target: "operator"}},
		Tell:     func(context.Context, queue.Unattended) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	k := &keeper{b: b}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := loop.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	running.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			k.peak = max(k.peak, heap())
			<-tick.C
		}
	})
	k.stop = func() { cancel(); running.Wait() }
	return k
}

func (k *keeper) until(what string, look time.Duration, done func() bool) {
	k.b.Helper()
	tick, late := time.NewTicker(look), time.After(5*time.Minute)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			k.stop()
			k.b.Fatalf("%s: not in five minutes", what)
		}
	}
}

// processor is what this process has used, the server of Redis not counted.
func processor() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
