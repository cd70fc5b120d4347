// Package wiretest lets bytes decide what one end of a connection says, for fuzz targets of
// whoever is at the other end.
//
//	wiretest.Play(script, wiretest.Mouth{Honest: messages, Send: send, Raw: raw, Wait: wait})
//
// A script takes honest messages, changes them, puts them together, cuts them and sends them
// whole, in fragments, as text, or says something that is no message at all. Every sequence
// of bytes is a script. Import it from tests only.
package wiretest

import (
	"encoding/binary"
	"time"
)

// What a script does, one byte each, taken modulo their number; what follows is operands, and
// zeros where nothing follows.
const (
	Say    = iota // k: send the honest message k
	Take          // k: add it to what is being made
	Flip          // at, at, x: change a byte of what is being made
	Cut           // n: keep so much of it
	Add           // n and n bytes: add them
	Send          // send what was made
	Pieces        // n: send it in fragments of n+1 bytes
	Text          // send it as text
	Raw           // n and n bytes: say them below all messages
	Wait          // n: for 10 ms each
	Ping          // send a ping
	Claim         // n, n: the first frame of what was made says that it is so long
	deeds
)

// What a script may do altogether.
const (
	maxDeeds = 40
	maxMade  = 64 << 10
	maxWait  = time.Second
)

// Mouth is what a script speaks with.
type Mouth struct {
	// Honest is a message of a list; every k has one.
	Honest func(k byte) []byte
	// Send says a message. As text, where that is wanted; in so many bytes at a time, unless
	// size is 0.
	Send func(msg []byte, text bool, size int)
	// Raw says bytes as they are.
	Raw func(b []byte)
	// Wait lets time go by.
	Wait func(d time.Duration)
}

// Play says everything. What is made and not sent in the end is sent.
func Play(script []byte, m Mouth) {
	p := player{Mouth: m, rest: script, left: maxWait}
	for range maxDeeds {
		if len(p.rest) == 0 {
			break
		}
		p.do(p.next() % deeds)
	}
	if len(p.made) > 0 {
		p.send(false, 0)
	}
}

type player struct {
	Mouth
	rest, made []byte
	left       time.Duration
}

func (p *player) next() (b byte) {
	if len(p.rest) > 0 {
		b, p.rest = p.rest[0], p.rest[1:]
	}
	return b
}

// bytes are those that follow their number.
func (p *player) bytes() []byte {
	n := min(int(p.next()), len(p.rest))
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *player) send(text bool, size int) {
	p.Send(p.made, text, size)
	p.made = nil
}

func (p *player) do(deed byte) {
	switch deed {
	case Say:
		p.made = p.Honest(p.next())
		p.send(false, 0)
	case Take:
		if m := p.Honest(p.next()); len(p.made)+len(m) <= maxMade {
			p.made = append(p.made, m...)
		}
	case Flip:
		at, x := int(p.next())<<8+int(p.next()), p.next()
		if len(p.made) > 0 {
			p.made[at%len(p.made)] ^= x
		}
	case Cut:
		p.made = p.made[:int(p.next())%(len(p.made)+1)]
	case Add:
		p.made = append(p.made, p.bytes()...)
	case Send:
		p.send(false, 0)
	case Pieces: // no more of them than an honest end takes
		p.send(false, max(int(p.next())+1, len(p.made)/100+1))
	case Text:
		p.send(true, 0)
	case Raw:
		p.Raw(p.bytes())
	case Wait:
		d := min(time.Duration(p.next())*10*time.Millisecond, p.left)
		p.left -= d
		p.Wait(d)
	case Ping:
		p.Raw(Message(opPing, true, []byte("x"), false))
	case Claim:
		if n := []byte{0, 0, p.next(), p.next()}; len(p.made) >= 5 {
			copy(p.made[1:], n)
		}
	}
}

// Opcodes of WebSocket frames (RFC 6455, 5.2).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opPing         = 9
)

// Messages encodes a message as [Mouth.Send] asks for it. What a device says is masked, with
// zeros, so that it reads as it was written.
func Messages(msg []byte, text bool, size int, masked bool) (b []byte) {
	op := byte(opBinary)
	if text {
		op = opText
	}
	if size <= 0 {
		size = max(1, len(msg))
	}
	for first := true; first || len(msg) > 0; first, op = false, opContinuation {
		n := min(size, len(msg))
		b = append(b, Message(op, n == len(msg), msg[:n], masked)...)
		msg = msg[n:]
	}
	return b
}

// Message encodes one WebSocket frame.
func Message(op byte, last bool, payload []byte, masked bool) []byte {
	b := []byte{op, 0}
	if last {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}
