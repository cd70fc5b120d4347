package redisqueue_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// BenchmarkCycle runs put, durable, acknowledge, deleted through a committer, on
// redisqueue and on the least that could be called a store: the same envelopes as
// XADD and XDEL between MULTI and EXEC, one committer. Their ratio is what the
// contract costs. Each message is acknowledged when its put has been answered.
//
//	go test -run - -bench Cycle -benchtime 50000x ./relay/queue/redisqueue
func BenchmarkCycle(b *testing.B) {
	for _, size := range []int{1 << 10, 6 << 10} {
		for _, desks := range []int{8, 1000} {
			for _, kind := range []string{"bare", "redisqueue"} {
				b.Run(fmt.Sprintf("size=%d/desks=%d/%s", size, desks, kind), func(b *testing.B) {
					cycle(b, kind, desks, size)
				})
			}
		}
	}
}

const inFlight = 512

func cycle(b *testing.B, kind string, desks, size int) {
	server := start(b, "auto-aof-rewrite-percentage", "0")
	var store queue.Store
	if kind == "bare" {
		store = &bare{client: server.Root()}
	} else {
		c := server.Config()
		c.Quota = queue.Quota{DeskRecords: math.MaxInt32, DeskBytes: 1 << 50, SealerRecords: math.MaxInt32, SealerBytes: 1 << 50}
		store = mustOpen(b, c)
	}
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
				ack := &queue.Ack{Desk: put.Desk, Device: put.Targets[0], Position: batch[i].Result.Position}
				if err := c.Submit(nil, ack); err != nil {
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
	cancel()
	running.Wait()
	store.Close()
}

func benchPut(i, desks, size int) *queue.Put {
	var id envelope.ID
	binary.BigEndian.PutUint64(id[:], uint64(i)+1)
	desk := i * 7919 % desks
	return &queue.Put{
		ID: id, Desk: identity.DeskID(fmt.Sprintf("org%d/desk%d", desk%97, desk)),
		Targets: []identity.DeviceID{{1, byte(desk), byte(desk >> 8)}}, Sealer: identity.DeviceID{2},
		SealerDesk: "knooppunt/piket", Created: 1000, Expires: 600_000, Digest: sha256.Sum256(id[:]), Envelope: make([]byte, size),
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
