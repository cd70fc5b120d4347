package store

import (
	"errors"
	"fmt"
	"time"
)

// Shelf is a set of sealed rows whose content only its owner reads: what programs of the
// organisation were given, what still has to go to them, and what this device knows of the
// register beyond its entries. The numbers never change meaning.
type Shelf uint8

// The shelves.
const (
	ShelfTokens   Shelf = 1  // what programs may do
	ShelfAnswers  Shelf = 2  // to requests that may be repeated
	ShelfWebhooks Shelf = 3  // addresses that hear of events
	ShelfParcels  Shelf = 4  // events on their way to a webhook
	ShelfEvidence Shelf = 5  // of wrongs, for whoever investigates
	ShelfAhead    Shelf = 6  // deliveries that wait for the register that they name
	ShelfStubs    Shelf = 7  // signatures of deliveries that came, without what they carried
	ShelfAttached Shelf = 9  // sealed files that no message names yet, with their secrets
	ShelfLacking  Shelf = 10 // messages that another desk says were for both
	ShelfMade     Shelf = 8  // entries of the register that this organisation is known to have made
)

// most is how many bytes a row of a shelf has at most.
func (s Shelf) most() int {
	if s == ShelfEvidence || s == ShelfAhead {
		return 2 << 20 // two deliveries, or an envelope
	}
	return maxKept
}

// Kept is one row of a shelf. At stands in clear, beside the box: who can write pages can
// have something looked at earlier or later than its owner meant, and no more.
type Kept struct {
	ID      []byte
	At      time.Time
	Content []byte
}

const (
	maxKept   = 256 << 10
	maxKeptID = 64
)

// Keep puts a row on a shelf, replacing what was there under its identifier.
func (tx *Tx) Keep(s Shelf, k Kept) error {
	if len(k.Content) > s.most() || len(k.ID) == 0 || len(k.ID) > maxKeptID {
		return fmt.Errorf("%w: row of %d bytes under %d", ErrTooLarge, len(k.Content), len(k.ID))
	}
	box, err := tx.put(tx.rows(), kindKept, shelfRow(s, k.ID), k.Content)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO kept(row,shelf,at,box) VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET at=excluded.at, box=excluded.box`,
		shelfRow(s, k.ID), int(s), millis(k.At), box)
}

// Kept returns one row, or ErrNotFound.
func (tx *Tx) Kept(s Shelf, id []byte) (k Kept, err error) {
	err = tx.one(`SELECT row, at, box FROM kept WHERE row=?`, args{shelfRow(s, id)}, func(r row1) error {
		k, err = tx.readKept(r)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = tx.notRemoved(kindKept, shelfRow(s, id))
	}
	return k, err
}

// KeptUntil returns at most limit rows whose time is not after until, the earliest first.
// The zero time is no bound.
func (tx *Tx) KeptUntil(s Shelf, until time.Time, limit int) (ks []Kept, err error) {
	if until.IsZero() {
		until = time.UnixMilli(maxCounter)
	}
	err = tx.each(`SELECT row, at, box FROM kept WHERE shelf=? AND at<=? ORDER BY at, row LIMIT ?`, args{int(s), millis(until), limit}, func(r row1) error {
		k, err := tx.readKept(r)
		ks = append(ks, k)
		return err
	})
	return ks, err
}

// KeptRows returns the rows of a shelf without what is in them, the earliest first.
func (tx *Tx) KeptRows(s Shelf) (ks []Kept, err error) {
	err = tx.each(`SELECT row, at FROM kept WHERE shelf=? ORDER BY at, row`, args{int(s)}, func(r row1) error {
		ks = append(ks, Kept{ID: r.blob(0)[1:], At: r.time(1)})
		return nil
	})
	return ks, err
}

// CountKept returns how many rows a shelf has.
func (tx *Tx) CountKept(s Shelf) (n int, err error) {
	err = tx.one(`SELECT count(*) FROM kept WHERE shelf=?`, args{int(s)}, func(r row1) error {
		n = r.int(0)
		return nil
	})
	return n, err
}

// WeighKept returns how many rows of a shelf have identifiers that begin with prefix, and
// how many bytes they have.
func (tx *Tx) WeighKept(s Shelf, prefix []byte) (rows, bytes int, err error) {
	begins := shelfRow(s, prefix)
	err = tx.one(`SELECT count(*), coalesce(sum(length(box)),0) FROM kept WHERE shelf=? AND substr(row,1,?)=?`, args{int(s), len(begins), begins}, func(r row1) error {
		rows, bytes = r.int(0), r.int(1)
		return nil
	})
	return rows, bytes, err
}

// Forget takes a row off a shelf, if it is there.
func (tx *Tx) Forget(s Shelf, id []byte) error {
	if err := tx.exec(`DELETE FROM kept WHERE row=?`, shelfRow(s, id)); err != nil {
		return err
	}
	return tx.drop(kindKept, shelfRow(s, id))
}

// shelfRow names a row as its seal does: one of another shelf does not open in its place.
func shelfRow(s Shelf, id []byte) []byte { return append([]byte{byte(s)}, id...) }

func (tx *Tx) readKept(r row1) (Kept, error) {
	row := r.blob(0)
	b, err := tx.get(tx.rows(), kindKept, row, r.blob(2))
	if err != nil {
		return Kept{}, fmt.Errorf("failed to open a row of a shelf: %w", err)
	}
	return Kept{ID: row[1:], At: r.time(1), Content: b}, nil
}
