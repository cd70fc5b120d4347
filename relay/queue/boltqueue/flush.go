package boltqueue

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// With thousands of desks each commit moves hundreds of cursors, one on nearly
// every page of their bucket. So when there are many they are appended to moves
// in one place, and settle in their rows once per moveRows of those. Cursors only
// rise: at open the greater of the two counts, and order does not matter.
const (
	moveLeast   = 16  // fewer go straight to their rows
	moveDevices = 32  // in one row of moves: rows that share pages with others
	moveRows    = 256 // settle when there are so many
	moveSize    = 4 + 16 + 8
)

// flush writes the tallies, desks and cursors that the batch changed, each once.
func (b *batch) flush() error {
	if b.s.tallies != b.tallied {
		if err := b.tx.Bucket(bucketMeta).Put(keyTallies, b.s.tallies.row()); err != nil {
			return fmt.Errorf("failed to write tallies: %w", err)
		}
	}
	desks := b.tx.Bucket(bucketDesks)
	for d := range b.dirtyDesks {
		if err := desks.Put(d.number.key(), d.row()); err != nil {
			return fmt.Errorf("failed to write desk: %w", err)
		}
	}
	moved := make([]*device, 0, len(b.dirtyDevices))
	for place := range b.dirtyDevices {
		if len(b.dirtyDevices) > moveLeast && !place.dropped {
			moved = append(moved, place)
			continue
		}
		if err := b.writeCursor(place); err != nil {
			return err
		}
	}
	if err := b.move(moved); err != nil {
		return err
	}
	if b.s.moves < moveRows {
		return nil
	}
	return b.settle()
}

func (b *batch) writeCursor(place *device) error {
	key := cursorKey(place.desk.number, place.id)
	value := place.append(b.s.rent(cursorSize + sumSize))
	if err := b.tx.Bucket(bucketCursors).Put(key, seal(key, value)); err != nil {
		return fmt.Errorf("failed to write cursor: %w", err)
	}
	return nil
}

// move appends the cursors of places to moves.
func (b *batch) move(places []*device) error {
	bucket := b.tx.Bucket(bucketMoves)
	bucket.FillPercent = 1
	for len(places) > 0 {
		n := min(len(places), moveDevices)
		value := b.s.rent(n*moveSize + sumSize)
		for _, place := range places[:n] {
			value = binary.BigEndian.AppendUint32(value, uint32(place.desk.number))
			value = append(value, place.id[:]...)
			value = binary.BigEndian.AppendUint64(value, uint64(place.cursor))
			b.s.unsettled[place] = struct{}{}
		}
		b.s.moves++
		key := binary.BigEndian.AppendUint64(nil, b.s.moves)
		if err := bucket.Put(key, seal(key, value)); err != nil {
			return fmt.Errorf("failed to write moves: %w", err)
		}
		places = places[n:]
	}
	return nil
}

// settle writes every cursor that stands in moves to its row, and begins anew.
func (b *batch) settle() error {
	for place := range b.s.unsettled {
		if err := b.writeCursor(place); err != nil {
			return err
		}
	}
	if err := b.tx.DeleteBucket(bucketMoves); err != nil {
		return fmt.Errorf("failed to clear moves: %w", err)
	}
	if _, err := b.tx.CreateBucket(bucketMoves); err != nil {
		return fmt.Errorf("failed to clear moves: %w", err)
	}
	b.s.moves = 0
	clear(b.s.unsettled)
	return nil
}

// loadMoves brings the cursors forward to what moves says of them.
func (s *Store) loadMoves(tx *bolt.Tx) error {
	return tx.Bucket(bucketMoves).ForEach(func(k, v []byte) error {
		if len(k) == 8 {
			s.moves = max(s.moves, binary.BigEndian.Uint64(k))
		}
		value, err := unseal(k, v, moveSize)
		if err != nil {
			s.log.Error("moves are damaged, their devices will read again", "error", err)
			return nil
		}
		for ; len(value) >= moveSize; value = value[moveSize:] {
			if err := s.loadMove(value[:moveSize]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) loadMove(b []byte) error {
	d := s.byNumber[deskNumber(binary.BigEndian.Uint32(b))]
	if d == nil {
		return fmt.Errorf("%w: cursor of an unknown desk", queue.ErrDamaged)
	}
	place, err := s.deviceOf(d, identity.DeviceID(b[4:20]))
	if err != nil {
		return fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	}
	place.cursor = max(place.cursor, queue.Position(binary.BigEndian.Uint64(b[20:])))
	d.reach(place.cursor)
	s.unsettled[place] = struct{}{}
	if place.swept < place.goal() {
		s.behind[place] = struct{}{}
	}
	return nil
}
