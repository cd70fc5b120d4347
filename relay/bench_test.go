package relay_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// The shape of performance.md: 8 senders with 64 in flight each, 8 recipients.
const (
	benchPairs    = 8
	benchInFlight = 64
)

// BenchmarkRelay is the whole path over TLS: put, checks, commit, receipt,
// deliver, acknowledge, delete; with login, lanes, quotas and receipts on. One
// operation is one envelope that its sender has a receipt for and its recipient
// has acknowledged. Beside it BenchmarkStoreAlone writes the same bytes at the same
// concurrency.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{1024, 6000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) { benchRelay(b, size, relaytest.Config{}) })
	}
	for _, size := range []int{1024, 6000} {
		b.Run(fmt.Sprintf("%dB-redis", size), func(b *testing.B) {
			benchRelay(b, size, relaytest.Config{Open: func() (queue.Store, error) { return redisqueue.Open(b.Context(), onRedis(b).Config()) }})
		})
	}
	b.Run("1024B-noTLS", func(b *testing.B) { benchRelay(b, 1024, relaytest.Config{NoTLS: true}) })
}

// onRedis starts a redis-server with the shipped configuration.
func onRedis(b *testing.B) *redistest.Server {
	redistest.Need(b)
	server, err := redistest.Start(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Stop)
	return server
}

func benchRelay(b *testing.B, size int, c relaytest.Config) {
	c.Limits = relay.Limits{PutsPerSecond: 1 << 20}
	w := relaytest.New(b, c)
	var flows []*flow
	for i := range benchPairs {
		from := w.Enrol(identity.DeskID(fmt.Sprintf("vt20/crisis-%d", i)), identity.RoleVeiligThuis)
		to := w.Enrol(identity.DeskID(fmt.Sprintf("pol-mn/zeden-%d", i)), identity.RolePolitie)
		flows = append(flows, newFlow(from, to, size))
	}
	b.SetBytes(int64(size))
	b.ResetTimer()
	r := &benchRun{done: make(chan struct{})}
	r.left.Store(int64(b.N))
	r.open.Store(2 * int64(b.N))
	var all sync.WaitGroup
	for _, f := range flows {
		all.Go(func() { f.send(r) })
		all.Go(func() { f.receipts(r) })
		all.Go(func() { f.receive(r) })
	}
	<-r.done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.StopTimer()
	for _, f := range flows {
		_, _ = f.out.CloseNow(), f.in.CloseNow()
	}
	all.Wait()
}

// benchRun counts down what is still to send, and to be promised and delivered.
type benchRun struct {
	left, open atomic.Int64
	done       chan struct{}
}

func (r *benchRun) settle(n int) {
	if n > 0 && r.open.Add(int64(-n)) == 0 {
		close(r.done)
	}
}

// ended reports that an error is the end of the benchmark, or panics.
func (r *benchRun) ended(err error) {
	select {
	case <-r.done:
	default:
		panic(err)
	}
}

// flow is one sender and one recipient on connections of their own.
type flow struct {
	from, to *relaytest.Device
	out, in  *wire.Conn
	template []byte
	idAt     int
	inFlight chan struct{}
}

func newFlow(from, to *relaytest.Device, size int) *flow {
	f := &flow{from: from, to: to, out: open(from), in: open(to), inFlight: make(chan struct{}, benchInFlight)}
	raw, id := from.EnvelopeWith(func(h *envelope.Header) { h.Tier = envelope.TierNone }, size-170, to)
	for f.idAt = 0; string(raw[f.idAt:f.idAt+16]) != string(id[:]); f.idAt++ {
	}
	f.template = raw
	_ = f.in.Write(context.Background(), wire.Credit{Messages: 1 << 30, Bytes: 1 << 30})
	return f
}

func open(d *relaytest.Device) *wire.Conn {
	c := d.Dial()
	ctx := context.Background()
	frames, err := c.ReadFrames(ctx)
	if err != nil {
		panic(err)
	}
	if err := c.Write(ctx, d.Token(frames[0].(wire.Challenge), c.Binding())); err != nil {
		panic(err)
	}
	if _, err := c.ReadFrames(ctx); err != nil {
		panic(err)
	}
	return c
}

