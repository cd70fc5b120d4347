package boltqueue_test

import (
	"bytes"
	"errors"
	"testing"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
)

// damageRows flips a bit in the value of every row of one bucket of a closed file.
func damageRows(t *testing.T, path, bucket string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		rows := make(map[string][]byte)
		b.ForEach(func(k, v []byte) error {
			rows[string(k)] = bytes.Clone(v)
			return nil
		})
		for k, v := range rows {
			v[len(v)/2] ^= 1
			if err := b.Put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// withDamagedRows makes a store with an acute envelope, read by the first of its
// two devices, and damages one bucket of it.
func withDamagedRows(t *testing.T, bucket string) (boltqueue.Config, *queue.Put) {
	t.Helper()
	c := config(t.TempDir(), queue.Quota{})
	store := mustOpen(t, c)
	put := samplePut(1)
	put.Targets = append(put.Targets, identity.DeviceID{9})
	put.Tier = envelope.TierAcute
	at := commit(t, store, put)[0].Position
	commit(t, store, &queue.Ack{Desk: put.Desk, Device: put.Targets[0], Position: at})
	store.Close()
	damageRows(t, c.Path, bucket)
	return c, put
}

func TestDamagedRowsThatEndTheStore(t *testing.T) {
	for bucket, want := range map[string]error{"desks": queue.ErrDamaged, "meta": queue.ErrVersion} {
		c, _ := withDamagedRows(t, bucket)
		if _, err := boltqueue.Open(c); !errors.Is(err, want) {
			t.Errorf("damaged %s gave %v, want %v", bucket, err, want)
		}
	}
}

// TestDamagedRows goes on with a store that lost one kind of row: nothing wrong is
// given, and the envelope's end still cleans everything up.
func TestDamagedRows(t *testing.T) {
	for _, bucket := range []string{"cursors", "log", "ids", "ends", "waiting"} {
		t.Run(bucket, func(t *testing.T) {
			c, put := withDamagedRows(t, bucket)
			store := mustOpen(t, c)
			page, err := store.Read(t.Context(), put.Desk, 0, queue.Limit{Records: 9, Bytes: 1 << 20})
			broken := bucket == "log"
			if err != nil || (len(page.Damaged) == 1) != broken || (len(page.Records) == 1) == broken {
				t.Errorf("read %d records, %d damaged, %v", len(page.Records), len(page.Damaged), err)
			}
			waiting, err := store.Waiting(t.Context(), queue.Ref{}, 9)
			if err != nil || len(waiting) != 1 || waiting[0].Tier != envelope.TierAcute {
				t.Errorf("waiting %+v, %v", waiting, err)
			}
			if r := commit(t, store, put)[0]; r.Err != nil || r.Duplicate == (bucket == "ids") {
				t.Errorf("put again gave %+v", r)
			}
			if bucket == "ends" { // it cannot end any more; its devices can still read it
				return
			}
			commit(t, store, &queue.Expire{Now: 2000, Max: 99}, &queue.Expire{Now: 2000, Max: 99})
			page, err = store.Read(t.Context(), put.Desk, 0, queue.Limit{Records: 9, Bytes: 1 << 20})
			if err != nil || len(page.Records)+len(page.Damaged) != 0 {
				t.Errorf("after the end: %+v, %v", page, err)
			}
			if waiting, err := store.Waiting(t.Context(), queue.Ref{}, 9); err != nil || len(waiting) != 0 {
				t.Errorf("after the end waits %+v, %v", waiting, err)
			}
		})
	}
}

// TestDamagedCursor makes a device read again, from the beginning.
func TestDamagedCursor(t *testing.T) {
	c, put := withDamagedRows(t, "cursors")
	store := mustOpen(t, c)
	cursor, err := store.Cursor(t.Context(), put.Desk, put.Targets[0])
	if err != nil || cursor.Position != 0 {
		t.Errorf("cursor %+v, %v", cursor, err)
	}
	for _, target := range put.Targets {
		commit(t, store, &queue.Ack{Desk: put.Desk, Device: target, Position: cursor.Last})
	}
	page, err := store.Read(t.Context(), put.Desk, 0, queue.Limit{Records: 9, Bytes: 1 << 20})
	if err != nil || len(page.Records) != 0 {
		t.Errorf("after both acknowledged: %+v, %v", page, err)
	}
}
