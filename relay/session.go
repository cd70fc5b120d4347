package relay

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"schakel/crypto/custody"
	"schakel/relay/auth"
	"schakel/relay/queue"
	"schakel/relay/wire"
)

// session is one connection of one device: the goroutine of run, which logs it in
// and then writes, and the goroutine of read, which run starts and waits for.
// Everybody else leaves something in the shared part and wakes the writer.
type session struct {
	relay    *Relay
	conn     *wire.Conn
	entering *entering // nil in some tests
	log      *slog.Logger

	// Set by run before read starts, constant afterwards.
	rights auth.Session
	meter  *meter

	// Owned by run.
	sent     queue.Position // delivered up to here
	caughtUp bool           // nothing was in the mailbox beyond sent
	stale    bool           // the store may hold what this relay did not write
	need     int            // size of the next envelope, when it was more than the credit
	fetching *fetch         // a register answer that is being sent in pieces

	wake chan struct{} // capacity 1: the shared part has something for run
	room chan struct{} // capacity 1: the shared part has room for read
	over chan struct{} // closed by run when it ends

	// Guarded by hub.mu; turn is constant once started.
	turn     int    // in which part of a sweep it is rung
	number   uint64 // among the sessions of the device, where the store is shared; 0: none yet
	expected bool   // the hub listens for later sessions

	mu     sync.Mutex // guards the shared part
	shared shared
}

// shared is what other goroutines leave for the writer, and what limits them.
type shared struct {
	answers       []wire.Frame
	weight        int // of answers, about their bytes
	messages      int // credit
	bytes         int
	rung          bool // this relay wrote to the mailbox
	swept         bool // another may have
	acked         queue.Position
	advanced      uint64 // register size to announce; 0: none
	asked         *wire.Fetch
	witness       witness
	cosign        bool // the witness may have to be asked
	inFlightOps   int
	inFlightBytes int
	goAway        time.Duration // to announce once; 0: none
	entered       bool          // logged in
	ending        bool
	code          wire.CloseCode
}

func newSession(r *Relay, conn *wire.Conn, e *entering) *session {
	return &session{
		relay: r, conn: conn, entering: e, log: r.log,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), over: make(chan struct{}),
	}
}

// run owns the session from challenge to close.
func (s *session) run() {
	var reader sync.WaitGroup
	defer reader.Wait()
	defer close(s.over)
	code := wire.CloseInternal
	defer func() { s.close(code) }()
	defer s.recovered()

	ctx := context.Background()
	if err := s.login(ctx); err != nil {
		code = loginCode(err)
		s.relay.loginRefused(s, err)
		return
	}
	if err := s.greet(ctx); err != nil {
		code = wire.CloseInternal
		s.log.Warn("session cannot begin", "device", s.rights.Device.String(), "error", err.Error())
		return
	}
	reader.Go(func() { s.read(ctx) })
	code = s.write(ctx)
}

func (s *session) close(code wire.CloseCode) {
	s.relay.metrics.closes.WithLabelValues(code.String()).Inc()
	s.log.Debug("session ends", "close", int(code))
	_ = s.conn.Close(code)
	if s.entering != nil {
		s.entering.settle()
	}
}

// recovered keeps a panic within its session.
func (s *session) recovered() {
	if v := recover(); v != nil {
		s.relay.metrics.panics.Inc()
		s.log.Error("session panicked", "panic", panicText(v), "stack", string(debug.Stack()))
		s.end(wire.CloseInternal)
	}
}

// panicText gives runtime errors their text, and of anything else only the type:
// a value might hold what a log must not.
func panicText(v any) string {
	if err, ok := v.(interface{ RuntimeError() }); ok {
		return err.(error).Error()
	}
	return "not a runtime error"
}

