package relay_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"schakel/relay"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// stalls are ways to begin and never to come to the point.
var stalls = map[string]struct {
	secure bool   // the TLS handshake is done first
	bytes  string // sent one at a time, again and again
}{
	"silence":                   {false, ""},
	"ClientHello byte by byte":  {false, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
	"silence after TLS":         {true, ""},
	"headers byte by byte":      {true, "GET " + wire.ConnectPath + " HTTP/1.1\r\nHost: relay\r\nX-Slow: "},
	"headers that never finish": {true, "GET " + wire.ConnectPath + " HTTP/1.1\r\nA: 1\r\nB: 2\r\n"},
}

// Faults 66 and 67: who stalls in the handshake or in the request is cut by a
// deadline that bytes do not move, and others get in meanwhile. There is room for
// all of them here: it is not the gate that helps.
func TestStallsAreCut(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 1000, MaxPerHost: 1000, HandshakeTime: 1500 * time.Millisecond}})
	conns := stall(t, w, 20)
	vt.Login()
	for name, c := range conns {
		if !cutWithin(c, relaytest.Patience) {
			t.Errorf("%s is left alone", name)
		}
	}
}

// Control: with a late deadline they all stay, so that what cuts them is the deadline.
func TestStallsStayWithoutTheDeadline(t *testing.T) {
	w, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 1000, MaxPerHost: 1000, HandshakeTime: time.Minute}})
	conns := stall(t, w, 1)
	<-time.After(3 * time.Second) // twice the deadline of the test above
	for name, c := range conns {
		if cutWithin(c, 10*time.Millisecond) {
			t.Errorf("%s is cut by something else", name)
		}
	}
}

// stall opens n connections that stall in each way, and returns one of each.
func stall(t *testing.T, w *relaytest.World, n int) map[string]net.Conn {
	t.Helper()
	one := make(map[string]net.Conn)
	for name, s := range stalls {
		for range n {
			raw, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "wss://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { raw.Close() })
			c := raw
			if s.secure {
				c = tls.Client(raw, w.TLS())
				if err := c.(*tls.Conn).Handshake(); err != nil {
					t.Fatal(err)
				}
			}
			one[name] = c
			go dribble(c, s.bytes)
		}
	}
	return one
}

// dribble sends a byte every 20 ms, and past the end x for ever, until it is cut.
func dribble(c net.Conn, bytes string) {
	for i := 0; bytes != ""; i++ {
		b := byte('x')
		if i < len(bytes) {
			b = bytes[i]
		}
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// cutWithin reports whether the relay has closed the connection.
func cutWithin(c net.Conn, limit time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(limit))
	for {
		if _, err := c.Read(make([]byte, 512)); err != nil {
			n, ok := err.(net.Error)
			return !ok || !n.Timeout()
		}
	}
}

// Control of TestOneAddressCannotTakeAllRoom: where the address has room for all six, all stay.
func TestOneAddressWithRoomForAll(t *testing.T) {
	w, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 100, MaxPerHost: 100, HandshakeTime: time.Hour}})
	if cut := cutOfSix(t, w, 300*time.Millisecond); cut != 0 {
		t.Errorf("%d of six are cut though there is room", cut)
	}
}

// cutOfSix opens six connections of one address, and returns how many are cut: once one is, or
// after so long, it looks at all of them.
func cutOfSix(t *testing.T, w *relaytest.World, most time.Duration) (cut int) {
	t.Helper()
	var six []net.Conn
	for range 6 {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "wss://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		six = append(six, c)
	}
	for end := time.Now().Add(most); cut == 0 && time.Now().Before(end); {
		for _, c := range six {
			if cutWithin(c, 10*time.Millisecond) {
				cut++
			}
		}
	}
	return cut
}

// Decision 0095: in a full room a newcomer takes the place of one that was silent for half a
// second.
func TestWhoIsSilentLeaves(t *testing.T) {
	w, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 100, MaxPerHost: 1, HandshakeTime: time.Hour}})
	first := dialRaw(t, w)
	until(t, "a newcomer takes the place", func() bool {
		newcomer := dialRaw(t, w)
		defer newcomer.conn.Close()
		return leaves(t, first, newcomer)
	})
}

// Control, decision 0095: one that has sent its ClientHello stays for three seconds, and the
// newcomer leaves.
func TestWhoHasSpokenStays(t *testing.T) {
	w, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 100, MaxPerHost: 1, HandshakeTime: time.Hour}})
	until(t, "a newcomer comes before the three seconds are over", func() bool {
		began, first := time.Now(), dialRaw(t, w)
		defer first.conn.Close()
		if first.tls.(*tls.Conn).Handshake() != nil {
			return false // the one of before is still there
		}
		<-time.After(700 * time.Millisecond)
		newcomer := dialRaw(t, w)
		defer newcomer.conn.Close()
		left := leaves(t, first, newcomer)
		if time.Since(began) > 3*time.Second {
			return false // this machine was too slow to tell
		}
		if left {
			t.Error("one that has spoken is cut")
		}
		return true
	})
}

// leaves waits until one of the two is cut, and reports whether it is the first.
func leaves(t *testing.T, first, newcomer *rawPeer) (is bool) {
	t.Helper()
	until(t, "one of the two leaves", func() bool {
		// Below TLS: reading above it would shake hands, and who is silent would speak.
		is = cutWithin(first.conn, 5*time.Millisecond)
		return is || cutWithin(newcomer.conn, 5*time.Millisecond)
	})
	return is
}
