package store

import (
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
	Raw    []byte // nil where it is closed, and this transaction was not given the key

	Lock   [32]byte // of the restricted case that it is closed to; zero: open
	Closed []byte   // how it is closed; travels to the desk's other devices as it is
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
	c, err := tx.recordKey(r.Kind, r.Case)
	if err != nil {
		return false, err
	}
	if err := tx.putRecord(c, hash, s.Raw); err != nil {
		return false, err
	}
	return true, tx.follows(r.Follows)
}

// putRecord seals a record, closed where its case is restricted.
func (tx *Tx) putRecord(c caseSeal, hash message.Hash, raw []byte) error {
	plain, lock, err := c.close(kindRecord, hash, raw)
	if err != nil {
		return err
	}
	return tx.putSealedRecord(c, hash, plain, lock)
}

func (tx *Tx) putSealedRecord(c caseSeal, hash message.Hash, plain []byte, lock any) error {
	if lock != nil {
		tx.unfind(hash)
	}
	box, err := tx.put(c.key, kindRecord, hash[:], plain)
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE record SET box=?, lock=? WHERE hash=?`, box, lock, hash[:])
}

func (tx *Tx) follows(hs []message.Hash) error {
	for _, f := range hs {
		tx.unfind(f)
		if err := tx.exec(`INSERT INTO followed(hash) VALUES(?) ON CONFLICT DO NOTHING`, f[:]); err != nil {
			return err
		}
	}
	return nil
}

// recordKey is the key of the case for what says something about a victim, and the
// store's key for what must be known without opening the case.
func (tx *Tx) recordKey(k delivery.RecordKind, ref message.CaseRef) (caseSeal, error) {
	if !speaksOfCase(k) || ref == (message.CaseRef{}) {
		return caseSeal{key: tx.rows()}, nil
	}
	return tx.caseKey(ref, true)
}

func speaksOfCase(k delivery.RecordKind) bool {
	return k == delivery.RecordNote || k == delivery.RecordDraft
}

const selectRecord = `SELECT seq, hash, kind, kase, thread, box, lock FROM record`

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
		rs = append(rs, readRecord(r))
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

func readRecord(r row1) Record {
	return Record{Seq: r.num(0), Hash: r.b32(1), Kind: delivery.RecordKind(r.num(2)), Case: r.b16(3), Thread: r.b16(4), Lock: r.b32(6)}
}

func (tx *Tx) openRecord(r *Record, box []byte) error {
	c, err := tx.recordKey(r.Kind, r.Case)
	if err != nil {
		return err
	}
	plain, err := tx.get(c.key, kindRecord, r.Hash[:], box)
	if err != nil {
		return fmt.Errorf("failed to open record %s: %w", r.Hash, err)
	}
	if r.Lock == ([32]byte{}) {
		r.Raw = plain
		return nil
	}
	r.Closed = plain
	r.Raw, err = tx.unclose(r.Lock, kindRecord, r.Hash, plain)
	if errors.Is(err, ErrRestricted) {
		return nil // it is there, and can be told to the other devices
	}
	return err
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
// devices: whoever wrote it may have left with the device. What is under way was sealed
// without the new device: it gives way to another delivery, and says no more that the
// desk has the record.
func (tx *Tx) TellAgain(desk identity.DeskID, at time.Time) error {
	const told = `(own=1 OR kind=? AND hash NOT IN (SELECT hash FROM followed))`
	err := tx.exec(`UPDATE outbox SET expires=? WHERE desk=? AND message IN (SELECT hash FROM record WHERE `+told+`)`,
		outdone, desk, uint64(delivery.RecordRoster))
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO recipient(message,desk,state,pending,deadline) SELECT hash,?,?,?,0 FROM record WHERE `+told+`
		ON CONFLICT DO UPDATE SET state=excluded.state, delivered=0`, desk, int(Pending), at, uint64(delivery.RecordRoster))
}

// dropRecords destroys what this desk wrote down about a case, but for who may read it.
func (tx *Tx) dropRecords(ref message.CaseRef) error {
	var hashes []message.Hash
	err := tx.each(`SELECT hash FROM record WHERE kase=? AND kind NOT IN (?,?)`, args{ref[:], uint64(delivery.RecordRestrict), uint64(delivery.RecordShares)}, func(r row1) error {
		hashes = append(hashes, r.b32(0))
		return nil
	})
	if err != nil {
		return err
	}
	for _, h := range hashes {
		waiting, err := tx.deliveries(`WHERE message=?`, args{h[:]})
		if err != nil {
			return err
		}
		for _, d := range waiting {
			if err := tx.DeleteDelivery(d.Envelope); err != nil {
				return err
			}
		}
		if err := tx.DeleteRecord(h); err != nil {
			return err
		}
	}
	return nil
}

// DeleteRecord destroys one record. Deliveries of it that wait still go, sealed as they
// are: a counter that never comes would be a gap at the other device.
func (tx *Tx) DeleteRecord(h message.Hash) error {
	if err := tx.drop(kindRecord, h[:]); err != nil {
		return err
	}
	tx.unfind(h)
	tx.destroyed = true
	return errors.Join(tx.exec(`DELETE FROM recipient WHERE message=?`, h[:]), tx.exec(`DELETE FROM record WHERE hash=?`, h[:]))
}

// CaseOfThread returns the case of a thread of records of a kind, or ErrNotFound.
func (tx *Tx) CaseOfThread(k delivery.RecordKind, thread [16]byte) (ref message.CaseRef, err error) {
	err = tx.one(`SELECT kase FROM record WHERE kind=? AND thread=? LIMIT 1`, args{uint64(k), thread[:]}, func(r row1) error {
		ref = r.b16(0)
		return nil
	})
	return ref, err
}
