package store

import (
	"errors"
	"fmt"
	"strings"

	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// A restricted case is closed to a public key, its lock, beneath the seal of the store:
// messages, notes and drafts of it open with the private key only, which is nowhere in
// the store but wrapped for the persons who may read them. What comes later is closed as
// it is stored. Not closed is what lists, timers and lanes need: that the case is there,
// classes, urgencies, desks, times, states, hashes, who acknowledged.

// close gives what is stored of a row: closed to the lock of its case, if it has one.
// lock is nil, the SQL one, where it has none.
func (c caseSeal) close(k kind, row message.Hash, plain []byte) (stored []byte, lock any, err error) {
	if c.lock == nil {
		return plain, nil, nil
	}
	l, err := seal.ParseReadLock(c.lock)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: lock of a case: %w", ErrTampered, err)
	}
	id := l.ID()
	stored, err = l.Close(closedAs(k, row), plain)
	return stored, id[:], err
}

// closedAs is what a closed row is bound to. It holds nothing of this store, because
// closed notes and drafts go to the desk's other devices as they are.
func closedAs(k kind, row message.Hash) []byte {
	return append([]byte{byte(k)}, row[:]...)
}

// unclose opens what a row holds with a key that this transaction was given.
func (tx *Tx) unclose(lock [32]byte, k kind, row message.Hash, stored []byte) ([]byte, error) {
	if lock == ([32]byte{}) {
		return stored, nil
	}
	key := tx.opens[lock]
	if key == nil {
		return nil, ErrRestricted
	}
	plain, err := key.Open(closedAs(k, row), stored)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	return plain, nil
}

// OpenWith lets the rest of this transaction read what is closed to the key's lock.
func (tx *Tx) OpenWith(key *seal.ReadKey) { tx.opens[key.Lock().ID()] = key }

// CaseLock returns the lock that new content of a case is closed to, or nil where the
// case is open to the whole desk or not known.
func (tx *Tx) CaseLock(ref message.CaseRef) ([]byte, error) {
	c, err := tx.caseKey(ref, false)
	if errors.Is(err, ErrDestroyed) {
		return tx.lockLeft(ref)
	}
	return c.lock, err
}

// settingLock begins the names of the locks of restricted cases that were destroyed here.
const settingLock = "\x00lock/"

