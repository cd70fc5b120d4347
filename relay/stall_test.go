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
	w, vt, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 1000, MaxPerHost: 1000, HandshakeTime: 500 * time.Millisecond}})
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
	<-time.After(time.Second) // twice the deadline of the test above
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

// Control of TestOneAddressCannotTakeAllRoom: where the address has room for all six,
// the sixth stays.
func TestOneAddressWithRoomForAll(t *testing.T) {
	w, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 100, MaxPerHost: 100}})
	var last net.Conn
	for range 6 {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "wss://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		last = c
	}
	if cutWithin(last, 300*time.Millisecond) {
		t.Error("the sixth is cut though there is room")
	}
}

// Decision 0095: in a full room a newcomer takes the place of one that was silent for
// half a second, and not of one that has sent its ClientHello.
func TestWhoHasSpokenStays(t *testing.T) {
	for name, spoken := range map[string]bool{"control: silent": false, "spoken": true} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 100, MaxPerHost: 1}})
			first := dialRaw(t, w)
			if spoken {
				if err := first.tls.(*tls.Conn).Handshake(); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(700 * time.Millisecond)
			newcomer := dialRaw(t, w)
			until(t, "one of the two leaves", func() bool {
				// Below TLS: reading above it would shake hands, and who is silent would speak.
				return cutWithin(first.conn, 5*time.Millisecond) || cutWithin(newcomer.conn, 5*time.Millisecond)
			})
			if stays := !cutWithin(first.conn, 10*time.Millisecond); stays != spoken {
				t.Errorf("the first stays: %v", stays)
			}
		})
	}
}
