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

// Untallied does not count what is in the file, for the control of TestStaleBranches.
func Untallied(c Config) Config {
	c.untallied = true
	return c
}

// Unchecked is a store that believes what it reads, for the control of the
// damage test.
type Unchecked struct{ *Store }

// Read makes every checksum right before it is looked at.
func (u Unchecked) Read(_ context.Context, name identity.DeskID, after queue.Position, _ queue.Limit) (queue.Page, error) {
	page := queue.Page{Next: after}
	n, entries, _ := u.entriesAfter(name, after, 1000)
	return page, u.db.View(func(tx *bolt.Tx) error {
		for i := range entries {
			record := bytes.Clone(tx.Bucket(bucketLog).Get(logKey(n, &entries[i])))
			binary.BigEndian.PutUint32(record, crc32.Checksum(record[4:], castagnoli))
			if r, err := queue.ParseRecord(record, name, entries[i].position); err == nil {
				page.Records = append(page.Records, r)
			} else {
				page.Damaged = append(page.Damaged, queue.Damaged{Position: entries[i].position})
			}
		}
		return nil
	})
}
