package boltqueue

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// view runs f in a read transaction, which sees the latest durable commit.
func (s *Store) view(ctx context.Context, f func(tx *bolt.Tx) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	err := s.guard(func() error { return s.db.View(f) })
	if err != nil {
		return fmt.Errorf("failed to read the queue: %w", err)
	}
	return nil
}

// Read returns a page of copies.
func (s *Store) Read(ctx context.Context, name identity.DeskID, after queue.Position, limit queue.Limit) (queue.Page, error) {
	page := queue.Page{Next: after}
	if limit.Records < 1 || limit.Bytes < 1 {
		return page, fmt.Errorf("%w: read limit %+v", queue.ErrInvalid, limit)
	}
	number, entries, more := s.entriesAfter(name, after, min(limit.Records, queue.MaxBatchOps))
	if len(entries) == 0 {
		return page, s.usable()
	}
	err := s.view(ctx, func(tx *bolt.Tx) error {
		log := tx.Bucket(bucketLog)
		size := 0
		for i := range entries {
			record, err := queue.ParseRecord(log.Get(logKey(number, &entries[i])), name, entries[i].position)
			if size += len(record.Envelope); i > 0 && size > limit.Bytes {
				more = true
				break
			}
			s.take(&page, &record, entries[i].position, err, name)
		}
		return nil
	})
	page.More = more
	return page, err
}

// entriesAfter copies what the mailbox says, up to the latest durable commit.
func (s *Store) entriesAfter(name identity.DeskID, after queue.Position, limit int) (deskNumber, []entry, bool) {
	committed := s.committed.Load()
	s.index.RLock()
	defer s.index.RUnlock()
	d := s.byName[name]
	if d == nil {
		return 0, nil, false
	}
	list, more := d.mailbox.after(after, committed, limit)
	return d.number, list, more
}

// take adds a record to a page, or its damage, or neither when it was deleted
// after the mailbox was looked at.
func (s *Store) take(page *queue.Page, r *queue.Record, p queue.Position, damage error, name identity.DeskID) {
	page.Next = p
	if damage == nil {
		r.Envelope = bytes.Clone(r.Envelope)
		page.Records = append(page.Records, *r)
		return
	}
	s.index.RLock()
	defer s.index.RUnlock()
	if s.byName[name].mailbox.at(p) != nil {
		page.Damaged = append(page.Damaged, queue.Damaged{Position: p, Reason: damage.Error()})
	}
}

// Cursor returns the place of a device, which may be durable only a moment later:
// after a crash in between the device reads a little again.
func (s *Store) Cursor(_ context.Context, name identity.DeskID, id identity.DeviceID) (queue.Cursor, error) {
	s.index.RLock()
	defer s.index.RUnlock()
	var c queue.Cursor
	d := s.byName[name]
	if d == nil {
		return c, s.usable()
	}
	c.Last = d.last
	if place := d.devices[id]; place != nil {
		c.Position, c.Dropped = place.cursor, place.dropped
	}
	return c, s.usable()
}

// Waiting lists from the waiting rows. One that is damaged but whose envelope is
// known is reported as acute: a page too many is better than one too few.
func (s *Store) Waiting(ctx context.Context, after queue.Ref, limit int) ([]queue.Unattended, error) {
	var list []queue.Unattended
	if limit < 1 {
		return nil, fmt.Errorf("%w: at most %d waiting", queue.ErrInvalid, limit)
	}
	n, _ := s.numberOf(after.Desk)
	err := s.view(ctx, func(tx *bolt.Tx) error {
		from := idKey(after.ID, n)
		cursor := tx.Bucket(bucketWaiting).Cursor()
		k, v := cursor.Seek(from)
		if after != (queue.Ref{}) && bytes.Equal(k, from) {
			k, v = cursor.Next()
		}
		for ; k != nil && len(list) < limit; k, v = cursor.Next() {
			if u, ok := s.readWaiting(tx, k, v); ok {
				list = append(list, u)
			}
		}
		return nil
	})
	return list, err
}

func (s *Store) readWaiting(tx *bolt.Tx, k, v []byte) (queue.Unattended, bool) {
	id, n, ok := parseIDKey(k)
	if !ok {
		return queue.Unattended{}, false
	}
	key := n.key()
	name, err := unseal(key, tx.Bucket(bucketDesks).Get(key), 8)
	if err != nil {
		return queue.Unattended{}, false
	}
	u := queue.Unattended{Ref: queue.Ref{Desk: identity.DeskID(name[8:]), ID: id}}
	said := tx.Bucket(bucketIDs).Get(k)
	if first, err := parseKnown(k, said); err == nil {
		u.Sealer, u.SealerDesk = first.sealer, s.nameOf(first.sealerDesk)
	}
	row, err := parseUnattended(k, v)
	if err != nil {
		u.Tier = envelope.TierAcute
		return u, said != nil
	}
	u.Tier, u.Created, u.Expires, u.Position = row.tier, row.created, row.expires, row.position
	return u, true
}

func (s *Store) nameOf(n deskNumber) identity.DeskID {
	s.index.RLock()
	defer s.index.RUnlock()
	if d := s.byNumber[n]; d != nil {
		return d.name
	}
	return ""
}

func (s *Store) numberOf(name identity.DeskID) (deskNumber, bool) {
	s.index.RLock()
	defer s.index.RUnlock()
	d := s.byName[name]
	if d == nil {
		return 0, false
	}
	return d.number, true
}
