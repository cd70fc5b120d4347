package register

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"schakel/crypto/trust"
)

// Refusals of a log that several relays share.
var (
	ErrOrder = errors.New("the register that the relays share cannot be reached now: try again")
	ErrFork  = errors.New("this relay's register file and the register that the relays share are two different ones: " +
		"stop all relays and see docs/operations.md, Several relays, which of the two is kept")
	ErrNewer = errors.New("a newer relay wrote this entry of the shared register: put the same version on this machine")
)

// Order decides, for relays that share one register, which entry stands where. It
// is trusted to be complete, and with nothing else: whatever comes out of it is
// verified by the rules of crypto/trust before it is in a file. Methods wait for
// seconds at most; their errors mean that nothing is known.
type Order interface {
	// Append makes a change, durably and whole, or answers false: the end is another
	// than after, because others were first or something was lost. A change without
	// rows has no place and is always made.
	Append(ctx context.Context, after Place, c Change) (bool, error)
	// Rows returns rows from an index on, or from the end where that comes earlier.
	Rows(ctx context.Context, from uint64) (Stretch, error)
	// Recipients returns the strings of keys by their names, empty where there is none.
	Recipients(ctx context.Context, names []string) ([]string, error)
	// SetAside takes the row at an index and all after it away, for the operator to
	// look at, if it is still this row.
	SetAside(ctx context.Context, index uint64, row Row) error
	// Cosign brings together what witnesses signed at any relay: it gives what this one
	// has, and answers what all have. All ask their witnesses for the same place, the
	// first that was given, until that is served, obsolete, or two minutes old and
	// another relay has more.
	Cosign(ctx context.Context, c Cosigning) (Cosigning, error)
}

// Cosigning is what witnesses are asked for, what they answered, and what clients are
// given meanwhile. Nothing of it is verified by an Order.
type Cosigning struct {
	Asked  Place
	After  uint64        // given: what is asked for up to this size is served or obsolete
	Lines  []WitnessLine // under the checkpoint of Asked; one of each witness
	Served Served        // the largest of any relay
}

// Served is a checkpoint with the cosignatures of its quorum; of size 0: none.
type Served struct {
	Size uint64
	Note []byte
}

// WitnessLine is a cosignature. Of two by one witness the later stays.
type WitnessLine struct {
	Witness string
	At      uint64 // seconds since 1970
	Line    []byte
}

// Place is an end of the register: how many entries, and their Merkle root.
type Place struct {
	Size uint64
	Root trust.Hash
}

// Row is an entry in the order. Text is this package's; nil where it is damaged.
type Row struct {
	Root trust.Hash // of the register that ends with this entry
	Text []byte
}

// Change is what one relay adds.
type Change struct {
	Rows  []Row
	Keys  []Key
	Ended []string // names of keys that nobody can need any more
	// Again says that the rows are in this relay's file already: the order lost
	// them. New rows then wait a little, so that whoever has more comes first.
	Again bool
}

// Key is the recipient string of an epoch of a device.
type Key struct{ Name, Recipient string }

// Stretch is a piece of the order: rows that begin at From, of End.
type Stretch struct {
	From, End uint64
	Before    trust.Hash // in the row before From; zero at the beginning
	Rows      []Row      // not always up to the end
}

// The version begins the text of a row. A program that accepts entries which this one
// would not must write another: an older relay then stops, rather than setting aside
// what is right. Releases came later than all other kinds.
const (
	rowVersion        = 1
	rowVersionRelease = 2
)

// text: u8 version | u64 seconds when appended, importedBit | entry.
func (w row) text() []byte {
	b := binary.BigEndian.AppendUint64([]byte{w.version()}, stamp(w.at, w.imported))
	return append(b, w.entry...)
}

// version is the first that knew the kind of the entry.
func (w row) version() byte {
	if e, err := trust.ParseEntry(w.entry); err == nil && e.Body.Kind() == trust.KindRelease {
		return rowVersionRelease
	}
	return rowVersion
}

var errRow = errors.New("damaged")

func parseText(text []byte) (w row, err error) {
	switch {
	case len(text) > 0 && text[0] > rowVersionRelease:
		return w, ErrNewer
	case len(text) < 1+8 || text[0] < rowVersion:
		return w, errRow
	}
	w.at, w.imported = unstamp(binary.BigEndian.Uint64(text[1:]))
	w.entry = bytes.Clone(text[9:])
	if w.version() != text[0] {
		return row{}, errRow
	}
	return w, nil
}

func stamp(at time.Time, imported bool) uint64 {
	n := uint64(max(0, at.Unix()))
	if imported {
		n |= importedBit
	}
	return n
}

func unstamp(n uint64) (at time.Time, imported bool) {
	return time.Unix(int64(n&^importedBit), 0), n&importedBit != 0
}

// place is the end of a register, which may not have begun.
func place(reg *trust.Register) Place {
	if reg == nil {
		return Place{}
	}
	return Place{reg.Size(), reg.Root()}
}

// offer asks the order for the places of a draft's rows. Without an order the file
// alone decides.
func (l *Log) offer(ctx context.Context, d *draft) (bool, error) {
	if l.config.Order == nil {
		return true, nil
	}
	c := Change{Rows: make([]Row, len(d.rows))}
	for i, w := range d.rows {
		c.Rows[i] = Row{w.root, w.text()}
		for _, name := range w.ended {
			c.Ended = append(c.Ended, string(name[:]))
		}
		c.Keys = appendKeys(c.Keys, w.keys)
	}
	c.Keys = appendKeys(c.Keys, d.again)
	took, err := l.config.Order.Append(context.WithoutCancel(ctx), place(l.Register()), c)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	return took, nil
}

func appendKeys(keys []Key, rows []keyRow) []Key {
	for _, k := range rows {
		keys = append(keys, Key{string(k.name[:]), k.recipient})
	}
	return keys
}
