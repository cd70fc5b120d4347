package relaytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/wire"
)

// Device is an enrolled device that a test speaks for.
type Device struct {
	trusttest.Device
	world *World
}

// Dial connects and does nothing more.
func (d *Device) Dial() *wire.Conn {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c, err := wire.Dial(ctx, d.world.URL, d.world.TLS())
	d.world.must(err)
	return c
}

// Token answers a challenge.
func (d *Device) Token(c wire.Challenge, binding []byte) wire.Login {
	login, err := wire.SignLogin(d.Device.Login.Private, d.ID, c, binding, d.world.config.Now(), rand.Reader)
	d.world.must(err)
	return login
}

// Blobs is a client for attachments of this device, closed when the test ends.
func (d *Device) Blobs() *wire.Blobs { return d.BlobsBy(d.world.URL) }

// BlobsBy is Blobs by another address, such as that of a line which breaks.
func (d *Device) BlobsBy(url string) *wire.Blobs {
	b := wire.NewBlobs(url, d.world.TLS(), wire.BlobDevice{Relay: trusttest.RelayID, Device: d.ID, Key: d.Device.Login.Private}, d.world.config.Now)
	d.world.t.Cleanup(b.Close)
	return b
}

// Login connects and logs in.
func (d *Device) Login() *Session { return d.LoginIn(d.world.t) }

// LoginIn is Login within another test than the world's, such as a fuzz target.
func (d *Device) LoginIn(t testing.TB) *Session {
	t.Helper()
	s, err := d.TryLoginIn(t)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TryLogin is Login for a device that may be refused.
func (d *Device) TryLogin() (*Session, error) { return d.TryLoginIn(d.world.t) }

// TryLoginIn is TryLogin within another test than the world's.
func (d *Device) TryLoginIn(t testing.TB) (*Session, error) {
	t.Helper()
	s := Attend(t, d.Dial())
	challenge := Expect[wire.Challenge](s)
	s.Send(d.Token(challenge, s.Conn.Binding()))
	f, err := s.Next()
	if err != nil {
		return nil, err
	}
	ready, ok := f.(wire.Ready)
	if !ok {
		return nil, errors.New("no ready after login")
	}
	s.Ready = ready
	return s, nil
}

// Session is a connection whose frames a goroutine reads ahead, as a client does.
type Session struct {
	Conn  *wire.Conn
	Ready wire.Ready

	t      testing.TB
	frames chan wire.Frame
	err    error // why frames is closed
}

// Attend reads a connection from now on, and closes it when the test ends.
func Attend(t testing.TB, c *wire.Conn) *Session {
	t.Helper()
	s := &Session{Conn: c, t: t, frames: make(chan wire.Frame, 1<<16)}
	go func() {
		defer close(s.frames)
		for {
			frames, err := c.ReadFrames(context.Background())
			if err != nil {
				s.err = err
				return
			}
			for _, f := range frames {
				s.frames <- f
			}
		}
	}()
	t.Cleanup(s.Close)
	return s
}

// Send sends frames in one go.
func (s *Session) Send(frames ...wire.Frame) {
	s.t.Helper()
	if err := s.Conn.Write(context.Background(), frames...); err != nil {
		s.t.Fatal(err)
	}
}

// Next waits for the next frame, or for the end of the connection.
func (s *Session) Next() (wire.Frame, error) {
	s.t.Helper()
	select {
	case f, ok := <-s.frames:
		if !ok {
			return nil, s.err
		}
		return f, nil
	case <-time.After(Patience):
		s.t.Fatal("no frame comes")
		return nil, nil
	}
}

// Quiet reports the frame that came though none should have, within d. A session may be told
// that the register grew to what it heard at its login: that is no frame.
func (s *Session) Quiet(d time.Duration) (wire.Frame, bool) {
	for over := time.After(d); ; {
		select {
		case f, ok := <-s.frames:
			if told, is := f.(wire.Advanced); is && told.RegisterSize <= s.Ready.RegisterSize {
				continue
			}
			return f, !ok
		case <-over:
			return nil, true
		}
	}
}

// Alive reports whether the relay still answers: it refuses an envelope that is none.
// Frames on the way are dropped.
func (s *Session) Alive() bool {
	s.t.Helper()
	if s.Conn.Write(context.Background(), wire.Put{Envelope: make([]byte, 64)}) != nil {
		return false
	}
	for {
		f, err := s.Next()
		if err != nil {
			return false
		}
		if _, refused := f.(wire.Refused); refused {
			return true
		}
	}
}

// Expect waits for the next frame of type F and fails the test at the end of the
// connection. Frames of other types on the way are dropped.
func Expect[F wire.Frame](s *Session) F {
	s.t.Helper()
	for {
		f, err := s.Next()
		if err != nil {
			var want F
			s.t.Fatalf("connection ended before %T: %v", want, err)
		}
		if f, ok := f.(F); ok {
			return f
		}
	}
}

// ExpectClose waits for the end of the connection and returns the close code.
// Frames on the way are dropped.
func (s *Session) ExpectClose() wire.CloseCode {
	s.t.Helper()
	for {
		if _, err := s.Next(); err != nil {
			code, _ := wire.CloseCodeOf(err)
			return code
		}
	}
}

// Close ends the connection and waits for its reader.
func (s *Session) Close() {
	_ = s.Conn.CloseNow()
	for range s.frames {
	}
}

// Envelope makes an envelope for devices of one desk, and its id. The sealed part
// is random: a relay cannot tell.
func (d *Device) Envelope(to ...*Device) ([]byte, envelope.ID) {
	return d.EnvelopeWith(func(*envelope.Header) {}, 1200, to...)
}

// EnvelopeWith makes an envelope of size sealed bytes whose header the test may
// change before it is encoded.
func (d *Device) EnvelopeWith(change func(*envelope.Header), size int, to ...*Device) ([]byte, envelope.ID) {
	d.world.t.Helper()
	now := d.world.config.Now()
	id, err := identity.NewUUIDv7(now, rand.Reader)
	d.world.must(err)
	h := envelope.Header{
		Version: 1, ID: envelope.ID(id), Sealer: d.ID, Desk: to[0].Desk, Tier: envelope.TierRoutine,
		Created: uint64(now.Unix()), Expires: uint64(now.Add(time.Hour).Unix()), AgeLength: uint64(size),
	}
	for _, t := range to {
		h.Targets = append(h.Targets, envelope.Target{Device: t.ID, Epoch: 1})
	}
	slices.SortFunc(h.Targets, func(a, b envelope.Target) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	change(&h)
	prefix, err := h.Prefix()
	d.world.must(err)
	sealed := make([]byte, h.AgeLength)
	rand.Read(sealed)
	return append(prefix, sealed...), h.ID
}

// Promised verifies the receipt for an envelope among the leaves of stored.
func (w *World) Promised(stored wire.Stored, raw []byte) bool {
	for _, l := range stored.Leaves {
		if custody.Verify(stored.Batch, l, sha256.Sum256(raw), w.Receipt.Public()) == nil {
			return true
		}
	}
	return false
}
