package boltqueue

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// desk is a mailbox as the writer keeps it in memory. Only Commit touches it.
type desk struct {
	number   deskNumber
	name     identity.DeskID
	last     queue.Position // the greatest position given, or one that may have been
	reserved queue.Position // as on disk: positions up to here may be given without writing it again
	records  int            // envelopes stored
	bytes    int64          // of those envelopes
	devices  map[identity.DeviceID]*device
	sealed   *share // of its organisation
}

// device is a device's place in one mailbox.
//
// Sweeping looks at the records between swept and the cursor (or until, once the
// device is dropped) for those that all their targets have passed. It normally
// catches up within the commit of the acknowledgement; swept is on disk so that a
// very long way may take several, and survives a restart.
type device struct {
	desk    *desk
	id      identity.DeviceID
	cursor  queue.Position
	swept   queue.Position
	until   queue.Position
	dropped bool
}

// share is what the desks of one organisation have sealed and is still stored.
type share struct {
	records int
	bytes   int64
}

// reserveStep positions are reserved by one write. A restart skips at most so
// many: cheaper than a write per desk and batch, and gaps mean nothing.
const reserveStep = 1024

// maxDesks bounds the memory for desks; a relay serves some hundreds.
const maxDesks = 1 << 20

var errDesks = fmt.Errorf("%w: number of desks", queue.ErrFull)

// goal is how far sweeping for this device has to go.
func (d *device) goal() queue.Position {
	if d.dropped {
		return max(d.cursor, d.until)
	}
	return d.cursor
}

// passed reports whether the device needs no record at p any more.
func (d *device) passed(p queue.Position) bool { return d.dropped || d.cursor >= p }

// deskOf returns the desk called name, and makes it when it is new.
func (b *batch) deskOf(name identity.DeskID) (*desk, error) {
	if d := b.s.byName[name]; d != nil {
		return d, nil
	}
	if len(b.s.byNumber) >= maxDesks {
		return nil, errDesks
	}
	d := b.s.addDesk(deskNumber(len(b.s.byNumber)+1), name)
	b.dirtyDesks[d] = struct{}{}
	return d, nil
}

// addDesk enters a desk into the maps of the writer.
func (s *Store) addDesk(n deskNumber, name identity.DeskID) *desk {
	org := s.shares[name.Org()]
	if org == nil {
		org = new(share)
		s.shares[name.Org()] = org
	}
	d := &desk{number: n, name: name, sealed: org, devices: make(map[identity.DeviceID]*device)}
	s.byName[name], s.byNumber[n] = d, d
	return d
}

// deviceOf returns the place of a device, and makes it at zero when it is new.
func (d *desk) deviceOf(id identity.DeviceID) (*device, error) {
	if place := d.devices[id]; place != nil {
		return place, nil
	}
	if len(d.devices) >= queue.MaxDevices {
		return nil, queue.ErrFullDevices
	}
	place := &device{desk: d, id: id}
	d.devices[id] = place
	return place, nil
}

// next gives the next position of d.
func (b *batch) next(d *desk) queue.Position {
	d.last++
	if d.last > d.reserved {
		d.reserved = d.last + reserveStep
		b.dirtyDesks[d] = struct{}{}
	}
	return d.last
}

// flush writes the desks and cursors that the batch changed, each once.
func (b *batch) flush() error {
	desks, cursors := b.tx.Bucket(bucketDesks), b.tx.Bucket(bucketCursors)
	for d := range b.dirtyDesks {
		if err := desks.Put(d.number.key(), d.row()); err != nil {
			return fmt.Errorf("failed to write desk: %w", err)
		}
	}
	for d := range b.dirtyDevices {
		key := cursorKey(d.desk.number, d.id)
		if err := cursors.Put(key, seal(key, d.append(nil))); err != nil {
			return fmt.Errorf("failed to write cursor: %w", err)
		}
	}
	return nil
}

func (d *desk) row() []byte {
	value := binary.BigEndian.AppendUint64(nil, uint64(d.reserved))
	return seal(d.number.key(), append(value, d.name...))
}

// load fills the writer's memory from the file. A desk that cannot be read back
// would take its mailbox with it, so that is ErrDamaged; a cursor only makes its
// device read again.
func (s *Store) load(tx *bolt.Tx) error {
	err := tx.Bucket(bucketDesks).ForEach(func(k, v []byte) error {
		value, err := unseal(k, v, 8)
		if err != nil || len(k) != 4 {
			return fmt.Errorf("%w: desk: %w", queue.ErrDamaged, err)
		}
		d := s.addDesk(deskNumber(binary.BigEndian.Uint32(k)), identity.DeskID(value[8:]))
		d.reserved = queue.Position(binary.BigEndian.Uint64(value))
		d.last = d.reserved
		return nil
	})
	if err != nil {
		return err
	}
	if len(s.byName) != len(s.byNumber) || s.byNumber[deskNumber(len(s.byNumber))] == nil && len(s.byNumber) > 0 {
		return fmt.Errorf("%w: desks are missing", queue.ErrDamaged)
	}
	if err := tx.Bucket(bucketCursors).ForEach(s.loadCursor); err != nil {
		return err
	}
	if err := tx.Bucket(bucketMail).ForEach(s.loadSlip); err != nil {
		return err
	}
	if k, _ := tx.Bucket(bucketLog).Cursor().Last(); len(k) == 8 {
		s.sequence = binary.BigEndian.Uint64(k)
	}
	return s.loadMeta(tx)
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
	d.devices[place.id] = &place
	if place.swept < place.goal() {
		s.behind[&place] = struct{}{}
	}
	return nil
}

// loadSlip counts what is stored. A damaged slip is met again by Read.
func (s *Store) loadSlip(k, v []byte) error {
	n, p, ok := parseMailKey(k)
	d := s.byNumber[n]
	if !ok || d == nil {
		s.log.Error("index row of an unknown mailbox")
		return nil
	}
	d.last, d.reserved = max(d.last, p), max(d.reserved, p)
	slip, err := parseSlip(k, v)
	if err != nil {
		s.log.Error("index row is damaged", "desk", d.name, "position", p)
		return nil
	}
	s.count(d, &slip, 1)
	return nil
}

// count adds (sign 1) or removes (sign -1) an envelope from the quotas.
func (s *Store) count(d *desk, stored *slip, sign int) {
	if stored.kind != queue.KindEnvelope {
		return
	}
	size := int64(sign) * int64(stored.size)
	d.records += sign
	d.bytes += size
	if from := s.byNumber[stored.sealerDesk]; from != nil {
		from.sealed.records += sign
		from.sealed.bytes += size
	}
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
