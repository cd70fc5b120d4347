package boltjournal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/canon"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// maxLogged bounds the encoding of one row of a log of pages.
const maxLogged = 512

// Publish implements oncall.Journal. A plan that was damaged is as none.
func (j *Journal) Publish(_ context.Context, desk identity.DeskID, serial uint64, plan []byte) error {
	return j.update(func(tx *bolt.Tx) error {
		plans, key := tx.Bucket(bucketPlans), []byte(desk)
		if now := unseal(key, plans.Get(key)); len(now) >= 8 {
			if bytes.Equal(now[8:], plan) {
				return nil
			}
			if serial <= binary.BigEndian.Uint64(now) {
				return oncall.ErrSerial
			}
		}
		return plans.Put(key, seal(key, append(binary.BigEndian.AppendUint64(nil, serial), plan...)))
	})
}

// Plan implements oncall.Journal.
func (j *Journal) Plan(_ context.Context, desk identity.DeskID) (plan []byte, err error) {
	err = j.view(func(tx *bolt.Tx) error {
		if row := unseal([]byte(desk), tx.Bucket(bucketPlans).Get([]byte(desk))); len(row) >= 8 {
			plan = bytes.Clone(row[8:])
		}
		return nil
	})
	return plan, err
}

// Remove implements oncall.Journal.
func (j *Journal) Remove(_ context.Context, desk identity.DeskID) (had bool, err error) {
	err = j.view(func(tx *bolt.Tx) error {
		had = tx.Bucket(bucketPlans).Get([]byte(desk)) != nil
		return nil
	})
	if err != nil || !had {
		return false, err
	}
	return true, j.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketPlans).Delete([]byte(desk)) })
}

// Log implements oncall.Journal.
func (j *Journal) Log(_ context.Context, desk identity.DeskID, pages []wire.Paged) error {
	if desk == "" {
		return fmt.Errorf("%w: a log of no desk", queue.ErrInvalid)
	}
	return j.update(func(tx *bolt.Tx) error {
		rows, err := tx.Bucket(bucketPages).CreateBucketIfNotExists([]byte(desk))
		if err != nil {
			return err
		}
		for _, p := range pages {
			if p.Number, err = rows.NextSequence(); err != nil {
				return err
			}
			row, err := canon.Marshal(p)
			if err != nil {
				return err
			}
			if err := rows.Put(numbered(p.Number), seal([]byte(desk), row)); err != nil {
				return err
			}
			if p.Number > oncall.LogRows {
				if err := rows.Delete(numbered(p.Number - oncall.LogRows)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func numbered(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Logged implements oncall.Journal. Rows that are damaged are left out.
func (j *Journal) Logged(_ context.Context, desk identity.DeskID, since uint64, limit int) (pages []wire.Paged, err error) {
	err = j.view(func(tx *bolt.Tx) error {
		rows := tx.Bucket(bucketPages).Bucket([]byte(desk))
		if rows == nil || since == 1<<64-1 {
			return nil
		}
		cursor := rows.Cursor()
		for k, v := cursor.Seek(numbered(since + 1)); k != nil && len(pages) < limit; k, v = cursor.Next() {
			var p wire.Paged
			if canon.Unmarshal(unseal([]byte(desk), v), maxLogged, &p) == nil {
				pages = append(pages, p)
			}
		}
		return nil
	})
	return pages, err
}
