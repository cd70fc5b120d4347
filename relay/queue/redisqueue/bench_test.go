package redisqueue_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue/redistest"
)

// BenchmarkCycle runs put, durable, acknowledge, deleted through a committer, on
// redisqueue and on the least that could be called a store: the same envelopes as
// XADD and XDEL between MULTI and EXEC, one committer. Each message is acknowledged
// when its put has been answered.
//
// The two take turns, and what is reported are the medians of their rounds: "ratio"
// is what the contract costs of the rate. Processor time, of redis and of this
// process (relay, which makes the envelopes too), tells more where others work on
// the same machine.
//
//	go test -run - -bench Cycle -benchtime 50000x ./relay/queue/redisqueue
func BenchmarkCycle(b *testing.B) {
	for _, size := range []int{1 << 10, 6 << 10} {
		for _, desks := range []int{8, 1000, 10_000} {
			b.Run(fmt.Sprintf("size=%d/desks=%d", size, desks), func(b *testing.B) { compare(b, desks, size) })
		}
	}
}

const (
	inFlight = 512
	rounds   = 5
)

func compare(b *testing.B, desks, size int) {
	bare, ours := newBench(b, desks, size, openBare), newBench(b, desks, size, openBench)
	n := max(1, b.N/rounds)
	var of, beside []spent
	for range rounds {
		beside = append(beside, bare.round(n))
		of = append(of, ours.round(n))
	}
	ratio := func(i int) float64 { return beside[i].wall / of[i].wall }
	b.ReportMetric(median(func(i int) float64 { return 1e6 / of[i].wall }), "msg/s")
	b.ReportMetric(median(func(i int) float64 { return 1e6 / beside[i].wall }), "bare-msg/s")
	b.ReportMetric(median(ratio), "ratio")
	b.ReportMetric(median(func(i int) float64 { return of[i].redis }), "redis-µs/msg")
	b.ReportMetric(median(func(i int) float64 { return beside[i].redis }), "bare-redis-µs/msg")
	b.ReportMetric(median(func(i int) float64 { return of[i].relay }), "relay-µs/msg")
	b.ReportMetric(median(func(i int) float64 { return beside[i].relay }), "bare-relay-µs/msg")
	b.ReportMetric(median(func(i int) float64 { return of[i].written }), "aof-B/msg")
	b.ReportMetric(0, "ns/op")
}

func median(of func(round int) float64) float64 {
	var values []float64
	for i := range rounds {
		values = append(values, of(i))
	}
	slices.Sort(values)
	return values[rounds/2]
}

// bench is a server, a store on it and a committer.
type bench struct {
	b           *testing.B
	root        *redis.Client
	committer   *queue.Committer
	answered    chan *queue.Put
	ctx         context.Context // ends with the first error: what a round waits for would never come
	end         context.CancelCauseFunc
	desks, size int
	sent        int
}

func newBench(b *testing.B, desks, size int, open func(*testing.B, *redistest.Server) queue.Store) *bench {
	server := start(b, "auto-aof-rewrite-percentage", "0")
	r := &bench{b: b, root: server.Root(), answered: make(chan *queue.Put, 4*inFlight), desks: desks, size: size}
	store := open(b, server)
	r.committer = queue.NewCommitter(store, queue.CommitterConfig{Committed: r.committed})
	r.ctx, r.end = context.WithCancelCause(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.committer.Run(r.ctx); err != nil {
			r.end(err)
		}
	})
	b.Cleanup(func() {
		r.end(nil)
		running.Wait()
		if err := errors.Join(store.Close(), r.root.Close()); err != nil {
			b.Error(err)
		}
	})
	return r
}

func openBare(_ *testing.B, server *redistest.Server) queue.Store {
	return &bare{client: server.Root()}
}

