package relay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// What a peer does before it has logged in, and how the relay answers.
func TestBeforeLogin(t *testing.T) {
	// What is answered at once has the time of production: this machine may need more than what
	// silence is given here.
	w, vt, pol := pair(t, relaytest.Config{})
	hasty, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{LoginTime: 300 * time.Millisecond}})
	raw, _ := vt.EnvelopeWith(func(*envelope.Header) {}, 300, pol)
	login := encode(t, vt.Token(wire.Challenge{Relay: "relay-1", Version: 1}, make([]byte, 32)))
	for _, c := range []struct {
		name string
		send []byte
		want wire.CloseCode
	}{
		{"D42 silence", nil, wire.CloseTimeout},
		{"D42 half a message", frame(opBinary, true, login)[:40], wire.CloseTimeout},
		{"one byte too much", frame(opBinary, true, junk(wire.MaxLoginMessage+2)), wire.CloseTooBig},
		{"D42 a mebibyte", frame(opBinary, true, junk(1<<20)), wire.CloseTooBig},
		{"text", frame(opText, true, []byte("hello")), wire.CloseBadType},
		{"noise", frame(opBinary, true, junk(500)), wire.CloseFrame},
		{"nothing in a message", frame(opBinary, true, nil), wire.CloseFrame},
		{"an envelope", frame(opBinary, true, encode(t, wire.Put{Envelope: raw})), wire.CloseFrame},
		{"a frame of the relay", frame(opBinary, true, encode(t, wire.Advanced{RegisterSize: 1})), wire.CloseFrame},
		{"two logins", frame(opBinary, true, append(bytes.Clone(login), encode(t, wire.Ack{})...)), wire.CloseFrame},
		{"a token for another challenge", frame(opBinary, true, login), wire.CloseLogin},
		{"a token that is none", frame(opBinary, true, encode(t, wire.Login{Token: []byte("x.y.z")})), wire.CloseLogin},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := w
			if c.want == wire.CloseTimeout {
				at = hasty
			}
			p := dialRaw(t, at)
			p.upgrade()
			p.challenge()
			p.send(c.send)
			if got := p.closed(); got != c.want {
				t.Errorf("closed with %v, want %v", got, c.want)
			}
		})
	}
	control := dialRaw(t, w)
	control.login(vt)
}

// What a device with a right to be here does wrong, and the close code it gets.
func TestAfterLogin(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{})
	oversized := binary.BigEndian.AppendUint32([]byte{byte(wire.TypePut)}, 1<<30)
	for _, c := range []struct {
		name string
		send []byte
		want wire.CloseCode
	}{
		{"noise", frame(opBinary, true, junk(1000)), wire.CloseFrame},
		{"empty message", frame(opBinary, true, nil), wire.CloseFrame},
		{"unknown type", frame(opBinary, true, []byte{0x7f, 0, 0, 0, 0}), wire.CloseFrame},
		{"a frame of the relay", frame(opBinary, true, encode(t, wire.GoAway{AfterMillis: 1})), wire.CloseFrame},
		{"a second login", frame(opBinary, true, encode(t, wire.Login{Token: []byte("x")})), wire.CloseFrame},
		{"a gibibyte claimed", frame(opBinary, true, oversized), wire.CloseFrame},
		{"ack of nine bytes", frame(opBinary, true, []byte{3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0}), wire.CloseFrame},
		{"credit, not canonical", frame(opBinary, true, []byte{4, 0, 0, 0, 4, 0x82, 0x18, 0x01, 0x01}), wire.CloseFrame},
		{"message too big", frame(opBinary, true, make([]byte, wire.MaxMessage+2)), wire.CloseTooBig},
		{"text", frame(opText, true, []byte("{}")), wire.CloseBadType},
		{"compressed", append([]byte{0x80 | 0x40 | opBinary, 0x80}, 0, 0, 0, 0), wire.CloseProtocol},
		{"unknown opcode", frame(3, true, nil), wire.CloseProtocol},
		{"continuation of nothing", frame(opContinuation, true, []byte{1}), wire.CloseProtocol},
		{"pings", bytes.Repeat(frame(opPing, true, []byte("x")), 100), wire.CloseFlood},
		{"empty fragments", bytes.Join([][]byte{frame(opBinary, false, nil), bytes.Repeat(frame(opContinuation, false, nil), 400)}, nil), wire.CloseFlood},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dialRaw(t, w)
			p.login(vt)
			p.send(c.send)
			if got := p.closed(); got != c.want {
				t.Errorf("closed with %v, want %v", got, c.want)
			}
		})
	}
	t.Run("unmasked", func(t *testing.T) {
		p := dialRaw(t, w)
		p.login(vt)
		p.send([]byte{0x80 | opBinary, 1, 7})
		if got := p.closed(); got != wire.CloseProtocol {
			t.Errorf("closed with %v", got)
		}
	})
	t.Run("control: fragments and pings in reason", func(t *testing.T) {
		p := dialRaw(t, w)
		p.login(vt)
		msg := encode(t, wire.WantKeys{Tag: 7})
		p.send(frame(opPing, true, nil))
		p.send(frame(opBinary, false, msg[:3]))
		p.send(frame(opPing, true, nil))
		p.send(frame(opContinuation, false, nil))
		p.send(frame(opContinuation, true, msg[3:]))
		for {
			op, b, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			if op == opBinary && wire.Type(b[0]) == wire.TypeKeysAre {
				return
			}
		}
	})
}

