package boltqueue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// load fills the memory from the file. A desk that cannot be read back would take
// its mailbox with it, so that is ErrDamaged; a cursor only makes its device read
// again.
func (s *Store) load(tx *bolt.Tx) error {
	if err := tx.Bucket(bucketDesks).ForEach(s.loadDesk); err != nil {
		return err
	}
	if len(s.byName) != len(s.byNumber) || len(s.byNumber) > 0 && s.byNumber[deskNumber(len(s.byNumber))] == nil {
		return fmt.Errorf("%w: desks are missing", queue.ErrDamaged)
	}
	if err := tx.Bucket(bucketCursors).ForEach(s.loadCursor); err != nil {
		return err
	}
	if err := s.loadMoves(tx); err != nil {
		return err
	}
	if err := s.loadLog(tx.Bucket(bucketLog)); err != nil {
		return err
	}
	return errors.Join(s.loadMeta(tx), s.compare(tx))
}

func (s *Store) loadDesk(k, v []byte) error {
	value, err := unseal(k, v, 8)
	if err != nil || len(k) != 4 {
		return fmt.Errorf("%w: desk: %w", queue.ErrDamaged, err)
	}
	d := s.addDesk(deskNumber(binary.BigEndian.Uint32(k)), identity.DeskID(value[8:]))
	d.reserved = parseReserved(value)
	d.last = d.reserved
	return nil
}

func (s *Store) loadCursor(k, v []byte) error {
	place, err := parseCursor(k, v)
	if err != nil {
		s.log.Error("cursor is damaged, its device will read again", "error", err)
		return nil
	}
	d := s.byNumber[deskNumber(binary.BigEndian.Uint32(k))]
	if d == nil {
		return fmt.Errorf("%w: cursor of an unknown desk", queue.ErrDamaged)
	}
	place.desk, place.id = d, identity.DeviceID(k[4:])
	d.reach(max(place.cursor, place.until))
	d.devices[place.id] = &place
	if place.swept < place.goal() {
		s.behind[&place] = struct{}{}
	}
	return nil
}

// loadLog makes the mailboxes from the keys of log; it reads no values, so that a
// million waiting envelopes do not delay a restart.
func (s *Store) loadLog(log *bolt.Bucket) error {
	cursor := log.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		n, e, err := parseLogKey(k)
		s.sequence = max(s.sequence, e.sequence)
		if d := s.byNumber[n]; err == nil && d != nil {
			s.tallies.log.add(placeOf(k))
			s.enter(d, e)
			continue
		}
		if err := s.loadStray(k, v); err != nil {
			return err
		}
	}
	s.committed.Store(s.sequence)
	return nil
}

// stray is a row of log whose key is damaged. The record itself says where it
// belongs.
type stray struct {
	key, record []byte
	desk        *desk
	entry       entry
}

// loadStray answers ErrDamaged for a record that is damaged as well: nobody could
// be told whose it was.
func (s *Store) loadStray(k, record []byte) error {
	d, e, err := s.trace(record)
	if err != nil {
		return fmt.Errorf("%w: neither the key of a record nor what it says: %w", queue.ErrDamaged, err)
	}
	s.tallies.log.add(placeOf(logKey(d.number, &e)))
	s.strays = append(s.strays, stray{bytes.Clone(k), bytes.Clone(record), d, e})
	return nil
}

// enter puts an entry into its mailbox.
func (s *Store) enter(d *desk, e entry) {
	s.count(d, &e, 1)
	s.index.Lock()
	defer s.index.Unlock()
	d.mailbox.add(e)
	d.reach(e.position)
}

// mend writes strays to where they belong.
func (s *Store) mend(tx *bolt.Tx) error {
	log := tx.Bucket(bucketLog)
	for _, stray := range s.strays {
		s.log.Error("record with a damaged key is mended", "desk", stray.desk.name, "position", stray.entry.position)
		s.sequence++
		stray.entry.sequence = s.sequence
		s.enter(stray.desk, stray.entry)
		key := logKey(stray.desk.number, &stray.entry)
		if err := errors.Join(log.Delete(stray.key), log.Put(key, stray.record)); err != nil {
			return fmt.Errorf("failed to mend a record: %w", err)
		}
	}
	s.committed.Store(s.sequence)
	return nil
}

// trace reads from a record where it belongs.
func (s *Store) trace(record []byte) (*desk, entry, error) {
	name, p, ok := queue.RecordPlace(record)
	d := s.byName[name]
	if !ok || d == nil {
		return nil, entry{}, queue.ErrRecord
	}
	r, err := queue.ParseRecord(record, name, p)
	if err != nil {
		return nil, entry{}, err
	}
	e := entry{position: p, size: uint32(len(r.Envelope)), kind: r.Kind}
	if from := s.byName[r.SealerDesk]; from != nil {
		e.sealerDesk = from.number
	}
	return d, e, nil
}

func (s *Store) loadMeta(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	epoch, err := unseal(keyEpoch, meta.Get(keyEpoch), 16)
	now, err2 := unseal(keyNow, meta.Get(keyNow), 8)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("%w: epoch: %w", queue.ErrDamaged, err)
	}
	s.epoch, s.now = [16]byte(epoch), binary.BigEndian.Uint64(now)
	return nil
}
