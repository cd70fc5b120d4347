package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// cutting is a line to a relay that is reset after so many bytes.
type cutting struct {
	net.Listener
	to       string
	up, down atomic.Int64    // bytes that each connection may carry; below zero: all
	carried  [2]atomic.Int64 // of the latest connection
	group    sync.WaitGroup
}

func newCutting(t *testing.T, to string) *cutting {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutting{Listener: l, to: to}
	c.group.Go(c.serve)
	t.Cleanup(func() { _ = l.Close(); c.group.Wait() })
	return c
}

func (c *cutting) serve() {
	for {
		near, err := c.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		up, down := c.up.Load(), c.down.Load()
		c.carried[0].Store(0)
		c.carried[1].Store(0)
		c.group.Go(func() { c.carry(far, near, up, &c.carried[0]) })
		c.group.Go(func() { c.carry(near, far, down, &c.carried[1]) })
	}
}

// carry carries one direction, and resets both ends at its end, wherever that is.
func (c *cutting) carry(to, from net.Conn, most int64, carried *atomic.Int64) {
	var r io.Reader = from
	if most >= 0 {
		r = io.LimitReader(from, most)
	}
	_, _ = io.Copy(counted{to, carried}, r) // however it ends
	for _, conn := range []net.Conn{to, from} {
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset, and no end
		_ = conn.Close()
	}
}