// closeStalls are ways to keep the other side from closing.
var closeStalls = map[string]func(*rawPeer){
	"reads nothing and says nothing": func(*rawPeer) {},
	"a data header after our close": func(p *rawPeer) {
		p.closed()
		p.send(longHeader())
	},
	"a data header before our close": func(p *rawPeer) { p.send(append(longHeader(), junk(1000)...)) },
	"a byte at a time": func(p *rawPeer) {
		p.send(longHeader())
		for range 100 {
			if _, err := p.tls.Write([]byte{1}); err != nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	},
}

// longHeader begins a frame of a mebibyte.
func longHeader() []byte { return frame(opBinary, true, make([]byte, 1<<20))[:14] }

// stallClose has a device stall the close that its revocation brings, and returns
// how long it was there after the relay's decision, or limit.
func stallClose(t *testing.T, w *relaytest.World, vt *relaytest.Device, stall func(*rawPeer), limit time.Duration) time.Duration {
	d := w.Enrol(vt.Desk, "veilig-thuis")
	p := dialRaw(t, w)
	p.login(d)
	decided := time.Now()
	w.Revoke(d)
	stall(p)
	_ = p.conn.SetReadDeadline(decided.Add(limit))
	_, err := io.Copy(io.Discard, p.conn) // the bytes of TCP: no library may take an error for the end
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return limit
	}
	return time.Since(decided)
}

// stalledClose is how long who stalls may be there: the five seconds that a relay gives, and
// what a busy machine needs to see that they are over.
const stalledClose = 15 * time.Second

// Fault 63: whoever stalls the close handshake is gone soon after what the relay gives from its
// decision on, and leaves no goroutine (TestMain looks).
func TestCloseStall(t *testing.T) {
	if given := relay.Defaults().CloseTime; given > 5*time.Second {
		t.Errorf("a relay gives %v", given)
	}
	w, vt, _ := pair(t, relaytest.Config{})
	for name, stall := range closeStalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if took := stallClose(t, w, vt, stall, relaytest.Patience); took > stalledClose {
				t.Errorf("gone after %v", took)
			}
		})
	}
}

// Control: without the relay's own deadline, the library lets some of them stay.
func TestCloseStallStaysWithoutTheDeadline(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{Limits: relay.Limits{CloseTime: time.Hour}})
	var stayed atomic.Int64
	t.Run("stalls", func(t *testing.T) {
		for name, stall := range closeStalls {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				const limit = stalledClose + time.Second // more than what is allowed
				if stallClose(t, w, vt, stall, limit) == limit {
					t.Log("is still there")
					stayed.Add(1)
				}
			})
		}
	})
	if stayed.Load() == 0 {
		t.Error("all are gone without the deadline: something else ends them, and the test of it is blind")
	}
}

