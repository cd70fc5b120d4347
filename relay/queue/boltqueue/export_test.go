package boltqueue

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Unsynced leaves out fsync, for the control of the fault test.
func Unsynced(c Config) Config {
	c.unsynced = true
	return c
}

// Unchecked is a store that believes what it reads, for the control of the
// damage test.
type Unchecked struct{ *Store }

// Read makes every checksum right before it is looked at.
func (u Unchecked) Read(_ context.Context, name identity.DeskID, after queue.Position, _ queue.Limit) (queue.Page, error) {
	page := queue.Page{Next: after}
	n, ok := u.numberOf(name)
	if !ok {
		return page, nil
	}
	return page, u.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketMail).Cursor()
		for k, v := cursor.Seek(mailKey(n, after+1)); bytes.HasPrefix(k, n.key()); k, v = cursor.Next() {
			_, p, _ := parseMailKey(k)
			record := bytes.Clone(tx.Bucket(bucketLog).Get(logKey(binary.BigEndian.Uint64(v))))
			binary.BigEndian.PutUint32(record, crc32.Checksum(record[4:], castagnoli))
			if r, err := queue.ParseRecord(record, name, p); err == nil {
				page.Records = append(page.Records, r)
			} else {
				page.Damaged = append(page.Damaged, queue.Damaged{Position: p})
			}
		}
		return nil
	})
}
