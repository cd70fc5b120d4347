package simulation_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// weather is what a network is like at the moment.
type weather struct {
	slow   bool // seconds instead of milliseconds
	sliced bool // a few bytes at a time
}

// network carries connections from devices to one listener. Bytes of one connection stay
// in order, as with TCP; those of different ones overtake each other.
type network struct {
	mu       sync.Mutex // guards what follows
	weather  weather
	listener *listener // nil: nobody listens
	cables   map[*cable]bool
}

var errReset = errors.New("connection reset")

// cable is one connection: what each end writes the other reads.
type cable struct {
	net   *network
	owner int // which device dialled
	seed  uint64
	ends  [2]*end // the device's, the relay's

	dark atomic.Bool // nothing passes any more, and nobody is told
}

// luck depends on the cable and the instant alone, so that it is the same whether somebody
// says two things at once or one after the other.
func (c *cable) luck() *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, uint64(time.Now().UnixNano())))
}

// end is one side of a cable.
type end struct {
	cable *cable
	peer  *end
	local address

	mu            sync.Mutex // guards what follows
	arriving      []parcel
	failure       error // of reads once arriving is empty, and of writes
	closed        bool
	readBy, wrote time.Time     // the deadline of reads; when the last parcel arrives
	changed       chan struct{} // closed and replaced when any of this changes
}

type parcel struct {
	at    time.Time
	bytes []byte
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func newNetwork() *network { return &network{cables: make(map[*cable]bool)} }

// dial connects a device; luck decides how long everything on the way takes.
func (n *network) dial(owner int, from address, luck *rand.Rand) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-time.After(time.Duration(luck.Int64N(int64(30 * time.Millisecond)))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.listener == nil {
			return nil, errReset
		}
		c := &cable{net: n, owner: owner, seed: luck.Uint64()}
		for i, a := range []address{from, "192.0.2.1:443"} {
			c.ends[i] = &end{cable: c, local: a, changed: make(chan struct{})}
		}
		c.ends[0].peer, c.ends[1].peer = c.ends[1], c.ends[0]
		n.cables[c] = true
		n.listener.arrived <- c.ends[1]
		return c.ends[0], nil
	}
}

// listen opens the relay's end.
func (n *network) listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = &listener{net: n, arrived: make(chan *end, 1<<10), over: make(chan struct{})}
	return n.listener
}

type listener struct {
	net     *network
	arrived chan *end
	over    chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.arrived:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.net.mu.Lock()
	if l.net.listener == l {
		l.net.listener = nil
	}
	l.net.mu.Unlock()
	l.once.Do(func() { close(l.over) })
	return nil
}

func (l *listener) Addr() net.Addr { return address("192.0.2.1:443") }

func (n *network) turn(w weather) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.weather = w
}

func (n *network) now() weather {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.weather
}

// of lists the cables of a device, or all.
func (n *network) of(owner int) (list []*cable) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.cables {
		if owner < 0 || c.owner == owner {
			list = append(list, c)
		}
	}
	return list
}

// off is what becomes of connections when the relay's process ends: nothing more comes
// from it. Silently when its machine has no power either.
func (n *network) off(silent bool) {
	n.mu.Lock()
	if n.listener != nil {
		n.listener.once.Do(func() { close(n.listener.over) })
	}
	n.listener = nil
	n.mu.Unlock()
	for _, c := range n.of(-1) {
		if silent {
			c.darken()
			c.ends[1].fail(errReset)
		} else {
			c.cut()
		}
	}
}

// cut ends a connection for both, within whatever is under way.
func (c *cable) cut() {
	for _, e := range c.ends {
		part := c.luck().Float64()
		e.mu.Lock()
		now := time.Now()
		for i, p := range e.arriving {
			if p.at.After(now) {
				whole := int(part * float64(len(p.bytes)))
				e.arriving = append(e.arriving[:i], parcel{now, p.bytes[:whole]})
				break
			}
		}
		e.mu.Unlock()
		e.fail(errReset)
	}
	c.net.forget(c)
}

