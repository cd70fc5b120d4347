package boltqueue_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
)

// BenchmarkCycle runs put, durable, acknowledge, deleted through a committer, on
// boltqueue and on the least that could be called a store: the same envelopes put
// under a counter in one bbolt bucket, and deleted. Their ratio is what the
// contract costs. Each message is acknowledged when its put has been answered.
//
//	go test -run - -bench Cycle -benchtime 200000x ./relay/queue/boltqueue
func BenchmarkCycle(b *testing.B) {
	for _, size := range []int{1 << 10, 6 << 10} {
		for _, desks := range []int{8, 1000, 10_000} {
			for _, kind := range []string{"bare", "boltqueue"} {
				b.Run(fmt.Sprintf("size=%d/desks=%d/%s", size, desks, kind), func(b *testing.B) {
					cycle(b, openBench(b, kind), desks, size)
				})
			}
		}
	}
}

func openBench(b *testing.B, kind string) queue.Store {
	path := filepath.Join(b.TempDir(), "queue.db")
	if kind == "bare" {
		return openBare(b, path)
	}
	return openLarge(b, path)
}

const inFlight = 512

func cycle(b *testing.B, store queue.Store, desks, size int) {
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan *queue.Put, 4*inFlight)
	var c *queue.Committer
	c = queue.NewCommitter(store, queue.CommitterConfig{Committed: func(batch []queue.Entry) {
		for i := range batch {
			put, ok := batch[i].Op.(*queue.Put)
			if batch[i].Result.Err != nil {
				b.Error(batch[i].Result.Err)
			}
			if ok {
				if err := c.Submit(nil, &queue.Ack{Desk: put.Desk, Device: put.Targets[0], Position: batch[i].Result.Position}); err != nil {
					b.Error(err)
				}
				answered <- put
			}
		}
	}})
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	before := cpuTime(b)
	b.ResetTimer()
	for i := range b.N {
		if i >= inFlight {
			<-answered
		}
		if err := c.Submit(nil, benchPut(i, desks, size)); err != nil {
			b.Fatal(err)
		}
	}
	for range min(b.N, inFlight) {
		<-answered
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
	cancel()
	running.Wait()
	store.Close()
}

// cpuTime is what this process has used: steadier than the clock on a shared machine.
func cpuTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func benchPut(i, desks, size int) *queue.Put {
	raw := make([]byte, size)
	id, _ := identity.NewUUIDv7(time.UnixMilli(1_790_000_000_000+int64(i)/50), seeded(i))
	digest := sha256.Sum256(id[:]) // the relay computes the real one; its cost is not the queue's
	desk := i * 7919 % desks
	return &queue.Put{
		ID: envelope.ID(id), Desk: identity.DeskID(fmt.Sprintf("org%d/desk%d", desk%97, desk)),
		Targets: []identity.DeviceID{{1, byte(desk), byte(desk >> 8)}}, Sealer: identity.DeviceID{2},
		SealerDesk: "knooppunt/piket", Created: 1000 + uint64(i)/50_000, Expires: 600_000 + uint64(i)/50_000,
		Digest: digest, Envelope: raw,
	}
}

// bare has no mailboxes, idempotence, cursors, quotas or checks.
type bare struct {
	queue.Store // the methods that no benchmark calls
	db          *bolt.DB
	next        uint64
}

func openBare(b *testing.B, path string) *bare {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		NoFreelistSync: true, FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	db.AllocSize = 16 << 20
	return &bare{db: db}
}

func (s *bare) Commit(_ context.Context, ops []queue.Op) ([]queue.Result, error) {
	results := make([]queue.Result, len(ops))
	return results, s.db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte("log"))
		if err != nil {
			return err
		}
		bucket.FillPercent = 1
		for i, op := range ops {
			switch op := op.(type) {
			case *queue.Put:
				s.next++
				results[i].Position = queue.Position(s.next)
				err = bucket.Put(binary.BigEndian.AppendUint64(nil, s.next), op.Envelope)
			case *queue.Ack:
				err = bucket.Delete(binary.BigEndian.AppendUint64(nil, uint64(op.Position)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *bare) Close() error { return s.db.Close() }

// seeded is a source of random bytes for message i.
func seeded(i int) *rand.ChaCha8 {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i))
	return rand.NewChaCha8(seed)
}

// BenchmarkBacklog fills a store with waiting envelopes, opens it again, reads it
// all and acknowledges it all. The figures are per envelope, except for opening.
//
//	go test -run - -bench Backlog -benchtime 1x ./relay/queue/boltqueue
func BenchmarkBacklog(b *testing.B) {
	for _, waiting := range []int{50_000, 1_000_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			for b.Loop() {
				backlog(b, waiting)
			}
		})
	}
}

func backlog(b *testing.B, waiting int) {
	const desks, slice = 1000, 1000
	path := filepath.Join(b.TempDir(), "queue.db")
	store := openLarge(b, path)
	per := func(name string, began time.Time) {
		b.ReportMetric(float64(time.Since(began).Microseconds())/float64(waiting), name+"-µs/msg")
	}
	began := time.Now()
	for i := 0; i < waiting; i += slice {
		var ops []queue.Op
		for n := range slice {
			ops = append(ops, benchPut(i+n, desks, 1<<10))
		}
		commitAll(b, store, ops)
	}
	per("fill", began)
	store.Close()
	began = time.Now()
	store = openLarge(b, path)
	b.ReportMetric(time.Since(began).Seconds()*1000, "open-ms")
	began = time.Now()
	var acks []queue.Op
	for i := range desks {
		acks = append(acks, readAndAck(b, store, benchPut(i, desks, 1)))
	}
	per("read", began)
	began = time.Now()
	commitAll(b, store, acks)
	for range waiting / 4096 {
		commitAll(b, store, []queue.Op{&queue.Expire{Now: 1, Max: 1}}) // the rest of the sweep rides along
	}
	per("sweep", began)
	store.Close()
}

func openLarge(b *testing.B, path string) queue.Store {
	store, err := boltqueue.Open(boltqueue.Config{Path: path, Quota: queue.Quota{
		DeskRecords: 1 << 30, DeskBytes: 1 << 50, SealerRecords: 1 << 30, SealerBytes: 1 << 50}})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

func commitAll(b *testing.B, store queue.Store, ops []queue.Op) {
	results, err := store.Commit(context.Background(), ops)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}

func readAndAck(b *testing.B, store queue.Store, like *queue.Put) queue.Op {
	var at queue.Position
	for more := true; more; {
		page, err := store.Read(context.Background(), like.Desk, at, queue.Limit{Records: 256, Bytes: 1 << 20})
		if err != nil || len(page.Damaged) > 0 {
			b.Fatal(page.Damaged, err)
		}
		at, more = page.Next, page.More
	}
	return &queue.Ack{Desk: like.Desk, Device: like.Targets[0], Position: at}
}
