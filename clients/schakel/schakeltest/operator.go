package schakeltest

import (
	"slices"
	"sync"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// Operator is who runs the relay, and need not be honest: every frame passes, in both
// directions, and what it is told to do with it is done. Until it is told something it
// changes nothing.
//
//	op := schakeltest.Deceive(chain) // before StartRelay
//	op.Do(func(p schakeltest.Passing) []wire.Frame {
//		if p.Mail() && p.Device == victim {
//			return nil // the mailbox is always empty
//		}
//		return p.On()
//	})
type Operator struct {
	mu    sync.Mutex
	deed  func(Passing) []wire.Frame
	seen  []Passing
	later map[identity.DeviceID][]wire.Frame // goes out with what is said to a device next
	held  map[identity.DeviceID][]wire.Frame
}

// Passing is one frame on its way.
type Passing struct {
	Device identity.DeviceID // whose session it is; zero before login
	From   wire.Side
	Frame  wire.Frame
	Header envelope.Header // of the envelope in it, where there is one
}

// Mail reports whether the relay hands an envelope to a device.
func (p Passing) Mail() bool { _, is := p.Frame.(wire.Deliver); return is }

// Message reports whether it hands over an envelope that asks for attention: a message that
// is no acknowledgement.
func (p Passing) Message() bool { return p.Mail() && p.Header.Tier > envelope.TierNone }

// On lets the frame pass as it is.
func (p Passing) On() []wire.Frame { return []wire.Frame{p.Frame} }

// Deceive makes an operator of a chain whose relay does not run yet.
func Deceive(c *Chain) *Operator {
	o := &Operator{later: map[identity.DeviceID][]wire.Frame{}, held: map[identity.DeviceID][]wire.Frame{}}
	c.Tap = o.tap
	return o
}

func (o *Operator) tap(device identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := Passing{Device: device, From: from, Frame: f}
	switch f := f.(type) {
	case wire.Deliver:
		p.Header = headerOf(f.Envelope)
	case wire.Put:
		p.Header = headerOf(f.Envelope)
	}
	o.seen = append(o.seen, p)
	out := p.On()
	if o.deed != nil {
		out = o.deed(p)
	}
	if from == wire.SideRelay && device != (identity.DeviceID{}) && len(o.later[device]) > 0 && !isReady(f) {
		out = slices.Concat(o.later[device], out)
		delete(o.later, device)
	}
	return out
}

func isReady(f wire.Frame) bool { _, is := f.(wire.Ready); return is }

func headerOf(raw []byte) envelope.Header {
	e, err := envelope.Parse(raw)
	if err != nil {
		return envelope.Header{}
	}
	return e.Header
}

// Do tells it what to do from now on; nil makes it honest again. The deed must not call
// the operator, except for Hold.
func (o *Operator) Do(deed func(Passing) []wire.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deed = deed
}

// Hold keeps a frame until LetGo. It is for use within a deed.
func (o *Operator) Hold(p Passing) []wire.Frame {
	o.held[p.Device] = append(o.held[p.Device], p.Frame)
	return nil
}

// LetGo sends what was held, in order, with what each device is told next, and makes the
// operator honest.
func (o *Operator) LetGo() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for device, frames := range o.held {
		o.later[device] = append(o.later[device], frames...)
	}
	o.held, o.deed = map[identity.DeviceID][]wire.Frame{}, nil
}

// Slip puts a frame of its own among what a device is told next.
func (o *Operator) Slip(device identity.DeviceID, f wire.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.later[device] = append(o.later[device], f)
}

// Seen is what has passed so far.
func (o *Operator) Seen() []Passing {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

// Slipped reports whether all that was to be slipped in has gone out.
func (o *Operator) Slipped() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.later) == 0
}