// leaveLock keeps the lock of a case that is about to be destroyed. A case goes on where
// somebody still speaks in it, and a light device lets go of one after a week: it must not
// come back open to everybody.
func (tx *Tx) leaveLock(ref message.CaseRef) error {
	c, err := tx.caseKey(ref, false)
	if errors.Is(err, ErrDestroyed) || err == nil && c.lock == nil {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.setSetting(settingLock+ref.String(), c.lock)
}

// lockLeft is the lock of a case that was destroyed here; nil where it had none.
func (tx *Tx) lockLeft(ref message.CaseRef) ([]byte, error) {
	lock, err := tx.setting(settingLock + ref.String())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return lock, err
}

// RestrictCase closes a case to a lock: all that is here of it, and what will come. The
// key of an open case is destroyed, and with it what a page of the database or of its log
// may still hold of before. What is closed to an earlier lock stays closed to that.
func (tx *Tx) RestrictCase(ref message.CaseRef, lock seal.ReadLock) error {
	old, err := tx.caseKey(ref, true)
	if err != nil {
		return err
	}
	ms, rs, err := tx.contentOf(ref) // opened under the old key
	if err != nil {
		return err
	}
	box, err := tx.makeCaseKey(ref, lock.Bytes())
	if err != nil {
		return err
	}
	c, err := tx.useCaseKey(ref, box)
	if err != nil {
		return err
	}
	tx.destroyed = true
	for _, m := range ms {
		if err := tx.restrictMessage(old, c, m); err != nil {
			return err
		}
	}
	for _, r := range rs {
		if r.Closed != nil {
			err = tx.putSealedRecord(c, r.Hash, r.Closed, r.Lock[:])
		} else {
			err = tx.putRecord(c, r.Hash, r.Raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// contentOf returns the messages and the notes and drafts of a case, whatever of them
// opens.
func (tx *Tx) contentOf(ref message.CaseRef) (ms []Message, rs []Record, err error) {
	err = tx.each(selectMessage+` WHERE kase=? AND destroyed=0`, args{ref[:]}, func(r row1) error {
		ms = append(ms, readMessage(r))
		return nil
	})
	for i := range ms {
		if err != nil {
			return nil, nil, err
		}
		if ms[i].Lock == ([32]byte{}) {
			err = tx.openMessage(&ms[i])
		}
	}
	if err != nil {
		return nil, nil, err
	}
	rs, err = tx.records(` WHERE kase=? AND kind IN (?,?)`, args{ref[:], uint64(delivery.RecordNote), uint64(delivery.RecordDraft)})
	return ms, rs, err
}

// restrictMessage moves a message under the new key of its case, and closes it if it was
// open. One that must still be sealed for some desk is kept for that.
func (tx *Tx) restrictMessage(old, c caseSeal, m Message) error {
	if m.Lock != ([32]byte{}) {
		return tx.reseal(old, c, m)
	}
	if m.Direction == Out {
		waits := false
		err := tx.each(`SELECT 1 FROM recipient WHERE message=? AND state<=?`, args{m.Hash[:], int(AtRelay)}, func(row1) error {
			waits = true
			return nil
		})
		if err == nil && waits {
			err = tx.keepUnsent(m.Hash, m.Raw)
		}
		if err != nil {
			return err
		}
	}
	return tx.putMessage(c, m)
}

// reseal moves a closed message from one key of its case to the next.
func (tx *Tx) reseal(old, c caseSeal, m Message) error {
	var stored []byte
	err := tx.one(`SELECT box FROM message WHERE hash=?`, args{m.Hash[:]}, func(r row1) (err error) {
		stored, err = tx.get(old.key, kindMessage, m.Hash[:], r.blob(0))
		return err
	})
	if err != nil {
		return err
	}
	box, err := tx.put(c.key, kindMessage, m.Hash[:], stored)
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE message SET box=? WHERE hash=?`, box, m.Hash[:])
}

// LocksOf returns the locks that content of a case is closed to.
func (tx *Tx) LocksOf(ref message.CaseRef) (ids [][32]byte, err error) {
	err = tx.each(`SELECT lock FROM message WHERE kase=?1 AND lock IS NOT NULL UNION SELECT lock FROM record WHERE kase=?1 AND lock IS NOT NULL`,
		args{ref[:]}, func(r row1) error {
			ids = append(ids, r.b32(0))
			return nil
		})
	return ids, err
}

// SaveClosed stores a note or draft that came closed, once. What it says of itself is
// checked when somebody opens it.
func (tx *Tx) SaveClosed(r Record, follows []message.Hash) (fresh bool, err error) {
	if !speaksOfCase(r.Kind) || r.Case == (message.CaseRef{}) || r.Lock == ([32]byte{}) || len(r.Closed) <= seal.ReadOverhead {
		return false, fmt.Errorf("%w: closed record of kind %d", ErrConflict, r.Kind)
	}
	if err := tx.exec(`INSERT INTO record(hash,kind,kase,thread,own,box) VALUES(?,?,?,?,0,x'') ON CONFLICT(hash) DO NOTHING`,
		r.Hash[:], uint64(r.Kind), r.Case[:], r.Thread[:]); err != nil || tx.changes() == 0 {
		return false, err
	}
	c, err := tx.caseKey(r.Case, true)
	if err != nil {
		return false, err
	}
	if err := tx.putSealedRecord(c, r.Hash, r.Closed, r.Lock[:]); err != nil {
		return false, err
	}
	return true, tx.follows(follows)
}

// SetVerdict notes what the rules say of a message, once somebody could ask.
func (tx *Tx) SetVerdict(h message.Hash, verdict string) error {
	return tx.exec(`UPDATE message SET verdict=? WHERE hash=?`, verdict, h[:])
}

// keepUnsent keeps a message of a restricted case readable for this device, under the
// store's key, until every desk has stated it: deliveries are made again from it, at any
// hour, by nobody in particular.
func (tx *Tx) keepUnsent(h message.Hash, raw []byte) error {
	box, err := tx.put(tx.rows(), kindUnsent, h[:], raw)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO unsent(message,box) VALUES(?,?) ON CONFLICT DO UPDATE SET box=excluded.box`, h[:], box)
}

// Unsent returns what to seal of a closed message, or ErrNotFound.
func (tx *Tx) Unsent(h message.Hash) (raw []byte, err error) {
	err = tx.one(`SELECT box FROM unsent WHERE message=?`, args{h[:]}, func(r row1) (err error) {
		raw, err = tx.get(tx.rows(), kindUnsent, h[:], r.blob(0))
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = tx.notRemoved(kindUnsent, h[:])
	}
	return raw, err
}

// CloseSent forgets what Unsent returns of every message that no desk waits for any more.
func (tx *Tx) CloseSent() (closed int, err error) {
	var done []message.Hash
	err = tx.each(`SELECT message FROM unsent WHERE NOT EXISTS (SELECT 1 FROM recipient WHERE recipient.message=unsent.message AND state<=?)`,
		args{int(AtRelay)}, func(r row1) error {
			done = append(done, r.b32(0))
			return nil
		})
	for _, h := range done {
		if err == nil {
			err = tx.dropUnsent(h)
		}
	}
	return len(done), err
}

func (tx *Tx) dropUnsent(h message.Hash) error {
	if err := tx.exec(`DELETE FROM unsent WHERE message=?`, h[:]); err != nil || tx.changes() == 0 {
		return err
	}
	tx.destroyed = true
	return tx.drop(kindUnsent, h[:])
}

func addressedIn(raw []byte) string {
	s, err := message.Parse(raw)
	if err != nil {
		return ""
	}
	names := make([]string, len(s.Message.Addressed))
	for i, d := range s.Message.Addressed {
		names[i] = string(d)
	}
	return strings.Join(names, " ")
}

func desksIn(s string) (out []identity.DeskID) {
	for name := range strings.FieldsSeq(s) {
		out = append(out, identity.DeskID(name))
	}
	return out
}
