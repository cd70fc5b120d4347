package boltqueue

import (
	"context"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"schakel/relay/queue"
)

// A copy of a store is older than the store from the moment on at which it was
// made. Whoever opens one in its place must therefore show a new epoch, or the
// senders would not offer again what the copy lacks. So a copy has none, and takes
// one when it is opened to be used: every time another, and nobody can forget it.

// Contents is what a copy holds.
type Contents struct {
	Envelopes, Notices int
	Damaged            int // records that will be set aside when they are read
}

// Copy writes the store as the latest durable commit left it, while commits go on:
// pages that it frees meanwhile are not used again until it returns. The result is
// a backup once [FinishCopy] has looked at it.
func (s *Store) Copy(ctx context.Context, w io.Writer) error {
	return s.view(ctx, func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
}

// FinishCopy takes the epoch from what Copy wrote to the file at path, reads
// everything in it, and returns when it is on disk.
func FinishCopy(path string) (Contents, error) {
	return examine(path, func(s *Store) error {
		return s.db.Update(func(tx *bolt.Tx) error {
			return tx.Bucket(bucketMeta).Put(keyEpoch, seal(keyEpoch, make([]byte, 16)))
		})
	})
}

// CheckCopy reads everything in a copy that FinishCopy made, and leaves it one.
func CheckCopy(path string) (Contents, error) {
	return examine(path, func(s *Store) error {
		if s.epoch != [16]byte{} {
			return fmt.Errorf("%w: it has an epoch, so it is no copy", queue.ErrVersion)
		}
		return nil
	})
}

func examine(path string, also func(*Store) error) (Contents, error) {
	var found Contents
	if _, err := os.Stat(path); err != nil {
		return found, fmt.Errorf("failed to look at a copy: %w", err)
	}
	s, err := Open(Config{Path: path, examined: true})
	if err != nil {
		return found, err
	}
	err = s.guard(func() error {
		if err := also(s); err != nil {
			return err
		}
		return s.db.View(func(tx *bolt.Tx) error { return s.readAll(tx, &found) })
	})
	if closing := s.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return found, fmt.Errorf("failed to look at the copy %s: %w", path, err)
	}
	return found, nil
}

func (s *Store) readAll(tx *bolt.Tx, found *Contents) error {
	log := tx.Bucket(bucketLog)
	for _, d := range s.byName {
		for i := range d.mailbox.entries {
			e := &d.mailbox.entries[i]
			_, err := queue.ParseRecord(log.Get(logKey(d.number, e)), d.name, e.position)
			switch {
			case err != nil:
				found.Damaged++
			case e.kind == queue.KindNotice:
				found.Notices++
			default:
				found.Envelopes++
			}
		}
	}
	return nil
}
