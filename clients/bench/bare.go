package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
)

// bare commits the same bytes at the same concurrency to a bare bbolt file: what
// gathers while one batch is written is the next, and the batch before is deleted
// along the way. No login, no checks, no receipts, no network: the frontier.
func (ch *chain) bare(ctx context.Context) (b Bare, err error) {
	db, err := bbolt.Open(filepath.Join(ch.dir, "bare.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return b, fmt.Errorf("failed to open a bare store: %w", err)
	}
	defer db.Close()
	raw := make([]byte, ch.Size+200)
	rand.Read(raw)
	puts := make(chan chan error, ch.Senders*ch.InFlight)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go commitBare(ctx, db, puts, raw)
	each := max(ch.Messages/(ch.Senders*ch.InFlight), 1)
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range ch.Senders * ch.InFlight {
		g.Go(func() error { return putBare(ctx, puts, each) })
	}
	err = g.Wait()
	return Bare{PerSecond: float64(each*ch.Senders*ch.InFlight) / time.Since(began).Seconds()}, err
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

// commitBare writes what has gathered, and deletes what the batch before wrote.
func commitBare(ctx context.Context, db *bbolt.DB, puts <-chan chan error, raw []byte) {
	next, deleted := uint64(0), uint64(0)
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
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("queue"))
			for ; err == nil && deleted < next; deleted++ {
				err = bucket.Delete(binary.BigEndian.AppendUint64(nil, deleted))
			}
			for i := 0; err == nil && i < len(batch); i++ {
				err = bucket.Put(binary.BigEndian.AppendUint64(nil, next), raw)
				next++
			}
			return err
		})
		for _, p := range batch {
			p <- err
		}
	}
}