// send keeps benchInFlight envelopes under way; what may go goes in one write.
func (f *flow) send(r *benchRun) {
	for done := false; !done; {
		var frames []wire.Frame
		for len(frames) == 0 || len(f.inFlight) < cap(f.inFlight) && len(frames) < benchInFlight/2 {
			if r.left.Add(-1) < 0 {
				done = true
				break
			}
			f.inFlight <- struct{}{}
			raw := append([]byte(nil), f.template...)
			rand.Read(raw[f.idAt : f.idAt+16])
			frames = append(frames, wire.Put{Envelope: raw})
		}
		if err := f.out.Write(context.Background(), frames...); err != nil {
			r.ended(err)
			return
		}
	}
}

func (f *flow) receipts(r *benchRun) {
	for {
		frames, err := f.out.ReadFrames(context.Background())
		if err != nil {
			r.ended(err)
			return
		}
		for _, frame := range frames {
			switch frame := frame.(type) {
			case wire.Stored:
				for range frame.Leaves {
					<-f.inFlight
				}
				r.settle(len(frame.Leaves))
			case wire.Refused:
				panic(frame.Code.String())
			}
		}
	}
}

func (f *flow) receive(r *benchRun) {
	ctx := context.Background()
	for {
		frames, err := f.in.ReadFrames(ctx)
		if err != nil {
			r.ended(err)
			return
		}
		last, n := uint64(0), 0
		for _, frame := range frames {
			if d, ok := frame.(wire.Deliver); ok {
				last, n = d.Position, n+1
			}
		}
		if n > 0 {
			err = f.in.Write(ctx, wire.Ack{Position: last}, wire.Credit{Messages: uint32(n), Bytes: 1 << 20})
		}
		r.settle(n)
		if err != nil {
			r.ended(err)
			return
		}
	}
}

// BenchmarkIdle reports what an idle session costs: heap and stacks, with a raw peer that
// holds next to nothing itself without TLS, and the other half of the TLS connection with it.
// A session that has taken a message and a ping ("spoken") keeps the larger stack that it
// needed; devices ping every wire.PingInterval.
func BenchmarkIdle(b *testing.B) {
	for name, c := range map[string]struct{ plain, speaks bool }{
		"plain": {true, false}, "plain-spoken": {true, true},
		"TLS-both-ends": {false, false}, "TLS-both-ends-spoken": {false, true},
	} {
		b.Run(name, func(b *testing.B) { benchIdle(b, c.plain, c.speaks) })
	}
}

func benchIdle(b *testing.B, plain, speaks bool) {
	const sessions = 400
	w := relaytest.New(b, relaytest.Config{NoTLS: plain})
	var devices []*relaytest.Device
	for range sessions {
		devices = append(devices, w.Enrol("vt20/crisis", identity.RoleVeiligThuis))
	}
	memory := func() float64 {
		for range 6 { // a stack shrinks by half each time
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	for b.Loop() {
		before := memory()
		var peers []*rawPeer
		for _, d := range devices {
			p := dialRaw(b, w)
			p.login(d)
			if speaks {
				p.send(frame(opBinary, true, encode(b, wire.WantKeys{Tag: 1})))
				if _, _, err := p.next(); err != nil {
					b.Fatal(err)
				}
				p.send(frame(opPing, true, []byte("idle")))
				if op, _, err := p.next(); err != nil || op != opPong {
					b.Fatalf("opcode %d for a ping: %v", op, err)
				}
			}
			p.br = nil
			if plain {
				p.tls = nil
			}
			peers = append(peers, p)
		}
		b.ReportMetric((memory()-before)/sessions, "B/session")
		for _, p := range peers {
			p.conn.Close()
		}
		until(b, "all gone", func() bool { return metric(b, w, "schakel_relay_sessions") == 0 })
	}
}

// BenchmarkStoreAlone is the relay's own store under its committer, without
// sessions: the same bytes, the same number in flight, deletions riding along. It
// is not bare bbolt; `schakel bench` and BenchmarkCycle of boltqueue measure that.
func BenchmarkStoreAlone(b *testing.B) {
	for _, size := range []int{1024, 6000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			store, err := boltqueue.Open(boltqueue.Config{Path: b.TempDir() + "/queue.db", MinFree: 1})
			benchStoreAlone(b, size, store, err)
		})
		b.Run(fmt.Sprintf("%dB-redis", size), func(b *testing.B) {
			store, err := redisqueue.Open(b.Context(), onRedis(b).Config())
			benchStoreAlone(b, size, store, err)
		})
		b.Run(fmt.Sprintf("%dB-bareredis", size), func(b *testing.B) { benchStoreAlone(b, size, &bareRedis{client: onRedis(b).Root()}, nil) })
	}
}

