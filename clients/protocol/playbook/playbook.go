// Package playbook is the draaiboek: what to do, step by step, in situations that most
// people meet once a year and at night.
//
// The steps are configuration (configs/playbook.toml), so that partners write them and
// nobody needs a new program. How far a case has come follows from its messages:
//
//	book, err := playbook.Parse(configs.Playbook, protocol.V1())
//	progress := playbook.Progress(book.Situations[0], known)
//	step, ok := playbook.Next(progress)
//
// A step that no message shows, such as a telephone call, is never shown as done: a
// person did it or did not, and the program cannot know. The package is pure.
package playbook

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// ErrPlaybook is wrapped by every refusal of a playbook.
var ErrPlaybook = errors.New("playbook refused")

// Bounds of a playbook. Nobody reads more than that at night.
const (
	maxPlaybook = 256 << 10
	maxSteps    = 12
)

// Playbook is all situations, the numbers that always work, and what to do when
// Schakel is down.
type Playbook struct {
	Numbers    []Number        `toml:"number" json:"numbers"`
	Outage     []protocol.Text `toml:"outage" json:"outage"`
	Situations []Situation     `toml:"situation" json:"situations"`
}

// Number is a telephone number for everybody in the country.
type Number struct {
	ID        string        `toml:"id" json:"id"`
	Telephone string        `toml:"telephone" json:"telephone"`
	What      protocol.Text `toml:"what" json:"what"`
}

// Situation is one kind of case and its steps, in order.
type Situation struct {
	ID    string          `toml:"id" json:"id"`
	Title protocol.Text   `toml:"title" json:"title"`
	Never []protocol.Text `toml:"never" json:"never"`
	Steps []Step          `toml:"step" json:"steps"`
}

// Step is one thing to do. Call names numbers by their ID, and roles of desks.
type Step struct {
	ID    string          `toml:"id" json:"id"`
	Title protocol.Text   `toml:"title" json:"title"`
	Do    []protocol.Text `toml:"do" json:"do"`
	Never []protocol.Text `toml:"never" json:"never"`
	Call  []string        `toml:"call" json:"call"`
	Send  *Send           `toml:"send" json:"send,omitempty"` // the message that comes next
	Done  []Sign          `toml:"done" json:"done"`           // any of these; none: only a person knows
}

// Send is a message to write.
type Send struct {
	Class   string          `toml:"class" json:"class"`
	Urgency message.Urgency `toml:"urgency" json:"urgency"`
	To      []identity.Role `toml:"to" json:"to"`
}

// Sign is a message of the case that shows that a step was taken. Roles and values are
// any of those listed; an empty list is any at all.
type Sign struct {
	Class string              `toml:"class" json:"class"`
	From  []identity.Role     `toml:"from" json:"from,omitempty"`
	To    []identity.Role     `toml:"to" json:"to,omitempty"`
	Where map[string][]string `toml:"where" json:"where,omitempty"` // fields at the top of the body, and what each may be
}

// Parse reads a playbook and holds it to the catalogue: a step that sends what no
// partner may send, or waits for what no message says, would mislead whoever trusts it.
func Parse(raw []byte, c *protocol.Catalogue) (Playbook, error) {
	var p Playbook
	if len(raw) > maxPlaybook {
		return p, fmt.Errorf("%w: more than %d bytes", ErrPlaybook, maxPlaybook)
	}
	d := toml.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("%w: %w", ErrPlaybook, err)
	}
	if err := p.check(c); err != nil {
		return p, fmt.Errorf("%w: %w", ErrPlaybook, err)
	}
	return p, nil
}

// Situation returns the situation of an identifier.
func (p Playbook) Situation(id string) (Situation, bool) {
	i := slices.IndexFunc(p.Situations, func(s Situation) bool { return s.ID == id })
	if i < 0 {
		return Situation{}, false
	}
	return p.Situations[i], true
}

// Number returns a number by its identifier.
func (p Playbook) Number(id string) (Number, bool) {
	i := slices.IndexFunc(p.Numbers, func(n Number) bool { return n.ID == id })
	if i < 0 {
		return Number{}, false
	}
	return p.Numbers[i], true
}

// State is how a step stands.
type State string

// The states of a step.
const (
	StateOpen   State = "open"
	StateDone   State = "gedaan"
	StateByHand State = "zelf" // no message shows it
)

// Taken is a step and what shows that it was taken.
type Taken struct {
	Step  Step        `json:"step"`
	State State       `json:"state"`
	By    message.Ref `json:"by,omitzero"` // the first message that shows it
}

// Progress says how far a case has come, from the messages that a desk has of it, in
// any order. It is as known here: a partner may have done what this desk did not see.
func Progress(s Situation, messages []protocol.Known) []Taken {
	counted := standing(messages)
	out := make([]Taken, len(s.Steps))
	for i, step := range s.Steps {
		out[i] = Taken{Step: step, State: StateOpen}
		if len(step.Done) == 0 {
			out[i].State = StateByHand
			continue
		}
		for _, m := range counted {
			if slices.ContainsFunc(step.Done, func(sign Sign) bool { return sign.shownBy(m) }) {
				out[i].State, out[i].By = StateDone, m.Ref()
				break
			}
		}
	}
	return out
}

// Next returns the first open step.
func Next(progress []Taken) (Step, bool) {
	i := slices.IndexFunc(progress, func(t Taken) bool { return t.State == StateOpen })
	if i < 0 {
		return Step{}, false
	}
	return progress[i].Step, true
}

// standing is the messages in the order of their case, without those that
// their own desk withdrew: what was taken back took no step.
func standing(messages []protocol.Known) []protocol.Known {
	withdrawn := map[message.Hash]identity.DeskID{}
	for _, m := range messages {
		if m.Class == protocol.ClassWithdrawal && len(m.RestsOn) == 1 {
			withdrawn[m.RestsOn[0].Hash] = m.From.Desk
		}
	}
	return slices.DeleteFunc(protocol.InOrder(messages), func(m protocol.Known) bool {
		by, ok := withdrawn[m.Hash]
		return ok && by == m.From.Desk
	})
}

func (s Sign) shownBy(m protocol.Known) bool {
	if m.Class != s.Class || len(s.From) > 0 && !slices.Contains(s.From, m.From.Role) {
		return false
	}
	if len(s.To) > 0 && !slices.ContainsFunc(m.To, func(p protocol.Party) bool { return slices.Contains(s.To, p.Role) }) {
		return false
	}
	for field, values := range s.Where {
		if !slices.Contains(values, protocol.Said(m.Body, field)) {
			return false
		}
	}
	return true
}
