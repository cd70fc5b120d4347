package redisqueue

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"schakel/relay/queue"
)

// Open connects, checks that Redis keeps promises, and looks after it until Close.
// It waits while Redis loads its data, until ctx ends. Errors: ErrUnsafe with the
// setting to change, queue.ErrVersion, queue.ErrUnavailable when Redis does not
// answer.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Address == "" || c.Password == nil {
		return nil, errors.New("failed to open redis: address or password missing")
	}
	c = c.withDefaults()
	login := Login{c.User, c.Password}
	s := &Store{
		config: c, log: c.Log, node: rand.Text(),
		reads: c.client(login, 16, nil), watches: c.client(login, 3, nil),
	}
	s.puts = c.client(login, 1, s.recognise)
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to open redis at %s: %w", c.Address, err), s.disconnect())
	}
	watched, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.watching.Go(func() { s.watch(watched) })
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.awaitLoaded(ctx); err != nil {
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	if s.server.role != "master" {
		return fmt.Errorf("%w: this is a replica; give the address of the primary", ErrUnsafe)
	}
	if err := s.ensureFunctions(ctx); err != nil {
		return err
	}
	s.state.Guarantee = queue.GuaranteeDisk
	err := s.checkSafety(ctx)
	if s.config.Volatile {
		s.state.Guarantee = queue.GuaranteeNone
		s.log.Warn("VOLATILE: this store may forget what it answered; never use it for real")
	} else if err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.refreshShares(ctx)
}

func (s *Store) awaitLoaded(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		if s.server, err = askServer(ctx, s.watches); !errors.Is(err, errLoading) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// enter reads the marker, or makes one where buckets have none or not the same:
// the store is new, or lost a part of itself.
func (s *Store) enter(ctx context.Context) error {
	var err error
	if s.marker, err = s.readMarker(ctx); err != nil {
		return err
	}
	if s.marker == "" {
		s.marker = rand.Text()
		pipe := s.puts.TxPipeline()
		for bucket := range buckets {
			pipe.FCall(ctx, function("begin"), []string{s.metaKey(bucket)}, s.marker)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("failed to mark the store: %w", err)
		}
	}
	sum := sha256.Sum256([]byte(s.marker + "\x00" + s.server.run + "\x00" + s.server.replication))
	s.state.Epoch = [16]byte(sum[:])
	s.log.Info("redis is open", "version", s.server.version, "epoch", hex.EncodeToString(sum[:4]))
	return nil
}

const format = "1"

// readMarker returns the marker that all buckets have, or "".
func (s *Store) readMarker(ctx context.Context) (string, error) {
	pipe := s.watches.Pipeline()
	var rows [buckets]*redis.SliceCmd
	for bucket := range buckets {
		rows[bucket] = pipe.HMGet(ctx, s.metaKey(bucket), "epoch", "format")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return "", fmt.Errorf("failed to read the marker: %w", err)
	}
	var marker string
	for bucket, row := range rows {
		epoch, _ := row.Val()[0].(string)
		if written, _ := row.Val()[1].(string); epoch != "" && written != format {
			return "", fmt.Errorf("%w: %q, this program knows %s", queue.ErrVersion, written, format)
		}
		if epoch == "" || bucket > 0 && epoch != marker {
			return "", nil
		}
		marker = epoch
	}
	return marker, nil
}
