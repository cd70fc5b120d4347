package boltqueue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// due is a row of ends whose time has come.
type due struct {
	end
	key []byte
	err error // the row is damaged
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
	for _, row := range b.due(op) {
		if err := b.ends.remove(row.key); err != nil {
			return queue.Result{}, fmt.Errorf("failed to delete end: %w", err)
		}
		d := b.s.byNumber[row.desk]
		if row.err != nil || d == nil {
			b.s.log.Error("row of ends is damaged", "error", row.err)
			continue
		}
		expired, reported, err := b.finish(d, &row.end, op.Now)
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
func (b *batch) due(op *queue.Expire) []due {
	var list []due
	latest := endKey(op.Now, math.MaxUint64)
	cursor := b.ends.Cursor()
	for k, v := cursor.First(); k != nil && len(list) < op.Max && bytes.Compare(k, latest) <= 0; k, v = cursor.Next() {
		row, err := parseEnd(k, v)
		list = append(list, due{end: row, key: bytes.Clone(k), err: err})
	}
	return list
}

// finish ends one envelope or notice. reported is false when nothing of it was
// left to report: a notice that was read long ago.
func (b *batch) finish(d *desk, e *end, now uint64) (expired queue.Expired, reported bool, err error) {
	expired = queue.Expired{Ref: queue.Ref{Desk: d.name, ID: e.id}, Position: e.position, Delivered: true}
	row, was, err := b.forget(d, e.id, e.position)
	if err != nil {
		return expired, false, err
	}
	expired.Tier = row.tier
	stored := d.mailbox.at(e.position)
	if stored == nil {
		return expired, was, nil
	}
	var from *desk
	if stored.kind == queue.KindEnvelope {
		expired.Delivered = d.delivered(b.targetsOf(d, stored), e.position)
		expired.Sealer, from = b.sealerOf(d, stored, &row)
	}
	if from != nil {
		expired.SealerDesk = from.name
	}
	if err := b.remove(d, e.position); err != nil {
		return expired, true, err
	}
	if from != nil && !expired.Delivered {
		_, err = b.tell(from, expired.Sealer, queue.NoticeExpired, e.id, now)
	}
	return expired, true, err
}

// sealerOf returns who sealed an envelope: as the row of ids says, or, when that
// is damaged, the record. The desk is nil when neither can be read.
func (b *batch) sealerOf(d *desk, e *entry, row *known) (identity.DeviceID, *desk) {
	if !row.sealer.IsZero() {
		return row.sealer, b.s.byNumber[row.sealerDesk]
	}
	record, err := queue.ParseRecord(b.log.Get(logKey(d.number, e)), d.name, e.position)
	if err != nil {
		return identity.DeviceID{}, nil
	}
	return record.Sealer, b.s.byName[record.SealerDesk]
}

// forget deletes what is known of an ID, if it is known for this position: the ID
// of a notice is that of another envelope, and a quarantined envelope may have
// been put again. was reports whether it was; row is zero when it is damaged.
func (b *batch) forget(d *desk, id envelope.ID, p queue.Position) (row known, was bool, err error) {
	key := idKey(id, d.number)
	value := b.ids.Get(key)
	if value == nil {
		return known{}, false, nil
	}
	row, damage := parseKnown(key, value)
	if damage == nil && row.position != p {
		return known{}, false, nil
	}
	row.hash = nil // it points into a page
	if err := b.ids.remove(key); err != nil {
		return row, false, fmt.Errorf("failed to delete id: %w", err)
	}
	if row.tier == envelope.TierNone && damage == nil {
		return row, true, nil
	}
	if err := b.ladder.clear(key); err != nil {
		return row, false, fmt.Errorf("failed to delete waiting: %w", err)
	}
	return row, true, nil
}
