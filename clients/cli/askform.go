package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"schakel/clients/protocol"
)

// questions is a form or a group of it while it is being filled in.
type questions struct {
	asker
	fields  []protocol.Field
	values  protocol.Values
	needs   func(protocol.Field) bool // given the answers so far
	hides   func(protocol.Field) bool
	choices func(protocol.Field) []protocol.Choice
}

// fill asks a person for the fields of a form that have no value yet: first what is
// needed, in the order of the form, then what the person chooses to add. What the
// protocol then refuses is asked again, with the reason.
func (q asker) fill(c *protocol.Catalogue, f protocol.Form, v protocol.Values) ([]byte, error) {
	q.tell("\n%s\n%s", q.in(bold, q.say(f.Label)), q.say(f.Help))
	q.tell("%s", q.say(text("Een ster (*) is verplicht. Enter slaat over wat niet verplicht is. Ctrl-C stopt; er is dan niets verstuurd.",
		"A star (*) must be filled in. Enter passes over what need not be. Ctrl-C stops, and then nothing was sent.")))
	top := questions{asker: q, fields: f.Fields, values: v,
		needs:   func(x protocol.Field) bool { return f.Needs(x.Name, v) },
		hides:   func(x protocol.Field) bool { return f.Hides(x.Name, v) },
		choices: func(x protocol.Field) []protocol.Choice { return f.ChoicesOf(x.Name, v) }}
	const rounds = 10 // then it is no typing error
	for range rounds {
		if err := top.ask(); err != nil {
			return nil, err
		}
		body, err := c.Compose(f.Class, v)
		var refusal *protocol.Refusal
		if !errors.As(err, &refusal) || len(refusal.Faults) == 0 {
			return body, err
		}
		if !top.again(refusal) {
			return nil, err
		}
	}
	_, err := c.Compose(f.Class, v)
	return nil, err
}

// again takes away the answers that were refused, and says why.
func (q questions) again(r *protocol.Refusal) (any bool) {
	for _, fault := range r.Faults {
		name, _, _ := strings.Cut(strings.TrimPrefix(fault.At, "/"), "/")
		i := slices.IndexFunc(q.fields, func(f protocol.Field) bool { return f.Name == name })
		if i < 0 {
			continue
		}
		q.tell("  %s", q.in(red, q.say(q.fields[i].Label)+": "+q.say(fault.Reason)))
		delete(q.values, name)
		any = true
	}
	return any
}

// ask asks until nothing is needed any more and the person adds nothing more.
func (q questions) ask() error {
	for {
		asked := false
		for _, f := range q.fields {
			if !q.needs(f) || q.hides(f) || protocol.Given(q.values[f.Name]) {
				continue
			}
			if isFiles(f) {
				return usage(errors.New(q.say(text("hier hoort een bestand bij: begin opnieuw met --attach BESTAND", "a file belongs to this: begin again with --attach FILE"))))
			}
			if err := q.one(f, true); err != nil {
				return err
			}
			asked = true
		}
		if asked {
			continue // an answer may make an earlier field needed
		}
		f, err := q.more()
		if err != nil || f == nil {
			return err
		}
		if err := q.one(*f, false); err != nil {
			return err
		}
	}
}

// more lets a person choose one of the fields that are not needed; nil for none.
func (q questions) more() (*protocol.Field, error) {
	var choices []choice
	for _, f := range q.fields {
		if !q.needs(f) && !q.hides(f) && !protocol.Given(q.values[f.Name]) && f.Kind != protocol.KindHash && f.Kind != protocol.KindReference && !isFiles(f) {
			choices = append(choices, choice{f.Name, q.say(f.Label), ""})
		}
	}
	if len(choices) == 0 {
		return nil, nil
	}
	q.tell("\n%s", q.say(text("Wilt u nog iets invullen?", "Do you want to fill in anything else?")))
	name, err := q.number(q.say(text("Nummer, of Enter om door te gaan:", "Number, or Enter to go on:")), choices, false)
	if err != nil || name == "" {
		return nil, err
	}
	i := slices.IndexFunc(q.fields, func(f protocol.Field) bool { return f.Name == name })
	return &q.fields[i], nil
}

