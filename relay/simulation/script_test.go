package simulation_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/wire"
	"schakel/relay/wire/wiretest"
)

// outlook is what the relay must answer to what was said so far.
type outlook struct {
	in      bool           // logged in
	token   []byte         // with which one would be
	ends    wire.CloseCode // 0: it goes on
	any     bool           // nobody can say: bytes went out below the frames
	answers int            // that must come, if it goes on
	acked   uint64         // up to where; more than there is ends a session, once the store has looked
}

// hear takes one WebSocket message into account. Once the session must end nothing more counts.
func (o *outlook) hear(msg []byte, text bool) {
	switch {
	case o.ends != 0:
	case text:
		o.ends = wire.CloseBadType
	case !o.in:
		o.knock(msg)
	default:
		frames, err := wire.ParseFrames(msg, wire.SideDevice)
		if err != nil {
			o.ends = wire.CloseFrame
			return
		}
		for _, f := range frames {
			switch f := f.(type) {
			case wire.Login:
				o.ends = wire.CloseFrame
			case wire.Ack:
				o.acked = max(o.acked, f.Position)
			case wire.Put, wire.Attended, wire.Append, wire.WantKeys, wire.Plan, wire.TestPage, wire.WantPages:
				o.answers++
			}
		}
	}
}

// knock is hear before the login.
func (o *outlook) knock(msg []byte) {
	frames, err := wire.ParseFrames(msg, wire.SideDevice)
	switch {
	case len(msg) > wire.MaxLoginMessage:
		o.ends = wire.CloseTooBig
	case err != nil || len(frames) != 1 || frames[0].Type() != wire.TypeLogin:
		o.ends = wire.CloseFrame
	case bytes.Equal(frames[0].(wire.Login).Token, o.token):
		o.in = true
	default:
		o.ends = wire.CloseLogin
	}
}

// answered are the frames that answer what outlook counts: one each, but for receipts.
func answered(p *peer) (n int) {
	for _, s := range heardOf[wire.Stored](p) {
		n += len(s.Leaves)
	}
	return n + p.count(wire.TypeRefused, wire.TypeAttendedIs, wire.TypeAppended, wire.TypeKeysAre, wire.TypePlanIs, wire.TypeTestPageIs, wire.TypePagesAre)
}

// script is what a device says, and what must come of it.
type script struct {
	p       *peer
	text    []byte
	outlook outlook
}

// play says everything.
func (s *script) play() {
	wiretest.Play(s.text, wiretest.Mouth{Honest: s.honest, Wait: func(d time.Duration) { <-time.After(d) },
		Send: func(msg []byte, text bool, size int) {
			s.outlook.hear(msg, text)
			s.p.said.Write(msg)
			s.p.raw(wiretest.Messages(msg, text, size, true))
		},
		Raw: func(b []byte) {
			s.outlook.any = true
			s.p.raw(b)
		},
	})
}

// honest is a message that a device might send, if not at that moment.
func (s *script) honest(k byte) []byte {
	p, id := s.p, envelope.ID(trusttest.UUID("delivered"))
	list := []func() wire.Frame{
		func() wire.Frame { return wire.Login{Token: s.outlook.token} },
		func() wire.Frame { return wire.Put{Envelope: p.letter("one", "vt20/crisis", nil)} },
		func() wire.Frame { return wire.Put{Envelope: p.letter("two", "knooppunt/piket", acute)} },
		func() wire.Frame { return wire.Put{Envelope: p.letter("one", "knooppunt/piket", nil)} }, // the id of another
		func() wire.Frame { return wire.Put{Envelope: p.letter("three", "vt20/crisis", expired)} },
		func() wire.Frame { return wire.Put{Envelope: p.letter("four", "vt20/crisis", foreign)} },
		func() wire.Frame { return wire.Ack{Position: 1} },
		func() wire.Frame { return wire.Ack{Position: 1 << 62} },
		func() wire.Frame { return wire.Credit{Messages: 8, Bytes: 1 << 20} },
		func() wire.Frame { return wire.Credit{Messages: 1<<32 - 1, Bytes: 1<<32 - 1} },
		func() wire.Frame { return wire.Attended{ID: id, Token: tokenOf(id)} },
		func() wire.Frame { return wire.Attended{ID: id} },
		func() wire.Frame { return wire.Fetch{} },
		func() wire.Frame { return wire.Fetch{From: 1 << 62} },
		func() wire.Frame { return wire.Append{Tag: 1, Entry: knownEntry()} },
		func() wire.Frame { return wire.Append{Tag: 2, Entry: []byte("no entry"), Recipients: []string{"x"}} },
		func() wire.Frame {
			return wire.WantKeys{Tag: 3, Keys: []wire.KeyWanted{{Device: p.ID, Epoch: 1}, {Epoch: 1 << 60}}}
		},
		func() wire.Frame { return wire.Plan{Plan: p.w.encodedPlan(p.Desk, 2)} },
		func() wire.Frame { return wire.Plan{Plan: p.w.encodedPlan("vt20/crisis", 9)} }, // another desk's
		func() wire.Frame { return wire.TestPage{Tag: 4, Contact: "first"} },
		func() wire.Frame { return wire.WantPages{Tag: 5} },
		func() wire.Frame { return wire.Cosigned{Witness: trusttest.WitnessName(0), Size: 1} },
		func() wire.Frame { return wire.Cosigned{Witness: "x", Size: 1 << 62, Line: []byte("line")} },
	}
	return encoded(list[int(k)%len(list)]())
}

// knownEntry is an entry that the register has.
func knownEntry() []byte { return cast().Entries()[cast().Size()-1] }

// tokenOf is the attended token of a letter.
func tokenOf(id envelope.ID) [32]byte { return sha256.Sum256(id[:]) }

func acute(h *envelope.Header) {
	token := tokenOf(h.ID)
	sum := sha256.Sum256(token[:])
	h.Tier, h.Attended = envelope.TierAcute, sum[:]
}

func expired(h *envelope.Header) { h.Expires = h.Created + 1 }
func foreign(h *envelope.Header) { h.Sealer = cast().devices[2].ID }

// letter is an envelope to every device of a desk, always the same for a name.
func (p *peer) letter(name string, desk identity.DeskID, change func(*envelope.Header)) []byte {
	return p.letterTo(name, desk, change, func(identity.DeviceID) bool { return true })
}

func (p *peer) letterTo(name string, desk identity.DeskID, change func(*envelope.Header), wants func(identity.DeviceID) bool) []byte {
	h := envelope.Header{
		Version: 1, ID: envelope.ID(trusttest.UUID(name)), Sealer: p.ID, Desk: desk, AgeLength: envelope.MinAge,
		Created: uint64(p.w.began.Unix()), Expires: uint64(p.w.began.Add(time.Hour).Unix()),
	}
	for _, to := range cast().devices {
		if to.Desk == desk && wants(to.ID) {
			h.Targets = append(h.Targets, envelope.Target{Device: to.ID, Epoch: 1})
		}
	}
	slices.SortFunc(h.Targets, func(a, b envelope.Target) int { return slices.Compare(a.Device[:], b.Device[:]) })
	if change != nil {
		change(&h)
	}
	raw, err := h.Prefix()
	if err != nil {
		panic(err)
	}
	return append(raw, bytes.Repeat([]byte(name), 1+int(h.AgeLength)/len(name))[:h.AgeLength]...)
}
