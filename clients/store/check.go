package store

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// check decides whether the database is what this device last left: its schema,
// its sum over all seals, and its generation against the side file.
func (s *Store) check(sidePath string) error {
	version, err := s.schema()
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: schema %d, this program knows %d", ErrNewer, version, schemaVersion)
	}
	if version == 0 {
		return fmt.Errorf("%w: it was never finished: delete the folder and create it again", ErrDamaged)
	}
	err = s.checkState(sidePath)
	if s.readOnly {
		return nil // what opens can be read, whatever is wrong with the rest
	}
	if err != nil {
		return err
	}
	if version < schemaVersion {
		return s.upgrade(version)
	}
	return nil
}

func (s *Store) schema() (version int, err error) {
	err = s.conn.run(`PRAGMA user_version`, nil, func(r row1) error {
		version = r.int(0)
		return nil
	})
	if errors.Is(err, sqlite3.IOERR) && !errors.Is(err, ErrDamaged) {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return version, err
}

func (s *Store) checkState(sidePath string) error {
	inside, err := s.stateInside()
	if err != nil {
		return err
	}
	s.last = inside
	total, err := s.recount()
	if err != nil {
		return err
	}
	if total != inside.sum {
		return fmt.Errorf("%w: rows were taken away or put back", ErrTampered)
	}
	side, err := openSide(sidePath, s.keys)
	if err != nil {
		return err
	}
	outside, err := side.read()
	if err == nil && outside.generation > inside.generation {
		err = fmt.Errorf("%w: generation %d, was at %d", ErrRolledBack, inside.generation, outside.generation)
	}
	if err == nil && outside.generation == inside.generation && outside.sum != inside.sum {
		err = fmt.Errorf("%w: another store of the same generation", ErrTampered)
	}
	if err != nil || s.readOnly {
		return errors.Join(err, side.close())
	}
	s.side = side
	return nil
}

func (s *Store) stateInside() (st state, err error) {
	found := false
	err = s.conn.run(`SELECT generation, box FROM meta`, nil, func(r row1) error {
		found = true
		plain, err := s.keys.open(s.keys.rows, kindMeta, nil, r.num(0), r.blob(1))
		if err != nil {
			return err
		}
		st, err = parseState(plain)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: no generation", ErrTampered)
	}
	return st, err
}

// recount adds up all seals: some 1 µs each.
func (s *Store) recount() (total sum, err error) {
	err = s.conn.run(`SELECT kind, row, version FROM seal`, nil, func(r row1) error {
		total.add(s.keys.term(kind(r.num(0)), r.blob(1), r.num(2)))
		return nil
	})
	return total, err
}

// upgrade brings the schema up to date; from 0 it makes it.
func (s *Store) upgrade(from int) error {
	tx, err := s.begin(true)
	if err != nil {
		return err
	}
	if err := s.conn.migrate(from); err != nil {
		return errors.Join(err, tx.rollback())
	}
	return tx.commit()
}