// A device that asks for much and reads nothing holds up nobody else.
func TestDeviceThatDoesNotRead(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	deaf := w.Enrol("pol-mn/zeden", "politie")
	s := vt.Login()
	p := dialRaw(t, w)
	p.login(deaf)
	p.send(frame(opBinary, true, encode(t, plenty)))
	sp := pol.Login()
	sp.Send(plenty)
	before := heap()
	for range 30 { // 15 MB for the deaf one
		raw, id := vt.EnvelopeWith(func(*envelope.Header) {}, 500_000, deaf)
		if code := answer(t, w, s, raw, id); code != wire.CodeOK {
			t.Fatal(code)
		}
	}
	want := putAll(t, s, vt, pol, 5)
	if got, _ := collect(t, sp, 5); !same(got, want) {
		t.Error("the other device waits")
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("the relay holds %d KB for a device that does not read", grown>>10)
	}
}

// A device that offers without end and reads no answer: its reader waits, its own
// connection fills up, and the relay holds a bounded amount for it.
func TestDeviceThatReadsNoAnswers(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{Limits: relay.Limits{PutsPerSecond: 1 << 20}})
	before := heap()
	taken := offerWithoutReading(t, w, vt, pol, 2*time.Second)
	if t.Logf("%d messages taken", taken); taken == manyOffers {
		t.Errorf("the relay took %d messages from a device that does not read", taken)
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("the relay holds %d KB", grown>>10)
	}
	s := vt.Login()
	fresh, id := vt.Envelope(pol)
	if code := answer(t, w, s, fresh, id); code != wire.CodeOK {
		t.Errorf("another device gets %v", code)
	}
}

// Control: a relay that never waits takes everything that is offered, and keeps the
// answers.
func TestDeviceThatReadsNoAnswersWithoutTheLimit(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{Limits: relay.Patient(relay.Limits{PutsPerSecond: 1 << 20})})
	if taken := offerWithoutReading(t, w, vt, pol, 30*time.Second); taken != manyOffers {
		t.Errorf("the relay stopped after %d messages though nothing tells it to: the test is blind", taken)
	}
}

const manyOffers = 200

// offerWithoutReading has a device send messages of 200 puts each, read no answer,
// and returns how many of manyOffers went out before the relay took none for so long.
func offerWithoutReading(t *testing.T, w *relaytest.World, vt, pol *relaytest.Device, patience time.Duration) (taken int) {
	deaf := w.Enrol(vt.Desk, "veilig-thuis")
	p := dialRaw(t, w)
	p.login(deaf)
	raw, _ := deaf.EnvelopeWith(func(*envelope.Header) {}, 300, pol)
	one := encode(t, wire.Put{Envelope: raw})
	message := frame(opBinary, true, bytes.Repeat(one, 200)) // answered 200 times
	for ; taken < manyOffers; taken++ {
		_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
		if _, err := p.tls.Write(message); err != nil {
			break
		}
	}
	return taken
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Fault 66, 67, D42: connections that never log in cannot keep others out. Their
// deadline is late here: it is the gate that makes room.
func TestD42HalfOpenFlood(t *testing.T) {
	const room = 40
	w, vt, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: room, MaxPerHost: room, HandshakeTime: time.Hour}})
	live := vt.Login()
	host := strings.TrimPrefix(w.URL, "wss://")
	for i := range 3 * room {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = c.Write([]byte{22, 3, 1}) // the first bytes of a ClientHello
		}
	}
	d := w.Enrol(vt.Desk, "veilig-thuis")
	until(t, "an honest device gets in", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c, err := wire.Dial(ctx, w.URL, w.TLS())
		if err != nil {
			return false
		}
		_ = c.CloseNow()
		return true
	})
	_ = d
	live.Send(wire.WantKeys{Tag: 1})
	relaytest.Expect[wire.KeysAre](live)
}

