package register

import (
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/trust"
)

// ErrNoQuorum says that the root demands witnesses and no checkpoint has their
// quorum yet.
var ErrNoQuorum = errors.New("no checkpoint has the witnesses that the root demands: they must connect")

// keyCosigned is the checkpoint in meta that reached its quorum last.
var keyCosigned = []byte("cosigned")

// candidate is a checkpoint that witnesses are asked to cosign, and the register
// that it is of. It stays the same until it has its quorum, whatever is appended
// meanwhile: witnesses that are asked one after the other must sign the same one.
type candidate struct {
	reg    *trust.Register
	pinned trust.Pinned // with the cosignatures so far
	agreed bool         // with the other relays of the order
}

// ToCosign is the checkpoint that witnesses are to cosign now; false where the root
// demands none, this log signs nothing, or the relays of the order have not agreed on
// it yet: a witness that signed a larger one signs no smaller one any more.
func (l *Log) ToCosign() (trust.Pinned, bool) {
	s := l.now.Load()
	return s.candidate.pinned, s.candidate.reg != nil && (s.candidate.agreed || l.config.Order == nil)
}

// Witnesses are those that the newest root names, and how many must cosign.
func (l *Log) Witnesses() ([]trust.VKey, int) {
	reg := l.Register()
	if reg == nil {
		return nil, 0
	}
	root := reg.Authority()
	return root.Witnesses, root.Quorum
}

// Cosign takes the signature line of a witness over the checkpoint of a size. When
// that has its quorum it is written to the file, and then served. A line that does
// not count wraps trust.ErrCosignature; it changes nothing.
func (l *Log) Cosign(size uint64, line []byte, now time.Time) error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.failed != nil {
		return l.failed
	}
	before := l.now.Load()
	of := before.candidate
	if of.reg == nil || of.pinned.Size != size {
		return fmt.Errorf("%w: nobody is asked for size %d now", trust.ErrCosignature, size)
	}
	c, err := trust.ParseCheckpoint(of.pinned.Note)
	if err != nil {
		return err
	}
	root := of.reg.Authority()
	one, err := c.Read(line, root, now)
	if err != nil {
		return err
	}
	of.pinned.Note = c.With(append(c.Cosignatures(root, now), one)...)
	return l.ask(of, now)
}

// ask makes a candidate what witnesses are asked for, or what clients are given when it
// has its quorum. The caller holds write.
func (l *Log) ask(of candidate, now time.Time) error {
	before := l.now.Load()
	next := *before
	next.candidate, next.grown = of, make(chan struct{})
	if _, ok := of.reg.CosignedAt(of.pinned, now); ok && of.pinned.Size >= next.served.Size {
		if err := l.saveCosigned(of.pinned.Note); err != nil {
			l.failed = fmt.Errorf("%w: %w", ErrFailed, err)
			return l.failed
		}
		next.served = of.pinned
		if next.size() > of.pinned.Size {
			next.candidate = candidate{reg: next.reg, pinned: next.checkpoint}
		}
	}
	l.now.Store(&next)
	close(before.grown)
	return nil
}

func (l *Log) saveCosigned(note []byte) error {
	return guard(func() error {
		return l.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyCosigned, note) })
	})
}

// follow decides what clients are given after a growth, and what witnesses are
// asked for: without a quorum the newest checkpoint, and otherwise still the last
// that had one, and what was asked for before.
func (s *snapshot) follow() {
	if s.checkpoint.Note == nil {
		s.served, s.candidate = trust.Pinned{}, candidate{}
		return
	}
	root := s.reg.Authority()
	if root.Quorum == 0 {
		s.served, s.candidate = s.checkpoint, candidate{}
		return
	}
	if s.candidate.reg == nil || s.candidate.reg.Authority().Version != root.Version ||
		s.candidate.pinned.Size == s.served.Size { // that one has its quorum
		s.candidate = candidate{reg: s.reg, pinned: s.checkpoint}
	}
}

// lastServed is what clients were given before this process: the checkpoint in the
// file that has its quorum, or the last before the root demanded one. Clients hold
// it, so it is no step back for them.
func (l *Log) lastServed(reg *trust.Register) (trust.Pinned, error) {
	var note []byte
	err := l.view(func(tx *bolt.Tx) error {
		note = append(note, tx.Bucket(bucketMeta).Get(keyCosigned)...)
		return nil
	})
	if err != nil {
		return trust.Pinned{}, err
	}
	plain := reg.Size() // from here down, until a root that demanded nobody
	for ; plain > 0; plain-- {
		if root, ok := reg.AuthorityAt(plain); ok && root.Quorum == 0 {
			break
		}
	}
	c, err := trust.ParseCheckpoint(note)
	if err == nil && c.Size > plain {
		if root, known := reg.RootAt(c.Size); known && root == c.Root {
			return trust.Pinned{Size: c.Size, Root: c.Root, Note: note}, nil
		}
		return trust.Pinned{}, fmt.Errorf("%w: its cosigned checkpoint is of another register", ErrCorrupt)
	}
	if plain < 2 || plain == reg.Size() { // no relay is named yet, or nobody is demanded
		return trust.Pinned{}, nil
	}
	root, _ := reg.RootAt(plain)
	signed, err := trust.SignCheckpoint(l.config.LogName, plain, root, l.config.LogKey)
	return trust.Pinned{Size: plain, Root: root, Note: signed}, err
}

// Freshness is the size that clients are given, and when its witnesses say it was
// the newest; false while there is none that has a quorum.
func (l *Log) Freshness(now time.Time) (size uint64, at time.Time, ok bool) {
	s := l.now.Load()
	if s.reg == nil || s.served.Note == nil {
		return 0, at, false
	}
	c, err := trust.ParseCheckpoint(s.served.Note)
	if err != nil {
		return 0, at, false
	}
	root, _ := s.reg.AuthorityAt(c.Size)
	at, err = c.CosignedAt(root, now)
	return c.Size, at, err == nil && !at.IsZero()
}
