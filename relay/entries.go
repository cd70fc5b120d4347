package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/queue"
	"schakel/relay/register"
	"schakel/relay/wire"
)

// fetch is an answer to Fetch on its way: several Register frames under one
// checkpoint, made one at a time as the device takes them.
type fetch struct {
	checkpoint trust.Pinned
	proof      []trust.Hash
	next       uint64
}

// ask takes the frames about the register.
func (s *session) ask(ctx context.Context, f wire.Frame) error {
	allowed := s.meter.asks.AllowN(s.relay.config.Now(), 1)
	switch f := f.(type) {
	case wire.Fetch:
		// One at a time: a further one takes the place of one that has not begun.
		s.mu.Lock()
		s.shared.asked = &f
		s.mu.Unlock()
		signal(s.wake)
	case wire.Append:
		code, index := wire.CodeRate, uint64(0)
		if allowed {
			var err error
			index, err = s.relay.appendEntry(ctx, f.Entry, f.Recipients)
			code = codeOf(err)
		}
		s.answer(refusalWeight, wire.Appended{Tag: f.Tag, Index: index, Code: code})
	case wire.WantKeys:
		if !allowed {
			return fmt.Errorf("%w: keys", errAsks)
		}
		return s.keys(f)
	}
	return nil
}

var errAsks = fmt.Errorf("%w: too many requests", wire.ErrFrame)

// keys answers with what the register file has. A key that is not there is empty:
// the device checks each against the log and knows what is missing.
func (s *session) keys(f wire.WantKeys) error {
	answer, weight := wire.KeysAre{Tag: f.Tag, Recipients: make([]string, len(f.Keys))}, 0
	for i, k := range f.Keys {
		recipient, _, err := s.relay.config.Register.Recipient(k.Device, k.Epoch)
		if err != nil {
			s.log.Error("recipient key cannot be read", "error", err.Error())
		}
		answer.Recipients[i] = recipient
		weight += len(recipient)
	}
	s.answer(weight, answer)
	return nil
}

