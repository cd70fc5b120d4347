package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// Player walks a scenario through a world.
type Player struct {
	Scenario Scenario
	World    World
	Teller   Teller
	Patience time.Duration // how long anything may take; default one minute

	step  int
	sent  map[string]told   // by the name of the step
	cases map[string]string // by label
	away  map[identity.DeskID]bool
}

// told is a message of an earlier step.
type told struct {
	schakel.Sent
	step Step
	body []byte
}

// Play walks through all steps. The error names the step that went another way.
func (p *Player) Play(ctx context.Context) error {
	p.sent, p.cases, p.away = map[string]told{}, map[string]string{}, map[identity.DeskID]bool{}
	if p.Patience == 0 {
		p.Patience = time.Minute
	}
	for i, s := range p.Scenario.Steps {
		p.step = i + 1
		if err := p.Teller.Step(ctx, p.step, s); err != nil {
			return err
		}
		if err := p.do(ctx, s); err != nil {
			return fmt.Errorf("step %d (%s %s): %w", p.step, s.Do, s.Class, err)
		}
	}
	return nil
}

func (p *Player) do(ctx context.Context, s Step) error {
	ctx, cancel := context.WithTimeout(ctx, 2*p.Patience)
	defer cancel()
	switch s.Do {
	case ActSend:
		return p.send(ctx, s)
	case ActAck:
		return p.ack(ctx, s)
	case ActForbid:
		return p.forbid(ctx, s)
	case ActLead:
		return p.lead(ctx, s)
	case ActOffline:
		return p.offline(ctx, s)
	case ActOnline:
		return p.online(ctx, s)
	}
	p.fact(Fact{Kind: FactTampering, Desk: s.To[0], Text: "the relay will change one byte"})
	return p.World.Tamper(ctx, s.To[0])
}

func (p *Player) fact(f Fact) {
	f.Step = p.step
	p.Teller.Fact(f)
}

// draft is the example of a step's class, with what the step refers to.
func (p *Player) draft(s Step) (schakel.Draft, error) {
	e, err := example(s.Class)
	if err != nil {
		return schakel.Draft{}, err
	}
	d := schakel.Draft{Class: s.Class, Urgency: e.Kop.Urgency, Case: p.cases[s.Case], To: s.To, Outcome: s.Outcome, Exercise: s.Exercise}
	if s.Answers != "" {
		d.Answers = p.sent[s.Answers].Hash
	}
	var rests []schakel.Sent
	for _, name := range s.RestsOn {
		d.RestsOn = append(d.RestsOn, p.sent[name].Hash)
		rests = append(rests, p.sent[name].Sent)
	}
	if d.Body, err = changed(named(e, rests), s.With); err != nil {
		return d, err
	}
	if s.Person != "" {
		d.Person, d.PIN = s.Person, PIN
	}
	return d, nil
}

func (p *Player) send(ctx context.Context, s Step) error {
	from, err := p.World.Node(s.From)
	if err != nil {
		return err
	}
	d, err := p.draft(s)
	if err != nil {
		return err
	}
	if err := Attach(ctx, from, &d); err != nil {
		return err
	}
	before, err := p.refusals(ctx, s.Tampered)
	if err != nil {
		return err
	}
	sent, err := from.Send(ctx, d)
	if err != nil {
		return err
	}
	p.remember(s, sent, d.Body)
	p.fact(Fact{Kind: FactSent, Class: s.Class, Desk: s.From, By: s.Person, Bytes: len(d.Body), Text: marked("signed, sealed, on disk", sent.Exercise)})
	for _, to := range s.To {
		if err := p.arrives(ctx, from, p.sent[s.Name], to, before); err != nil {
			return fmt.Errorf("%s: %w", to, err)
		}
	}
	return nil
}

// marked says of an exercise first that it is one.
func marked(text string, exercise bool) string {
	if !exercise {
		return text
	}
	return protocol.ExerciseMark().NL + ": " + text
}

func (p *Player) remember(s Step, sent schakel.Sent, body []byte) {
	p.sent[s.Name] = told{Sent: sent, step: s, body: body}
	if p.cases[s.Case] == "" {
		p.cases[s.Case] = sent.Case
	}
}

