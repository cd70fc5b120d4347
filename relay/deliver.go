package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"schakel/relay/queue"
	"schakel/relay/wire"
)

// deliver adds the next page of the mailbox, as far as the device's credit goes.
// The store is the buffer: nothing is read before there is credit for it.
func (s *session) deliver(ctx context.Context, frames []wire.Frame, todo shared) ([]wire.Frame, error) {
	s.sent = max(s.sent, todo.acked)
	s.stale = s.stale || todo.swept
	if todo.rung || todo.swept {
		s.caughtUp = false
	}
	if s.caughtUp || todo.messages <= 0 || todo.bytes <= 0 || todo.bytes < s.need {
		return frames, nil
	}
	limit := queue.Limit{Records: min(todo.messages, pageRecords), Bytes: min(todo.bytes, pageBytes)}
	page, err := s.page(ctx, limit)
	if err != nil {
		s.caughtUp = true // the sweep rings again
		return frames, s.relay.storeFailed(err)
	}
	if len(page.Damaged) > 0 {
		s.relay.metrics.damaged.Add(float64(len(page.Damaged)))
		s.log.Error("damaged records quarantined", "count", len(page.Damaged))
	}
	frames, whole := s.addRecords(frames, page.Records, todo)
	if whole {
		s.sent = max(s.sent, page.Next)
		s.caughtUp = !page.More
	}
	if !s.caughtUp {
		signal(s.wake) // there may be credit for more
	}
	return frames, nil
}

// page is what comes next: from memory, if the mailbox was read to its end since
// anybody but this relay can have written there.
func (s *session) page(ctx context.Context, limit queue.Limit) (queue.Page, error) {
	if !s.stale {
		if page, ok := s.relay.committer.Recent(s.rights.Desk, s.sent, limit); ok {
			return page, nil
		}
	}
	page, err := s.relay.committer.Read(ctx, s.rights.Desk, s.sent, limit, s.relay.seconds())
	s.stale = err != nil || page.More
	return page, err
}

// addRecords adds what is for this device and reports whether all of it was
// within the credit.
func (s *session) addRecords(frames []wire.Frame, records []queue.Record, todo shared) ([]wire.Frame, bool) {
	messages, bytes := 0, 0
	whole := true
	s.need = 0
	for i := range records {
		r := &records[i]
		if slices.Contains(r.Targets, s.rights.Device) {
			if messages+1 > todo.messages || bytes+len(r.Envelope) > todo.bytes {
				s.need, whole = len(r.Envelope), false
				break
			}
			messages, bytes = messages+1, bytes+len(r.Envelope)
			frames = append(frames, frameOf(r))
			s.meter.debt.hand(r.Position, s.relay.config.Now())
		}
		s.sent = r.Position
	}
	s.spend(messages, bytes)
	return frames, whole
}

func frameOf(r *queue.Record) wire.Frame {
	if r.Kind == queue.KindNotice {
		return wire.Notice{Position: uint64(r.Position), Kind: wire.NoticeKind(r.Notice), ID: r.ID}
	}
	return wire.Deliver{Position: uint64(r.Position), Envelope: r.Envelope}
}

func (s *session) spend(messages, bytes int) {
	s.mu.Lock()
	s.shared.messages -= messages
	s.shared.bytes -= bytes
	s.mu.Unlock()
	s.relay.metrics.deliveries.Add(float64(messages))
}

// storeFailed decides what an error of reading means: nil when the same may
// succeed later, otherwise the relay ends.
func (r *Relay) storeFailed(err error) error {
	if errors.Is(err, queue.ErrUnavailable) {
		r.log.Warn("store is unavailable", "error", err.Error())
		return nil
	}
	err = fmt.Errorf("%w: %w", ErrStore, err)
	if !errors.Is(err, queue.ErrClosed) {
		r.fail(err)
	}
	return err
}