// darken loses everything from now on.
func (c *cable) darken() {
	c.dark.Store(true)
	for _, e := range c.ends {
		e.mu.Lock()
		e.arriving = nil
		e.mu.Unlock()
	}
}

func (n *network) forget(c *cable) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cables, c)
}

// fail ends an end: what has arrived can still be read.
func (e *end) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure == nil {
		e.failure = err
	}
	e.change()
}

// change wakes who waits; e.mu is held.
func (e *end) change() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Read waits for what has arrived.
func (e *end) Read(p []byte) (int, error) {
	for {
		n, wait, changed, err := e.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		if wait < 0 {
			<-changed
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take reads what is there, or says how long that may take; below 0: nobody knows.
func (e *end) take(p []byte) (n int, wait time.Duration, changed chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	switch {
	case e.closed:
		return 0, 0, nil, net.ErrClosed
	case !e.readBy.IsZero() && !now.Before(e.readBy):
		return 0, 0, nil, os.ErrDeadlineExceeded
	case len(e.arriving) > 0 && !e.arriving[0].at.After(now):
		first := &e.arriving[0]
		n = copy(p, first.bytes)
		if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
			e.arriving = e.arriving[1:]
		}
		return n, 0, e.changed, nil
	case len(e.arriving) == 0 && e.failure != nil:
		return 0, 0, nil, e.failure
	}
	wait = -1
	if len(e.arriving) > 0 {
		wait = e.arriving[0].at.Sub(now)
	}
	if !e.readBy.IsZero() && (wait < 0 || e.readBy.Sub(now) < wait) {
		wait = e.readBy.Sub(now)
	}
	return 0, wait, e.changed, nil
}

// Write sends bytes on their way. A sender never waits: what is under way is bounded by
// what devices have to say.
func (e *end) Write(p []byte) (int, error) {
	e.mu.Lock()
	failed, closed := e.failure, e.closed
	e.mu.Unlock()
	switch {
	case closed:
		return 0, net.ErrClosed
	case failed != nil:
		return 0, failed
	}
	w := e.cable.net.now()
	delay := time.Millisecond + time.Duration(e.cable.luck().Int64N(int64(40*time.Millisecond)))
	if w.slow {
		delay *= 50
	}
	if !e.cable.dark.Load() {
		e.peer.receive(append([]byte(nil), p...), time.Now().Add(delay), w.sliced)
	}
	return len(p), nil
}

// apart is how long after one message of a device the next can arrive: which of them the
// relay writes together is a matter of time then, and not of who runs first.
const apart = 10 * time.Microsecond

func (e *end) receive(b []byte, at time.Time, sliced bool) {
	const slice = 7
	e.mu.Lock()
	defer e.mu.Unlock()
	earliest := e.wrote
	if e == e.cable.ends[1] {
		earliest = earliest.Add(apart)
	}
	if at.Before(earliest) {
		at = earliest
	}
	for e.wrote = at; sliced && len(b) > slice; b = b[slice:] {
		e.arriving = append(e.arriving, parcel{at, b[:slice]})
	}
	e.arriving = append(e.arriving, parcel{at, b})
	e.change()
}

// Close ends both ends; the other one reads what was under way first.
func (e *end) Close() error {
	e.mu.Lock()
	was := e.closed
	e.closed = true
	e.change()
	e.mu.Unlock()
	if was {
		return nil
	}
	if !e.cable.dark.Load() {
		e.peer.fail(io.EOF)
	}
	e.cable.net.forget(e.cable)
	return nil
}

func (e *end) LocalAddr() net.Addr  { return e.local }
func (e *end) RemoteAddr() net.Addr { return e.peer.local }

func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readBy = t
	e.change()
	return nil
}

// SetWriteDeadline has nothing to do: no write waits.
func (e *end) SetWriteDeadline(time.Time) error { return nil }
