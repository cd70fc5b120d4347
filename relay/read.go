package relay

import (
	"context"
	"errors"
	"fmt"

	"schakel/crypto/envelope"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// read takes what the device sends, until the session ends.
func (s *session) read(ctx context.Context) {
	defer s.recovered()
	for {
		frames, err := s.conn.ReadFrames(ctx)
		frames = s.heard(frames)
		if err == nil {
			err = s.entitled()
		}
		if err == nil {
			err = s.handle(ctx, frames)
		}
		if err == nil {
			err = s.waitForRoom()
		}
		if err != nil {
			s.end(readCode(err))
			return
		}
	}
}

// entitled refuses what arrives while the session is ending, and what a device says after the
// register revoked it, though nobody has ended its session yet (D40).
func (s *session) entitled() error {
	s.mu.Lock()
	ending := s.shared.ending
	s.mu.Unlock()
	if ending {
		return errEnded
	}
	if !s.relay.active(s.rights.Device) {
		s.end(wire.CloseRevoked)
		return errEnded
	}
	return nil
}

func readCode(err error) wire.CloseCode {
	switch {
	case errors.Is(err, errEnded):
		return wire.CloseNormal // somebody else has said why
	case errors.Is(err, errBusy):
		return wire.CloseOverload
	case errors.Is(err, queue.ErrClosed), errors.Is(err, queue.ErrIndeterminate):
		return wire.CloseRestart
	}
	return wire.CodeFor(err)
}

// heard lets the tap see what a device sent.
func (s *session) heard(frames []wire.Frame) []wire.Frame {
	if s.relay.config.Tap == nil {
		return frames
	}
	var out []wire.Frame
	for _, f := range frames {
		out = append(out, s.relay.config.Tap(s.rights.Device, wire.SideDevice, f)...)
	}
	return out
}

// intake is what the frames of one message amount to: ops for the committer, and refusals.
type intake struct {
	ops   []queue.Op
	bytes int
	out   []wire.Frame
}

// acknowledged is the last acknowledgement in a message, which stands for those before it;
// 0: none.
func acknowledged(frames []wire.Frame) (last queue.Position) {
	for _, f := range frames {
		if ack, is := f.(wire.Ack); is {
			last = max(last, queue.Position(ack.Position))
		}
	}
	return last
}

// handle takes the frames of one message. An error ends the session. What is acknowledged
// counts before anything else in it: the writer acts on credit at once, and would bring that
// again.
func (s *session) handle(ctx context.Context, frames []wire.Frame) error {
	var in intake
	if last := acknowledged(frames); last > 0 {
		in.ops = append(in.ops, &queue.Ack{Desk: s.rights.Desk, Device: s.rights.Device, Position: last})
		s.noteAck(last)
	}
	for _, f := range frames {
		if err := s.takeFrame(ctx, &in, f); err != nil {
			return err
		}
	}
	if err := s.submit(&in); err != nil {
		return err
	}
	if len(in.out) > 0 {
		s.answer(refusalWeight*len(in.out), in.out...)
	}
	return nil
}

func (s *session) takeFrame(ctx context.Context, in *intake, f wire.Frame) error {
	switch f := f.(type) {
	case wire.Put:
		op, id, err := s.accept(f.Envelope)
		if err != nil {
			in.out = append(in.out, s.refused(id, err))
			return nil
		}
		in.ops, in.bytes = append(in.ops, op), in.bytes+len(f.Envelope)
	case wire.Ack: // taken before
	case wire.Credit:
		s.credit(f)
	case wire.Attended:
		in.ops = append(in.ops, &queue.Attend{Desk: s.rights.Desk, ID: f.ID, Token: f.Token})
	case wire.Fetch, wire.Append, wire.WantKeys:
		return s.ask(ctx, f)
	case wire.Cosigned:
		return s.cosigned(f)
	case wire.Plan, wire.TestPage, wire.WantPages:
		return s.askPager(ctx, f)
	default:
		return fmt.Errorf("%w: type %#02x after login", wire.ErrFrame, f.Type())
	}
	return nil
}

// credit adds what the device is ready to take. It may only grow so far: nobody
// has a use for more, and sums must not overflow.
func (s *session) credit(c wire.Credit) {
	s.mu.Lock()
	s.shared.messages = min(s.shared.messages+int(c.Messages), maxCredit)
	s.shared.bytes = min(s.shared.bytes+int(c.Bytes), maxCredit)
	s.mu.Unlock()
	signal(s.wake)
}

func (s *session) noteAck(p queue.Position) {
	s.mu.Lock()
	s.shared.acked = max(s.shared.acked, p)
	s.mu.Unlock()
	s.meter.debt.acknowledge(p, s.relay.config.Now())
	s.relay.metrics.acks.Inc()
}

// submit hands the ops to the committer. Where the committer is too busy for all
// of them it is asked for each, because it sheds what is least urgent first.
func (s *session) submit(in *intake) error {
	if len(in.ops) == 0 {
		return nil
	}
	s.mu.Lock()
	s.shared.inFlightOps += len(in.ops)
	s.shared.inFlightBytes += in.bytes
	s.mu.Unlock()
	err := s.relay.committer.Submit(s, in.ops...)
	if !errors.Is(err, queue.ErrBusy) {
		return err
	}
	for _, op := range in.ops {
		err := s.relay.committer.Submit(s, op)
		if err == nil {
			continue
		}
		put, isPut := op.(*queue.Put)
		if !isPut || !errors.Is(err, queue.ErrBusy) {
			return errors.Join(errBusy, err)
		}
		s.landed(1, len(put.Envelope))
		in.out = append(in.out, s.refused(put.ID, err))
	}
	return nil
}

// landed takes ops out of flight.
func (s *session) landed(ops, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared.inFlightOps -= ops
	s.shared.inFlightBytes -= bytes
}

// refused answers a put that was not taken.
func (s *session) refused(id envelope.ID, err error) wire.Frame {
	code := codeOf(err)
	s.relay.metrics.puts.WithLabelValues(code.String()).Inc()
	s.log.Debug("envelope refused", "id", id.String(), "code", code.String(), "error", err.Error())
	if code == wire.CodeConflict {
		s.log.Warn("envelope id used for other bytes")
	}
	return wire.Refused{ID: id, Code: code}
}
