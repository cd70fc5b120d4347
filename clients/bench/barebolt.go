package bench

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// bareBolt is one bucket of a bbolt file.
type bareBolt struct {
	db            *bbolt.DB
	next, deleted uint64
}

func openBareBolt(path string) (*bareBolt, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("failed to open a bare store: %w", err)
	}
	return &bareBolt{db: db}, nil
}

func (s *bareBolt) Close() error { return s.db.Close() }

// commit is one transaction: the records, and the deletion of those before.
func (s *bareBolt) commit(records [][]byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte("queue"))
		for ; err == nil && s.deleted < s.next; s.deleted++ {
			err = bucket.Delete(binary.BigEndian.AppendUint64(nil, s.deleted))
		}
		for i := 0; err == nil && i < len(records); i++ {
			err = bucket.Put(binary.BigEndian.AppendUint64(nil, s.next), records[i])
			s.next++
		}
		return err
	})
}
