package store

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"schakel/crypto/message"
)

// caseSeal is what the rows of a case are sealed with and, where it is restricted, the
// lock that they are closed to before. The lock stands in the sealed box of the key: who
// can put back blocks cannot make a restricted case open again.
type caseSeal struct {
	key  cipher.AEAD
	lock []byte // nil: open to the whole desk
}

// caseKey returns the key of a case; with create set it makes one where there is
// none. It returns ErrDestroyed for a case without a key.
func (tx *Tx) caseKey(ref message.CaseRef, create bool) (caseSeal, error) {
	if c, ok := tx.cases[ref]; ok {
		return c, nil
	}
	var key []byte
	err := tx.one(`SELECT box FROM kase WHERE ref=?`, args{ref[:]}, func(r row1) (err error) {
		key, err = tx.get(tx.rows(), kindCase, ref[:], r.blob(0))
		return err
	})
	if errors.Is(err, ErrNotFound) {
		if err := tx.notRemoved(kindCase, ref[:]); !errors.Is(err, ErrNotFound) {
			return caseSeal{}, fmt.Errorf("failed to open a case key: %w", err)
		}
		if !create {
			return caseSeal{}, ErrDestroyed
		}
		var lock []byte
		if lock, err = tx.lockLeft(ref); err == nil {
			key, err = tx.makeCaseKey(ref, lock)
		}
	}
	if err != nil {
		return caseSeal{}, fmt.Errorf("failed to open a case key: %w", err)
	}
	return tx.useCaseKey(ref, key)
}

// useCaseKey reads the box of a case: its key, and its lock where there is one.
func (tx *Tx) useCaseKey(ref message.CaseRef, box []byte) (c caseSeal, err error) {
	const n = chacha20poly1305.KeySize
	if len(box) < n {
		return c, fmt.Errorf("%w: case key", ErrTampered)
	}
	if c.key, err = chacha20poly1305.NewX(box[:n]); err != nil {
		return c, fmt.Errorf("%w: case key", ErrTampered)
	}
	if len(box) > n {
		c.lock = box[n:]
	}
	tx.cases[ref] = c
	return c, nil
}

// makeCaseKey makes a new key for a case, in the place of the one it may have.
func (tx *Tx) makeCaseKey(ref message.CaseRef, lock []byte) ([]byte, error) {
	key := make([]byte, chacha20poly1305.KeySize, chacha20poly1305.KeySize+len(lock))
	rand.Read(key)
	key = append(key, lock...)
	return key, tx.putCaseKey(ref, key)
}

func (tx *Tx) putCaseKey(ref message.CaseRef, key []byte) error {
	box, err := tx.put(tx.rows(), kindCase, ref[:], key)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO kase(ref,box) VALUES(?,?) ON CONFLICT DO UPDATE SET box=excluded.box`, ref[:], box)
}

// DestroyCase destroys the key of a case and with it what was said in it: its
// messages stay as empty rows, known by their hashes only, so that a repeated
// delivery does not bring them back. Its assignments, notes and drafts go, and the
// proofs of their delivery, and the files of their attachments; the lists of who may read it stay, and its lock, since what
// comes in it later is for them only. Deliveries of it that still wait are dropped and their
// recipients Failed under the rule "destroyed".
// What the disk, its snapshots and earlier backups still hold is out of reach;
// whoever has one of those and the data key can read it. It returns ErrNotFound
// for a case without a key.
func (tx *Tx) DestroyCase(ref message.CaseRef, at time.Time) error {
	if err := tx.leaveLock(ref); err != nil {
		return err
	}
	if err := tx.exec(`DELETE FROM kase WHERE ref=?`, ref[:]); err != nil {
		return err
	}
	if tx.changes() == 0 {
		return ErrNotFound
	}
	delete(tx.cases, ref)
	if err := tx.drop(kindCase, ref[:]); err != nil {
		return err
	}
	hashes, err := tx.hashesOf(ref)
	if err != nil {
		return err
	}
	for _, h := range hashes {
		if err := tx.emptyMessage(h, at); err != nil {
			return err
		}
	}
	if err := tx.dropRecords(ref); err != nil {
		return err
	}
	tx.destroyed = true
	return tx.exec(`DELETE FROM head WHERE kase=?`, ref[:])
}

func (tx *Tx) hashesOf(ref message.CaseRef) (hs []message.Hash, err error) {
	err = tx.each(`SELECT hash FROM message WHERE kase=?`, args{ref[:]}, func(r row1) error {
		hs = append(hs, r.b32(0))
		return nil
	})
	return hs, err
}

func (tx *Tx) emptyMessage(h message.Hash, at time.Time) error {
	tx.unfind(h)
	if err := errors.Join(tx.drop(kindMessage, h[:]), tx.dropUnsent(h)); err != nil {
		return err
	}
	if err := errors.Join(tx.dropProofs(h), tx.dropAttachments(h)); err != nil {
		return err
	}
	waiting, err := tx.deliveries(`WHERE message=?`, args{h[:]})
	if err != nil {
		return err
	}
	for _, d := range waiting {
		if err := tx.DeleteDelivery(d.Envelope); err != nil {
			return err
		}
	}
	if err := tx.exec(`UPDATE recipient SET failed=?, rule='destroyed', state=? WHERE message=? AND state<=?`,
		at, int(Failed), h[:], int(AtRelay)); err != nil {
		return err
	}
	if err := tx.exec(`UPDATE recipient SET acked_by='', deadline=0 WHERE message=?`, h[:]); err != nil {
		return err
	}
	return tx.exec(`UPDATE message SET destroyed=1, kase=zeroblob(16), id=zeroblob(16), class='', urgency='', peer='', answers=NULL,
		attended=NULL, acked_by='', ack=NULL, opened_by=NULL, lock=NULL, verdict='', addressed='', box=NULL WHERE hash=?`, h[:])
}
