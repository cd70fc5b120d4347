//go:build linux

package system_test

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// wiretap is a proxy between clients and relays that writes down every byte, as
// somebody on the line would.
type wiretap struct {
	ln   net.Listener
	next func(near net.Conn) (far net.Conn, err error)

	mu    sync.Mutex // guards what follows
	tape  io.Writer
	conns map[net.Conn]bool
	ended bool

	running sync.WaitGroup
}

// tapLine listens at address, gives each connection to the next of the targets in turn,
// and writes what passes into a file.
func tapLine(t testing.TB, address string, targets []string, path string) {
	t.Helper()
	tape := must[*os.File](t)(os.Create(path))
	t.Cleanup(func() { _ = tape.Close() })
	tap(t, must[net.Listener](t)(net.Listen("tcp", address)), inTurn(targets), tape)
}

// tap passes on what comes to a listener, until the test ends.
func tap(t testing.TB, ln net.Listener, next func(net.Conn) (net.Conn, error), tape io.Writer) {
	w := &wiretap{ln: ln, next: next, tape: tape, conns: map[net.Conn]bool{}}
	w.running.Go(func() {
		for {
			near, err := w.ln.Accept()
			if err != nil {
				return
			}
			w.running.Go(func() { w.pass(near) })
		}
	})
	t.Cleanup(w.close)
}

func (w *wiretap) close() {
	_ = w.ln.Close()
	w.mu.Lock()
	w.ended = true
	for c := range w.conns {
		_ = c.Close()
	}
	w.mu.Unlock()
	w.running.Wait()
}

func (w *wiretap) pass(near net.Conn) {
	far, err := w.next(near)
	if err != nil {
		_ = near.Close()
		return
	}
	if !w.keep(near, far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { w.copy(far, near) })
	both.Go(func() { w.copy(near, far) })
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, near)
	delete(w.conns, far)
}

// inTurn connects to whose turn it is, or to another when that one is not there.
func inTurn(targets []string) func(net.Conn) (net.Conn, error) {
	var turns atomic.Uint32
	return func(net.Conn) (conn net.Conn, err error) {
		turn := int(turns.Add(1))
		for i := range targets {
			if conn, err = net.Dial("tcp", targets[(turn+i)%len(targets)]); err == nil {
				break
			}
		}
		return conn, err
	}
}

func (w *wiretap) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		if w.ended {
			_ = c.Close()
			continue
		}
		w.conns[c] = true
	}
	return !w.ended
}

// copy passes on one direction until either end is gone, and then ends both.
func (w *wiretap) copy(to, from net.Conn) {
	_, _ = io.Copy(io.MultiWriter(to, w), from)
	_ = to.Close()
	_ = from.Close()
}

// Write writes down what passed.
func (w *wiretap) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tape.Write(b)
}
