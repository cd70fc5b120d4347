package register

import (
	"context"
	"fmt"
	"slices"
	"time"

	"schakel/crypto/trust"
)

// mostLines bounds what the order may answer of one checkpoint.
const mostLines = 4 * trust.MaxWitnesses

// Share brings what witnesses signed here to the other relays of the order, and theirs
// here. Call it when a witness signed and when the register grew; Follow does so too.
// Without an order, and without witnesses, it does nothing.
func (l *Log) Share(ctx context.Context, now time.Time) error {
	if l.config.Order == nil {
		return nil
	}
	l.write.Lock()
	defer l.write.Unlock()
	if l.failed != nil {
		return l.failed
	}
	return l.shareCosignatures(ctx, now)
}

// shareCosignatures agrees with the other relays on the checkpoint that witnesses are
// asked for, and takes over what theirs signed. The order is believed in nothing of it:
// a line counts as if the witness had said it here. Where that makes a quorum it agrees
// on what comes next as well. The caller holds write.
func (l *Log) shareCosignatures(ctx context.Context, now time.Time) error {
	for range 2 {
		s := l.now.Load()
		if s.candidate.reg == nil {
			return nil
		}
		if err := l.shareOnce(ctx, s, now); err != nil {
			return err
		}
		if l.now.Load().candidate.agreed {
			return nil
		}
	}
	return nil // the others are ahead: the next Follow brings what they know
}

func (l *Log) shareOnce(ctx context.Context, s *snapshot, now time.Time) error {
	all, err := l.config.Order.Cosign(ctx, l.cosigning(s, s.served.Size, now))
	if err == nil && l.obsolete(s, all.Asked) {
		all, err = l.config.Order.Cosign(ctx, l.cosigning(s, all.Asked.Size, now))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOrder, err)
	}
	if err := l.takeServed(all.Served, now); err != nil {
		return err
	}
	return l.takeLines(all, now)
}

// cosigning is what this relay has to give.
func (l *Log) cosigning(s *snapshot, after uint64, now time.Time) Cosigning {
	of := s.candidate.pinned
	give := Cosigning{Asked: Place{of.Size, of.Root}, After: after}
	if s.served.Note != nil {
		give.Served = Served{s.served.Size, s.served.Note}
	}
	if c, err := trust.ParseCheckpoint(of.Note); err == nil {
		for _, one := range c.Cosignatures(s.candidate.reg.Authority(), now) {
			give.Lines = append(give.Lines, WitnessLine{one.Witness.Name, uint64(one.At.Unix()), one.Line()})
		}
	}
	return give
}

// obsolete reports that other relays ask for what an earlier root demanded: its
// witnesses may be gone.
func (l *Log) obsolete(s *snapshot, asked Place) bool {
	root, ok := s.reg.AuthorityAt(asked.Size)
	return ok && asked.Size < s.candidate.pinned.Size && root.Version != s.reg.Authority().Version
}

// takeServed takes over what another relay gives its clients, when that is more than this
// one does: a device that comes from there would take a smaller register for a fraud.
func (l *Log) takeServed(served Served, now time.Time) error {
	s := l.now.Load()
	c, err := trust.ParseCheckpoint(served.Note)
	if err != nil || c.Size <= s.served.Size {
		return nil
	}
	log, err := trust.LogKey(l.config.LogName, l.config.LogKey.Public())
	root, known := s.reg.RootAt(c.Size)
	if err != nil || !known || root != c.Root || c.SignedBy(log) != nil {
		return nil
	}
	authority, _ := s.reg.AuthorityAt(c.Size)
	if at, err := c.CosignedAt(authority, now); err != nil || at.IsZero() {
		return nil
	}
	if err := l.saveCosigned(served.Note); err != nil {
		l.failed = fmt.Errorf("%w: %w", ErrFailed, err)
		return l.failed
	}
	next := *s
	next.served, next.grown = trust.Pinned{Size: c.Size, Root: c.Root, Note: slices.Clone(served.Note)}, make(chan struct{})
	if of := next.candidate.pinned.Size; of <= c.Size && of < next.checkpoint.Size {
		next.candidate = candidate{reg: next.reg, pinned: next.checkpoint}
	}
	l.now.Store(&next)
	close(s.grown)
	return nil
}

// takeLines asks for what all relays ask for, with every cosignature that counts.
func (l *Log) takeLines(all Cosigning, now time.Time) error {
	s := l.now.Load()
	of, ok := l.candidateAt(s, all.Asked)
	if !ok {
		return nil // this relay is behind, or the order is: the next Follow finds out
	}
	c, err := trust.ParseCheckpoint(of.pinned.Note)
	if err != nil {
		return err
	}
	authority := of.reg.Authority()
	signed := c.Cosignatures(authority, now)
	for i, line := range all.Lines {
		if one, err := c.Read(line.Line, authority, now); err == nil && i < mostLines {
			signed = append(signed, one)
		}
	}
	note := c.With(signed...)
	if s.candidate.agreed && s.candidate.pinned.Size == of.pinned.Size && string(note) == string(s.candidate.pinned.Note) {
		return nil
	}
	of.pinned.Note, of.agreed = note, true
	return l.ask(of, now)
}

// candidateAt is the candidate of a place: the one that is asked for here, or another
// beginning of this register, under the same root.
func (l *Log) candidateAt(s *snapshot, at Place) (candidate, bool) {
	if of := s.candidate; of.pinned.Size == at.Size && of.pinned.Root == at.Root {
		return of, true
	}
	root, known := s.reg.RootAt(at.Size)
	authority, _ := s.reg.AuthorityAt(at.Size)
	if !known || root != at.Root || at.Size < s.served.Size || authority.Version != s.reg.Authority().Version {
		return candidate{}, false
	}
	note, err := trust.SignCheckpoint(l.config.LogName, at.Size, root, l.config.LogKey)
	return candidate{reg: s.reg, pinned: trust.Pinned{Size: at.Size, Root: root, Note: note}}, err == nil
}
