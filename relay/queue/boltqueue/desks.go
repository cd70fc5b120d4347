package boltqueue

import (
	"encoding/binary"
	"fmt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// desk is a mailbox in memory. Readers look at mailbox, last, and the cursors of
// the devices under Store.index; the rest is the writer's.
type desk struct {
	number   deskNumber
	name     identity.DeskID
	mailbox  mailbox
	last     queue.Position // the greatest position given, or one that may have been
	reserved queue.Position // as on disk: positions up to here may be given without writing it again
	records  int            // envelopes stored
	bytes    int64          // of those envelopes
	devices  map[identity.DeviceID]*device
	targets  *[]identity.DeviceID // of the latest record
	sealed   *share               // of its organisation
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

// reach says that p was given. Every row that says so counts, so that an old row
// of desks does not give positions again that devices have passed.
func (d *desk) reach(p queue.Position) {
	d.last, d.reserved = max(d.last, p), max(d.reserved, p)
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
	s.index.Lock()
	defer s.index.Unlock()
	s.byName[name], s.byNumber[n] = d, d
	return d
}

// count adds (sign 1) or removes (sign -1) an envelope from the quotas.
func (s *Store) count(d *desk, e *entry, sign int) {
	if e.kind != queue.KindEnvelope {
		return
	}
	size := int64(sign) * int64(e.size)
	d.records += sign
	d.bytes += size
	if from := s.byNumber[e.sealerDesk]; from != nil {
		from.sealed.records += sign
		from.sealed.bytes += size
	}
}

// deviceOf returns the place of a device, and makes it at zero when it is new.
func (s *Store) deviceOf(d *desk, id identity.DeviceID) (*device, error) {
	if place := d.devices[id]; place != nil {
		return place, nil
	}
	if len(d.devices) >= queue.MaxDevices {
		return nil, queue.ErrFullDevices
	}
	place := &device{desk: d, id: id}
	s.index.Lock()
	defer s.index.Unlock()
	d.devices[id] = place
	return place, nil
}

// next returns the next position of d, which is given once an entry has it.
func (b *batch) next(d *desk) queue.Position {
	p := d.last + 1
	if p > d.reserved {
		d.reserved = p + reserveStep
		b.dirtyDesks[d] = struct{}{}
	}
	return p
}

func (d *desk) row() []byte {
	value := binary.BigEndian.AppendUint64(nil, uint64(d.reserved))
	return seal(d.number.key(), append(value, d.name...))
}
