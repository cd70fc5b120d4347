package schakel_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel/schakeltest"
	"schakel/relay/wire"
	"schakel/relay/wire/wiretest"
)

// liveHost listens where devices come for a relay, and leaves each to whoever plays it.
type liveHost struct {
	url     string
	arrived chan arrival
}

// arrival is a request, answered once done is closed.
type arrival struct {
	w    http.ResponseWriter
	r    *http.Request
	done chan struct{}
}

func newLiveHost(t testing.TB) *liveHost {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &liveHost{url: "http://" + l.Addr().String(), arrived: make(chan arrival)}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := arrival{w, r, make(chan struct{})}
		h.arrived <- a
		<-a.done
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return h
}

// meeting is one session of a device with the relay that is played.
type meeting struct {
	arrival
	conn    *wire.Conn // nil: the request was not answered as one should
	raw     net.Conn
	reached liveStage
	any     bool // bytes went out below the messages
	result  chan sessionEnd

	mu    sync.Mutex // guards what follows
	heard []wire.Frame
	over  bool
}

// sessionEnd is what a session came to.
type sessionEnd struct {
	came   bool // in time
	fatal  bool
	err    error
	closed wire.CloseCode // as the device heard it
}

// meet has a device connect.
func (h *liveHost) meet(m *schakeltest.Member) *meeting {
	met := &meeting{result: make(chan sessionEnd, 1)}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), liveMost)
		defer cancel()
		conn, err := wire.Dial(ctx, h.url, nil)
		e := sessionEnd{came: true, err: err}
		if err == nil {
			e.fatal, e.err = m.Node.ConverseForTest(ctx, conn)
			e.closed, _ = wire.CloseCodeOf(e.err)
			e.came = ctx.Err() == nil
		}
		met.result <- e
	}()
	met.arrival = <-h.arrived
	return met
}

// script is honest up to a stage and then says what a script says. It reports whether that
// was malformed or, without a script, whether the stage was reached.
func (m *meeting) script(r *recording, at liveStage, text []byte) (malformed bool) {
	if at == liveAnswering {
		m.raw, _, _ = http.NewResponseController(m.w).Hijack()
		m.reached, m.any = at, true
	} else if !m.honestUpTo(r, at) {
		return false
	}
	if text == nil {
		return true
	}
	_ = m.raw.SetWriteDeadline(time.Now().Add(liveMost))
	wiretest.Play(text, wiretest.Mouth{Honest: r.honest, Wait: func(d time.Duration) { <-time.After(d / 10) },
		Send: func(msg []byte, text bool, size int) {
			_, err := wire.ParseFrames(msg, wire.SideRelay)
			malformed = malformed || err != nil || text
			_, _ = m.raw.Write(wiretest.Messages(msg, text, size, false))
		},
		Raw: func(b []byte) {
			m.any = true
			_, _ = m.raw.Write(b)
		},
	})
	return malformed && !m.any
}

// honestUpTo reports whether the device came along.
func (m *meeting) honestUpTo(r *recording, at liveStage) bool {
	keep := &keeper{ResponseWriter: m.w}
	conn, err := wire.Accept(keep, m.r, wire.Limits{Grace: time.Second})
	if err != nil {
		return false
	}
	conn.SetReadLimit(wire.MaxMessage)
	m.conn, m.raw = conn, keep.conn
	go m.listen()
	for _, step := range []struct {
		to   liveStage
		say  wire.Frame
		wait []wire.Type
	}{
		{liveGreeting, nil, nil},
		{liveAdmitting, r.challenge, []wire.Type{wire.TypeLogin}},
		{liveSyncing, r.ready, []wire.Type{wire.TypeFetch}},
		{liveOnline, r.register, []wire.Type{wire.TypeCredit}},
		{liveDelivered, r.deliver, []wire.Type{wire.TypeAck}},
	} {
		if step.to > at {
			break
		}
		if step.say != nil && m.conn.Write(context.Background(), step.say) != nil || !m.hears(step.wait) {
			return false
		}
		m.reached = step.to
	}
	return true
}

// keeper keeps the connection of a request.
type keeper struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack takes the connection over, and keeps it.
func (k *keeper) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(k.ResponseWriter).Hijack()
	k.conn = conn
	return conn, rw, err
}

func (m *meeting) listen() {
	for {
		frames, err := m.conn.ReadFrames(context.Background())
		m.mu.Lock()
		m.heard = append(m.heard, frames...)
		m.over = err != nil
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// hears waits for frames of each of these types.
func (m *meeting) hears(types []wire.Type) bool {
	for _, want := range types {
		for end := time.Now().Add(liveMost); ; <-time.After(time.Millisecond) {
			m.mu.Lock()
			heard := slices.ContainsFunc(m.heard, func(f wire.Frame) bool { return f.Type() == want })
			over := m.over
			m.mu.Unlock()
			if heard {
				break
			}
			if over || time.Now().After(end) {
				return false
			}
		}
	}
	return true
}

// end ends the session and waits for what it came to.
func (m *meeting) end() sessionEnd {
	defer close(m.done)
	switch {
	case m.conn == nil:
		if m.raw != nil {
			_ = m.raw.Close()
		}
	case m.any:
		_ = m.conn.CloseNow()
	default:
		_ = m.conn.Close(wire.CloseRestart)
	}
	select {
	case e := <-m.result:
		return e
	case <-time.After(liveMost):
		return sessionEnd{}
	}
}
