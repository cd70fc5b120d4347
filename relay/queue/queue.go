// Package queue is the contract between the relay and the store that keeps
// envelopes until every device they are for has acknowledged them.
//
// The unit is one envelope for one desk. A desk is a mailbox: its records stand
// at strictly increasing positions, and each of the desk's devices has a
// cumulative cursor in it. A relay opens one [Store] (boltqueue is the embedded
// one), makes one [Committer] for it, runs that, and hands it every change:
//
//	store, err := boltqueue.Open(boltqueue.Config{Path: "queue.db"})
//	committer := queue.NewCommitter(store, queue.CommitterConfig{Committed: receipts, Ring: hub.Ring})
//	go committer.Run(ctx)                 // an error from Run ends the process
//	committer.Submit(session, &queue.Put{...})
//
// Nothing in a store is trusted to be secret or authentic: envelopes are sealed
// and signed by devices, and what a store returns was checked against accidents
// (a checksum over desk, position and content), not against its owner.
package queue

import (
	"context"
	"crypto/sha256"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// Position is a place in one desk's mailbox. A later record has a greater
// position, a position is never given twice, zero is before the first, and gaps
// mean nothing. Positions stay below 2^53, which Redis scripts count to exactly.
type Position uint64

// MaxTime bounds every time in a store, in seconds since 1970: far beyond any
// honest clock, and small enough to be exact wherever it is sorted by.
const MaxTime = 1 << 40

// Guarantee says what an answered Commit has survived; custody receipts carry it.
type Guarantee uint64

// The guarantees. A store that gives less than GuaranteeDisk is for demos.
const (
	GuaranteeNone    Guarantee = 0 // in memory, or fsync left to the kernel
	GuaranteeDisk    Guarantee = 1 // fsync on the disk of one machine
	GuaranteeReplica Guarantee = 2 // GuaranteeDisk, and confirmed by at least one replica
)

// State is what a store says about itself.
type State struct {
	// Epoch is random at creation and again after a restore. While it stays the
	// same, everything a Commit answered for is still there or was deleted by the
	// rules; when it changes, senders offer every unreceipted envelope again.
	Epoch     [16]byte
	Guarantee Guarantee
}

// Store keeps mailboxes. All methods may be called at the same time, but only
// one Commit runs at once: further ones wait. Stores have no clock; time comes
// in with the operations, in seconds since 1970.
type Store interface {
	// State never blocks and never changes while the store is open.
	State(ctx context.Context) (State, error)

	// Commit applies ops in order and answers when they are durable at the
	// store's Guarantee, with one result per op. A refused op (Result.Err) changes
	// nothing and does not stop the others. ErrUnavailable: it was not applied, and
	// the same may succeed later. ErrUnconfirmed: it may have been, or was without
	// all that the Guarantee says, and nothing may be promised; the same op again is
	// safe and finds out. A store of several parts says either of the ops for a part
	// that is out of reach, and serves the others.
	//
	// An error of Commit itself is about all ops. ErrUnavailable: none was
	// applied. Every other error wraps ErrIndeterminate: any of them may have
	// been, the store refuses all further work, and the process must end; after a
	// restart senders offer again and idempotence absorbs what was stored.
	//
	// A batch has at most MaxBatchOps ops and MaxBatchBytes of envelopes. Whether
	// it is atomic is the store's matter; each op is, except that one about two
	// desks (an expiry and its notice) need only be durable in the order that
	// loses nothing: first the notice, then the deletion. Every op is idempotent,
	// and safe when it comes late: a store whose connection broke may apply a batch
	// again before it gives up, and an op that was ErrUnconfirmed may happen later.
	Commit(ctx context.Context, ops []Op) ([]Result, error)

	// Read returns the records of desk after a position, oldest first, within
	// limit but at least one when there is one. Checksum, desk and position of
	// each were verified; those that failed stand in Page.Damaged and are never
	// among the records. Only committed records are seen. Records for other
	// devices of the desk are returned too: the caller skips them by Targets. A
	// record that all its targets have acknowledged may be seen for a while.
	// An unknown desk is an empty mailbox.
	Read(ctx context.Context, desk identity.DeskID, after Position, limit Limit) (Page, error)

	// Cursor returns how far device has acknowledged in desk, zero when never.
	Cursor(ctx context.Context, desk identity.DeskID, device identity.DeviceID) (Cursor, error)

	// Waiting lists envelopes with a tier above TierNone that nobody attended and
	// that have not expired, also when they were delivered and deleted. The order
	// is the store's own but stable: go on with the last Ref, begin with the zero
	// Ref. An empty list is the end.
	Waiting(ctx context.Context, after Ref, limit int) ([]Unattended, error)

	// Close waits for a running Commit. Everything answered stays.
	Close() error
}

// Bounds of one Commit. The committer keeps to them; a store refuses more with
// ErrUnavailable, before it allocates.
const (
	MaxBatchOps   = 4096
	MaxBatchBytes = 32 << 20
	MaxDevices    = 1024 // cursors of one desk, dropped devices included
)

// Op is one change: *Put, *Ack, *Attend, *DropDevice, *Notice, *Expire or
// *Quarantine. A store keeps no reference to an op after Commit.
type Op interface{ op() }

// Put stores one envelope for one desk.
//
// Idempotent by Desk and ID, until expiry, also after delivery and deletion: the
// same Digest again answers Duplicate with the position and the salt of the
// first time and changes nothing, so that the sender gets the same custody leaf;
// another Digest is ErrConflict, and the first stays. Full is ErrFull. Expired
// (by the latest Expire) is ErrExpired.
type Put struct {
	ID           envelope.ID
	Desk         identity.DeskID
	Targets      []identity.DeviceID // 1 to envelope.MaxTargets, of this desk, unique
	Sealer       identity.DeviceID
	SealerDesk   identity.DeskID
	Created      uint64
	Expires      uint64
	Tier         envelope.Tier
	AttendedHash []byte            // SHA-256 of the attended token, 32 bytes, or empty
	Digest       [sha256.Size]byte // SHA-256 of Envelope, computed by the caller
	Salt         [16]byte          // random, for the custody leaf
	Envelope     []byte            // 1 to envelope.MaxSize bytes
}

// Ack says that Device has safely stored everything in Desk up to Position.
// Idempotent; a position below the cursor changes nothing, one that was never
// given is ErrAhead (the device remembers another epoch), a dropped device is
// ErrDropped. Envelopes that all their targets have passed are deleted with the
// same commit, or with the next ones when they are very many.
//
// Dropped devices count as passed, but an envelope that no device ever
// acknowledged is not deleted for that: it stays until its expiry, so that its
// sender hears of it.
type Ack struct {
	Desk     identity.DeskID
	Device   identity.DeviceID
	Position Position
}

// Attend says that a person took the envelope. The token is compared with
// AttendedHash in constant time; a wrong token, an unknown or an expired
// envelope are all ErrToken. Idempotent.
type Attend struct {
	Desk  identity.DeskID
	ID    envelope.ID
	Token [32]byte
}

// DropDevice ends a device's part in a desk, for good. Idempotent.
type DropDevice struct {
	Desk   identity.DeskID
	Device identity.DeviceID
}

// NoticeKind says what a notice tells.
type NoticeKind uint8

// The notices. The values are permanent.
const (
	NoticeExpired NoticeKind = 1 // the envelope expired before any device of its desk acknowledged it
	NoticeDamaged NoticeKind = 2 // the store damaged the envelope: offer it again, as it was
	// NoticeUnattended: nobody showed the attended token by the time that the ladder
	// of the desk gives. The sender telephones.
	NoticeUnattended NoticeKind = 3
)

// NoticeLife is how long an unread notice stays, in seconds. A device that has
// not read its mailbox for so long finds its unreceipted envelopes by its own
// outbox.
const NoticeLife = 30 * 24 * 60 * 60

// Notice puts a durable notice about envelope ID into the mailbox of Desk for
// one device. It has a position and is acknowledged like an envelope, is never
// refused for quota, and is skipped (position 0) when the device was dropped.
// The same notice may come more than once.
type Notice struct {
	Desk    identity.DeskID
	Device  identity.DeviceID
	Kind    NoticeKind
	ID      envelope.ID
	Created uint64 // it expires NoticeLife later
}

// Expire removes at most Max envelopes and notices whose Expires is not after
// Now, oldest expiry first. For each envelope that no device acknowledged it
// writes NoticeExpired to the sealing device in its own desk's mailbox. Later Puts that expire at or before Now are refused, also
// when the clock steps back.
type Expire struct {
	Now uint64
	Max int // 1 to MaxBatchOps
}

// Quarantine takes a record that Read reported as damaged out of the mailbox,
// keeps its bytes aside for the operator (a bounded number), and writes
// NoticeDamaged to the sealing device where the store still knows it. The same
// envelope can be put again afterwards. Idempotent; a record that is sound is
// left alone, with ErrSound.
type Quarantine struct {
	Desk     identity.DeskID
	Position Position
	Now      uint64
}

func (*Put) op()        {}
func (*Ack) op()        {}
func (*Attend) op()     {}
func (*DropDevice) op() {}
func (*Notice) op()     {}
func (*Expire) op()     {}
func (*Quarantine) op() {}

// Result answers one op.
type Result struct {
	Err       error     // nil, or why this op was refused: see the sentinels
	Duplicate bool      // Put: it was stored before
	Position  Position  // Put, Notice: where it stands (or stood)
	Salt      [16]byte  // Put: the salt of the first time
	Expired   []Expired // Expire
	Noticed   identity.DeskID
	// Noticed is the desk that got a notice by a Quarantine.
}

// Expired is an envelope or a notice that reached its end.
type Expired struct {
	Ref
	Position   Position
	Tier       envelope.Tier
	Delivered  bool              // at least one target acknowledged it, or it was a notice
	Sealer     identity.DeviceID // zero when the envelope had been delivered and deleted
	SealerDesk identity.DeskID   // has a new notice exactly when Delivered is false
}

// Ref names an envelope within the store.
type Ref struct {
	Desk identity.DeskID
	ID   envelope.ID
}

// Cursor is a device's place in a mailbox.
type Cursor struct {
	Position Position // everything up to here is acknowledged
	Last     Position // no record has a greater position; it may be one that never was
	Dropped  bool
}

// Quota bounds what waits. It counts envelopes until they are deleted; notices
// are not counted. Zero fields take the defaults.
type Quota struct {
	DeskRecords   int   // in the mailbox of one desk, default 100 000
	DeskBytes     int64 // default 2 GiB
	SealerRecords int   // sealed by the desks of one organisation, default 200 000
	SealerBytes   int64 // default 4 GiB
}

// WithDefaults returns q with its zero fields filled.
func (q Quota) WithDefaults() Quota {
	if q.DeskRecords == 0 {
		q.DeskRecords = 100_000
	}
	if q.DeskBytes == 0 {
		q.DeskBytes = 2 << 30
	}
	if q.SealerRecords == 0 {
		q.SealerRecords = 200_000
	}
	if q.SealerBytes == 0 {
		q.SealerBytes = 4 << 30
	}
	return q
}

// Limit bounds one Read. Both must be positive; no page has more than MaxBatchOps
// records.
type Limit struct {
	Records int
	Bytes   int // of envelopes
}

// Page is the answer to one Read.
type Page struct {
	Records []Record
	Damaged []Damaged
	Next    Position // where to read on
	More    bool     // the limit ended the page, not the mailbox
}

// Damaged is a record that failed its checks.
type Damaged struct {
	Position Position
	Reason   string // for the log; no content
}

// Unattended is an envelope that waits for a person.
type Unattended struct {
	Ref
	Tier     envelope.Tier
	Created  uint64
	Expires  uint64
	Position Position
	// Who is told that nobody attends; zero where the store has lost it.
	Sealer     identity.DeviceID
	SealerDesk identity.DeskID
}
