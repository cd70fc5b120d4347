package store

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Verify reads the whole store: the structure of the database, every sealed row,
// and that each seal still has its row. It takes as long as reading everything
// does, in one transaction. It returns all that is wrong, joined: ErrDamaged,
// ErrTampered.
func (s *Store) Verify(ctx context.Context) error {
	return s.View(ctx, func(tx *Tx) error {
		errs := []error{tx.integrity()}
		for _, t := range sealedTables {
			n, err := tx.verifyTable(t)
			if err == nil {
				err = tx.verifyCount(t, n)
			}
			errs = append(errs, err)
		}
		errs = append(errs, tx.AuditLog(func(AuditEntry) error { return nil }))
		return errors.Join(errs...)
	})
}

// sealedTable says where the boxes of one kind stand. Columns: the row as its
// seal names it, the box, and the case whose key it is under, or NULL.
type sealedTable struct {
	kind kind
	sql  string
}

var sealedTables = [...]sealedTable{
	{kindSetting, `SELECT CAST(name AS BLOB), box, NULL FROM setting`},
	{kindEpoch, `SELECT number, box, NULL FROM epoch`},
	{kindCounters, `SELECT CAST(desk AS BLOB), box, NULL FROM counters`},
	{kindCase, `SELECT ref, box, NULL FROM kase`},
	{kindMessage, `SELECT hash, box, kase FROM message WHERE destroyed=0`},
	{kindQuarantine, `SELECT id, box, NULL FROM quarantine`},
	{kindDelivery, `SELECT envelope, box, NULL FROM outbox`},
	{kindProof, `SELECT hash, box, NULL FROM proof`},
	{kindPerson, `SELECT id, box, NULL FROM person`},
	{kindUnsent, `SELECT message, box, NULL FROM unsent`},
	{kindUser, `SELECT id, box, NULL FROM user`},
	{kindKept, `SELECT row, box, NULL FROM kept`},
	{kindWitnessed, `SELECT device, box, NULL, number FROM witnessed`},
	{kindRecord, `SELECT hash, box, CASE WHEN kind IN (3,4) AND kase<>zeroblob(16) THEN kase END FROM record`},
}

func (tx *Tx) verifyTable(t sealedTable) (rows int, err error) {
	var bad []error
	err = tx.each(t.sql, nil, func(r row1) error {
		rows++
		if err := tx.verifyRow(t.kind, r); err != nil && len(bad) < 100 {
			bad = append(bad, fmt.Errorf("row of kind %d: %w", t.kind, err))
		}
		return nil
	})
	return rows, errors.Join(append(bad, err)...)
}

func (tx *Tx) verifyRow(k kind, r row1) error {
	_, err := tx.openRow(k, r)
	return err
}

// openRow opens a box of a sealed table. What is closed beneath stays closed.
func (tx *Tx) openRow(k kind, r row1) ([]byte, error) {
	row := r.blob(0)
	if k == kindEpoch || k == kindQuarantine {
		row = number(r.num(0))
	}
	if k == kindWitnessed {
		row = witnessRow(identity.DeviceID(row), r.num(3))
	}
	var key cipher.AEAD = tx.rows()
	if len(r.blob(2)) > 0 {
		c, err := tx.caseKey(message.CaseRef(r.b16(2)), false)
		if err != nil {
			return nil, err
		}
		key = c.key
	}
	return tx.get(key, k, row, r.blob(1))
}

// Readable calls f with all that the keys of this store open, without the key of any
// person: each column of each table, and each box. It shows what somebody reads who has
// this machine: the tests of what must not be there look here.
func (s *Store) Readable(ctx context.Context, f func([]byte)) error {
	return s.View(ctx, func(tx *Tx) error {
		for _, t := range sealedTables {
			err := tx.each(t.sql, nil, func(r row1) error {
				plain, err := tx.openRow(t.kind, r)
				f(plain)
				return err
			})
			if err != nil {
				return err
			}
		}
		var tables []string
		err := tx.each(`SELECT name FROM sqlite_schema WHERE type='table'`, nil, func(r row1) error {
			tables = append(tables, r.text(0))
			return nil
		})
		for _, t := range tables {
			if err != nil {
				return err
			}
			err = tx.each(`SELECT * FROM `+t, nil, func(r row1) error {
				for i := range r.s.ColumnCount() {
					f(r.blob(i))
				}
				return nil
			})
		}
		return err
	})
}

func (tx *Tx) verifyCount(t sealedTable, rows int) error {
	return tx.one(`SELECT count(*) FROM seal WHERE kind=?`, args{t.kind}, func(r row1) error {
		if r.int(0) != rows {
			return fmt.Errorf("%w: %d rows of kind %d, sealed were %d", ErrTampered, rows, t.kind, r.int(0))
		}
		return nil
	})
}

// integrity runs SQLite's own check, which also compares indexes with tables.
func (tx *Tx) integrity() error {
	var errs []error
	err := tx.each(`PRAGMA integrity_check(20)`, nil, func(r row1) error {
		if line := r.text(0); line != "ok" {
			errs = append(errs, fmt.Errorf("%w: %s", ErrDamaged, line))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}
