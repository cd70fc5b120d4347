package demo_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"schakel/clients/demo"
	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// pretender is a world of two desks that says that all went well. Each field makes
// it lie or fail in one way.
type pretender struct {
	desk.Node
	body    func([]byte) []byte
	letter  func(*schakel.Letter)
	sendErr error
	state   schakel.State
	sent    []schakel.Draft
}

type pretended struct{ *pretender }

func (w pretended) Node(identity.DeskID) (desk.Node, error)     { return w.pretender, nil }
func (pretended) Leave(context.Context, identity.DeskID) error  { return nil }
func (pretended) Return(context.Context, identity.DeskID) error { return nil }
func (pretended) Tamper(context.Context, identity.DeskID) error { return nil }

func (p *pretender) Send(_ context.Context, d schakel.Draft) (schakel.Sent, error) {
	if p.sendErr != nil {
		return schakel.Sent{}, p.sendErr
	}
	p.sent = append(p.sent, d)
	return schakel.Sent{Hash: "h", Case: "zaak"}, nil
}

func (p *pretender) List(context.Context, schakel.Filter) ([]schakel.Summary, error) {
	return make([]schakel.Summary, len(p.sent)), nil
}

func (p *pretender) Trace(context.Context, string) (schakel.Summary, error) {
	return schakel.Summary{Recipients: []schakel.Recipient{{Desk: "vt20/crisis", State: p.state}}}, nil
}

func (p *pretender) Read(context.Context, string) (schakel.Letter, error) {
	d := p.sent[len(p.sent)-1]
	l := schakel.Letter{Summary: schakel.Summary{From: "arts/praktijk", Class: d.Class, Case: "zaak"}, To: d.To, Body: bytes.Clone(d.Body)}
	if p.body != nil {
		l.Body = p.body(l.Body)
	}
	if p.letter != nil {
		p.letter(&l)
	}
	return l, nil
}

func (p *pretender) Status(context.Context) (schakel.Status, error) { return schakel.Status{}, nil }

func (p *pretender) Alarms(context.Context) ([]schakel.Alarm, error) { return nil, nil }

const oneMessage = twoDesks + `
[[step]]
do = "send"
name = "a"
class = "signaal"
from = "arts/praktijk"
to = ["vt20/crisis"]
`

func (p *pretender) play(t *testing.T, text string) error {
	t.Helper()
	s, err := demo.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return (&demo.Player{Scenario: s, World: pretended{p}, Teller: &listener{t: t}, Patience: 100 * time.Millisecond}).Play(t.Context())
}

// TestPlayerNoticesLies is the control of the end-to-end test: a world in which
// something is wrong does not pass.
func TestPlayerNoticesLies(t *testing.T) {
	if err := (&pretender{state: schakel.StateDelivered}).play(t, oneMessage); err != nil {
		t.Fatalf("control: a world in which all is well fails: %v", err)
	}
	forbid := twoDesks + "[[step]]\ndo = \"forbid\"\nclass = \"signaal\"\nfrom = \"arts/praktijk\"\nto = [\"vt20/crisis\"]\nrule = \"R09\"\n"
	for name, test := range map[string]struct {
		world pretender
		text  string
	}{
		"one byte differs":       {pretender{state: schakel.StateDelivered, body: func(b []byte) []byte { b[len(b)/2] ^= 1; return b }}, oneMessage},
		"a line end is added":    {pretender{state: schakel.StateDelivered, body: func(b []byte) []byte { return append(b, '\n') }}, oneMessage},
		"another sender":         {pretender{state: schakel.StateDelivered, letter: func(l *schakel.Letter) { l.From = "x/y" }}, oneMessage},
		"another case":           {pretender{state: schakel.StateDelivered, letter: func(l *schakel.Letter) { l.Case = "x" }}, oneMessage},
		"not addressed":          {pretender{state: schakel.StateDelivered, letter: func(l *schakel.Letter) { l.To = nil }}, oneMessage},
		"a person nobody asked":  {pretender{state: schakel.StateDelivered, letter: func(l *schakel.Letter) { l.Person = "p" }}, oneMessage},
		"never delivered":        {pretender{state: schakel.StateAtRelay}, oneMessage},
		"rejected":               {pretender{state: schakel.StateRejected}, oneMessage},
		"tampering not refused":  {pretender{state: schakel.StateDelivered}, oneMessage + "tampered = \"vt20/crisis\"\n"},
		"forbidden and sent":     {pretender{}, forbid},
		"forbidden by the wrong": {pretender{sendErr: &protocol.Refusal{Rule: "R01"}}, forbid},
		"forbidden by accident":  {pretender{sendErr: errors.New("disk full")}, forbid},
	} {
		if err := test.world.play(t, test.text); !errors.Is(err, demo.ErrStory) {
			t.Errorf("%s: got %v, want the story to go another way", name, err)
		}
	}
	if err := (&pretender{sendErr: &protocol.Refusal{Rule: "R09"}}).play(t, forbid); err != nil {
		t.Errorf("control: refused under the right rule, and yet: %v", err)
	}
}
