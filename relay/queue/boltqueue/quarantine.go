package boltqueue

import (
	"fmt"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
)

// quarantineRows bounds what is kept for the operator; the oldest key goes first.
const quarantineRows = 128

func (b *batch) quarantine(op *queue.Quarantine) (queue.Result, error) {
	d := b.s.byName[op.Desk]
	if d == nil {
		return queue.Result{}, nil
	}
	e := d.mailbox.at(op.Position)
	if e == nil {
		return queue.Result{}, nil
	}
	kind, bytes := e.kind, b.log.Get(logKey(d.number, e))
	if _, err := queue.ParseRecord(bytes, d.name, op.Position); err == nil {
		return refuse(queue.ErrSound)
	}
	if err := b.keepAside(asideKey(d.number, op.Position), bytes); err != nil {
		return queue.Result{}, err
	}
	if err := b.remove(d, op.Position); err != nil || kind != queue.KindEnvelope {
		return queue.Result{}, err
	}
	return b.replace(d, op)
}

// replace tells the sealer of a record that was removed, who then puts it again.
func (b *batch) replace(d *desk, op *queue.Quarantine) (queue.Result, error) {
	id, found := b.idAt(d, op.Position)
	b.s.log.Error("record is damaged and set aside", "desk", d.name, "position", op.Position, "id", id)
	if !found {
		return queue.Result{}, nil
	}
	row, _, err := b.forget(d, id, op.Position)
	if err != nil {
		return queue.Result{}, err
	}
	from := b.s.byNumber[row.sealerDesk]
	if from == nil {
		return queue.Result{}, nil
	}
	p, err := b.tell(from, row.sealer, queue.NoticeDamaged, id, op.Now)
	if err != nil || p == 0 {
		return queue.Result{}, err
	}
	return queue.Result{Noticed: from.name}, nil
}

// idAt finds the ID of a record that cannot be read, by its end. It looks through
// all of them: damage is rare.
func (b *batch) idAt(d *desk, p queue.Position) (envelope.ID, bool) {
	cursor := b.ends.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		if row, err := parseEnd(k, v); err == nil && row.desk == d.number && row.position == p {
			return row.id, true
		}
	}
	return envelope.ID{}, false
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
