package queue

import (
	"errors"
	"fmt"
)

// Refusals of one op, in Result.Err. But for ErrUnconfirmed the op changed nothing.
var (
	// ErrInvalid is an op outside the bounds of its documentation.
	ErrInvalid = errors.New("operation outside its bounds")
	// ErrConflict is a known ID with other bytes: a broken or hostile sender. Alarm.
	ErrConflict = errors.New("this envelope id was used for other bytes")
	// ErrFull is wrapped by the five below: try again when the desk has read.
	ErrFull        = errors.New("queue full")
	ErrFullDesk    = fmt.Errorf("%w: the mailbox of the desk", ErrFull)
	ErrFullSealer  = fmt.Errorf("%w: the share of the sealing organisation", ErrFull)
	ErrFullDisk    = fmt.Errorf("%w: the disk of the relay is nearly full", ErrFull)
	ErrFullMemory  = fmt.Errorf("%w: the memory of the store", ErrFull)
	ErrFullDevices = fmt.Errorf("%w: the devices of the desk", ErrFull)
	// ErrUnsafe is a put into a store that could forget it: its settings were
	// changed while it ran. The operator must change them back.
	ErrUnsafe = errors.New("store is not safe")
	// ErrExpired is a put whose end lies at or before the latest Expire.
	ErrExpired = errors.New("envelope has expired")
	// ErrAhead is an acknowledgement of a position that was never given: the
	// device remembers another epoch of the store. It must begin again at zero.
	ErrAhead = errors.New("position was never given")
	// ErrDropped is an op by a device that was dropped.
	ErrDropped = errors.New("device was dropped")
	// ErrToken is an attended token that does not fit, or no such envelope.
	ErrToken = errors.New("attended token does not fit")
	// ErrUnconfirmed is an op of which the store does not know whether it happened, or
	// whether it survives what it should: a part of the store did not answer, or fewer
	// replicas confirmed than are promised. It promises nothing, and the same op again
	// is safe and finds out.
	ErrUnconfirmed = errors.New("write was not confirmed, try again")
	// ErrSound is a quarantine of a record that is not damaged.
	ErrSound = errors.New("record is sound")
)

// Errors about a store or a committer as a whole.
var (
	// ErrIndeterminate means that a write may or may not have happened. The
	// process must end: only opening the store again tells what is on disk.
	ErrIndeterminate = errors.New("write may or may not have happened; restart to find out")
	// ErrUnavailable means that nothing happened; the same may succeed later.
	ErrUnavailable = errors.New("store unavailable")
	// ErrDamaged means that the store is damaged beyond single records. Set it
	// aside and start with a new one: senders offer everything again.
	ErrDamaged = errors.New("store is damaged")
	// ErrInUse means that another process has the store open.
	ErrInUse = errors.New("store is in use by another process")
	// ErrVersion means that the store was written by another version.
	ErrVersion = errors.New("store has an unknown format")
	// ErrBusy means that the committer's queue is full: shed load.
	ErrBusy = errors.New("too many writes waiting")
	// ErrClosed means that the store or committer has ended.
	ErrClosed = errors.New("closed")
)