// One address has room for five: of six one goes, the newest, or the oldest where this machine
// took half a second to get there.
func TestOneAddressCannotTakeAllRoom(t *testing.T) {
	w, _, _ := pair(t, relaytest.Config{Limits: relay.Limits{MaxPending: 100, MaxPerHost: 5, HandshakeTime: time.Hour}})
	if cut := cutOfSix(t, w, relaytest.Patience); cut != 1 {
		t.Errorf("%d of six are cut", cut)
	}
}

func TestTransport(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{})
	host := strings.TrimPrefix(w.URL, "wss://")
	t.Run("D39 TLS 1.2 is refused", func(t *testing.T) {
		conf := w.TLS()
		conf.MinVersion, conf.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		if c, err := tls.Dial("tcp", host, conf); err == nil {
			c.Close()
			t.Error("TLS 1.2 works")
		}
	})
	t.Run("plain text is refused", func(t *testing.T) {
		resp, err := http.Get("http://" + host + wire.ConnectPath)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d", resp.StatusCode)
			}
		}
	})
	t.Run("D36 another TLS key is refused by the device", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if c, err := wire.Dial(ctx, w.URL, wire.PinnedTLS([32]byte{1})); err == nil {
			_ = c.CloseNow()
			t.Error("another pin works")
		} else if !strings.Contains(err.Error(), wire.ErrPin.Error()) {
			t.Error(err)
		}
	})
	t.Run("browsers are turned away", func(t *testing.T) {
		p := dialRaw(t, w)
		if code := p.upgrade("Origin: https://relay\r\n"); code != http.StatusForbidden {
			t.Errorf("status %d", code)
		}
	})
	t.Run("no compression", func(t *testing.T) {
		p := dialRaw(t, w)
		p.send([]byte("GET " + wire.ConnectPath + " HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
		resp, err := http.ReadResponse(p.br, nil)
		if err != nil || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%v %v", resp, err)
		}
	})
	t.Run("nothing else is served", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: w.TLS(), DisableKeepAlives: true}}
		for _, path := range []string{"/", "/metrics", "/livez", "/v1", wire.RegisterPath} {
			resp, err := client.Get("https://" + host + path)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s: status %d", path, resp.StatusCode)
			}
		}
	})
	t.Run("D37 the challenge of another connection", func(t *testing.T) { // the token is bound to its own
		s := relaytest.Attend(t, vt.Dial())
		other := relaytest.Attend(t, vt.Dial())
		challenge := relaytest.Expect[wire.Challenge](other)
		relaytest.Expect[wire.Challenge](s)
		s.Send(vt.Token(challenge, other.Conn.Binding()))
		if code := s.ExpectClose(); code != wire.CloseLogin {
			t.Errorf("closed with %v", code)
		}
	})
}

// Random bytes after login end the session with a documented code and never the
// relay.
func FuzzLiveSession(f *testing.F) {
	w, vt, pol := pair(f, relaytest.Config{Limits: relay.Limits{AsksPerSecond: 1 << 20}})
	raw, _ := vt.Envelope(pol)
	for _, frames := range [][]wire.Frame{
		{wire.Put{Envelope: raw}}, {wire.Ack{Position: 1}, plenty}, {wire.Fetch{From: 1}},
		{wire.WantKeys{Tag: 1, Keys: []wire.KeyWanted{{Device: pol.ID, Epoch: 1}}}}, {wire.Append{Entry: []byte("x")}},
	} {
		f.Add(encode(f, frames...))
	}
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, msg []byte) {
		s := pol.LoginIn(t)
		defer s.Close()
		if len(msg) > 0 {
			p := dialRaw(t, w)
			p.login(vt)
			defer p.conn.Close()
			p.send(frame(opBinary, true, msg))
			p.send(frame(opClose, true, []byte{3, 232}))
			p.gone()
		}
		s.Send(wire.WantKeys{Tag: 9})
		relaytest.Expect[wire.KeysAre](s)
		if n := metric(t, w, "schakel_relay_panics_total"); n != 0 {
			t.Errorf("%v sessions panicked", n)
		}
	})
}
