package wire

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// errFlood cuts a peer that sends more WebSocket frames than any honest one.
var errFlood = errors.New("flood")

// Limits bound what a peer may make this side read. The zero value takes the
// defaults.
type Limits struct {
	BytesPerSecond  int // throttled: reading waits; default 64 MiB
	FramesPerSecond int // data frames of WebSocket, cut when exceeded; default 50 000
	// Grace is for a close handshake, and whatever is still read and written; default
	// CloseGrace.
	Grace time.Duration
}

const (
	defaultBytes  = 64 << 20
	defaultFrames = 50_000
	maxFragments  = 256 // WebSocket frames in one message
	controlRate   = 2   // pings and pongs per second
	controlBurst  = 30
	maxPreamble   = 16 << 10 // the HTTP response before the first frame
	rearmPart     = 30       // deadlines are set again after this part of the idle time
)

// guard is a net.Conn that keeps deadlines and counts the WebSocket frames that
// pass. The read limit of the library counts payload bytes only: empty fragments
// and pings pass under it without end.
type guard struct {
	net.Conn
	pending []byte // read by the HTTP layer before this conn took over
	rate    *rate.Limiter
	idle    time.Duration // IdleTimeout, less in tests
	grace   time.Duration // from the decision to close to the end
	done    chan struct{} // closed by Close

	// Owned by whoever reads: the library lets one read at a time, which is the
	// reading goroutine and, once it closes, the one that waits for the peer's answer.
	scan  scanner
	armed time.Time

	// mu orders deadlines set by reader and writer before the last one, set by shut.
	mu      sync.Mutex
	readBy  time.Time // absolute limit; zero: IdleTimeout from each read; under mu
	closing bool
	once    sync.Once
	failure error // why reading was cut; set under mu
}

func newGuard(c net.Conn, l Limits, preamble bool) *guard {
	if l.Grace <= 0 {
		l.Grace = CloseGrace
	}
	if l.BytesPerSecond <= 0 {
		l.BytesPerSecond = defaultBytes
	}
	if l.FramesPerSecond <= 0 {
		l.FramesPerSecond = defaultFrames
	}
	return &guard{
		Conn: c, done: make(chan struct{}), idle: IdleTimeout, grace: l.Grace,
		rate: rate.NewLimiter(rate.Limit(l.BytesPerSecond), max(l.BytesPerSecond/4, 64<<10)),
		scan: scanner{
			preamble: preamble,
			data:     rate.NewLimiter(rate.Limit(l.FramesPerSecond), l.FramesPerSecond/2+1),
			control:  rate.NewLimiter(controlRate, controlBurst),
		},
	}
}

// Read reads under the deadline of the current state, at the allowed rate, and
// fails for good once the peer has flooded.
func (g *guard) Read(p []byte) (int, error) {
	if len(g.pending) > 0 {
		n := copy(p, g.pending)
		g.pending = g.pending[n:]
		return n, g.check(p[:n])
	}
	now := time.Now()
	if err := g.arm(now); err != nil {
		return 0, err
	}
	n, err := g.Conn.Read(p)
	if n > 0 {
		if e := g.check(p[:n]); e != nil {
			return 0, e
		}
		g.throttle(n)
	}
	return n, err
}

// readWithin limits all reads together until t; the zero time ends that.
func (g *guard) readWithin(t time.Time) {
	g.mu.Lock()
	g.readBy = t
	g.mu.Unlock()
}

func (g *guard) limit() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.readBy
}

func (g *guard) arm(now time.Time) error {
	by := g.limit()
	if by.IsZero() {
		if now.Sub(g.armed) < g.idle/rearmPart {
			return nil
		}
		by = now.Add(g.idle)
		g.armed = now
	} else {
		g.armed = time.Time{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return nil
	}
	return g.Conn.SetReadDeadline(by)
}

func (g *guard) check(b []byte) error {
	err := g.scan.feed(b, time.Now())
	if err != nil {
		g.mu.Lock()
		g.failure = err
		g.mu.Unlock()
	}
	return err
}

// throttle waits until the peer's rate allows n more bytes, or the conn closes.
func (g *guard) throttle(n int) {
	wait := g.rate.ReserveN(time.Now(), min(n, g.rate.Burst())).Delay()
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.done:
	}
}

// writeWithin limits the writes that follow; 0 ends that.
func (g *guard) writeWithin(d time.Duration) {
	by := time.Time{}
	if d > 0 {
		by = time.Now().Add(d)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closing {
		_ = g.Conn.SetWriteDeadline(by)
	}
}

// shut sets the last deadline of this conn: whatever a hostile peer does during
// the close handshake, every read and write has ended by then. The library alone
// would wait for such a peer without bound.
func (g *guard) shut(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closing {
		g.closing = true
		_ = g.Conn.SetDeadline(time.Now().Add(d))
	}
}

func (g *guard) cause() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failure
}

// Close closes the TCP connection without TLS's close_notify: that would be one
// more write to wait for, and the WebSocket close frame has said as much.
func (g *guard) Close() error {
	g.once.Do(func() { close(g.done) })
	if t, ok := g.Conn.(*tls.Conn); ok {
		return t.NetConn().Close()
	}
	return g.Conn.Close()
}

// scanner follows the headers of WebSocket frames (RFC 6455, 5.2) in a stream.
type scanner struct {
	preamble bool // an HTTP response comes first
	seen     int  // bytes of the preamble so far
	ending   int  // how much of "\r\n\r\n" has been seen

	header    [14]byte
	have      int
	skip      uint64 // payload bytes still to come
	fragments int

	data, control *rate.Limiter
}

func (s *scanner) feed(b []byte, now time.Time) error {
	var err error
	if s.preamble {
		if b, err = s.skipPreamble(b); err != nil {
			return err
		}
	}
	for len(b) > 0 {
		if s.skip > 0 {
			n := min(s.skip, uint64(len(b)))
			s.skip -= n
			b = b[n:]
			continue
		}
		s.header[s.have] = b[0]
		s.have++
		b = b[1:]
		if s.have < headerSize(s.header[:s.have]) {
			continue
		}
		if err := s.frame(now); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) skipPreamble(b []byte) ([]byte, error) {
	const end = "\r\n\r\n"
	for i, c := range b {
		switch {
		case c == end[s.ending]:
			s.ending++
		case c == end[0]:
			s.ending = 1
		default:
			s.ending = 0
		}
		if s.ending == len(end) {
			s.preamble = false
			return b[i+1:], nil
		}
	}
	if s.seen += len(b); s.seen > maxPreamble {
		return nil, errFlood
	}
	return nil, nil
}

// headerSize returns how long the header that begins with h is, as far as h tells.
func headerSize(h []byte) int {
	if len(h) < 2 {
		return 2
	}
	n := 2
	switch h[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if h[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// frame takes a complete header.
func (s *scanner) frame(now time.Time) error {
	s.have = 0
	switch n := s.header[1] & 0x7f; n {
	case 126:
		s.skip = uint64(binary.BigEndian.Uint16(s.header[2:]))
	case 127:
		s.skip = binary.BigEndian.Uint64(s.header[2:])
	default:
		s.skip = uint64(n)
	}
	if s.header[0]&0x08 != 0 { // a control frame: close, ping, pong
		if !s.control.AllowN(now, 1) {
			return errFlood
		}
		return nil
	}
	s.fragments++
	if s.fragments > maxFragments || !s.data.AllowN(now, 1) {
		return errFlood
	}
	if s.header[0]&0x80 != 0 {
		s.fragments = 0
	}
	return nil
}
