package schakel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/store"
	"schakel/crypto/custody"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/relay/wire"
)

// retryAfter is how long a refused envelope rests before it is offered again.
const retryAfter = time.Second

// flight is what was offered in a session and not yet answered.
type flight struct {
	mu    sync.Mutex
	after uint64 // the outbox has been offered up to here
	out   map[envelope.ID][sha256.Size]byte
}

// room returns how many more envelopes may fly, and after which Seq to go on.
func (f *flight) room() (int, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maxInFlight - len(f.out), f.after
}

func (f *flight) took(d store.Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out == nil {
		f.out = map[envelope.ID][sha256.Size]byte{}
	}
	f.out[d.Envelope] = sha256.Sum256(d.Raw)
	f.after = max(f.after, d.Seq)
}

// landed takes an envelope out of the air; false when it was not in it, as with
// statements, which nobody keeps.
func (f *flight) landed(id envelope.ID) (digest [sha256.Size]byte, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	digest, ok = f.out[id]
	delete(f.out, id)
	return digest, ok
}

// rewind makes the outbox be offered from its beginning again.
func (f *flight) rewind() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = 0
}

// passed reports whether a delivery is in the air already, and looks beyond it from
// now on: a batch of such after a rewind would be read again and again.
func (f *flight) passed(d store.Delivery) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.out[d.Envelope]
	if ok {
		f.after = max(f.after, d.Seq)
	}
	return ok
}

// offers returns the next envelopes of the outbox, oldest first, as far as there
// is room in the air.
func (s *session) offers(ctx context.Context) (frames []wire.Frame, err error) {
	if !s.online.Load() {
		return nil, nil // nothing leaves before the register is known to be current
	}
	room, after := s.flight.room()
	if room <= 0 {
		return nil, nil
	}
	var rows []store.Delivery
	err = s.n.store.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.Offers(s.ready.StoreEpoch, s.n.now(), after, min(room, offerBatch))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, d := range rows {
		if s.flight.passed(d) {
			continue
		}
		s.flight.took(d)
		frames = append(frames, wire.Put{Envelope: d.Raw})
	}
	if len(rows) == offerBatch {
		s.nudge()
	}
	return frames, nil
}

// offerBatch bounds what one look at the outbox reads into memory.
const offerBatch = 64

// stored notes the relay's promise for each envelope, after checking that the
// register's receipt key signed it. Nothing is deleted for it: only a statement of
// the recipient desk ends an envelope's stay in the outbox.
func (s *session) stored(ctx context.Context, f wire.Stored) error {
	if err := f.Batch.Verify(s.n.directory().relay.Receipt); err != nil {
		return fmt.Errorf("custody receipt refused: %w", err)
	}
	if f.Batch.StoreEpoch != s.ready.StoreEpoch {
		return fmt.Errorf("custody receipt refused: %w: other store epoch", custody.ErrFormat)
	}
	s.n.heardTime(f.Batch.At)
	at := s.n.now()
	defer s.nudge()
	return s.n.update(ctx, func(tx *store.Tx) error {
		for _, leaf := range f.Leaves {
			digest, ours := s.flight.landed(leaf.ID)
			if !ours {
				if err := s.n.statementKept(f.Batch, leaf); err != nil {
					return fmt.Errorf("custody receipt refused: %w", err)
				}
				continue
			}
			if err := leaf.In(f.Batch, digest); err != nil {
				return fmt.Errorf("custody receipt refused: %w", err)
			}
			if err := s.n.promised(tx, custody.Receipt{Batch: f.Batch, Leaf: leaf}, digest, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// promised notes one receipt beside the envelope, and keeps the first one of each
// message and desk as proof of when the relay took it.
func (n *Node) promised(tx *store.Tx, r custody.Receipt, digest [sha256.Size]byte, at time.Time) error {
	receipt, err := r.Encode()
	if err != nil {
		return err
	}
	d, err := tx.Accepted(r.Leaf.ID, r.Batch.StoreEpoch, receipt, at)
	if errors.Is(err, store.ErrNotFound) {
		return nil // confirmed by its desk in the meantime
	}
	if err != nil || d.Kind != delivery.KindMessage {
		return err
	}
	raw, err := casefile.Promise{Message: d.Message, Desk: d.Desk, Envelope: digest, Receipt: receipt}.Encode()
	if err != nil {
		return err
	}
	return tx.KeepProof(d.Message, d.Desk, store.AtRelay, raw)
}

// refused decides what a refusal means for an envelope: offer the same bytes again
// later, or make the delivery anew, from a newer register.
func (s *session) refused(ctx context.Context, f wire.Refused) error {
	if _, ours := s.flight.landed(f.ID); !ours {
		if !f.Code.Final() {
			return nil // a statement: the next one says the same
		}
		return errors.Join(s.fetchRegister(ctx), s.n.stateRefused(ctx))
	}
	s.n.log.Warn("relay refused an envelope", "envelope", f.ID, "code", f.Code)
	if !f.Code.Final() {
		time.AfterFunc(retryAfter, func() { s.flight.rewind(); s.nudge() })
		return nil
	}
	err := s.n.update(ctx, func(tx *store.Tx) error { return s.n.retire(tx, f.ID) })
	if err != nil {
		return err
	}
	// Devices, epochs and lanes come from the register: look whether it moved on,
	// and let upkeep make the delivery again after that.
	return s.fetchRegister(ctx)
}

// noticed handles the relay's word on what became of an envelope. It is a hint: it
// makes this device try again earlier, and changes no state by itself. An envelope
// that nobody attended is where it should be: another one would call for nothing new.
func (s *session) noticed(ctx context.Context, f wire.Notice) error {
	s.n.log.Info("relay notice", "envelope", f.ID, "kind", f.Kind)
	if f.Kind != wire.NoticeUnattended {
		err := s.n.update(ctx, func(tx *store.Tx) error { return s.n.retire(tx, f.ID) })
		if err != nil {
			return err
		}
		s.n.poke()
	}
	if f.Position == 0 {
		return nil
	}
	if len(s.held) > 0 { // what is held must not be acknowledged by a later position
		return s.say(ctx, wire.Credit{Messages: 1})
	}
	return s.say(ctx, wire.Ack{Position: f.Position}, wire.Credit{Messages: 1})
}
