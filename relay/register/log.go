// Package register keeps the register's log at the relay: it takes entries that
// the rules of crypto/trust accept, signs checkpoints over them, and serves both.
//
//	log, err := register.Open(register.Config{Path: dir + "/register.db", LogName: name, LogKey: key})
//	index, err := log.Append(ctx, entry, recipients, time.Now())
//	grown := log.Grown()          // before reading the size
//	c, err := log.Checkpoint()    // to send, with Entries and Proof
//	reg := log.Register()         // to check envelopes against; never changes
//
// Everything is in one bbolt file. Append answers when the entry is on disk. Where
// several relays share one register, an [Order] decides which entry stands where, and
// the file of each is a whole, verified copy.
// Readers never wait for it: every growth publishes a new immutable register.
//
// An attacker who can write the file can at most withhold: drop the register's
// end, or hand out no keys. Entries prove themselves by their signatures, keys by
// their hashes, and every client notices a log that got shorter. With the log key
// as well he can show different registers to different clients; see
// docs/register.md.
package register

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Refusals. Those of the rules themselves wrap trust.ErrSkipped.
var (
	ErrInUse      = errors.New("register file is in use by another process: stop that first")
	ErrCorrupt    = errors.New("register file is damaged: restore it from a backup, or import the entries from any client")
	ErrNoGenesis  = errors.New("the register has no genesis yet: import the file that the root holders made")
	ErrNotReady   = errors.New("the register names another log key, or no relay yet: import the relay entry that the root holders signed")
	ErrQuota      = errors.New("too many entries of this organisation today")
	ErrRecipients = errors.New("recipient keys do not fit the hashes of the entry")
	ErrFailed     = errors.New("register file failed on disk: nothing can be appended until a restart")
	ErrClosed     = errors.New("register is closed")
)

// MaxRecipient bounds one recipient string; a hybrid age recipient has about 2000.
const MaxRecipient = 4096

// maxPiece bounds the bytes that Entries returns at once.
const maxPiece = 512 << 10

// Config says where the log is and who signs it.
type Config struct {
	Path    string       // the bbolt file; made where it does not exist
	LogName string       // origin of the checkpoints: the name in the relay entry's log key
	LogKey  trust.Signer // as the relay entry names it
	PerDay  int          // entries that one organisation may add per UTC day; 0: 5000
	Order   Order        // nil: this relay is the only one
	Log     *slog.Logger // nil discards
}

// Log is an open register file. Its methods may be called from any goroutine.
type Log struct {
	config Config
	log    *slog.Logger
	db     *bolt.DB

	now atomic.Pointer[snapshot] // what readers see; replaced, never changed

	waitingMu sync.Mutex // guards waiting
	waiting   []*request // appends that the next commit takes along

	write  sync.Mutex // one commit at a time; guards what follows
	failed error      // after a failed commit nobody knows what is on disk
	counts dayCounts
	// missing are keys that another relay may get: published, and not in the file.
	missing map[keyName]struct{}
}

// snapshot is the register at one size. reg is nil before the genesis.
type snapshot struct {
	reg        *trust.Register
	checkpoint trust.Pinned  // over all of reg, with the log's signature alone
	served     trust.Pinned  // what clients are given: see follow
	candidate  candidate     // what witnesses are asked for
	grown      chan struct{} // closed when there is a newer snapshot
}

// dayCount is how many entries an organisation added on the last day it added any.
type dayCount struct {
	day   int64 // since 1970, UTC
	count int
}

type dayCounts map[identity.OrgID]dayCount

// Register is the register as it is now: an immutable snapshot, nil before the
// genesis. Take it once per decision, so that one decision sees one register.
func (l *Log) Register() *trust.Register { return l.now.Load().reg }

// Size is the number of entries on disk.
func (l *Log) Size() uint64 { return l.now.Load().size() }

func (s *snapshot) size() uint64 {
	if s.reg == nil {
		return 0
	}
	return s.reg.Size()
}

// Checkpoint is what clients are given: the signed checkpoint over everything on
// disk or, where the root demands witnesses, the last one that has their quorum. It
// answers ErrNoGenesis, ErrNotReady or ErrNoQuorum while there is none that a client
// would accept.
func (l *Log) Checkpoint() (trust.Pinned, error) {
	switch s := l.now.Load(); {
	case s.reg == nil:
		return trust.Pinned{}, ErrNoGenesis
	case s.checkpoint.Note == nil:
		return trust.Pinned{}, ErrNotReady
	case s.served.Note == nil:
		return trust.Pinned{}, ErrNoQuorum
	default:
		return s.served, nil
	}
}

// Grown returns a channel that is closed when the register grows beyond what it is
// now, or witnesses cosign it. Take it before reading the size, and no growth goes
// unseen.
func (l *Log) Grown() <-chan struct{} { return l.now.Load().grown }

// Proof proves that the register at newSize continues the one at oldSize.
func (l *Log) Proof(oldSize, newSize uint64) ([]trust.Hash, error) {
	reg := l.Register()
	if reg == nil {
		return nil, ErrNoGenesis
	}
	return reg.Proof(oldSize, newSize)
}

// publish makes reg what readers see, with a checkpoint if the register names this
// log, and rings.
func (l *Log) publish(reg *trust.Register) error {
	next := &snapshot{reg: reg, grown: make(chan struct{})}
	relay, ok := reg.Relay()
	if ok && relay.Log.Name == l.config.LogName && relay.Log.Key == l.config.LogKey.Public() {
		note, err := trust.SignCheckpoint(l.config.LogName, reg.Size(), reg.Root(), l.config.LogKey)
		if err != nil {
			return fmt.Errorf("failed to sign a checkpoint: %w", err)
		}
		next.checkpoint = trust.Pinned{Size: reg.Size(), Root: reg.Root(), Note: note}
	}
	before := l.now.Load()
	next.served, next.candidate = before.served, before.candidate
	if reg.Authority().Quorum > 0 && !before.witnessed() {
		// At open, or by rows that came together: the last that needed no witness may lie
		// between what was served and what is here. Another relay may be serving that.
		served, err := l.lastServed(reg)
		if err != nil {
			return err
		}
		if served.Size > next.served.Size {
			next.served = served
		}
	}
	next.follow()
	l.now.Store(next) // publishers hold write, or are alone at open
	close(before.grown)
	return nil
}

// witnessed reports whether the root of a snapshot demands witnesses.
func (s *snapshot) witnessed() bool { return s.reg != nil && s.reg.Authority().Quorum > 0 }

// charge counts an entry against its organisation's day. What only the root can
// sign, and revocations, are free: they are bounded by what they speak of.
func (d *draft) charge(org identity.OrgID, at time.Time) error {
	return d.counts.charge(org, at, d.log.config.PerDay)
}

func (all dayCounts) charge(org identity.OrgID, at time.Time, most int) error {
	if org == "" {
		return nil
	}
	c := all[org]
	if day(at) > c.day { // a clock that goes back gives no new allowance
		c = dayCount{day: day(at)}
	}
	if c.count >= most {
		return fmt.Errorf("%w: %s has added %d", ErrQuota, org, c.count)
	}
	c.count++
	all[org] = c
	return nil
}

func day(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// charged is the organisation that an entry counts against, or none.
func charged(e trust.Entry, reg *trust.Register) identity.OrgID {
	switch e.Body.Kind() {
	case trust.KindDesk, trust.KindDevice, trust.KindPerson, trust.KindEpoch, trust.KindAnchor:
		return e.OrgOf(reg)
	}
	return ""
}
