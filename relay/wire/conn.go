package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// ErrText refuses a WebSocket text message: frames are binary.
var ErrText = errors.New("text message")

// Conn carries frames. One goroutine may call ReadFrames while another calls
// Write; Close may be called by any, any number of times.
//
// A hostile peer can make this side hold one message, wait for MessageTimeout or
// IdleTimeout, and no more.
type Conn struct {
	ws      *websocket.Conn
	guard   *guard
	self    Side
	ping    time.Duration // PingInterval, less in tests
	slowest time.Duration // WriteTimeout, less in tests
	binding []byte
	date    time.Time
}

// scratch holds buffers that are in use only while a message is read or written,
// so that an idle connection holds none.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, batchTarget+8<<10); return &b }}

const scratchKeep = 256 << 10

func putScratch(b *[]byte) {
	if cap(*b) <= scratchKeep {
		*b = (*b)[:0]
		scratch.Put(b)
	}
}

// Binding returns the tls-exporter channel binding of the connection (RFC 9266),
// 32 bytes, or none without TLS.
func (c *Conn) Binding() []byte { return c.binding }

// Date returns the peer's clock as its HTTP response gave it, or zero: the relay's word,
// and nobody else's.
func (c *Conn) Date() time.Time { return c.date }

// SetReadLimit bounds the WebSocket messages that follow: MaxLoginMessage at
// first, MaxMessage once the login has succeeded.
func (c *Conn) SetReadLimit(n int) { c.ws.SetReadLimit(int64(n)) }

// ReadBy gives all reads together until t. The zero time returns to IdleTimeout
// per read and MessageTimeout per message. Only the reading goroutine may call it.
func (c *Conn) ReadBy(t time.Time) { c.guard.readWithin(t) }

// ReadFrames waits for one WebSocket message and returns its frames, at least
// one. Their byte slices are the caller's to keep. Any error is final. A device
// must always be reading: ReadFrames also answers and sends pings.
func (c *Conn) ReadFrames(ctx context.Context) ([]Frame, error) {
	if c.self == SideDevice {
		defer c.keepAlive()()
	}
	kind, r, err := c.ws.Reader(ctx)
	if err != nil {
		return nil, c.readError(err)
	}
	if kind != websocket.MessageBinary {
		return nil, ErrText
	}
	if c.guard.limit().IsZero() {
		c.guard.readWithin(time.Now().Add(MessageTimeout))
		defer c.guard.readWithin(time.Time{})
	}
	msg, err := readMessage(r)
	if err != nil {
		return nil, c.readError(err)
	}
	return ParseFrames(msg, 1-c.self)
}

// readMessage reads into a pooled buffer first, because the length of a message
// is not known before its end, and returns an exact copy.
func readMessage(r io.Reader) ([]byte, error) {
	pooled := scratch.Get().(*[]byte)
	defer putScratch(pooled)
	b := *pooled
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			*pooled = b
			if errors.Is(err, io.EOF) {
				return append(make([]byte, 0, len(b)), b...), nil
			}
			return nil, err
		}
	}
}

func (c *Conn) readError(err error) error {
	if cause := c.guard.cause(); cause != nil {
		err = cause
	}
	return fmt.Errorf("failed to read frames: %w", err)
}

// keepAlive pings the relay while the device waits for a message, and gives up
// on a relay that does not answer. It returns the function that ends it.
func (c *Conn) keepAlive() func() {
	var timer *time.Timer
	var stopped sync.Mutex
	ended := false
	stopped.Lock() // until timer is set: the function below reads it
	defer stopped.Unlock()
	timer = time.AfterFunc(c.ping, func() {
		if err := c.pingOnce(); err != nil {
			_ = c.guard.Close()
			return
		}
		stopped.Lock()
		defer stopped.Unlock()
		if !ended {
			timer.Reset(c.ping)
		}
	})
	return func() {
		stopped.Lock()
		defer stopped.Unlock()
		ended = true
		timer.Stop()
	}
}

// pingOnce waits for the answer to one ping, but not longer than the connection lives: the
// library learns only from a reader that it has ended, and by then there may be none.
func (c *Conn) pingOnce() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.ping)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- c.ws.Ping(ctx) }()
	select {
	case err := <-answered:
		return err
	case <-c.guard.done:
		return net.ErrClosed
	}
}

// Write sends the frames in order, as few WebSocket messages as their size
// allows. It returns when they are with the kernel. Any error is final.
func (c *Conn) Write(ctx context.Context, frames ...Frame) error {
	pooled := scratch.Get().(*[]byte)
	defer putScratch(pooled)
	b, count := (*pooled)[:0], 0
	for _, f := range frames {
		before := len(b)
		var err error
		if b, err = AppendFrame(b, f); err != nil {
			return err
		}
		*pooled = b
		if before > 0 && (len(b) > batchTarget || count == MaxFrames) {
			if err := c.send(ctx, b[:before]); err != nil {
				return err
			}
			b, count = b[:copy(b, b[before:])], 0
		}
		count++
	}
	if len(b) == 0 {
		return nil
	}
	return c.send(ctx, b)
}

func (c *Conn) send(ctx context.Context, msg []byte) error {
	// The limit is of this message: pings and pongs that are written long after it have
	// limits of their own, and would fail by this one on a connection that is idle.
	c.guard.writeWithin(c.slowest)
	defer c.guard.writeWithin(0)
	if err := c.ws.Write(ctx, websocket.MessageBinary, msg); err != nil {
		return fmt.Errorf("failed to write frames: %w", err)
	}
	return nil
}

// Close says why and ends the connection, within CloseGrace whatever the peer
// does. It frees a goroutine that waits in ReadFrames or Write.
func (c *Conn) Close(code CloseCode) error {
	c.guard.shut(c.guard.grace)
	err := c.ws.Close(websocket.StatusCode(code), code.String())
	if e := c.guard.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("failed to close: %w", err)
	}
	return nil
}

// Hurry gives everything that is still read, written and closed CloseGrace from
// now. Further calls, and the Close that follows, do not prolong it.
func (c *Conn) Hurry() { c.guard.shut(c.guard.grace) }

// CloseNow ends the connection without a word. It may be called by any goroutine
// and does not wait for the others.
func (c *Conn) CloseNow() error {
	c.guard.shut(0)
	return c.guard.Close()
}

// CloseCodeOf returns the code by which the peer closed, if err says that it did.
func CloseCodeOf(err error) (CloseCode, bool) {
	if s := websocket.CloseStatus(err); s >= 0 {
		return CloseCode(s), true
	}
	return 0, false
}

// CodeFor returns the close code that answers an error of ReadFrames.
func CodeFor(err error) CloseCode {
	switch {
	case err == nil:
		return CloseNormal
	case errors.Is(err, errFlood):
		return CloseFlood
	case errors.Is(err, ErrFrame):
		return CloseFrame
	case errors.Is(err, ErrText):
		return CloseBadType
	case errors.Is(err, websocket.ErrMessageTooBig):
		return CloseTooBig
	case errors.Is(err, os.ErrDeadlineExceeded):
		return CloseTimeout
	case websocket.CloseStatus(err) >= 0:
		return CloseNormal
	}
	return CloseProtocol
}
