package boltqueue

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

func (b *batch) put(op *queue.Put) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return refuse(err)
	}
	if d := b.s.byName[op.Desk]; d != nil {
		if answer, ok := b.repeated(op, d); ok {
			return answer, nil
		}
	}
	if op.Expires <= b.s.now {
		return refuse(queue.ErrExpired)
	}
	to, err := b.deskOf(op.Desk)
	if err != nil {
		return refuse(err)
	}
	from, err := b.deskOf(op.SealerDesk)
	if err != nil {
		return refuse(err)
	}
	if err := b.room(to, from, len(op.Envelope)); err != nil {
		return refuse(err)
	}
	return b.store(op, to, from)
}

// repeated answers a put whose ID is known. A damaged row of ids counts as
// unknown: storing an envelope twice is better than refusing it for days, and
// devices recognise the second. So does one whose record is gone although its
// devices have not passed it.
func (b *batch) repeated(op *queue.Put, d *desk) (queue.Result, bool) {
	key := idKey(op.ID, d.number)
	value := b.ids.Get(key)
	if value == nil {
		return queue.Result{}, false
	}
	first, err := parseKnown(key, value)
	switch {
	case err != nil:
		b.s.log.Error("row of ids is damaged, taking the envelope as new", "id", op.ID)
		return queue.Result{}, false
	case first.digest != op.Digest:
		b.s.log.Debug("envelope id was used for other bytes", "id", op.ID, "desk", op.Desk, "sealer", op.Sealer)
		return queue.Result{Err: queue.ErrConflict}, true
	case d.mailbox.at(first.position) == nil && !d.finished(op.Targets, first.position):
		b.s.log.Error("a known record is gone, taking the envelope as new", "id", op.ID)
		return queue.Result{}, false
	}
	return queue.Result{Duplicate: true, Position: first.position, Salt: first.salt}, true
}

func (b *batch) room(to, from *desk, size int) error {
	quota := &b.s.config.Quota
	switch {
	case b.full:
		return queue.ErrFullDisk
	case to.records >= quota.DeskRecords || to.bytes+int64(size) > quota.DeskBytes:
		return queue.ErrFullDesk
	case from.sealed.records >= quota.SealerRecords || from.sealed.bytes+int64(size) > quota.SealerBytes:
		return queue.ErrFullSealer
	}
	return nil
}

func (b *batch) store(op *queue.Put, to, from *desk) (queue.Result, error) {
	record := queue.Record{
		Position: b.next(to), Kind: queue.KindEnvelope, Tier: op.Tier, ID: op.ID,
		Created: op.Created, Expires: op.Expires, Sealer: op.Sealer, SealerDesk: op.SealerDesk,
		Targets: op.Targets, Envelope: op.Envelope,
	}
	if err := b.add(to, from, &record); err != nil {
		return queue.Result{}, err
	}
	row := known{
		position: record.Position, expires: op.Expires, digest: op.Digest, salt: op.Salt,
		sealer: op.Sealer, sealerDesk: from.number, tier: op.Tier, hash: op.AttendedHash,
	}
	key := idKey(op.ID, to.number)
	value := row.append(b.s.rent(knownSize + 32 + sumSize))
	if err := b.ids.set(key, seal(key, value)); err != nil {
		return queue.Result{}, fmt.Errorf("failed to write id: %w", err)
	}
	if op.Tier != envelope.TierNone {
		waits := unattended{tier: op.Tier, created: op.Created, expires: op.Expires, position: record.Position}
		if err := b.ladder.set(key, seal(key, waits.append(nil))); err != nil {
			return queue.Result{}, fmt.Errorf("failed to write waiting: %w", err)
		}
	}
	return queue.Result{Position: record.Position, Salt: op.Salt}, nil
}

// add writes a record into the log and the ends, and enters it into its mailbox.
func (b *batch) add(to, from *desk, r *queue.Record) error {
	b.s.sequence++
	e := entry{
		position: r.Position, sequence: b.s.sequence, size: uint32(len(r.Envelope)),
		kind: r.Kind, targets: to.remember(r.Targets),
	}
	if from != nil {
		e.sealerDesk = from.number
	}
	value := queue.AppendRecord(b.s.rent(queue.RecordSize(to.name, r)), to.name, r)
	if err := b.log.add(logKey(to.number, &e), value); err != nil {
		return fmt.Errorf("failed to write record: %w", err)
	}
	key, row := endKey(r.Expires, e.sequence), end{desk: to.number, position: r.Position, id: r.ID}
	if err := b.ends.add(key, seal(key, row.append(b.s.rent(endSize+sumSize)))); err != nil {
		return fmt.Errorf("failed to write end: %w", err)
	}
	b.s.enter(to, e)
	return nil
}

// remember returns targets for the memory of an entry: those of the record before
// when they are the same, as they nearly always are, and nil when they are many,
// so that a sender cannot fill the memory with lists.
func (d *desk) remember(targets []identity.DeviceID) *[]identity.DeviceID {
	const few = 8
	if d.targets != nil && slices.Equal(*d.targets, targets) {
		return d.targets
	}
	if len(targets) > few {
		return nil
	}
	copied := slices.Clone(targets)
	d.targets = &copied
	return d.targets
}

func (b *batch) notice(op *queue.Notice) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return refuse(err)
	}
	to, err := b.deskOf(op.Desk)
	if err != nil {
		return refuse(err)
	}
	p, err := b.tell(to, op.Device, op.Kind, op.ID, op.Created)
	return queue.Result{Position: p}, err
}

// tell writes a notice for one device, and returns 0 when it was dropped.
func (b *batch) tell(to *desk, device identity.DeviceID, kind queue.NoticeKind, id envelope.ID, now uint64) (queue.Position, error) {
	if place := to.devices[device]; place != nil && place.dropped {
		return 0, nil
	}
	record := queue.Record{
		Position: b.next(to), Kind: queue.KindNotice, Notice: kind, ID: id,
		Created: now, Expires: now + queue.NoticeLife, Targets: []identity.DeviceID{device},
	}
	return record.Position, b.add(to, nil, &record)
}

func (b *batch) attend(op *queue.Attend) (queue.Result, error) {
	d := b.s.byName[op.Desk]
	if d == nil {
		return refuse(queue.ErrToken)
	}
	key := idKey(op.ID, d.number)
	row, err := parseKnown(key, b.ids.Get(key))
	sum := sha256.Sum256(op.Token[:])
	if err != nil || subtle.ConstantTimeCompare(row.hash, sum[:]) != 1 || row.expires <= b.s.now {
		return refuse(queue.ErrToken)
	}
	if row.attended {
		return queue.Result{}, nil
	}
	row.attended = true
	value := seal(key, row.append(nil)) // before bbolt reuses the page that row.hash points into
	if err := b.ids.Put(key, value); err != nil {
		return queue.Result{}, fmt.Errorf("failed to write id: %w", err)
	}
	if err := b.ladder.clear(key); err != nil {
		return queue.Result{}, fmt.Errorf("failed to delete waiting: %w", err)
	}
	return queue.Result{}, nil
}
