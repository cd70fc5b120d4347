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
	err := guard(func() error { return s.db.View(f) })
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
	n, ok := s.numberOf(name)
	if !ok {
		return page, s.usable()
	}
	err := s.view(ctx, func(tx *bolt.Tx) error {
		readPage(tx, n, name, &page, limit)
		return nil
	})
	return page, err
}

func readPage(tx *bolt.Tx, n deskNumber, name identity.DeskID, page *queue.Page, limit queue.Limit) {
	log, cursor := tx.Bucket(bucketLog), tx.Bucket(bucketMail).Cursor()
	size := 0
	for k, v := cursor.Seek(mailKey(n, page.Next+1)); k != nil; k, v = cursor.Next() {
		found, p, ok := parseMailKey(k)
		if !ok || found != n {
			return
		}
		if len(page.Records)+len(page.Damaged) >= limit.Records || size >= limit.Bytes {
			page.More = true
			return
		}
		record, err := readRecord(log, k, v, name, p)
		if err != nil {
			page.Damaged = append(page.Damaged, queue.Damaged{Position: p, Reason: err.Error()})
		} else if size += len(record.Envelope); size > limit.Bytes && len(page.Records) > 0 {
			page.More = true
			return
		} else {
			record.Envelope = bytes.Clone(record.Envelope)
			page.Records = append(page.Records, record)
		}
		page.Next = p
	}
}

func readRecord(log *bolt.Bucket, k, v []byte, name identity.DeskID, p queue.Position) (queue.Record, error) {
	row, err := parseSlip(k, v)
	if err != nil {
		return queue.Record{}, err
	}
	return queue.ParseRecord(log.Get(logKey(row.sequence)), name, p)
}

// Cursor returns the durable place of a device.
func (s *Store) Cursor(ctx context.Context, name identity.DeskID, id identity.DeviceID) (queue.Cursor, error) {
	var c queue.Cursor
	n, ok := s.numberOf(name)
	if !ok {
		return c, s.usable()
	}
	err := s.view(ctx, func(tx *bolt.Tx) error {
		if row, err := unseal(n.key(), tx.Bucket(bucketDesks).Get(n.key()), 8); err == nil {
			c.Last = parseReserved(row)
		}
		key := cursorKey(n, id)
		if value := tx.Bucket(bucketCursors).Get(key); value != nil {
			place, err := parseCursor(key, value)
			if err != nil {
				s.log.Error("cursor is damaged, its device will read again", "device", id)
				return nil
			}
			c.Position, c.Dropped = place.cursor, place.dropped
		}
		return nil
	})
	return c, err
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
			if u, ok := readWaiting(tx, k, v); ok {
				list = append(list, u)
			}
		}
		return nil
	})
	return list, err
}

func readWaiting(tx *bolt.Tx, k, v []byte) (queue.Unattended, bool) {
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
	row, err := parseUnattended(k, v)
	if err != nil {
		u.Tier = envelope.TierAcute
		return u, tx.Bucket(bucketIDs).Get(k) != nil
	}
	u.Tier, u.Created, u.Expires, u.Position = row.tier, row.created, row.expires, row.position
	return u, true
}
