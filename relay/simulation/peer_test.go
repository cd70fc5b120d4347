package simulation_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"schakel/crypto/trust/trusttest"
	"schakel/relay/wire"
	"schakel/relay/wire/wiretest"
)

// peer is a device whose connection can be spoken to below its frames. What comes is read
// ahead, as by a client.
type peer struct {
	trusttest.Device
	w     *world
	conn  *wire.Conn
	cable *end
	said  bytes.Buffer // every message, as the relay could read it

	mu    sync.Mutex // guards what follows
	heard []wire.Frame
	ended error
}

// connect dials as a device; nth makes its connections differ. It says nothing yet.
func (w *world) connect(number, nth int) *peer {
	p := &peer{Device: cast().devices[number], w: w}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	dial := w.net.dial(number, address(fmt.Sprintf("10.0.1.%d:%d", number+1, 2000+nth)), w.luck(50_000+100*number+nth))
	conn, err := wire.DialBy(ctx, "ws://relay.example", nil, func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err == nil {
			p.cable = c.(*end)
		}
		return c, err
	})
	if err != nil {
		w.accuse("others: device %d cannot connect: %v", number, err)
		return nil
	}
	p.conn = conn
	go p.read()
	return p
}

func (p *peer) read() {
	for {
		frames, err := p.conn.ReadFrames(context.Background())
		p.mu.Lock()
		p.heard = append(p.heard, frames...)
		p.ended = err
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// soon waits, in the bubble's time, until something is so, and reports whether it came to that.
func soon(ok func() bool) bool {
	for range 300 {
		synctest.Wait()
		if ok() {
			return true
		}
		<-time.After(37 * time.Millisecond)
	}
	return false
}

// over reports whether the relay has ended the connection, and how: 0 without a word.
func (p *peer) over() (wire.CloseCode, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	code, _ := wire.CloseCodeOf(p.ended)
	return code, p.ended != nil
}

// count is how many frames of these types came.
func (p *peer) count(types ...wire.Type) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.heard {
		if slices.Contains(types, f.Type()) {
			n++
		}
	}
	return n
}

// heardOf lists the frames of one type that came.
func heardOf[F wire.Frame](p *peer) (list []F) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.heard {
		if f, ok := f.(F); ok {
			list = append(list, f)
		}
	}
	return list
}

// token answers the challenge of this connection.
func (p *peer) token() wire.Login {
	var challenge wire.Challenge
	if soon(func() bool { return p.count(wire.TypeChallenge) > 0 }) {
		challenge = heardOf[wire.Challenge](p)[0]
	}
	login, err := wire.SignLogin(p.Login.Private, p.ID, challenge, p.conn.Binding(), time.Now(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return login
}

// enter logs in and reports whether the relay took it.
func (p *peer) enter() bool {
	if p == nil {
		return false
	}
	p.say(p.token())
	return soon(func() bool { return p.count(wire.TypeReady) > 0 })
}

// say sends frames in one message.
func (p *peer) say(frames ...wire.Frame) {
	msg := encoded(frames...)
	p.said.Write(msg)
	p.raw(wiretest.Messages(msg, false, 0, true))
}

// raw writes bytes as they are. Whether anybody hears them is another question.
func (p *peer) raw(b []byte) { _, _ = p.cable.Write(b) }

func (p *peer) leave() {
	if p != nil {
		_ = p.conn.CloseNow()
	}
}

func encoded(frames ...wire.Frame) (b []byte) {
	for _, f := range frames {
		var err error
		if b, err = wire.AppendFrame(b, f); err != nil {
			panic(err)
		}
	}
	return b
}
