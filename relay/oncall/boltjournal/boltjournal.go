// Package boltjournal keeps the timers of one relay in a bbolt file, beside that of
// its mailboxes.
//
// It is a file of its own so that a page never waits for a batch of envelopes, and a
// damaged timer never for a mailbox. What stands in it can be lost without losing an
// envelope: all that waits would be paged for again, from the first step.
package boltjournal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/queue"
)

// The file:
//
//	meta    key     -> 32 random bytes, from which references are made
//	        lease   -> term u64, steady and wall in milliseconds u64
//	timers  desk 0 id -> row
//	plans   desk    -> CRC-32C of desk and rest, serial u64, plan
//	pages   desk    -> bucket: number u64 -> CRC-32C, row in CBOR
var (
	bucketMeta   = []byte("meta")
	bucketTimers = []byte("timers")
	bucketPlans  = []byte("plans")
	bucketPages  = []byte("pages")

	keyKey   = []byte("key")
	keyLease = []byte("lease")
)

// lockWait is how long another process may take to let go of the file.
const lockWait = time.Second

// Journal implements [oncall.Journal] on one file. One process has it at a time, so
// whoever asks for the timers gets them.
type Journal struct {
	db  *bolt.DB
	key [32]byte
}

var _ oncall.Journal = (*Journal)(nil)

// Open opens the file, or makes it. queue.ErrInUse: another process has it;
// queue.ErrDamaged: move it aside and start again, what waits is paged for anew.
func Open(path string) (*Journal, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("failed to open the timers: %w", queue.ErrInUse)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("failed to open the timers: %w: %w", queue.ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("failed to open the timers: %w", err)
	}
	j := &Journal{db: db}
	if err := db.Update(j.prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to open the timers: %w", err), db.Close())
	}
	return j, nil
}

func (j *Journal) prepare(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketTimers, bucketPlans, bucketPages} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	if key := meta.Get(keyKey); len(key) == len(j.key) {
		j.key = [32]byte(key)
		return nil
	}
	rand.Read(j.key[:])
	return meta.Put(keyKey, bytes.Clone(j.key[:]))
}

// Close ends the journal.
func (j *Journal) Close() error {
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("failed to close the timers: %w", err)
	}
	return nil
}

// update writes. What fails is indeterminate: only opening the file again tells.
func (j *Journal) update(change func(tx *bolt.Tx) error) error {
	err := j.db.Update(change)
	switch {
	case err == nil, errors.Is(err, oncall.ErrSerial), errors.Is(err, oncall.ErrLost):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	return fmt.Errorf("failed to write the timers: %w: %w", queue.ErrIndeterminate, err)
}

func (j *Journal) view(look func(tx *bolt.Tx) error) error {
	if err := j.db.View(look); err != nil {
		return fmt.Errorf("failed to read the timers: %w: %w", queue.ErrUnavailable, err)
	}
	return nil
}

// Hold implements oncall.Journal. A node that has begun is a new holder; that the
// file is open says that the one before has ended.
func (j *Journal) Hold(_ context.Context, b oncall.Bid) (oncall.Lease, error) {
	lease := oncall.Lease{Held: b.Span > 0, Steady: b.Steady, Key: j.key}
	err := j.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		term, steady, wall, known := parseLease(meta.Get(keyLease))
		if b.Steady.IsZero() {
			term++
			lease.Steady = b.Wall
			if known {
				lease.Steady = steady.Add(max(0, b.Wall.Sub(wall)))
			}
		}
		lease.Term = term
		row := binary.BigEndian.AppendUint64(nil, term)
		row = binary.BigEndian.AppendUint64(row, uint64(max(0, lease.Steady.UnixMilli())))
		return meta.Put(keyLease, binary.BigEndian.AppendUint64(row, uint64(max(0, b.Wall.UnixMilli()))))
	})
	return lease, err
}

func parseLease(b []byte) (term uint64, steady, wall time.Time, known bool) {
	if len(b) != 24 {
		return 0, steady, wall, false
	}
	at := func(i int) time.Time {
		return time.UnixMilli(int64(min(binary.BigEndian.Uint64(b[i:]), queue.MaxTime*1000))).UTC()
	}
	return binary.BigEndian.Uint64(b), at(8), at(16), true
}

// Write implements oncall.Journal. It does not know what was attended.
func (j *Journal) Write(_ context.Context, term uint64, changes []oncall.Change) ([]oncall.Outcome, error) {
	if len(changes) > oncall.MaxChanges {
		return nil, fmt.Errorf("%w: %d changes", queue.ErrInvalid, len(changes))
	}
	outcomes := make([]oncall.Outcome, len(changes))
	err := j.update(func(tx *bolt.Tx) error {
		if now, _, _, _ := parseLease(tx.Bucket(bucketMeta).Get(keyLease)); now > term {
			return oncall.ErrLost
		}
		rows := tx.Bucket(bucketTimers)
		for i, c := range changes {
			key := nameOf(c.Ref)
			now := rows.Get(key)
			switch {
			case bytes.Equal(now, c.After):
			case !bytes.Equal(now, c.Before):
				outcomes[i] = oncall.Outcome{Err: oncall.ErrStale, Now: bytes.Clone(now)}
			case len(c.After) == 0:
				if err := rows.Delete(key); err != nil {
					return err
				}
			default:
				if err := rows.Put(key, c.After); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return outcomes, err
}

func nameOf(r queue.Ref) []byte {
	return append(append([]byte(r.Desk), 0), r.ID[:]...)
}

// Rows implements oncall.Journal.
func (j *Journal) Rows(_ context.Context, each func(queue.Ref, []byte)) error {
	return j.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketTimers).ForEach(func(k, v []byte) error {
			desk, id, ok := bytes.Cut(k, []byte{0})
			if ok && len(id) == len(envelope.ID{}) {
				each(queue.Ref{Desk: identity.DeskID(desk), ID: envelope.ID(id)}, bytes.Clone(v))
			}
			return nil
		})
	})
}

// Arrived implements oncall.Journal: there are no other nodes.
func (j *Journal) Arrived(context.Context, uint64) ([]queue.Unattended, error) { return nil, nil }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum over place and row before the row; unseal takes it off, and
// returns nil for a row that is not there or damaged.
func seal(place, row []byte) []byte {
	sum := crc32.Update(crc32.Checksum(place, castagnoli), castagnoli, row)
	return append(binary.BigEndian.AppendUint32(nil, sum), row...)
}

func unseal(place, sealed []byte) []byte {
	if len(sealed) < 4 {
		return nil
	}
	row := sealed[4:]
	if !bytes.Equal(seal(place, row)[:4], sealed[:4]) {
		return nil
	}
	return row
}
