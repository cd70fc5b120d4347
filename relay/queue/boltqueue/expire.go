package boltqueue

import (
	"encoding/binary"
	"fmt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// end is one row of ends that is due.
type end struct {
	key  []byte
	desk *desk
	at   queue.Position
	id   envelope.ID
	bad  bool // the row itself is damaged
}

func (b *batch) expire(op *queue.Expire) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return refuse(err)
	}
	if op.Now > b.s.now {
		b.s.now = op.Now
		value := seal(keyNow, binary.BigEndian.AppendUint64(nil, op.Now))
		if err := b.tx.Bucket(bucketMeta).Put(keyNow, value); err != nil {
			return queue.Result{}, fmt.Errorf("failed to write now: %w", err)
		}
	}
	var result queue.Result
	for _, e := range b.due(op) {
		if err := b.ends.Delete(e.key); err != nil {
			return queue.Result{}, fmt.Errorf("failed to delete end: %w", err)
		}
		if e.bad || e.desk == nil {
			b.s.log.Error("row of ends is damaged")
			continue
		}
		expired, reported, err := b.finish(&e, op.Now)
		if err != nil {
			return queue.Result{}, err
		}
		if reported {
			result.Expired = append(result.Expired, expired)
		}
	}
	return result, nil
}

// due collects before anything is deleted, because a bbolt cursor loses its
// place when its bucket changes.
func (b *batch) due(op *queue.Expire) []end {
	var ends []end
	cursor := b.ends.Cursor()
	for k, v := cursor.First(); k != nil && len(ends) < op.Max; k, v = cursor.Next() {
		expires, n, p, ok := parseEndKey(k)
		if ok && expires > op.Now {
			break
		}
		e := end{key: append([]byte(nil), k...), desk: b.s.byNumber[n], at: p}
		id, err := unseal(k, v, len(e.id))
		if e.bad = !ok || err != nil; !e.bad {
			e.id = envelope.ID(id)
		}
		ends = append(ends, e)
	}
	return ends
}

// finish ends one envelope or notice. reported is false when nothing of it was
// left to report: a notice that was read long ago.
func (b *batch) finish(e *end, now uint64) (expired queue.Expired, reported bool, err error) {
	expired = queue.Expired{Ref: queue.Ref{Desk: e.desk.name, ID: e.id}, Position: e.at, Delivered: true}
	tier, was, err := b.forget(e.desk, e.id, e.at)
	if err != nil {
		return expired, false, err
	}
	expired.Tier = tier
	value := b.mail.Get(mailKey(e.desk.number, e.at))
	if value == nil {
		return expired, was, nil
	}
	row, damage := parseSlip(mailKey(e.desk.number, e.at), value)
	switch {
	case damage != nil:
		expired.Delivered = false // and nobody knows whom to tell
	case row.kind == queue.KindEnvelope:
		b.describe(&expired, e.desk, &row)
	}
	if err := b.remove(e.desk, e.at, &row); err != nil {
		return expired, true, err
	}
	if from := b.s.byName[expired.SealerDesk]; from != nil && !expired.Delivered {
		_, err = b.tell(from, expired.Sealer, queue.NoticeExpired, e.id, now)
	}
	return expired, true, err
}

// describe fills in who sealed an envelope that is still there, and whether any
// device has it. Of a record that cannot be read nobody has it for certain.
func (b *batch) describe(expired *queue.Expired, d *desk, row *slip) {
	expired.Sealer = row.sealer
	if from := b.s.byNumber[row.sealerDesk]; from != nil {
		expired.SealerDesk = from.name
	}
	record, err := queue.ParseRecord(b.log.Get(logKey(row.sequence)), d.name, expired.Position)
	expired.Delivered = err == nil && d.delivered(&record)
}

// forget deletes what is known of an ID, if it is known for this position: the ID
// of a notice is that of another envelope, and a quarantined envelope may have
// been put again. was reports whether it was.
func (b *batch) forget(d *desk, id envelope.ID, p queue.Position) (tier envelope.Tier, was bool, err error) {
	key := idKey(id, d.number)
	value := b.ids.Get(key)
	if value == nil {
		return 0, false, nil
	}
	row, err := parseKnown(key, value)
	if err == nil && row.position != p {
		return 0, false, nil
	}
	if err := b.ids.Delete(key); err != nil {
		return 0, false, fmt.Errorf("failed to delete id: %w", err)
	}
	if err := b.ladder.Delete(key); err != nil {
		return 0, false, fmt.Errorf("failed to delete waiting: %w", err)
	}
	return row.tier, true, nil
}

// quarantineRows bounds what is kept for the operator; the oldest key goes first.
const quarantineRows = 128

func (b *batch) quarantine(op *queue.Quarantine) (queue.Result, error) {
	d := b.s.byName[op.Desk]
	if d == nil {
		return queue.Result{}, nil
	}
	key := mailKey(d.number, op.Position)
	value := b.mail.Get(key)
	if value == nil {
		return queue.Result{}, nil
	}
	row, err := parseSlip(key, value)
	if err != nil {
		b.s.log.Error("index row is damaged, its envelope is lost", "desk", d.name, "position", op.Position)
		return queue.Result{}, b.remove(d, op.Position, &slip{})
	}
	bytes := b.log.Get(logKey(row.sequence))
	if _, err := queue.ParseRecord(bytes, d.name, op.Position); err == nil {
		return refuse(queue.ErrSound)
	}
	if err := b.keepAside(key, bytes); err != nil {
		return queue.Result{}, err
	}
	return b.replace(d, op, &row)
}

// replace removes a damaged record and tells its sealer, who then puts it again.
func (b *batch) replace(d *desk, op *queue.Quarantine, row *slip) (queue.Result, error) {
	if err := b.remove(d, op.Position, row); err != nil {
		return queue.Result{}, err
	}
	if _, _, err := b.forget(d, row.id, op.Position); err != nil {
		return queue.Result{}, err
	}
	from := b.s.byNumber[row.sealerDesk]
	b.s.log.Error("record is damaged and set aside", "desk", d.name, "position", op.Position, "id", row.id)
	if row.kind != queue.KindEnvelope || from == nil {
		return queue.Result{}, nil
	}
	p, err := b.tell(from, identity.DeviceID(row.sealer), queue.NoticeDamaged, row.id, op.Now)
	if err != nil || p == 0 {
		return queue.Result{}, err
	}
	return queue.Result{Noticed: from.name}, nil
}

func (b *batch) keepAside(key, bytes []byte) error {
	aside := b.tx.Bucket(bucketQuarantine)
	if aside.Stats().KeyN >= quarantineRows {
		oldest, _ := aside.Cursor().First()
		if err := aside.Delete(oldest); err != nil {
			return fmt.Errorf("failed to make room in quarantine: %w", err)
		}
	}
	if err := aside.Put(key, append([]byte(nil), bytes...)); err != nil {
		return fmt.Errorf("failed to set aside: %w", err)
	}
	return nil
}
