package boltqueue

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	bolt "go.etcd.io/bbolt"

	"schakel/relay/queue"
)

// bbolt checks nothing on its pages, and does not overwrite old ones at once: one
// flipped bit in the number of a page, in the root of a bucket or in a branch, can
// lead to an older version of the same page, which is sound in itself and lacks
// the latest rows. No checksum of a row notices that a row is missing. So every
// commit writes down how many rows there are and the sum of their names, and
// opening the file counts again.

// tally is the number of some rows and the sum of their names. A sum does not
// depend on order, and a row is taken off as cheaply as it is added.
type tally struct{ rows, sum uint64 }

func (t *tally) add(name []byte) {
	t.rows++
	t.sum += spread(name)
}

func (t *tally) remove(name []byte) {
	t.rows--
	t.sum -= spread(name)
}

// spread makes a number of a name in which similar names are not similar: sums
// over FNV alone, as over any CRC, are equal for too many sets of counters.
func spread(name []byte) uint64 {
	h := fnv.New64a()
	h.Write(name)
	n := h.Sum64()
	n = (n ^ n>>33) * 0xff51afd7ed558ccd
	n = (n ^ n>>33) * 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}

// tallies are those of the buckets in which a missing row is a broken promise: an
// envelope, that it is known, its end, and that somebody must be paged for it. A
// missing cursor only makes a device read again.
type tallies struct{ log, ids, ends, ladder tally }

const talliesSize = 4 * 16

func (t *tallies) row() []byte {
	value := make([]byte, 0, talliesSize+sumSize)
	for _, one := range []tally{t.log, t.ids, t.ends, t.ladder} {
		value = binary.BigEndian.AppendUint64(value, one.rows)
		value = binary.BigEndian.AppendUint64(value, one.sum)
	}
	return seal(keyTallies, value)
}

func parseTallies(row []byte) (tallies, error) {
	v, err := unseal(keyTallies, row, talliesSize)
	if err != nil || len(v) != talliesSize {
		return tallies{}, fmt.Errorf("%w: tallies: %w", queue.ErrDamaged, errRow)
	}
	at := func(n int) tally {
		return tally{binary.BigEndian.Uint64(v[16*n:]), binary.BigEndian.Uint64(v[16*n+8:])}
	}
	return tallies{at(0), at(1), at(2), at(3)}, nil
}

// rows is a bucket with its tally.
type rows struct {
	*bolt.Bucket
	tally *tally
	name  func(key []byte) []byte // what the tally knows a row by
}

func wholeKey(key []byte) []byte { return key }

// placeOf is what the tally knows a row of log by: its desk and position, which
// the record says as well, so that a mended key changes nothing.
func placeOf(key []byte) []byte { return key[8:20] }

// add writes a row that is not there yet.
func (r rows) add(key, value []byte) error {
	r.tally.add(r.name(key))
	return r.Put(key, value)
}

// set writes a row, which may be there already.
func (r rows) set(key, value []byte) error {
	if r.Get(key) == nil {
		return r.add(key, value)
	}
	return r.Put(key, value)
}

// remove deletes a row that is there.
func (r rows) remove(key []byte) error {
	r.tally.remove(r.name(key))
	return r.Delete(key)
}

// clear deletes a row that may not be there.
func (r rows) clear(key []byte) error {
	if r.Get(key) == nil {
		return nil
	}
	return r.remove(key)
}

// compare counts the rows of ids, ends and waiting, and wants them and those of
// log, which are counted already, to be as many as were written down. An end stays
// after its record is deleted: a sequence that only it has must not be given again,
// or the end of another record would take its place.
func (s *Store) compare(tx *bolt.Tx) error {
	for _, counted := range []struct {
		bucket []byte
		tally  *tally
	}{{bucketIDs, &s.tallies.ids}, {bucketEnds, &s.tallies.ends}, {bucketWaiting, &s.tallies.ladder}} {
		cursor := tx.Bucket(counted.bucket).Cursor()
		for k, _ := cursor.First(); k != nil; k, _ = cursor.Next() {
			counted.tally.add(k)
			if counted.tally == &s.tallies.ends {
				s.sequence = max(s.sequence, sequenceOf(k))
			}
		}
	}
	s.committed.Store(s.sequence)
	written, err := parseTallies(tx.Bucket(bucketMeta).Get(keyTallies))
	if err != nil {
		return err
	}
	if s.tallies != written && !s.config.untallied {
		return fmt.Errorf("%w: rows have gone, or come back: %+v are there, %+v were written", queue.ErrDamaged, s.tallies, written)
	}
	return nil
}