// end makes the session close with code, within wire.CloseGrace from the first
// call on, which is the one that counts. It does not wait for that.
func (s *session) end(code wire.CloseCode) {
	s.mu.Lock()
	first, entered := !s.shared.ending, s.shared.entered
	if first {
		s.shared.ending, s.shared.code = true, code
	}
	s.mu.Unlock()
	switch {
	case !first:
	case entered:
		s.conn.Hurry()
	default: // run waits for a token and hears no wake
		_ = s.conn.CloseNow()
	}
	signal(s.wake)
	signal(s.room)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ring says that this relay wrote to the mailbox.
func (s *session) ring() {
	s.mu.Lock()
	s.shared.rung = true
	s.mu.Unlock()
	signal(s.wake)
}

// lookAgain says that the mailbox may hold what another relay wrote.
func (s *session) lookAgain() {
	s.mu.Lock()
	s.shared.swept = true
	s.mu.Unlock()
	signal(s.wake)
}

// answer leaves frames for the writer. It never blocks: read waits for room
// before it makes more, and the committer's answers are bounded by what is in flight.
func (s *session) answer(weight int, frames ...wire.Frame) {
	s.mu.Lock()
	if !s.shared.ending {
		s.shared.answers = append(s.shared.answers, frames...)
		s.shared.weight += weight
	}
	s.mu.Unlock()
	signal(s.wake)
}

// settled answers ops that came back from the committer.
func (s *session) settled(ops, bytes int, b custody.Batch, leaves []custody.Leaf, others []wire.Frame) {
	s.mu.Lock()
	s.shared.inFlightOps -= ops
	s.shared.inFlightBytes -= bytes
	// Receipts weigh as well: who puts without end and never reads must find the
	// reader waiting.
	s.shared.weight += leafWeight*len(leaves) + refusalWeight*len(others)
	for len(leaves) > 0 {
		n := min(len(leaves), wire.MaxLeaves)
		s.shared.answers = append(s.shared.answers, wire.Stored{Batch: b, Leaves: leaves[:n]})
		leaves = leaves[n:]
	}
	s.shared.answers = append(s.shared.answers, others...)
	s.mu.Unlock()
	signal(s.wake)
	signal(s.room)
}

// write sends what waits until the session ends, and returns why it ended. Idle sessions
// wait here, in a frame so small that the stack which the login needed can shrink again: what
// is sent has frames of its own.
func (s *session) write(ctx context.Context) wire.CloseCode {
	for {
		code, next := s.say(ctx)
		switch next {
		case over:
			return code
		case rest:
			<-s.wake
		}
	}
}

// What follows a turn of the writer.
type following int

const (
	again following = iota // there may be more to send
	rest                   // nothing waits
	over                   // the session ends
)

// say sends what waits, once.
func (s *session) say(ctx context.Context) (wire.CloseCode, following) {
	todo, ended := s.take()
	frames, err := s.gather(ctx, todo)
	if err != nil {
		s.log.Warn("mailbox cannot be read", "error", err.Error())
		return wire.CloseInternal, over
	}
	if len(frames) > 0 {
		if err := s.conn.Write(ctx, s.tapped(frames)...); err != nil {
			return wire.CloseTimeout, over
		}
		return 0, again
	}
	if ended {
		return todo.code, over
	}
	return 0, rest
}

// take takes over the shared part, as far as it is for the writer.
func (s *session) take() (todo shared, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	todo = s.shared
	// Whatever else wakes a witness, its word may have aged meanwhile.
	todo.cosign = todo.cosign || todo.witness.name != ""
	s.shared.answers, s.shared.weight = nil, 0
	s.shared.advanced, s.shared.goAway, s.shared.rung, s.shared.swept, s.shared.cosign = 0, 0, false, false, false
	if s.fetching == nil {
		s.shared.asked = nil
	}
	signal(s.room)
	return todo, s.shared.ending
}

// gather turns what waits into frames: answers first, they free the other side.
func (s *session) gather(ctx context.Context, todo shared) ([]wire.Frame, error) {
	frames := todo.answers
	if todo.advanced > 0 {
		frames = append(frames, wire.Advanced{RegisterSize: todo.advanced})
	}
	if todo.goAway > 0 {
		frames = append(frames, wire.GoAway{AfterMillis: uint32(todo.goAway.Milliseconds())})
	}
	if todo.ending {
		return frames, nil
	}
	if todo.cosign {
		frames = s.askWitness(frames)
	}
	frames, err := s.sendRegister(frames, todo.asked)
	if err != nil {
		return frames, err
	}
	return s.deliver(ctx, frames, todo)
}

func (s *session) tapped(frames []wire.Frame) []wire.Frame {
	if s.relay.config.Tap == nil {
		return frames
	}
	var out []wire.Frame
	for _, f := range frames {
		out = append(out, s.relay.config.Tap(s.rights.Device, wire.SideRelay, f)...)
	}
	return out
}

// errEnded stops a reader whose session is ending.
var errEnded = errors.New("session is ending")

// waitForRoom makes the reader wait while too much of this session is in flight
// or waits for the device to take it: its own connection is the queue for that.
func (s *session) waitForRoom() error {
	for {
		s.mu.Lock()
		sh, limits := &s.shared, s.relay.config.Limits
		ending := sh.ending
		free := sh.weight < limits.answers && sh.inFlightOps < limits.InFlightOps && sh.inFlightBytes < limits.InFlightBytes
		s.mu.Unlock()
		switch {
		case ending:
			return errEnded
		case free:
			return nil
		}
		select {
		case <-s.room:
		case <-s.over:
			return errEnded
		}
	}
}