// one asks for one field.
func (q questions) one(f protocol.Field, required bool) (err error) {
	label := q.in(bold, q.say(f.Label))
	if required {
		label += " *"
	}
	q.tell("\n%s", label)
	if help := q.say(f.Help); help != "" {
		q.tell("%s", q.in(dim, help))
	}
	var v any
	switch {
	case f.Kind == protocol.KindGroup && f.Many:
		v, err = q.groups(f)
	case f.Kind == protocol.KindGroup:
		v, err = q.group(f)
	case f.Kind == protocol.KindChoice && f.Many:
		v, err = q.several(f, required)
	case f.Kind == protocol.KindChoice:
		v, err = q.number(">", q.labelled(f), required)
	case f.Many:
		v, err = q.many(f, required)
	default:
		v, err = q.single(f, required)
	}
	if err == nil && protocol.Given(v) {
		q.values[f.Name] = v
	}
	return err
}

func (q questions) labelled(f protocol.Field) (out []choice) {
	for _, c := range q.choices(f) {
		out = append(out, choice{c.Value, q.say(c.Label), q.say(c.Help)})
	}
	return out
}

func (q questions) several(f protocol.Field, required bool) (any, error) {
	picked, err := q.numbers(q.say(text("Nummers, met komma's ertussen:", "Numbers, with commas between them:")), q.labelled(f), required)
	out := []any{}
	for _, p := range picked {
		out = append(out, p)
	}
	return out, err
}

func (q questions) group(f protocol.Field) (any, error) {
	v := protocol.Values{}
	inside := questions{asker: q.asker, fields: f.Fields, values: v, needs: func(x protocol.Field) bool { return x.Required },
		hides: func(protocol.Field) bool { return false }, choices: func(x protocol.Field) []protocol.Choice { return x.Choices }}
	return v, inside.ask()
}

func (q questions) groups(f protocol.Field) (any, error) {
	out := []any{}
	for {
		v, err := q.group(f)
		if err != nil {
			return out, err
		}
		if protocol.Given(v) {
			out = append(out, v)
		}
		more, err := q.yes(fmt.Sprintf("%s %s (%s)", q.say(text("Nog een:", "One more:")), q.say(f.Label), q.say(text("ja/nee", "yes/no"))))
		if err != nil || !more {
			return out, err
		}
	}
}

func (q questions) many(f protocol.Field, required bool) (any, error) {
	out := []any{}
	q.tell("%s", q.in(dim, q.say(text("Een per regel; een lege regel sluit af.", "One a line; an empty line ends it."))))
	for {
		v, err := q.single(f, required && len(out) < max(f.Min, 1))
		if err != nil || v == "" {
			return out, err
		}
		out = append(out, v)
	}
}

// single asks until the answer is one that the field takes, or nothing where it may be.
func (q questions) single(f protocol.Field, required bool) (string, error) {
	for {
		typed, err := q.typed(f)
		switch {
		case err != nil:
			return "", err
		case typed == "" && !required:
			return "", nil
		case typed == "":
			q.tell("  %s", q.say(text("dit is verplicht", "this must be filled in")))
			continue
		}
		v, wrong, err := q.reads(f, typed)
		if err != nil || wrong == (protocol.Text{}) {
			return v, err
		}
		q.tell("  %s", q.say(wrong))
	}
}

// typed reads one line, or lines up to an empty one where the field holds a story.
func (q questions) typed(f protocol.Field) (string, error) {
	if f.Kind != protocol.KindLong {
		return q.line(">")
	}
	q.tell("%s", q.in(dim, q.say(text("Meer regels mag; een lege regel sluit af.", "It may be several lines; an empty line ends it."))))
	var lines []string
	for {
		l, err := q.line(">")
		if err != nil || l == "" {
			return strings.Join(lines, "\n"), err
		}
		lines = append(lines, l)
	}
}
