package relay

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// kernelBuffer bounds what a peer that stops reading pins in the kernel; left
// alone it grows to megabytes.
const kernelBuffer = 64 << 10

// gate is the listener of devices. It bounds the connections that have not logged
// in yet, which cost a handshake and prove nothing: when there are too many, the
// oldest has to go, because an honest device takes milliseconds and a stalling
// one takes all the time it gets.
type gate struct {
	net.Listener
	limits  Limits
	metrics *metrics

	mu      sync.Mutex // guards what follows
	pending *list.List // of *entering, oldest first
	perHost map[string]int
	closed  bool
}

func newGate(l net.Listener, limits Limits, m *metrics) *gate {
	return &gate{Listener: l, limits: limits, metrics: m, pending: list.New(), perHost: make(map[string]int)}
}

// How long a pending connection is left in peace: one that says nothing, and one that
// has sent a ClientHello and waits for the relay as much as the relay for it. Were both
// the same, a relay that is slow because ten thousand come at once would throw out each
// just before it is in, and its handshakes would all be for nothing.
const (
	minStay    = 500 * time.Millisecond
	spokenStay = 3 * time.Second
	clientSays = 512 // bytes; a ClientHello with ML-KEM-768 has more than 1184
)

// Accept returns the next connection that there is room for.
func (g *gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if t, ok := raw.(*net.TCPConn); ok {
			_ = t.SetWriteBuffer(kernelBuffer)
		}
		c := &entering{Conn: raw, gate: g, host: hostOf(raw.RemoteAddr().String()), since: time.Now()}
		if g.enter(c) {
			return c, nil
		}
		g.metrics.shed.Inc()
		_ = raw.Close()
	}
}

func (g *gate) enter(c *entering) bool {
	victim, ok := g.admit(c)
	if victim != nil {
		_ = victim.Conn.Close()
		g.metrics.shed.Inc()
	}
	return ok
}

// admit lists c as pending, in place of the oldest where there is no room.
func (g *gate) admit(c *entering) (victim *entering, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := true
	switch {
	case g.closed:
		return nil, false
	case g.perHost[c.host] >= g.limits.MaxPerHost:
		victim = g.overdue(c.host, c.since)
	case g.pending.Len() >= g.limits.MaxPending:
		victim = g.overdue("", c.since)
	default:
		full = false
	}
	switch {
	case victim != nil:
		g.leave(victim)
	case full:
		return nil, false
	}
	c.place = g.pending.PushBack(c)
	g.perHost[c.host]++
	return victim, true
}

// overdue is the oldest pending connection that has had its time, of one host where one
// is given.
func (g *gate) overdue(host string, now time.Time) *entering {
	for e := g.pending.Front(); e != nil; e = e.Next() {
		c := e.Value.(*entering)
		age := now.Sub(c.since)
		if age < minStay {
			return nil // all that follow are younger
		}
		if (host == "" || c.host == host) && age >= c.stay() {
			return c
		}
	}
	return nil
}

// leave takes c from the list; g.mu is held.
func (g *gate) leave(c *entering) {
	if c.place == nil {
		return
	}
	g.pending.Remove(c.place)
	c.place = nil
	if g.perHost[c.host]--; g.perHost[c.host] <= 0 {
		delete(g.perHost, c.host)
	}
}

// shut stops accepting.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	_ = g.Listener.Close()
}

// hostOf is what limits per address count by. Of IPv6 it is the network of 64 bits:
// whoever has one address there has them all.
func hostOf(address string) string {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	ip := a.Addr().Unmap()
	if network, err := ip.WithZone("").Prefix(64); ip.Is6() && err == nil {
		return network.String()
	}
	return ip.String()
}

// entering is a connection that counts as pending until settled or closed.
type entering struct {
	net.Conn
	gate  *gate
	host  string
	since time.Time
	heard atomic.Int64  // bytes, while pending
	place *list.Element // guarded by gate.mu
}

// Read counts what the peer has said.
func (c *entering) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.heard.Load() < clientSays {
		c.heard.Add(int64(n))
	}
	return n, err
}

func (c *entering) stay() time.Duration {
	if c.heard.Load() < clientSays {
		return minStay
	}
	return spokenStay
}

// settle makes room for others: the device has logged in.
func (c *entering) settle() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.leave(c)
}

// Close closes the connection and makes room.
func (c *entering) Close() error {
	c.settle()
	return c.Conn.Close()
}
