//go:build linux

package system_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// operator is a dishonest relay: it changes the next message that it hands over.
type operator struct {
	mu      sync.Mutex // guards what follows
	change  func(envelope.Envelope, []byte) []byte
	earlier []byte // the message that it handed over before
}

func (o *operator) wants(change func(envelope.Envelope, []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.change = change
}

// done reports whether it has struck.
func (o *operator) done() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.change == nil
}

func (o *operator) tap(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	d, ok := f.(wire.Deliver)
	if !ok || from != wire.SideRelay {
		return []wire.Frame{f}
	}
	e, err := envelope.Parse(d.Envelope)
	if err != nil || e.Header.Tier == envelope.TierNone { // a statement
		return []wire.Frame{f}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.change != nil {
		d.Envelope = o.change(e, bytes.Clone(d.Envelope))
		o.change = nil
	} else {
		o.earlier = bytes.Clone(d.Envelope)
	}
	return []wire.Frame{d}
}

// flip changes one bit at an offset that the envelope gives; a negative one counts
// from the end.
func flip(at func(envelope.Envelope) int) func(envelope.Envelope, []byte) []byte {
	return func(e envelope.Envelope, raw []byte) []byte {
		i := at(e)
		if i < 0 {
			i += len(raw)
		}
		raw[i] ^= 1
		return raw
	}
}

func at(i int) func(envelope.Envelope, []byte) []byte {
	return flip(func(envelope.Envelope) int { return i })
}

// sealed flips a bit so many bytes after a mark in the age file.
func sealed(mark string, after int) func(envelope.Envelope, []byte) []byte {
	return flip(func(e envelope.Envelope) int { return len(e.Prefix) + bytes.Index(e.Sealed, []byte(mark)) + after })
}

// rewrite makes a well formed header that says something else.
func rewrite(change func(*envelope.Header)) func(envelope.Envelope, []byte) []byte {
	return func(e envelope.Envelope, _ []byte) []byte {
		h := e.Header
		h.Targets, h.Attended = slices.Clone(h.Targets), bytes.Clone(h.Attended)
		change(&h)
		prefix, err := h.Prefix()
		if err != nil {
			panic(err) // the change is the test's own
		}
		return slices.Concat(prefix, e.Sealed)
	}
}

// region is one part of an envelope, and what the relay does to it. soon says that
// the envelope still names itself, so that the recipient can tell the sender at
// once; otherwise the sender learns it from what the next statements do not cover.
type region struct {
	name   string
	change func(envelope.Envelope, []byte) []byte
	soon   bool
}

func regions(o *operator) []region {
	return []region{
		{"magic", at(0), false},
		{"header length", at(5), false},
		{"header bytes", at(7), false},
		{"identifier", rewrite(func(h *envelope.Header) { h.ID[15] ^= 1 }), false},
		{"sealer", rewrite(func(h *envelope.Header) { h.Sealer[15] ^= 1 }), false},
		{"desk", rewrite(func(h *envelope.Header) { h.Desk = "vt20/crisis" }), true},
		{"device", rewrite(func(h *envelope.Header) { h.Targets[0].Device[15] ^= 1 }), true},
		{"epoch", rewrite(func(h *envelope.Header) { h.Targets[0].Epoch++ }), true},
		{"created", rewrite(func(h *envelope.Header) { h.Created++ }), true},
		{"expires", rewrite(func(h *envelope.Header) { h.Expires-- }), true},
		{"length", rewrite(func(h *envelope.Header) { h.AgeLength-- }), false},
		{"tier", rewrite(func(h *envelope.Header) { h.Tier ^= 3 }), true},
		{"attended hash", rewrite(func(h *envelope.Header) { h.Attended[0] ^= 1 }), true},
		{"age version", sealed("v1", 1), true},
		{"stanza", sealed("->", 4), true},
		{"wrapped key", sealed("->", 1700), true},
		{"age MAC", sealed("\n--- ", 10), true},
		{"nonce", sealed("\n--- ", 5+43+1), true},
		{"first byte of the payload", sealed("\n--- ", 5+43+1+16), true},
		{"last byte", at(-1), true},
		{"cut", func(_ envelope.Envelope, raw []byte) []byte { return raw[:len(raw)-1] }, false},
		{"grown", func(_ envelope.Envelope, raw []byte) []byte { return append(raw, 0) }, false},
		{"another envelope", func(envelope.Envelope, []byte) []byte { return bytes.Clone(o.earlier) }, false},
	}
}

// A relay changes what it hands over, in each part of an envelope. Each time the
// recipient refuses it, the sender comes to know, makes the delivery again, and the
// message arrives once and whole.
func TestTamperedRegions(t *testing.T) {
	o := &operator{}
	chain := schakeltest.Prepare(t)
	chain.Tap = o.tap
	chain.StartRelay()
	from, to := chain.Join("vt20/crisis", identity.RoleVeiligThuis), chain.Join(piket, identity.RoleKnooppunt)
	from.Start()
	to.Start()
	eventually(t, "the desks know each other", patience, func() bool {
		there, err := from.Node.Directory(t.Context())
		return err == nil && len(there) == 1 && there[0].Reachable
	})
	whole := exchange{t: t, chain: chain, from: from, to: to, moment: patience}
	whole.send(0)
	for i, r := range regions(o) {
		t.Run(r.name, func(t *testing.T) {
			x := whole
			x.t = t
			if !r.soon {
				x.moment = time.Second
			}
			before := x.refusals()
			o.wants(r.change)
			x.send(i + 1)
			if !o.done() {
				t.Fatal("nothing was changed")
			}
			if got := x.refusals(); got <= before {
				t.Errorf("%d refusals before, %d after", before, got)
			}
			if soon := x.waited == 0; r.soon && !soon {
				t.Errorf("made again after %s, should have been at once", x.waited)
			}
			t.Logf("made again after %s", x.waited)
		})
	}
	// Control: when nothing is changed, nothing is refused.
	before := whole.refusals()
	whole.send(1000)
	if got := whole.refusals(); got != before || whole.waited != 0 {
		t.Errorf("an honest delivery: %d refusals before, %d after, %s", before, got, whole.waited)
	}
}

// exchange is one message between two desks.
type exchange struct {
	t        *testing.T
	chain    *schakeltest.Chain
	from, to *schakeltest.Member
	moment   time.Duration // until the chain's clock is moved
	waited   time.Duration // by the chain's clock
}

// send sends message n and lets time pass until it has arrived, once and whole.
func (x *exchange) send(n int) {
	x.t.Helper()
	body := must[[]byte](x.t)(numbered(x.from.Desk, n))
	before := must[[]schakel.Summary](x.t)(x.to.Node.List(x.t.Context(), schakel.Filter{}))
	sent := must[schakel.Sent](x.t)(x.from.Node.Send(x.t.Context(), schakel.Draft{
		Class: "adviesvraag", Urgency: message.Routine, To: []identity.DeskID{x.to.Desk}, Body: body,
	}))
	for !x.delivered(sent) {
		if x.waited > 6*time.Hour {
			x.t.Fatalf("not delivered within %s", x.waited)
		}
		x.chain.Pass(30 * time.Minute)
		x.waited += 30 * time.Minute
	}
	after := must[[]schakel.Summary](x.t)(x.to.Node.List(x.t.Context(), schakel.Filter{}))
	if len(after) != len(before)+1 || after[0].Hash != sent.Hash {
		x.t.Errorf("the inbox went from %d to %d messages", len(before), len(after))
	}
	if letter := must[schakel.Letter](x.t)(x.to.Node.Read(x.t.Context(), sent.Hash)); !bytes.Equal(letter.Body, body) {
		x.t.Error("the body is another")
	}
}

// delivered waits a moment for the recipient's word that it has the message.
func (x *exchange) delivered(sent schakel.Sent) bool {
	ctx, cancel := context.WithTimeout(x.t.Context(), x.moment)
	defer cancel()
	s, err := x.from.Node.Wait(ctx, sent.Hash, schakel.StateDelivered)
	return err == nil && s.Recipients[0].State != schakel.StateFailed && s.Recipients[0].State != schakel.StateRejected
}

// refusals counts what the recipient did not accept.
func (x *exchange) refusals() int {
	x.t.Helper()
	st := must[schakel.Status](x.t)(x.to.Node.Status(x.t.Context()))
	return st.Rejected + st.Quarantined
}
