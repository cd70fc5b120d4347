package store

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// Tx is one transaction: all of it happens, or nothing. Use it only inside the
// function that got it.
type Tx struct {
	s          *Store
	writes     bool
	generation uint64 // of this transaction, when it writes
	sum        sum
	cases      map[message.CaseRef]caseSeal
	opens      map[[32]byte]*seal.ReadKey // keys of restricted cases that were given to this transaction
	unfound    []message.Hash             // what is not to be found any more, once this has come about
	destroyed  bool                       // something was deleted that should not linger in the log
	files      []string                   // of attachments, to be deleted once this has come about
	over       error                      // why this transaction takes no more: it failed, or ended
}

// errEnded is returned to who keeps a Tx beyond its function.
var errEnded = errors.New("transaction has ended")

// Update runs f in a transaction that writes. When it returns nil, everything f
// did is on disk, synced. When f or Update fails, nothing of it happened, except
// after a failed commit: then nobody knows, and the store refuses with ErrBroken
// until it is opened again. So that a disk which fills up does not come to that, it
// refuses with ErrFull while there is little room.
func (s *Store) Update(ctx context.Context, f func(*Tx) error) error {
	return s.transact(ctx, true, f)
}

// View runs f in a transaction that only reads, and sees one state throughout.
func (s *Store) View(ctx context.Context, f func(*Tx) error) error {
	return s.transact(ctx, false, f)
}

func (s *Store) transact(ctx context.Context, writes bool, f func(*Tx) error) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	if err := s.usable(writes); err != nil {
		return err
	}
	if writes {
		if err := roomFor(s.dir, spare); err != nil {
			return err
		}
	}
	tx, err := s.begin(writes)
	if err != nil {
		return err
	}
	return tx.finish(ctx, f)
}

func (s *Store) usable(writes bool) error {
	switch {
	case s.conn == nil:
		return ErrClosed
	case s.lost != nil:
		return fmt.Errorf("%w: %w", ErrBroken, s.lost)
	case writes && s.readOnly:
		return ErrReadOnly
	}
	return nil
}

func (s *Store) begin(writes bool) (*Tx, error) {
	sql := `BEGIN`
	if writes {
		sql = `BEGIN IMMEDIATE`
	}
	if err := s.conn.db.Exec(sql); err != nil {
		return nil, fail("begin a transaction", err)
	}
	return &Tx{s: s, writes: writes, generation: s.last.generation + 1, sum: s.last.sum,
		cases: map[message.CaseRef]caseSeal{}, opens: map[[32]byte]*seal.ReadKey{}}, nil
}

func (tx *Tx) finish(ctx context.Context, f func(*Tx) error) (err error) {
	done := false
	defer func() {
		tx.over = errEnded
		if !done { // f failed or panicked
			err = errors.Join(err, tx.rollback())
		}
	}()
	tx.s.conn.db.SetInterrupt(ctx)
	defer tx.s.conn.db.SetInterrupt(context.Background())
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return namedInterrupt(ctx, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	tx.s.conn.db.SetInterrupt(context.Background()) // a commit is never half
	done = true
	if !tx.writes {
		return tx.rollback()
	}
	return tx.commit()
}

// namedInterrupt tells who interrupted a statement. SQLite says only that it was;
// a caller that waits with a deadline must find its own deadline in the error, and
// take it neither for a failure of the store nor for an answer.
func namedInterrupt(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && errors.Is(err, sqlite3.INTERRUPT) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// commit writes the new generation inside the transaction, commits, and then
// writes the side file: in that order the side file is never ahead.
func (tx *Tx) commit() error {
	s, st := tx.s, state{generation: tx.generation, sum: tx.sum}
	box := s.keys.seal(s.keys.rows, kindMeta, nil, st.generation, st.encode())
	if err := tx.exec(`INSERT INTO meta(one,generation,box) VALUES(1,?,?)
		ON CONFLICT DO UPDATE SET generation=excluded.generation, box=excluded.box`, st.generation, box); err != nil {
		return errors.Join(err, tx.rollback()) // also when f went on after a failure
	}
	if err := s.conn.db.Exec(`COMMIT`); err != nil {
		s.lost = fail("commit", err)
		return errors.Join(s.lost, tx.rollback())
	}
	s.last = st
	s.forgetFound(tx.unfound)
	s.loseFiles(tx.files)
	if err := s.side.write(st); err != nil {
		s.lost = err // this transaction is durable and says so; the next one must not run
	}
	if tx.destroyed {
		// The log still holds what was deleted: fold it into the database, where
		// secure_delete wrote zeros.
		s.lost = errors.Join(s.lost, fail("fold the log after a deletion", s.conn.db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)))
	}
	return nil
}

func (tx *Tx) rollback() error {
	if tx.s.conn.db.GetAutocommit() {
		return nil
	}
	return fail("roll back", tx.s.conn.db.Exec(`ROLLBACK`))
}

func (tx *Tx) exec(sql string, a ...any) error {
	if !tx.writes {
		return ErrReadOnly
	}
	return tx.each(sql, a, nil)
}

// each runs a statement. After some failures (no room, interrupted) SQLite rolls
// back by itself; statements after that would each be a transaction of their own,
// so a transaction in which a statement failed takes no more.
func (tx *Tx) each(sql string, a args, row func(row1) error) error {
	if tx.over != nil {
		return tx.over
	}
	err := tx.s.conn.run(sql, a, row)
	if tx.s.conn.db.GetAutocommit() {
		tx.over = errors.Join(errors.New("failed within the transaction"), err)
	}
	return err
}

// one reads at most one row, and returns ErrNotFound where there is none.
func (tx *Tx) one(sql string, a args, row func(row1) error) error {
	found := false
	err := tx.each(sql, a, func(r row1) error {
		found = true
		return row(r)
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return err
}

func (tx *Tx) changes() int { return int(tx.s.conn.db.Changes()) }

func (tx *Tx) rows() cipher.AEAD { return tx.s.keys.rows }
