package casefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/protocol/routing"
)

// safeContact is what stands before any telephone number (R06).
const safeContact = "veiligContact"

// Said is one thing that a body says, as a person reads it. Its texts are inert.
type Said struct {
	Label string
	Text  string
	Exact string // of a day or an instant: as it was written and signed
	Items []Said
}

// maxDepth of a body that is shown as an outline; a deeper one is shown as text.
const maxDepth = 32

var errDeep = errors.New("nested too deeply")

// outliner turns a body into what it says, in the sender's order, with the words of the form.
type outliner struct {
	d     *json.Decoder
	l     language
	plain bool // moments and municipalities in words; the file of a case has them as they were signed
}

// Outline returns what a body says in the words of its form, in Dutch or in English: of
// safe contact, which must be read before any telephone number (R06), and the rest. Days
// and instants read as people say them, by the clock of Amsterdam, and municipalities by
// their names.
func Outline(body []byte, form protocol.Form, inEnglish bool) (safe, rest []Said) {
	if inEnglish {
		return outliner{l: english, plain: true}.outline(body, form)
	}
	return outliner{l: dutch, plain: true}.outline(body, form)
}

// outline returns what a body says: of safe contact, and the rest.
func (o outliner) outline(body []byte, form protocol.Form) (safe, rest []Said) {
	o.d = json.NewDecoder(bytes.NewReader(body))
	o.d.UseNumber()
	all, err := o.value("", protocol.Field{Fields: form.Fields}, 0)
	if err != nil || len(all.Items) == 0 {
		return nil, []Said{{Text: harmless.Text(string(body))}}
	}
	label := o.label(form.Fields, safeContact)
	for _, n := range all.Items {
		if n.Label == label.Label {
			safe = append(safe, n)
		} else {
			rest = append(rest, n)
		}
	}
	return safe, rest
}

// label is the field of that name, or one that only has its name for a label.
func (o outliner) label(fields []protocol.Field, name string) labelled {
	if i := slices.IndexFunc(fields, func(f protocol.Field) bool { return f.Name == name }); i >= 0 {
		return labelled{fields[i], harmless.Line(o.l.of(fields[i].Label))}
	}
	return labelled{Label: harmless.Line(name)}
}

type labelled struct {
	protocol.Field
	Label string
}

func (o outliner) value(label string, f protocol.Field, depth int) (n Said, err error) {
	n.Label = label
	t, err := o.d.Token()
	if err != nil {
		return n, err
	}
	switch {
	case depth > maxDepth:
		return n, errDeep
	case t == json.Delim('{'):
		n.Items, err = o.object(f, depth)
	case t == json.Delim('['):
		err = o.list(&n, f, depth)
	default:
		n.Text, n.Exact = o.leaf(t, f)
	}
	return n, err
}

func (o outliner) object(f protocol.Field, depth int) (items []Said, err error) {
	for o.d.More() {
		name, err := o.d.Token()
		if err != nil {
			return nil, err
		}
		inner := o.label(f.Fields, fmt.Sprint(name))
		n, err := o.value(inner.Label, inner.Field, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, n)
	}
	_, err = o.d.Token()
	return items, err
}

// list shows values on one line, and groups one under the other.
func (o outliner) list(n *Said, f protocol.Field, depth int) error {
	var texts []string
	for i := 1; o.d.More(); i++ {
		item, err := o.value(fmt.Sprint(i), f, depth+1)
		if err != nil {
			return err
		}
		if len(item.Items) == 0 {
			texts = append(texts, item.Text)
		} else {
			n.Items = append(n.Items, item)
		}
	}
	n.Text = strings.Join(texts, "; ")
	_, err := o.d.Token()
	return err
}

// leaf is one value. A text that the form offers as a choice has that choice's words, and
// a moment those of people.
func (o outliner) leaf(t json.Token, f protocol.Field) (text, exact string) {
	switch v := t.(type) {
	case nil:
		return "-", ""
	case bool:
		return o.l.of(yesOrNo[v]), ""
	case string:
		for _, c := range f.Choices {
			if c.Value == v {
				return harmless.Line(o.l.of(c.Label)), ""
			}
		}
		if said, ok := f.Moment(v, calendar.Zone()); ok && o.plain {
			return o.l.of(said), v
		}
		if town, ok := routing.Of(v); ok && o.plain && f.Kind == protocol.KindMunicipality {
			return town.Name + " (" + town.Code + ")", ""
		}
		return harmless.Text(v), ""
	}
	return harmless.Line(fmt.Sprint(t)), ""
}

var yesOrNo = map[bool]protocol.Text{true: {NL: "ja", EN: "yes"}, false: {NL: "nee", EN: "no"}}
