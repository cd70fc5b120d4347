package schakel

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// What a session lets the relay have on the way to it, and itself to the relay.
// They bound the memory of both sides; the stores are the buffers.
const (
	creditMessages = 256
	creditBytes    = 8 << 20
	maxInFlight    = 256
	controlFrames  = 64
	loginTimeout   = 10 * time.Second
)

// session is one live connection. Exactly two goroutines: read handles what the
// relay says, write says what this device has to say. Fields are grouped by owner.
type session struct {
	n     *Node
	conn  *wire.Conn
	ready wire.Ready
	ahead time.Duration // the relay's clock less ours, at login

	// read's own
	syncing  bool         // an answer to Fetch is on its way
	again    bool         // and another question is needed after it
	update   trust.Update // what of the answer has come
	credited bool
	held     []wire.Deliver // arrived, and waiting for the register to catch up
	asked    map[uint64][]wire.KeyWanted
	tag      uint64

	// shared
	control chan wire.Frame // anybody to write
	gone    chan struct{}   // closed when the session is over
	wake    chan struct{}   // something in the outbox, or room in flight
	flight  flight
	online  atomic.Bool     // the register is current: the outbox may leave
	over    <-chan struct{} // closed when the session ends
}

// runSession connects, logs in and serves until the connection or ctx ends.
func (n *Node) runSession(ctx context.Context) error {
	dialCtx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	conn, err := n.dial(dialCtx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return n.converse(ctx, dialCtx, conn)
}

// converse logs in on a connection, within dialCtx, serves until it or ctx ends, and
// closes it.
func (n *Node) converse(ctx, dialCtx context.Context, conn *wire.Conn) error {
	defer conn.Close(wire.CloseNormal)
	s := &session{n: n, conn: conn, control: make(chan wire.Frame, controlFrames), wake: make(chan struct{}, 1),
		gone: make(chan struct{}), asked: map[uint64][]wire.KeyWanted{}}
	defer close(s.gone)
	if err := s.login(dialCtx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	s.over = ctx.Done()
	n.attach(s)
	defer n.detach(s)
	g.Go(func() error { return s.write(ctx) })
	g.Go(func() error { return s.read(ctx) })
	// The library's reads do not always end with their context: closing does.
	stop := context.AfterFunc(ctx, func() { conn.Close(wire.CloseNormal) })
	defer stop()
	return g.Wait()
}

// login answers the relay's challenge. The relay named in it must be the one in
// the register: a token made for another is worth nothing there (attack D37), and
// this device gives none away.
func (s *session) login(ctx context.Context) error {
	f, err := s.one(ctx)
	if err != nil {
		return err
	}
	challenge, ok := f.(wire.Challenge)
	if !ok {
		return fmt.Errorf("%w: no challenge", wire.ErrFrame)
	}
	relay := s.n.directory().relay.ID
	if challenge.Relay != relay {
		return fmt.Errorf("%w: this relay calls itself %q, the register says %q", ErrUnreachable, challenge.Relay, relay)
	}
	if challenge.Version != wire.Version {
		return fmt.Errorf("%w: relay speaks version %d, this program version %d; update the older one", ErrUnreachable, challenge.Version, wire.Version)
	}
	login, err := wire.SignLogin(s.n.keys.Login, s.n.keys.ID, challenge, s.conn.Binding(), s.tokenTime(), rand.Reader)
	if err != nil {
		return err
	}
	if err := s.conn.Write(ctx, login); err != nil {
		return err
	}
	s.conn.SetReadLimit(wire.MaxMessage)
	if f, err = s.one(ctx); err != nil {
		return err
	}
	if s.ready, ok = f.(wire.Ready); !ok {
		return fmt.Errorf("%w: no ready", wire.ErrFrame)
	}
	s.n.heardTime(s.ready.Now)
	s.ahead = time.Unix(int64(s.ready.Now), 0).Sub(s.n.now()).Truncate(time.Second)
	return nil
}

// tokenTime is the moment that a login token says it was made at. It lives for a minute, and
// honest clocks may be further apart than that: within what they may, the relay's own is
// taken. Nothing rests on the moment but the relay's patience, since the token holds for this
// connection and its nonce alone.
func (s *session) tokenTime() time.Time {
	own, theirs := s.n.now(), s.conn.Date()
	if !theirs.IsZero() && theirs.Sub(own).Abs() <= clockSlack {
		return theirs
	}
	return own
}

// one reads a message that must carry exactly one frame.
func (s *session) one(ctx context.Context) (wire.Frame, error) {
	frames, err := s.conn.ReadFrames(ctx)
	if err != nil {
		return nil, err
	}
	if len(frames) != 1 {
		return nil, fmt.Errorf("%w: %d frames during login", wire.ErrFrame, len(frames))
	}
	return frames[0], nil
}

// read handles what the relay says, in order. What arrives together is stored
// together: one transaction, one acknowledgement.
func (s *session) read(ctx context.Context) error {
	if err := s.fetchRegister(ctx); err != nil {
		return err
	}
	if err := s.announceWitness(ctx); err != nil {
		return err
	}
	for {
		frames, err := s.conn.ReadFrames(ctx)
		if err != nil {
			return err
		}
		for len(frames) > 0 {
			batch := leadingDeliveries(frames)
			if len(batch) > 0 {
				frames = frames[len(batch):]
				err = s.arrived(ctx, batch)
			} else {
				f := frames[0]
				frames = frames[1:]
				err = s.handle(ctx, f)
			}
			if err != nil {
				return err
			}
		}
	}
}

func leadingDeliveries(frames []wire.Frame) []wire.Deliver {
	var out []wire.Deliver
	for _, f := range frames {
		d, ok := f.(wire.Deliver)
		if !ok {
			break
		}
		out = append(out, d)
	}
	return out
}

func (s *session) handle(ctx context.Context, f wire.Frame) error {
	switch f := f.(type) {
	case wire.Stored:
		return s.stored(ctx, f)
	case wire.Refused:
		return s.refused(ctx, f)
	case wire.Notice:
		return s.noticed(ctx, f)
	case wire.Register:
		return s.registered(ctx, f)
	case wire.KeysAre:
		return s.keysAre(ctx, f)
	case wire.Appended:
		return s.n.appended(ctx, f)
	case wire.Advanced:
		return s.fetchRegister(ctx)
	case wire.AttendedIs:
		return nil // a hint: the relay's ladder is its own affair, ours goes by signatures
	case wire.TestPageIs:
		s.n.heard(f.Tag, f)
		return nil
	case wire.PagesAre:
		s.n.heard(f.Tag, f)
		return nil
	case wire.PlanIs:
		return s.n.planIs(ctx, f)
	case wire.Cosign:
		return s.cosign(ctx, f)
	case wire.GoAway:
		return goAwayError{after: time.Duration(f.AfterMillis) * time.Millisecond}
	default:
		return fmt.Errorf("%w: unexpected frame %#x", wire.ErrFrame, f.Type())
	}
}

// say hands a frame to write. It waits while the relay does not take what was said
// before, which in turn stops read from taking more: the pressure reaches the relay.
func (s *session) say(ctx context.Context, frames ...wire.Frame) error {
	for _, f := range frames {
		select {
		case s.control <- f:
		case <-s.over: // nobody takes what is said any more; upkeep must not wait for it
			return ErrUnreachable
		case <-ctx.Done():
			return ctx.Err()
		case <-s.gone: // the caller need not be of this session
			return ErrUnreachable
		}
	}
	return nil
}

// write sends what read and the rest of the node have to say, and offers the outbox.
func (s *session) write(ctx context.Context) error {
	for {
		var frames []wire.Frame
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-s.control:
			frames = append(frames, f)
		case <-s.wake:
		}
		frames = s.gather(frames)
		puts, err := s.offers(ctx)
		if err != nil {
			return err
		}
		if frames = append(frames, puts...); len(frames) == 0 {
			continue
		}
		if err := s.conn.Write(ctx, frames...); err != nil {
			return err
		}
	}
}

func (s *session) gather(frames []wire.Frame) []wire.Frame {
	for len(frames) < controlFrames {
		select {
		case f := <-s.control:
			frames = append(frames, f)
		default:
			return frames
		}
	}
	return frames
}

// nudge makes write look at the outbox again.
func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