// sendRegister adds the next piece of the register that the device asked for.
func (s *session) sendRegister(frames []wire.Frame, asked *wire.Fetch) ([]wire.Frame, error) {
	if s.fetching == nil && asked != nil {
		err := s.beginFetch(asked.From)
		if errors.Is(err, register.ErrNoQuorum) {
			s.askLater(asked)
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
	}
	f := s.fetching
	if f == nil {
		return frames, nil
	}
	piece := wire.Register{Checkpoint: f.checkpoint.Note, From: f.next, Proof: f.proof}
	if f.next < f.checkpoint.Size {
		entries, err := s.relay.config.Register.Entries(f.next, min(wire.MaxEntries, f.checkpoint.Size-f.next))
		if err != nil {
			return frames, fmt.Errorf("failed to read the register: %w", err)
		}
		piece.Entries = entries
	}
	f.next += uint64(len(piece.Entries))
	piece.More = len(piece.Entries) > 0 && f.next < f.checkpoint.Size
	if piece.More {
		signal(s.wake)
	} else {
		s.fetching = nil
	}
	return append(frames, piece), nil
}

// askLater keeps a question until witnesses have cosigned what answers it.
func (s *session) askLater(asked *wire.Fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared.asked == nil {
		s.shared.asked = asked
	}
}

func (s *session) beginFetch(from uint64) error {
	log := s.relay.config.Register
	checkpoint, err := log.Checkpoint()
	if err != nil {
		return err
	}
	f := &fetch{checkpoint: checkpoint, next: from}
	if from >= 1 && from < checkpoint.Size {
		if f.proof, err = log.Proof(from, checkpoint.Size); err != nil {
			return err
		}
	}
	s.fetching = f
	return nil
}

// appendEntry adds an entry to the register. Its signatures decide.
func (r *Relay) appendEntry(ctx context.Context, entry []byte, recipients []string) (uint64, error) {
	index, err := r.config.Register.Append(ctx, entry, recipients, r.config.Now())
	if errors.Is(err, register.ErrFailed) || errors.Is(err, register.ErrFork) {
		r.fail(err)
	}
	r.metrics.entries.WithLabelValues(codeOf(err).String()).Inc()
	return index, err
}

// watch follows the register: whenever it grows, sessions of devices that are no
// longer active end, the others are told, mailboxes stop waiting for revoked devices,
// and plans of revoked desks are taken away.
func (r *Relay) watch(ctx context.Context) {
	known := uint64(0) // so that a crash between a revocation and its effect heals
	for {
		grown := r.config.Register.Grown()
		if size := r.config.Register.Size(); size > known {
			announce := size
			if _, quorum := r.config.Register.Witnesses(); quorum > 0 {
				announce = 0 // cosign tells, once the quorum is there
			}
			r.hub.each(func(s *session) { s.registerGrew(announce) })
			r.metrics.registerSize.Set(float64(size))
			known = r.dropRevoked(ctx, known, size)
		}
		var again <-chan time.Time // what the store did not confirm
		if known < r.config.Register.Size() {
			again = time.After(r.config.Limits.Sweep)
		}
		select {
		case <-grown:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// registerGrew ends the session of a device that is no longer active, and tells any
// other of the size, unless that is 0.
func (s *session) registerGrew(size uint64) {
	s.mu.Lock()
	entered := s.shared.entered
	if entered && size > 0 {
		s.shared.advanced = size
	}
	s.mu.Unlock()
	if !entered {
		return
	}
	if !s.relay.active(s.rights.Device) {
		s.end(wire.CloseRevoked)
		return
	}
	signal(s.wake)
}

// dropRevoked ends the part of devices and desks revoked by the entries from known to
// size, and returns how far it came.
func (r *Relay) dropRevoked(ctx context.Context, known, size uint64) uint64 {
	for known < size {
		entries, err := r.config.Register.Entries(known, size-known)
		if err != nil || len(entries) == 0 {
			r.log.Error("register cannot be read", "error", fmt.Sprint(err))
			return known
		}
		for _, raw := range entries {
			if err := r.dropIfRevoked(ctx, raw); err != nil {
				return known
			}
			known++
		}
	}
	return known
}

func (r *Relay) dropIfRevoked(ctx context.Context, raw []byte) error {
	e, err := trust.ParseEntry(raw)
	if err != nil {
		return nil // it was skipped by everybody
	}
	revoke, ok := e.Body.(trust.Revoke)
	if !ok {
		return nil
	}
	id, ok := revokedDevice(revoke.Of)
	if !ok {
		return r.dropPlans(ctx, revoke.Of)
	}
	d, ok := r.config.Register.Register().Device(id)
	if !ok || d.Revoked == 0 {
		return nil
	}
	result, err := r.committer.Do(ctx, &queue.DropDevice{Desk: d.Desk, Device: id})
	if errors.Is(result.Err, queue.ErrUnconfirmed) || errors.Is(result.Err, queue.ErrUnavailable) {
		return result.Err // the next look at the log begins here again
	}
	return err
}

// dropPlans takes away the plans of a revoked desk, or of all desks of a revoked
// organisation: with the telephone numbers in them nothing is to be done any more.
func (r *Relay) dropPlans(ctx context.Context, of trust.Subject) error {
	reg := r.config.Register.Register()
	for _, desk := range reg.Desks() {
		if of != (trust.Desk{ID: desk}).Subject() && of != (trust.Org{ID: desk.Org()}).Subject() {
			continue
		}
		if !r.ended(desk) {
			continue // the revocation does not count
		}
		if err := r.dropPlan(ctx, desk); err != nil {
			return err // the next look at the log begins here again
		}
	}
	return nil
}

func (r *Relay) dropPlan(ctx context.Context, desk identity.DeskID) error {
	_, err := r.RemovePlan(ctx, desk)
	if err != nil {
		r.log.Warn("the plan of a revoked desk is still there", "desk", string(desk), "error", err.Error())
	}
	return err
}

// ended reports that the register has revoked a desk, or its organisation.
func (r *Relay) ended(desk identity.DeskID) bool {
	d, ok := r.config.Register.Register().Desk(desk)
	return ok && d.Revoked != 0
}

func revokedDevice(s trust.Subject) (identity.DeviceID, bool) {
	const prefix = trust.Subject(trust.KindDevice) + "/"
	if len(s) <= len(prefix) || s[:len(prefix)] != prefix {
		return identity.DeviceID{}, false
	}
	id, err := identity.ParseDeviceID(string(s[len(prefix):]))
	return id, err == nil
}
