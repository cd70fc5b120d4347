package relay_test

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// Opcodes of WebSocket frames (RFC 6455, 5.2).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// rawPeer speaks WebSocket by hand, so that it can speak it wrongly.
type rawPeer struct {
	t    testing.TB
	conn net.Conn
	tls  net.Conn // conn itself where the relay has no TLS
	br   *bufio.Reader
}

func dialRaw(t testing.TB, w *relaytest.World) *rawPeer {
	t.Helper()
	_, host, _ := strings.Cut(w.URL, "://")
	raw, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	p := &rawPeer{t: t, conn: raw, tls: raw}
	if conf := w.TLS(); conf != nil {
		p.tls = tls.Client(raw, conf)
	}
	t.Cleanup(func() { raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(relaytest.Patience))
	p.br = bufio.NewReader(p.tls)
	return p
}

func (p *rawPeer) upgrade(header ...string) int {
	p.t.Helper()
	request := "GET " + wire.ConnectPath + " HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + strings.Join(header, "") + "\r\n"
	p.send([]byte(request))
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode
}

func (p *rawPeer) send(b []byte) {
	p.t.Helper()
	if _, err := p.tls.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// frame encodes a masked frame, whose mask is zero.
func frame(op byte, fin bool, payload []byte) []byte {
	b := []byte{op}
	if fin {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// next reads one frame of the relay.
func (p *rawPeer) next() (op byte, payload []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(p.br, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1] & 0x7f)
	ext := make([]byte, map[uint64]int{126: 2, 127: 8}[n])
	if _, err := io.ReadFull(p.br, ext); err != nil {
		return 0, nil, err
	}
	switch len(ext) {
	case 2:
		n = uint64(binary.BigEndian.Uint16(ext))
	case 8:
		n = binary.BigEndian.Uint64(ext)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(p.br, payload)
	return h[0] & 0x0f, payload, err
}

func (p *rawPeer) challenge() wire.Challenge {
	p.t.Helper()
	_, msg, err := p.next()
	if err != nil {
		p.t.Fatal(err)
	}
	frames, err := wire.ParseFrames(msg, wire.SideRelay)
	if err != nil {
		p.t.Fatal(err)
	}
	return frames[0].(wire.Challenge)
}

func (p *rawPeer) login(d *relaytest.Device) {
	p.t.Helper()
	if code := p.upgrade(); code != http.StatusSwitchingProtocols {
		p.t.Fatalf("upgrade answered %d", code)
	}
	var binding []byte
	if c, ok := p.tls.(*tls.Conn); ok {
		state := c.ConnectionState()
		var err error
		if binding, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err != nil {
			p.t.Fatal(err)
		}
	}
	p.send(frame(opBinary, true, encode(p.t, d.Token(p.challenge(), binding))))
	if _, msg, err := p.next(); err != nil || len(msg) == 0 || wire.Type(msg[0]) != wire.TypeReady {
		p.t.Fatalf("no ready: %v", err)
	}
}

func encode(t testing.TB, frames ...wire.Frame) []byte {
	t.Helper()
	var b []byte
	for _, f := range frames {
		var err error
		if b, err = wire.AppendFrame(b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// closed reads up to the close frame and returns its code, or 0 when the
// connection ended without one.
func (p *rawPeer) closed() wire.CloseCode {
	p.t.Helper()
	for {
		op, payload, err := p.next()
		if err != nil {
			return 0
		}
		if op == opClose && len(payload) >= 2 {
			return wire.CloseCode(binary.BigEndian.Uint16(payload))
		}
	}
}

// gone waits until the relay has closed the TCP connection.
func (p *rawPeer) gone() {
	p.t.Helper()
	for {
		if _, _, err := p.next(); err != nil {
			if n, ok := err.(net.Error); ok && n.Timeout() {
				p.t.Error("the relay keeps the connection")
			}
			return
		}
	}
}

func junk(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