// bareRedis is a stream and nothing else, under the same committer: what gathers
// while one batch is written is the next, one MULTI, the records as XADD, those of the
// batch before as one XDEL, EXEC.
type bareRedis struct {
	queue.Store   // the methods that no benchmark calls
	client        *redis.Client
	next, deleted uint64
}

func (s *bareRedis) Commit(ctx context.Context, ops []queue.Op) ([]queue.Result, error) {
	results := make([]queue.Result, len(ops))
	pipe := s.client.TxPipeline()
	var gone []string
	for ; s.deleted < s.next; s.deleted++ {
		gone = append(gone, bareID(s.deleted))
	}
	for i, op := range ops {
		if put, ok := op.(*queue.Put); ok {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: "bare", ID: bareID(s.next), Values: []any{"r", put.Envelope}})
			s.next++
			results[i].Position = queue.Position(s.next)
		}
	}
	if len(gone) > 0 {
		pipe.XDel(ctx, "bare", gone...)
	}
	_, err := pipe.Exec(ctx)
	return results, err
}

func bareID(n uint64) string { return strconv.FormatUint(n+1, 10) + "-0" }

func (s *bareRedis) Close() error { return s.client.Close() }

func benchStoreAlone(b *testing.B, size int, store queue.Store, err error) {
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	type lane struct {
		slots chan struct{}
	}
	lanes := make([]*lane, benchPairs)
	var finished atomic.Int64
	end := make(chan struct{})
	total := int64(b.N)
	var committer *queue.Committer
	committer = queue.NewCommitter(store, queue.CommitterConfig{Committed: func(batch []queue.Entry) {
		acks := map[*lane]*queue.Ack{}
		n := 0
		for i := range batch {
			put, ok := batch[i].Op.(*queue.Put)
			if !ok {
				continue
			}
			if batch[i].Result.Err != nil {
				panic(batch[i].Result.Err)
			}
			l := batch[i].Owner.(*lane)
			<-l.slots
			acks[l] = &queue.Ack{Desk: put.Desk, Device: put.Targets[0], Position: batch[i].Result.Position}
			n++
		}
		for l, ack := range acks {
			if err := committer.Submit(l, ack); err != nil {
				panic(err)
			}
		}
		if n > 0 && finished.Add(int64(n)) == total {
			close(end)
		}
	}})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := committer.Run(ctx); err != nil {
			panic(err)
		}
	})
	payload := make([]byte, size)
	rand.Read(payload)
	b.SetBytes(int64(size))
	b.ResetTimer()
	var left atomic.Int64
	left.Store(total)
	for i := range lanes {
		l := &lane{slots: make(chan struct{}, benchInFlight)}
		lanes[i] = l
		running.Go(func() {
			for left.Add(-1) >= 0 {
				l.slots <- struct{}{}
				put := &queue.Put{Desk: identity.DeskID(fmt.Sprintf("pol-mn/zeden-%d", i)), Targets: []identity.DeviceID{{byte(i + 1)}},
					Sealer: identity.DeviceID{99}, SealerDesk: "vt20/crisis", Created: uint64(time.Now().Unix()), Expires: uint64(time.Now().Unix()) + 3600,
					Envelope: payload}
				rand.Read(put.ID[:])
				rand.Read(put.Digest[:])
				if err := committer.Submit(l, put); err != nil {
					panic(err)
				}
			}
		})
	}
	<-end
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	cancel()
	running.Wait()
}
