package schakel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/roster"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// write signs a record as a person of this desk, or as this device for nobody, stores
// it and makes it due to the desk's other devices.
func (n *Node) write(tx *store.Tx, r delivery.Record, by *seal.PersonKey) (delivery.SignedRecord, error) {
	s, err := n.sign(r, by)
	if err != nil {
		return s, err
	}
	fresh, err := tx.SaveRecord(s, true)
	if err != nil || !fresh {
		return s, err
	}
	if _, err := n.sealable(n.dev.Desk, n.now()); err != nil {
		return s, nil // this device is alone; whoever joins later is told then
	}
	return s, tx.AddRecipient(s.Hash(), n.dev.Desk, n.now(), time.Time{})
}

func (n *Node) sign(r delivery.Record, by *seal.PersonKey) (delivery.SignedRecord, error) {
	r.Version, r.Desk, r.Device, r.Created = delivery.Version, n.dev.Desk, n.dev.ID, max(r.Created, unix(n.now()))
	key := n.keys.Sign
	if by != nil {
		r.Person, key = by.ID[:], by.Key
	}
	payload, tbs, err := r.ToBeSigned()
	if err != nil {
		return delivery.SignedRecord{}, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return delivery.AssembleRecord(payload, ed25519.Sign(key, tbs))
}

// deliverRecord seals a record of this device to the desk's other devices. One that a
// person signed waits until the register knows that person: nobody could verify it.
func (n *Node) deliverRecord(tx *store.Tx, r store.Recipient) (bool, error) {
	row, err := tx.Record(r.Message)
	if err != nil || r.Desk != n.dev.Desk {
		return false, err
	}
	s, err := n.toTell(row)
	if err != nil {
		return false, err
	}
	if len(s.Record.Person) > 0 {
		if _, ok := n.directory().Person(identity.PersonID(s.Record.Person)); !ok {
			return false, nil
		}
	}
	if resting, err := n.resting(tx, r); err != nil || resting || !n.mayGo(delivery.KindRecord, message.Message{}) {
		return false, err
	}
	return n.put(tx, r.Message, r.Desk, envelope.TierNone, delivery.Delivery{Kind: delivery.KindRecord, Content: s.Raw})
}

// toTell is what the desk's other devices get of a record: itself, or closed as it is.
func (n *Node) toTell(row store.Record) (delivery.SignedRecord, error) {
	if row.Closed != nil {
		return n.closedRecord(row)
	}
	return delivery.ParseRecord(row.Raw)
}

// tellNewcomers makes all records of this device due again when a device of this desk
// can be sealed to that could not be before.
func (n *Node) tellNewcomers(ctx context.Context) error {
	refs, err := n.sealable(n.dev.Desk, n.now())
	if err != nil {
		return nil //nolint:nilerr // this device is alone, or nobody else has a key now
	}
	n.mu.Lock()
	told := n.told
	n.mu.Unlock()
	var now []identity.DeviceID
	for _, r := range refs {
		now = append(now, r.device)
	}
	if slices.Equal(told, now) {
		return nil
	}
	err = n.update(ctx, func(tx *store.Tx) error { return n.tellAgain(tx, now) })
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.told = now
	n.mu.Unlock()
	n.poke()
	return nil
}

// settingTold holds the devices of this desk that can be told, 16 bytes each. One whose
// keys ran out, and who comes back with new ones, is told everything again.
const settingTold = "desk-told"

func (n *Node) tellAgain(tx *store.Tx, devices []identity.DeviceID) error {
	known, err := tx.Setting(settingTold)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var now []byte
	fresh := false
	for _, d := range devices {
		now = append(now, d[:]...)
		fresh = fresh || !slices.ContainsFunc(slices.Collect(slices.Chunk(known, len(d))), func(k []byte) bool { return bytes.Equal(k, d[:]) })
	}
	if fresh {
		if err := tx.TellAgain(n.dev.Desk, n.now()); err != nil {
			return err
		}
	}
	if bytes.Equal(now, known) {
		return nil
	}
	return tx.SetSetting(settingTold, now)
}

// judgeRecord accepts records from this desk's own devices only, signed by a person or
// a device of this desk: what colleagues tell each other is nobody else's to write.
func (n *Node) judgeRecord(a *arrival, dir directory, now time.Time) *fault {
	if a.from != n.dev.Desk {
		return &fault{reason: "record-of-another", alarm: AlarmForged, quarantine: true, err: delivery.ErrFormat}
	}
	var err error
	if a.record, err = delivery.ParseRecord(a.delivery.Content); err != nil {
		return contentFault(err)
	}
	r := a.record.Record
	if r.Created > unix(now.Add(clockSlack)) {
		return &fault{reason: "from-the-future", alarm: AlarmClock, quarantine: true, err: delivery.ErrFormat}
	}
	key, ok := author(r, dir)
	if !ok || r.Desk != n.dev.Desk || a.record.Verify(key) != nil {
		return &fault{reason: "record-signature", alarm: AlarmForged, quarantine: true, err: identity.ErrBadSignature}
	}
	if r.Kind == delivery.RecordRoster {
		// One that cannot be used must not take the place of one that can.
		if _, err := roster.Parse(r.Content); err != nil {
			return &fault{reason: "roster", alarm: AlarmRota, quarantine: true, err: err}
		}
	}
	return nil
}

// author is the key that must have signed a record. The device and the person may be
// revoked by now: what somebody noted is not gone because they left, and the delivery
// around it was sealed by a device of this desk that is not.
func author(r delivery.Record, dir directory) (identity.Key, bool) {
	d, ok := dir.Device(r.Device)
	if !ok || d.Desk != r.Desk {
		return identity.Key{}, false
	}
	if len(r.Person) == 0 {
		return d.SignKey, true
	}
	p, ok := dir.Person(identity.PersonID(r.Person))
	return p.Key, ok && p.Desk == r.Desk && p.ValidAt(time.Unix(int64(r.Created), 0))
}

// record takes in what another device of this desk wrote down.
func (in *intake) record(a *arrival) error {
	r := a.record.Record
	if r.Kind == delivery.RecordLog {
		return in.witness(r)
	}
	if in.stale(r) {
		return nil
	}
	fresh, err := in.saveRecord(a.record)
	if err != nil || !fresh {
		return err
	}
	if r.Kind == delivery.RecordPaged {
		return in.paged(r)
	}
	in.event(EventDesk, a.record.Hash(), a.from)
	switch r.Kind {
	case delivery.RecordPerson:
		return in.person(r)
	case delivery.RecordAssign:
		return in.contested(r.Case)
	case delivery.RecordRestrict, delivery.RecordShares:
		return in.settle(r.Case)
	case delivery.RecordGlass:
		return in.glassBroken(r)
	case delivery.RecordRoster:
		return in.rotaMoved()
	case delivery.RecordConfirm:
		return in.alsoSigned(r)
	}
	return nil
}

func (in *intake) saveRecord(s delivery.SignedRecord) (bool, error) {
	switch s.Record.Kind {
	case delivery.RecordClosed:
		return in.closed(s.Record)
	case delivery.RecordRestrict, delivery.RecordShares, delivery.RecordReading:
		// Every device tells a new one: it must know what is restricted before it gets
		// messages, also when the device where that was done is gone.
		return in.tx.SaveRecord(s, true)
	}
	return in.tx.SaveRecord(s, false)
}

// recordsOf parses stored records; they were verified when they came.
func recordsOf(rows []store.Record) (out []delivery.SignedRecord, err error) {
	for _, row := range rows {
		s, err := delivery.ParseRecord(row.Raw)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// openRecords parses those of the stored records that this transaction can read. What
// came closed could not be verified before: what it claims to be is checked here.
func (n *Node) openRecords(rows []store.Record) (out []delivery.SignedRecord, err error) {
	for _, row := range rows {
		if row.Raw == nil {
			continue
		}
		s, err := delivery.ParseRecord(row.Raw)
		if err != nil && row.Closed == nil {
			return nil, err
		}
		if row.Closed != nil && (err != nil || !n.genuine(row, s)) {
			n.log.Warn("closed record is not what it claims", "record", row.Hash)
			continue
		}
		out = append(out, s)
	}
	return out, nil
}

func (n *Node) genuine(row store.Record, s delivery.SignedRecord) bool {
	r := s.Record
	key, ok := author(r, n.directory())
	return ok && s.Hash() == row.Hash && r.Desk == n.dev.Desk && r.Kind == row.Kind && r.Case == row.Case && r.Thread == row.Thread && s.Verify(key) == nil
}

// follow is what a record written now follows: the heads that its author saw.
func follow(rows []store.Record) []message.Hash {
	var hs []message.Hash
	for _, row := range rows {
		hs = append(hs, row.Hash)
	}
	return hs[:min(len(hs), delivery.MaxFollows)]
}
