package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// Scenario is a case told by several desks.
type Scenario struct {
	Title string `toml:"title"`
	Desks []Desk `toml:"desk"`
	Steps []Step `toml:"step"`
}

// Desk is one desk of the scenario, each of an organisation of its own.
type Desk struct {
	ID      identity.DeskID `toml:"id"`
	Name    string          `toml:"name"`
	OIN     string          `toml:"oin"`
	Role    identity.Role   `toml:"role"`
	Region  string          `toml:"region"`
	Phone   string          `toml:"phone"`
	Persons []Person        `toml:"persons"`
}

// Person is a named human of a desk.
type Person struct {
	Name     string `toml:"name"`
	Function string `toml:"function"`
	Phone    string `toml:"phone"`
}

// Step is one thing that happens. configs/demo/scenario.toml says what each kind
// of step means.
type Step struct {
	Do       Act               `toml:"do" json:"do"`
	Name     string            `toml:"name" json:"name,omitempty"`
	Say      string            `toml:"say" json:"say"`
	Class    string            `toml:"class" json:"class,omitempty"`
	From     identity.DeskID   `toml:"from" json:"from,omitempty"`
	To       []identity.DeskID `toml:"to" json:"to,omitempty"`
	Case     string            `toml:"case" json:"case,omitempty"` // a label; empty is the main case
	Answers  string            `toml:"answers" json:"answers,omitempty"`
	RestsOn  []string          `toml:"rests_on" json:"restsOn,omitempty"`
	Outcome  string            `toml:"outcome" json:"outcome,omitempty"`
	With     map[string]string `toml:"with" json:"with,omitempty"`
	Exercise bool              `toml:"exercise" json:"exercise,omitempty"`
	Person   string            `toml:"person" json:"person,omitempty"`
	Rule     string            `toml:"rule" json:"rule,omitempty"`
	Tampered identity.DeskID   `toml:"tampered" json:"tampered,omitempty"`
}

// Act is what a step does.
type Act string

// The acts.
const (
	ActSend    Act = "send"
	ActAck     Act = "ack"
	ActForbid  Act = "forbid"
	ActLead    Act = "lead"
	ActOffline Act = "offline"
	ActOnline  Act = "online"
	ActTamper  Act = "tamper"
)

// Parse reads a scenario. It refuses unknown keys, desks and classes, names used
// twice, and a step that refers to what has not happened yet.
func Parse(b []byte) (Scenario, error) {
	var s Scenario
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("%w: %w", ErrScenario, err)
	}
	for i, k := range s.Desks {
		if _, err := identity.ParseDeskID(string(k.ID)); err != nil {
			return s, fmt.Errorf("%w: %w", ErrScenario, err)
		}
		if _, err := identity.ParseRole(string(k.Role)); err != nil {
			return s, fmt.Errorf("%w: %w", ErrScenario, err)
		}
		if slices.ContainsFunc(s.Desks[:i], func(other Desk) bool { return other.ID.Org() == k.ID.Org() }) {
			return s, fmt.Errorf("%w: organisation %s twice", ErrScenario, k.ID.Org())
		}
		if k.Region == "" {
			s.Desks[i].Region = "NL"
		}
	}
	return s, s.checkSteps()
}

func (s Scenario) checkSteps() error {
	told := map[string]bool{}
	for n, step := range s.Steps {
		if err := s.checkStep(step, told); err != nil {
			return fmt.Errorf("%w: step %d: %w", ErrScenario, n+1, err)
		}
		if step.Name != "" {
			told[step.Name] = true
		}
	}
	return nil
}

func (s Scenario) checkStep(step Step, told map[string]bool) error {
	for _, id := range append(slices.Clone(step.To), step.From, step.Tampered) {
		if _, known := s.Desk(id); id != "" && !known {
			return fmt.Errorf("desk %q is not in the scenario", id)
		}
	}
	if told[step.Name] {
		return fmt.Errorf("name %q twice", step.Name)
	}
	for _, ref := range append(slices.Clone(step.RestsOn), step.Answers) {
		if ref != "" && !told[ref] {
			return fmt.Errorf("refers to %q, which has not happened", ref)
		}
	}
	switch step.Do {
	case ActSend, ActForbid, ActAck:
		if _, ok := protocol.V1().Class(step.Class); !ok || step.From == "" || len(step.To) == 0 {
			return fmt.Errorf("class %q from %q to %d desks", step.Class, step.From, len(step.To))
		}
	case ActLead:
		if step.From == "" || len(step.To) == 0 {
			return fmt.Errorf("lead of %q at %d desks", step.From, len(step.To))
		}
	case ActOffline, ActOnline:
		if step.From == "" {
			return fmt.Errorf("%s of no desk", step.Do)
		}
	case ActTamper:
		if len(step.To) != 1 {
			return fmt.Errorf("tamper needs one desk")
		}
	default:
		return fmt.Errorf("do = %q is unknown", step.Do)
	}
	return nil
}

// Desk returns a desk of the scenario.
func (s Scenario) Desk(id identity.DeskID) (Desk, bool) {
	i := slices.IndexFunc(s.Desks, func(d Desk) bool { return d.ID == id })
	if i < 0 {
		return Desk{}, false
	}
	return s.Desks[i], true
}

// example is the example of a class.
func example(class string) (protocol.Example, error) { return protocol.V1().Example(class) }

// placeholder is a hash that an example makes up for a message that it names.
var placeholder = regexp.MustCompile(`("(?:afwegingHash|hash)": )"sha256:[0-9a-f]{64}"`)

// changed is a body with other fields at its top, where a step changes its example.
func changed(body []byte, with map[string]string) ([]byte, error) {
	if len(with) == 0 {
		return body, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("failed to read the example: %w", err)
	}
	for name, value := range with {
		if value == "" {
			delete(fields, name)
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("failed to change the example: %w", err)
		}
		fields[name] = raw
	}
	return json.Marshal(fields)
}

// named writes the real names of the messages that an example rests on where it has
// made-up ones. All else travels byte for byte.
func named(e protocol.Example, rests []schakel.Sent) []byte {
	body := bytes.Clone(e.Body)
	for i, s := range rests[:min(len(rests), len(e.Kop.RestsOn))] {
		body = bytes.ReplaceAll(body, []byte(e.Kop.RestsOn[i]), []byte(s.ID))
		body = placeholder.ReplaceAll(body, []byte(`${1}"sha256:`+s.Hash+`"`))
	}
	return body
}