// ack lets a named person acknowledge, with the words of the example.
func (p *Player) ack(ctx context.Context, s Step) error {
	node, err := p.World.Node(s.From)
	if err != nil {
		return err
	}
	a, err := acknowledgement(s.Person)
	if err != nil {
		return err
	}
	answered := p.sent[s.Answers]
	sent, err := node.Acknowledge(ctx, answered.Hash, a)
	if err != nil {
		return err
	}
	l, err := node.Read(ctx, sent.Hash)
	if err != nil {
		return err
	}
	p.remember(s, sent, l.Body)
	asker, err := p.World.Node(answered.step.From)
	if err != nil {
		return err
	}
	if err := p.reaches(ctx, asker, answered, s.From, schakel.StateAcknowledged); err != nil {
		return err
	}
	p.fact(Fact{Kind: FactAcknowledged, Class: answered.step.Class, Desk: s.From, State: string(schakel.StateAcknowledged), By: s.Person,
		Text: "taken by a named person; the sender sees who"})
	for _, to := range s.To {
		if err := p.delivered(ctx, node, p.sent[s.Name], to, FactArrived); err != nil {
			return err
		}
	}
	return nil
}

// acknowledgement says what the example of an ontvangstbevestiging says.
func acknowledgement(person string) (schakel.Acknowledgement, error) {
	told, err := example(protocol.ClassAcknowledgement)
	if err != nil {
		return schakel.Acknowledgement{}, err
	}
	var e struct {
		Status      string    `json:"status"`
		FirstAction string    `json:"eersteActie"`
		AnswerBy    time.Time `json:"antwoordUiterlijk"`
	}
	if err := json.Unmarshal(told.Body, &e); err != nil {
		return schakel.Acknowledgement{}, fmt.Errorf("failed to read the example: %w", err)
	}
	return schakel.Acknowledgement{Person: person, PIN: PIN, Status: e.Status, FirstAction: e.FirstAction, AnswerBy: e.AnswerBy}, nil
}

// forbid demands that a desk's own device refuses, under the right rule, and that
// nothing was put on its way.
func (p *Player) forbid(ctx context.Context, s Step) error {
	node, err := p.World.Node(s.From)
	if err != nil {
		return err
	}
	d, err := p.draft(s)
	if err != nil {
		return err
	}
	before, err := node.List(ctx, schakel.Filter{Box: "sent", Limit: 1000})
	if err != nil {
		return err
	}
	_, err = node.Send(ctx, d)
	var rule *protocol.Refusal
	switch {
	case errors.As(err, &rule) && rule.Rule == s.Rule, errors.Is(err, schakel.ErrLane):
	default:
		return fmt.Errorf("%w: want a refusal under %s, got %w", ErrStory, s.Rule, err)
	}
	after, err := node.List(ctx, schakel.Filter{Box: "sent", Limit: 1000})
	if err != nil {
		return err
	}
	if len(after) != len(before) {
		return fmt.Errorf("%w: refused, and sent all the same", ErrStory)
	}
	p.fact(Fact{Kind: FactForbidden, Class: s.Class, Desk: s.From, Rule: s.Rule, Text: "refused before anything was sealed"})
	return nil
}

// lead demands that each desk, from the messages that it has, says who leads the case.
func (p *Player) lead(ctx context.Context, s Step) error {
	for _, at := range s.To {
		node, err := p.World.Node(at)
		if err != nil {
			return err
		}
		var holder identity.DeskID
		err = p.until(ctx, func() (bool, error) {
			o, err := node.Overview(ctx, p.cases[s.Case])
			t, _ := o.Lead()
			holder = t.Holder
			return holder == s.From, err
		}, func() string { return fmt.Sprintf("is %q that leads at %s, want %q", holder, at, s.From) })
		if err != nil {
			return err
		}
		p.fact(Fact{Kind: FactLead, Desk: at, Text: "says that " + string(holder) + " leads the case"})
	}
	return nil
}

func (p *Player) offline(ctx context.Context, s Step) error {
	if err := p.World.Leave(ctx, s.From); err != nil {
		return err
	}
	p.away[s.From] = true
	p.fact(Fact{Kind: FactAway, Desk: s.From, Text: "offline"})
	return nil
}

// online brings a desk back, and demands everything that was sent to it meanwhile.
func (p *Player) online(ctx context.Context, s Step) error {
	if err := p.World.Return(ctx, s.From); err != nil {
		return err
	}
	delete(p.away, s.From)
	p.fact(Fact{Kind: FactBack, Desk: s.From, Text: "online again"})
	for _, m := range p.waiting(s.From) {
		from, err := p.World.Node(m.step.From)
		if err != nil {
			return err
		}
		if err := p.delivered(ctx, from, m, s.From, FactArrived); err != nil {
			return err
		}
	}
	return nil
}

// waiting returns what was sent to a desk since it left, in order.
func (p *Player) waiting(id identity.DeskID) (out []told) {
	since := 0
	for i, s := range p.Scenario.Steps[:p.step-1] {
		if s.Do == ActOffline && s.From == id {
			since = i
		}
	}
	for _, s := range p.Scenario.Steps[since : p.step-1] {
		if s.Do == ActSend && slices.Contains(s.To, id) {
			out = append(out, p.sent[s.Name])
		}
	}
	return out
}