func openBench(b *testing.B, server *redistest.Server) queue.Store {
	c := server.Config()
	c.Quota = queue.Quota{DeskRecords: math.MaxInt32, DeskBytes: 1 << 50, SealerRecords: math.MaxInt32, SealerBytes: 1 << 50}
	return mustOpen(b, c)
}

func (r *bench) committed(batch []queue.Entry) {
	for i := range batch {
		if err := batch[i].Result.Err; err != nil {
			r.end(err)
			return
		}
		put, ok := batch[i].Op.(*queue.Put)
		if !ok {
			continue
		}
		ack := &queue.Ack{Desk: put.Desk, Device: put.Targets[0], Position: batch[i].Result.Position}
		if err := r.committer.Submit(nil, ack); err != nil {
			r.end(err)
			return
		}
		r.answered <- put
	}
}

// await waits until one put has been answered.
func (r *bench) await() {
	select {
	case <-r.answered:
	case <-r.ctx.Done():
		r.b.Fatal(context.Cause(r.ctx))
	}
}

// spent is per message: microseconds, and bytes of the append-only file.
type spent struct{ wall, redis, relay, written float64 }

func (r *bench) round(n int) spent {
	began, before := time.Now(), r.used()
	for i := range n {
		if i >= inFlight {
			r.await()
		}
		r.sent++
		if err := r.committer.Submit(nil, benchPut(r.sent, r.desks, r.size)); err != nil {
			r.b.Fatal(cmp.Or(context.Cause(r.ctx), err))
		}
	}
	for range min(n, inFlight) {
		r.await()
	}
	now, each := r.used(), float64(n)
	return spent{
		float64(time.Since(began).Microseconds()) / each, (now.redis - before.redis) / each,
		(now.relay - before.relay) / each, (now.written - before.written) / each,
	}
}

// used is what was spent until now.
func (r *bench) used() spent {
	text, err := r.root.Info(context.Background(), "cpu", "persistence").Result()
	var own unix.Rusage
	if err := errors.Join(err, unix.Getrusage(unix.RUSAGE_SELF, &own)); err != nil {
		r.b.Fatal(err)
	}
	said := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		said[name], _ = strconv.ParseFloat(value, 64)
	}
	return spent{
		redis:   1e6 * (said["used_cpu_sys"] + said["used_cpu_user"]),
		relay:   float64(own.Utime.Nano()+own.Stime.Nano()) / 1e3,
		written: said["aof_current_size"],
	}
}

func benchPut(i, desks, size int) *queue.Put {
	var id envelope.ID
	binary.BigEndian.PutUint64(id[:], uint64(i)+1)
	desk := i * 7919 % desks
	return &queue.Put{
		ID: id, Desk: identity.DeskID(fmt.Sprintf("org%d/desk%d", desk%97, desk)),
		Targets: []identity.DeviceID{{1, byte(desk), byte(desk >> 8)}}, Sealer: identity.DeviceID{2},
		SealerDesk: "knooppunt/piket", Created: 1000, Expires: 600_000 + uint64(i/20_000), Digest: sha256.Sum256(id[:]), Envelope: make([]byte, size),
	}
}

// bare has no mailboxes, idempotence, cursors, quotas or checks.
type bare struct {
	queue.Store // the methods that no benchmark calls
	client      *redis.Client
	next        uint64
}

func (s *bare) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	results := make([]queue.Result, len(ops))
	pipe := s.client.TxPipeline()
	var gone []string
	for i, op := range ops {
		switch op := op.(type) {
		case *queue.Put:
			s.next++
			results[i].Position = queue.Position(s.next)
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: "log", ID: strconv.FormatUint(s.next, 10) + "-0", Values: []any{"r", op.Envelope}})
		case *queue.Ack:
			gone = append(gone, strconv.FormatUint(uint64(op.Position), 10)+"-0")
		}
	}
	if len(gone) > 0 {
		pipe.XDel(ctx, "log", gone...)
	}
	_, err := pipe.Exec(ctx)
	return results, err
}

func (s *bare) Close() error { return s.client.Close() }
