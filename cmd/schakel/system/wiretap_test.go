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

// wiretap is a proxy between clients and relays that gives each connection to the next
// relay in turn and writes down every byte, as somebody on the line would.
type wiretap struct {
	ln      net.Listener
	targets []string
	turn    atomic.Uint32

	mu    sync.Mutex // guards what follows
	file  *os.File
	conns map[net.Conn]bool
	ended bool

	running sync.WaitGroup
}

// tapLine listens at address and passes everything on to the targets.
func tapLine(t testing.TB, address string, targets []string, path string) *wiretap {
	t.Helper()
	w := &wiretap{targets: targets, conns: map[net.Conn]bool{}}
	w.ln = must[net.Listener](t)(net.Listen("tcp", address))
	w.file = must[*os.File](t)(os.Create(path))
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
	return w
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
	_ = w.file.Close()
}

func (w *wiretap) pass(near net.Conn) {
	far, err := w.next()
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

// next connects to whose turn it is, or to another when that one is not there.
func (w *wiretap) next() (conn net.Conn, err error) {
	turn := int(w.turn.Add(1))
	for i := range w.targets {
		if conn, err = net.Dial("tcp", w.targets[(turn+i)%len(w.targets)]); err == nil {
			break
		}
	}
	return conn, err
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
	return w.file.Write(b)
}
