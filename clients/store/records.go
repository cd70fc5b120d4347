package store

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Record is a stored record of this desk. Raw is its permanent bytes.
type Record struct {
	Seq    uint64 // order of storing here; given by the store
	Hash   message.Hash
	Kind   delivery.RecordKind
	Case   message.CaseRef
	Thread [16]byte
	Raw    []byte
}

// SaveRecord stores a record once, and notes which ones it follows, also those that
// are not here yet. What it says of a case is sealed under the key of that case. own
// says that it was made on this device, which then tells the others.
func (tx *Tx) SaveRecord(s delivery.SignedRecord, own bool) (fresh bool, err error) {
	r, hash := s.Record, s.Hash()
	if err := tx.exec(`INSERT INTO record(hash,kind,kase,thread,own,box) VALUES(?,?,?,?,?,x'') ON CONFLICT(hash) DO NOTHING`,
		hash[:], uint64(r.Kind), r.Case[:], r.Thread[:], own); err != nil || tx.changes() == 0 {
		return false, err
	}
	key, err := tx.recordKey(r.Kind, r.Case)
	if err != nil {
		return false, err
	}
	box, err := tx.put(key, kindRecord, hash[:], s.Raw)
	if err != nil {
		return false, err
	}
	if err := tx.exec(`UPDATE record SET box=? WHERE hash=?`, box, hash[:]); err != nil {
		return false, err
	}
	for _, f := range r.Follows {
		if err := tx.exec(`INSERT INTO followed(hash) VALUES(?) ON CONFLICT DO NOTHING`, f[:]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// recordKey is the key of the case for what says something about a victim, and the
// store's key for what must be known without opening the case.
func (tx *Tx) recordKey(k delivery.RecordKind, ref message.CaseRef) (cipher.AEAD, error) {
	if !speaksOfCase(k) || ref == (message.CaseRef{}) {
		return tx.rows(), nil
	}
	return tx.caseKey(ref, true)
}

func speaksOfCase(k delivery.RecordKind) bool {
	return k == delivery.RecordNote || k == delivery.RecordDraft
}

const selectRecord = `SELECT seq, hash, kind, kase, thread, box FROM record`

// Record returns one record, or ErrNotFound.
func (tx *Tx) Record(h message.Hash) (Record, error) {
	rs, err := tx.records(` WHERE hash=?`, args{h[:]})
	if err != nil {
		return Record{}, err
	}
	if len(rs) == 0 {
		return Record{}, tx.notRemoved(kindRecord, h[:])
	}
	return rs[0], nil
}

// Records returns all records of a kind in a case, in the order in which they came;
// of the zero case, those of all cases.
func (tx *Tx) Records(k delivery.RecordKind, ref message.CaseRef) ([]Record, error) {
	if ref == (message.CaseRef{}) {
		return tx.records(` WHERE kind=? ORDER BY seq`, args{uint64(k)})
	}
	return tx.records(` WHERE kind=? AND kase=? ORDER BY seq`, args{uint64(k), ref[:]})
}

// RecordHeads returns the records of a thread that no other record follows, by hash:
// more than one where two devices wrote without seeing each other. Whatever the order
// in which records arrive, the heads are the same.
func (tx *Tx) RecordHeads(k delivery.RecordKind, ref message.CaseRef, thread [16]byte) ([]Record, error) {
	return tx.records(` WHERE kind=? AND kase=? AND thread=? AND hash NOT IN (SELECT hash FROM followed) ORDER BY hash`,
		args{uint64(k), ref[:], thread[:]})
}

func (tx *Tx) records(where string, a args) (rs []Record, err error) {
	var boxes [][]byte
	err = tx.each(selectRecord+where, a, func(r row1) error {
		rs = append(rs, Record{Seq: r.num(0), Hash: r.b32(1), Kind: delivery.RecordKind(r.num(2)), Case: r.b16(3), Thread: r.b16(4)})
		boxes = append(boxes, r.blob(5))
		return nil
	})
	for i := range rs {
		if err != nil {
			break
		}
		err = tx.openRecord(&rs[i], boxes[i])
	}
	return rs, err
}

func (tx *Tx) openRecord(r *Record, box []byte) error {
	key, err := tx.recordKey(r.Kind, r.Case)
	if err != nil {
		return err
	}
	if r.Raw, err = tx.get(key, kindRecord, r.Hash[:], box); err != nil {
		return fmt.Errorf("failed to open record %s: %w", r.Hash, err)
	}
	return nil
}

// HasRecord reports whether a hash is that of a record of this desk.
func (tx *Tx) HasRecord(h message.Hash) (has bool, err error) {
	err = tx.each(`SELECT 1 FROM record WHERE hash=?`, args{h[:]}, func(row1) error {
		has = true
		return nil
	})
	return has, err
}

// TellAgain makes every record of this device due to its desk, also those that were
// told before: a device that is new there has none of them. The roster is told by all
// devices: whoever wrote it may have left with the device.
func (tx *Tx) TellAgain(desk identity.DeskID, at time.Time) error {
	return tx.exec(`INSERT INTO recipient(message,desk,state,pending,deadline) SELECT hash,?,?,?,0 FROM record WHERE own=1
		OR kind=? AND hash NOT IN (SELECT hash FROM followed)
		ON CONFLICT DO UPDATE SET state=excluded.state, delivered=0`, desk, int(Pending), at, uint64(delivery.RecordRoster))
}

// dropRecords destroys what this desk wrote down about a case.
func (tx *Tx) dropRecords(ref message.CaseRef) error {
	var hashes []message.Hash
	err := tx.each(`SELECT hash FROM record WHERE kase=?`, args{ref[:]}, func(r row1) error {
		hashes = append(hashes, r.b32(0))
		return nil
	})
	if err != nil {
		return err
	}
	for _, h := range hashes {
		if err := tx.drop(kindRecord, h[:]); err != nil {
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
		if err := errors.Join(tx.exec(`DELETE FROM recipient WHERE message=?`, h[:]), tx.exec(`DELETE FROM record WHERE hash=?`, h[:])); err != nil {
			return err
		}
	}
	return nil
}
