package bench

import (
	"context"
	"crypto/rand"
	"io"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// bareStore is the least that could be called a store.
type bareStore interface {
	// commit writes records durably and, along the way, deletes all those before.
	commit(records [][]byte) error
	io.Closer
}

// bare commits the same bytes at the same concurrency to a bare store of the same
// kind: what gathers while one batch is written is the next, and the batch before is
// deleted along the way. No login, no checks, no receipts, no network: the frontier.
func (ch *chain) bare(ctx context.Context) (b Bare, err error) {
	store, err := ch.openBare(ctx)
	if err != nil {
		return b, err
	}
	defer store.Close()
	raw := make([]byte, ch.Size+200)
	rand.Read(raw)
	puts := make(chan chan error, ch.Senders*ch.InFlight)
	ctx, cancel := context.WithCancel(ctx)
	var committing sync.WaitGroup
	committing.Go(func() { commitBare(ctx, store, puts, raw) })
	defer func() { cancel(); committing.Wait() }()
	each := max(ch.Messages/(ch.Senders*ch.InFlight), 1)
	before, began := ch.usageOfRedis(), time.Now()
	putting, failed := errgroup.WithContext(ctx)
	for range ch.Senders * ch.InFlight {
		putting.Go(func() error { return putBare(failed, puts, each) })
	}
	err = putting.Wait()
	took, n := time.Since(began), float64(each*ch.Senders*ch.InFlight)
	return Bare{PerSecond: n / took.Seconds(), RedisCPU: float64((ch.usageOfRedis().cpu - before.cpu).Microseconds()) / n}, err
}

func (ch *chain) openBare(ctx context.Context) (bareStore, error) {
	if ch.redis != nil {
		return openBareRedis(ctx, ch.redis)
	}
	return openBareBolt(filepath.Join(ch.dir, "bare.db"))
}

func putBare(ctx context.Context, puts chan<- chan error, n int) error {
	done := make(chan error, 1)
	for range n {
		select {
		case puts <- done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

// commitBare writes what has gathered, until the end of ctx.
func commitBare(ctx context.Context, store bareStore, puts <-chan chan error, raw []byte) {
	var records [][]byte
	for {
		var batch []chan error
		select {
		case <-ctx.Done():
			return
		case p := <-puts:
			batch = append(batch, p)
		}
		for len(puts) > 0 {
			batch = append(batch, <-puts)
		}
		for len(records) < len(batch) {
			records = append(records, raw)
		}
		err := store.commit(records[:len(batch)])
		for _, p := range batch {
			p <- err
		}
	}
}
