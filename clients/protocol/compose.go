package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Values is what a person filled in, by the names of the fields: text for everything
// that is one thing, Values for a group, a list of either where the field takes many.
// A yes-no field takes ja and nee, and true and false.
type Values map[string]any

// Compose makes the body of a message from a filled-in form. What was left empty is
// left out; an unknown field is refused, because what somebody typed there would be
// lost. The body satisfies the schema of the class, or a [*Refusal] says what does not.
func (c *Catalogue) Compose(class string, v Values) ([]byte, error) {
	f, err := c.Form(class)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := compose(&b, f.Fields, v); err != nil {
		return nil, err
	}
	k, _ := c.Class(class)
	if _, refusal := readBody(k.schema, b.Bytes()); refusal != nil {
		return nil, refusal
	}
	return b.Bytes(), nil
}

// Fits says whether a body satisfies the schema of its class: nil, or a [*Refusal] that
// names the fields that do not.
func (c *Catalogue) Fits(class string, body []byte) error {
	k, ok := c.Class(class)
	if !ok {
		return fmt.Errorf("failed to look at a body of %.40q: no such class", class)
	}
	if _, refusal := readBody(k.schema, body); refusal != nil {
		return refusal
	}
	return nil
}

// Missing returns the fields at the top of the form that the answers so far ask for
// and that are not filled in, in the order of the form.
func (f Form) Missing(v Values) (names []string) {
	for _, field := range f.Fields {
		if f.Needs(field.Name, v) && empty(v[field.Name]) {
			names = append(names, field.Name)
		}
	}
	return names
}

// Needs reports whether a field must be filled in, given the answers so far.
func (f Form) Needs(name string, v Values) bool {
	if slices.ContainsFunc(f.Fields, func(x Field) bool { return x.Name == name && x.Required }) {
		return true
	}
	return slices.ContainsFunc(f.Dependencies, func(d Dependency) bool { return slices.Contains(d.Require, name) && d.holds(v) })
}

// Hides reports whether a field may not be filled in, given the answers so far.
func (f Form) Hides(name string, v Values) bool {
	return slices.ContainsFunc(f.Dependencies, func(d Dependency) bool { return slices.Contains(d.Forbid, name) && d.holds(v) })
}

// ChoicesOf returns the choices of a field that the answers so far leave.
func (f Form) ChoicesOf(name string, v Values) []Choice {
	i := slices.IndexFunc(f.Fields, func(x Field) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	choices := slices.Clone(f.Fields[i].Choices)
	for _, d := range f.Dependencies {
		if allowed, ok := d.Allow[name]; ok && d.holds(v) {
			choices = slices.DeleteFunc(choices, func(c Choice) bool { return !slices.Contains(allowed, c.Value) })
		}
	}
	return choices
}

func (d Dependency) holds(v Values) bool {
	return !slices.ContainsFunc(d.When, func(c Condition) bool {
		if empty(v[c.Field]) {
			return c.Filled
		}
		return !slices.Contains(c.In, said(v[c.Field]))
	})
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return strings.TrimSpace(v) == ""
	case Values:
		return !slices.ContainsFunc(keys(v), func(k string) bool { return !empty(v[k]) })
	case map[string]any:
		return empty(Values(v))
	case []any:
		return !slices.ContainsFunc(v, func(x any) bool { return !empty(x) })
	}
	return false
}

func keys(v Values) (out []string) {
	for k := range v {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// compose writes the fields of a group as a JSON object, in the order of the form.
func compose(b *bytes.Buffer, fields []Field, v Values) error {
	for _, name := range keys(v) {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
			return misfit(name, Text{"dit veld bestaat niet", "this field does not exist"})
		}
	}
	b.WriteByte('{')
	first := true
	for _, f := range fields {
		if empty(v[f.Name]) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(strconv.Quote(f.Name) + ":")
		if err := f.compose(b, v[f.Name]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func (f Field) compose(b *bytes.Buffer, v any) error {
	if !f.Many {
		return f.one(b, v)
	}
	items, ok := v.([]any)
	if !ok {
		items = []any{v} // one answer where many are possible
	}
	b.WriteByte('[')
	first := true
	for _, item := range items {
		if empty(item) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		if err := f.one(b, item); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func (f Field) one(b *bytes.Buffer, v any) error {
	if f.Kind == KindGroup {
		group, ok := v.(Values)
		if plain, isMap := v.(map[string]any); isMap {
			group, ok = plain, true
		}
		if !ok {
			return misfit(f.Name, Text{"hier horen velden", "fields belong here"})
		}
		return compose(b, f.Fields, group)
	}
	out, err := f.value(v)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(out)
	b.Write(raw)
	return err
}

// value turns what was typed into what the schema wants.
func (f Field) value(v any) (any, error) {
	text, isText := v.(string)
	text = strings.TrimSpace(text)
	switch f.Kind {
	case KindYesNo, KindConfirm:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		if i := slices.Index([]string{"nee", "ja"}, text); i >= 0 {
			return i == 1, nil
		}
		return nil, misfit(f.Name, Text{"antwoord ja of nee", "answer ja or nee"})
	case KindNumber:
		if n, ok := v.(int); ok {
			return n, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, misfit(f.Name, Text{"schrijf een heel getal", "write a whole number"})
		}
		return n, nil
	}
	if !isText {
		return nil, misfit(f.Name, Text{"hier hoort tekst", "text belongs here"})
	}
	return text, nil
}

// misfit is a refusal of one field, in the words of the schema's refusals.
func misfit(name string, reason Text) *Refusal {
	r := refuse(RuleSchema, Text{fmt.Sprintf("bij %s: %s", fieldName(name), reason.NL), fmt.Sprintf("at %s: %s", fieldName(name), reason.EN)},
		Text{"verbeter het genoemde veld", "mend the field that is named"})
	r.Faults = []Fault{{At: "/" + fieldName(name), Reason: reason}}
	return r
}
