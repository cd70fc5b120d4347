package trust

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Refusals of an update. Rollback, fork and proof mean that the log contradicts
// what it signed, or will not show that it does not: stop sending, alarm, and keep
// both checkpoints as evidence.
var (
	ErrRollback = errors.New("register rolled back: the relay shows a smaller one than before")
	ErrFork     = errors.New("register forked: the relay signed two that contradict each other")
	ErrProof    = errors.New("register not proven to continue the one known")
	ErrEntries  = errors.New("entries are not those of the checkpoint")
	ErrTooLarge = errors.New("register larger than this program accepts")
	ErrQuorum   = errors.New("fewer witnesses have cosigned this checkpoint than the root demands")
	ErrPinned   = errors.New("stored checkpoint and stored register do not belong together")
)

// maxProof is more than any proof in a log of MaxEntries has.
const maxProof = 64

// Pinned is the last checkpoint that a client verified. It must be on disk, with
// the entries up to it, before anything acts on them: a client that forgets what
// it saw can be shown something else.
type Pinned struct {
	Size uint64
	Root Hash
	Note []byte // the checkpoint as received; empty while only the genesis is known
}

// Update is what a relay answers to "what is new since size From".
type Update struct {
	Checkpoint []byte
	From       uint64
	Entries    [][]byte // all of From up to the checkpoint's size
	Proof      []Hash   // from From to the checkpoint's size; empty where they are equal
	// Now is the reader's clock, by which cosignatures of the future do not count;
	// zero judges no time.
	Now   time.Time
	bytes int // of what Add took
}

// Add appends a piece of a long update, as a relay sends it in several frames, and
// refuses one that does not follow or grows past the limits.
func (u *Update) Add(from uint64, entries [][]byte) error {
	if from != u.From+uint64(len(u.Entries)) {
		return fmt.Errorf("%w: piece begins at %d, want %d", ErrEntries, from, u.From+uint64(len(u.Entries)))
	}
	u.Entries = append(u.Entries, entries...)
	u.bytes += total(entries)
	return bounded(len(u.Entries), u.bytes)
}

func bounded(entries, bytes int) error {
	if entries > MaxEntries || bytes > MaxUpdateBytes {
		return fmt.Errorf("%w: %d entries of %d bytes in one update", ErrTooLarge, entries, bytes)
	}
	return nil
}

func total(entries [][]byte) (n int) {
	for _, e := range entries {
		n += len(e)
	}
	return n
}

// Pin returns what to pin for the register as it is, before any checkpoint: a
// client that only has its genesis starts from there.
func (r *Register) Pin() Pinned { return Pinned{Size: r.Size(), Root: r.Root()} }

// Matches checks that a register replayed from disk is the one that was pinned.
func (p Pinned) Matches(r *Register) error {
	if p.Size != r.Size() || p.Root != r.Root() {
		return fmt.Errorf("%w: pinned size %d, register of %d", ErrPinned, p.Size, r.Size())
	}
	return nil
}

// Advance checks that u continues what was pinned and returns the register and
// the checkpoint to pin from now on. reg itself stays as it is. The caller stores
// u.Entries and the new Pinned durably, in one transaction, before it uses either.
// New entries that are to alarm: next.Skipped(old.Size). The checkpoint must have
// the quorum of the root that is in force after the new entries. At an unchanged
// size the fresher of the two checkpoints stays pinned.
func Advance(reg *Register, old Pinned, u Update) (*Register, Pinned, error) {
	if err := old.Matches(reg); err != nil {
		return nil, Pinned{}, err
	}
	c, err := ParseCheckpoint(u.Checkpoint)
	if err != nil {
		return nil, Pinned{}, err
	}
	next := reg
	if c.Size <= old.Size {
		err = reg.unchanged(old, c)
	} else {
		next, err = reg.continued(old, c, u)
	}
	if err != nil {
		return nil, Pinned{}, err
	}
	at, err := c.CosignedAt(next.Authority(), u.Now)
	if err != nil {
		return nil, Pinned{}, err
	}
	if c.Size == old.Size {
		if was, ok := next.CosignedAt(old, u.Now); ok && was.After(at) {
			return next, old, nil
		}
	}
	return next, Pinned{c.Size, c.Root, bytes.Clone(u.Checkpoint)}, nil
}

// unchanged accepts a checkpoint of the very same register.
func (r *Register) unchanged(old Pinned, c Checkpoint) error {
	if err := r.signedByLog(c); err != nil {
		return err
	}
	if c.Size < old.Size {
		return fmt.Errorf("%w: size %d after %d", ErrRollback, c.Size, old.Size)
	}
	if c.Root != old.Root {
		return fmt.Errorf("%w: two roots at size %d", ErrFork, c.Size)
	}
	return nil
}

// continued goes from cheap to dear: sizes, the proof, the hashes of all entries,
// and only then their signatures. The log's own signature comes last because the
// root may have given the log another key in one of the new entries.
func (r *Register) continued(old Pinned, c Checkpoint, u Update) (*Register, error) {
	if c.Size > MaxEntries {
		return nil, fmt.Errorf("%w: %d entries", ErrTooLarge, c.Size)
	}
	if err := bounded(len(u.Entries), total(u.Entries)); err != nil {
		return nil, err
	}
	if u.From != old.Size || uint64(len(u.Entries)) != c.Size-old.Size {
		return nil, fmt.Errorf("%w: %d entries from %d, want those from %d to %d", ErrEntries, len(u.Entries), u.From, old.Size, c.Size)
	}
	if len(u.Proof) > maxProof || checkProof(u.Proof, old.Size, old.Root, c.Size, c.Root) != nil {
		return nil, fmt.Errorf("%w: from size %d to %d", ErrProof, old.Size, c.Size)
	}
	grown := r.tree.clone()
	for _, e := range u.Entries {
		grown.add(e)
	}
	if grown.root(c.Size) != c.Root {
		return nil, fmt.Errorf("%w: from size %d to %d", ErrEntries, old.Size, c.Size)
	}
	next := r.Clone()
	if err := next.applyAll(u.Entries); err != nil {
		return nil, err
	}
	if err := next.signedByLog(c); err != nil {
		return nil, err
	}
	return next, nil
}

func (r *Register) signedByLog(c Checkpoint) error {
	relay, ok := r.Relay()
	if !ok {
		return fmt.Errorf("%w: the register names no relay", ErrCheckpoint)
	}
	return c.SignedBy(relay.Log)
}
