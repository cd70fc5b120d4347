package oncall

import (
	"context"
	"errors"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// What a journal may answer. queue.ErrUnavailable and queue.ErrUnconfirmed mean that
// the same may succeed later; queue.ErrIndeterminate ends the process, as it does for
// mailboxes.
var (
	// ErrLost means that another node pages now.
	ErrLost = errors.New("another relay keeps the timers")
	// ErrStale is a row that is not as the caller thinks. Outcome.Now is how it is.
	ErrStale = errors.New("the timer was changed by another relay")
	// ErrGone is a row of an envelope that nobody has to attend any more.
	ErrGone = errors.New("the envelope waits for nobody")
	// ErrSerial is a plan whose serial is not above that of the one that counts.
	ErrSerial = errors.New("another plan with this serial or a higher one counts")
)

// Journal is where timers are durable, apart from the envelopes they are for. It
// knows nothing of ladders: rows are bytes, and it compares them. All methods may be
// called at the same time, by several nodes. A row that comes back damaged is one
// that never was: its envelope climbs again from the first step.
type Journal interface {
	// Hold asks for the timers, or keeps them, for Bid.Span from now; a Span of zero
	// gives them up, and changes nothing when another node has them. The answer says
	// whether this node has them.
	Hold(ctx context.Context, b Bid) (Lease, error)

	// Write replaces rows, each if it is still as Change.Before says, and answers when
	// they are durable, one outcome per change. A row that is as Change.After says
	// already is written, so the same changes may be written again. ErrLost: another
	// node has a higher term, and nothing or not all was written. A journal that knows
	// that an envelope was attended or is gone answers ErrGone and deletes its row.
	Write(ctx context.Context, term uint64, changes []Change) ([]Outcome, error)

	// Rows calls each with every row. Their order is the journal's.
	Rows(ctx context.Context, each func(queue.Ref, []byte)) error

	// Arrived takes what other nodes put into the mailboxes since the last call and
	// what this one did, and may leave out what was attended meanwhile. Beside an error
	// it returns what came where the journal answered; of the rest only a look at all
	// that waits tells. A journal of one node has nothing.
	Arrived(ctx context.Context, term uint64) ([]queue.Unattended, error)

	// Publish puts a plan of a desk in the place of one with a lower serial, or refuses
	// it with ErrSerial; the same bytes again are fine. Plan returns the latest, or none.
	Publish(ctx context.Context, desk identity.DeskID, serial uint64, plan []byte) error
	Plan(ctx context.Context, desk identity.DeskID) ([]byte, error)
	// Remove takes the plan of a desk away, a damaged one too, and reports whether there
	// was one. A plan of any serial may come after.
	Remove(ctx context.Context, desk identity.DeskID) (had bool, err error)

	// Log adds rows to the desk's log of pages and gives them their numbers; the newest
	// LogRows are kept. Logged returns those beyond a number, oldest first.
	Log(ctx context.Context, desk identity.DeskID, pages []wire.Paged) error
	Logged(ctx context.Context, desk identity.DeskID, since uint64, limit int) ([]wire.Paged, error)
}

// Bounds of a journal.
const (
	MaxChanges = 1024 // in one Write; more is queue.ErrInvalid
	LogRows    = 1000 // kept of each desk's log
)

// Bid is what a node offers when it asks for the timers.
type Bid struct {
	Node string        // of this process: a restart is another node
	Span time.Duration // how long the node may be silent before another takes over
	// Steady is the time that the node has followed, or zero when it has just begun.
	// The journal keeps it, and counts on from it: see [Lease.Steady].
	Steady time.Time
	// Wall is what a clock on the wall says. A journal with a clock of its own goes by
	// that instead.
	Wall time.Time
}

// Lease is the answer to a bid.
type Lease struct {
	Held bool
	Term uint64 // of whoever holds; a new holder has a higher one
	// Steady is the time to go on from: that of the holder, or where nobody was, the
	// last that the journal saw and what the wall's clock says has passed since, which
	// is nothing when that was set back.
	Steady time.Time
	Key    [32]byte // from which references in pages are made, the same for all nodes
}

// Change is one row to be replaced. Nil stands for no row.
type Change struct {
	Ref           queue.Ref
	Before, After []byte
}

// Outcome is what became of a change.
type Outcome struct {
	Err error  // nil, ErrStale, ErrGone, or why this part of the journal is away
	Now []byte // the row, where it was stale
}