// counted counts what is written.
type counted struct {
	io.Writer
	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// patiently asks again where the relay says that it was too soon, or had closed a connection
// for being idle while this machine was busy.
func patiently(t *testing.T, ask func() error) error {
	t.Helper()
	for range 100 {
		err := ask()
		if !errors.Is(err, wire.ErrBlobRate) && !errors.Is(err, wire.ErrBusy) && !errors.Is(err, net.ErrClosed) {
			return err
		}
		<-time.After(100 * time.Millisecond)
	}
	return wire.ErrBlobRate
}

// cutOr is the error of a line that is cut: it is not tried twice.
func cutOr(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cutSize is a part over several records of TLS.
const cutSize = 6000

// cutBlob uploads and downloads over a line that is cut.
type cutBlob struct {
	t        *testing.T
	line     *cutting
	from, to *relaytest.Device
	content  []byte
	id       wire.BlobID
}

func (b *cutBlob) fresh() {
	b.content = make([]byte, cutSize)
	rand.Read(b.content)
	b.id = sha256.Sum256(b.content)
}

func (b *cutBlob) upload(by *wire.Blobs) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	_, err := by.Append(ctx, b.id, wire.BlobPart{Length: cutSize, Desks: []identity.DeskID{b.to.Desk}, Body: bytes.NewReader(b.content), Size: cutSize})
	return err
}

func (b *cutBlob) download(by *wire.Blobs, offset int64) (got []byte, err error) {
	r, err := by.Read(b.t.Context(), b.id, offset, cutSize-offset)
	if err != nil {
		return nil, err
	}
	got, err = io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

func (b *cutBlob) way() string { return "wss://" + b.line.Addr().String() }

// up uploads over a line that is cut after so many bytes. Whatever came through, no half of it
// is kept or seen, and once more it arrives. It reports how far the relay was after the cut.
func (b *cutBlob) up(cut int64, direct, reader *wire.Blobs) (failed, begun bool) {
	b.t.Helper()
	b.fresh()
	b.line.up.Store(cut)
	over := b.from.BlobsBy(b.way())
	failed = patiently(b.t, func() error { return cutOr(b.upload(over)) }) != nil
	over.Close()
	var state wire.BlobState
	err := patiently(b.t, func() (err error) { state, err = direct.State(b.t.Context(), b.id); return err })
	begun = err == nil && !state.Complete
	switch {
	case errors.Is(err, wire.ErrBlobNone), begun && state.Offset == 0:
		if err := patiently(b.t, func() error { _, err := b.download(reader, 0); return err }); !errors.Is(err, wire.ErrBlobNone) {
			b.t.Errorf("cut after %d bytes: the other desk hears %v of what is not complete", cut, err)
		}
	case err != nil || !state.Complete && state.Offset != 0: // the only part is all there, or not at all
		b.t.Errorf("cut after %d bytes: the relay is at %+v, %v", cut, state, err)
	}
	if err := patiently(b.t, func() error { return b.upload(direct) }); err != nil && !errors.Is(err, wire.ErrBlobOffset) {
		b.t.Errorf("cut after %d bytes: once more: %v", cut, err)
	}
	if err := patiently(b.t, func() error {
		got, err := b.download(reader, 0)
		if err == nil && !bytes.Equal(got, b.content) {
			b.t.Errorf("cut after %d bytes: other bytes arrived", cut)
		}
		return err
	}); err != nil {
		b.t.Errorf("cut after %d bytes: %v", cut, err)
	}
	for _, d := range []*wire.Blobs{direct, reader} { // room for the next
		if err := patiently(b.t, func() error { return d.Drop(b.t.Context(), b.id) }); err != nil {
			b.t.Error(err)
		}
	}
	return failed, begun
}

// down downloads over a line that is cut after so many bytes of what the relay says, and goes
// on from there. It reports whether that failed, and whether some of it had come.
func (b *cutBlob) down(cut int64, direct *wire.Blobs) (failed, some bool) {
	b.t.Helper()
	b.line.down.Store(cut)
	over := b.to.BlobsBy(b.way())
	defer over.Close()
	var got []byte
	err := patiently(b.t, func() (err error) { got, err = b.download(over, 0); return cutOr(err) })
	if err == nil && !bytes.Equal(got, b.content) || !bytes.HasPrefix(b.content, got) {
		b.t.Errorf("cut after %d bytes: %d bytes came that are others, and %v", cut, len(got), err)
	}
	if err == nil {
		return false, true
	}
	some = len(got) > 0
	if len(got) < cutSize {
		if err := patiently(b.t, func() error {
			rest, err := b.download(direct, int64(len(got)))
			if err == nil && !bytes.Equal(append(got, rest...), b.content) {
				b.t.Errorf("cut after %d bytes: it went on with others", cut)
			}
			return err
		}); err != nil {
			b.t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
	return true, some
}

// Fault 56 for attachments: the connection of an upload or a download is reset after so many
// bytes, from the first of the handshake to the last of the answer; with -full after each. No
// half part is kept, nobody sees what is not complete, and it goes on where it was. The
// control is that cuts fell within the part, and that without one it passes.
func TestBlobLineReset(t *testing.T) {
	p, from, to, _ := newProcess(t)
	p.start()
	b := &cutBlob{line: newCutting(t, strings.TrimPrefix(p.listen, "wss://")), from: from, to: to}
	b.line.up.Store(-1)
	b.line.down.Store(-1)
	direct, reader := from.Blobs(), to.Blobs()
	t.Run("up", func(t *testing.T) {
		b.t = t
		b.everywhere(&b.line.carried[0], func(cut int64) (failed, half bool) { return b.up(cut, direct, reader) })
		b.line.up.Store(-1)
	})
	t.Run("down", func(t *testing.T) {
		b.t = t
		b.fresh()
		if err := patiently(t, func() error { return b.upload(direct) }); err != nil {
			t.Fatal(err)
		}
		b.everywhere(&b.line.carried[1], func(cut int64) (failed, half bool) { return b.down(cut, reader) })
	})
}

// everywhere cuts one direction at all places that it has, or at some of them.
func (b *cutBlob) everywhere(carried *atomic.Int64, at func(cut int64) (failed, half bool)) {
	b.t.Helper()
	step := int64(149)
	if *full {
		step = 1
	}
	if failed, _ := at(-1); failed {
		b.t.Fatal("control: it fails over a line that is not cut")
	}
	total, failures, within := carried.Load(), 0, 0
	for cut := int64(0); cut < total; cut += step {
		failed, half := at(cut)
		failures += one(failed)
		within += one(failed && half)
		if cut%1000 < step {
			b.t.Logf("at %d of %d", cut, total)
		}
	}
	if failures == 0 || within == 0 {
		b.t.Errorf("control: of %d bytes %d cuts made it fail, %d within the part", total, failures, within)
	}
	b.t.Logf("%d bytes: %d cuts made it fail, %d of them within the part", total, failures, within)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
