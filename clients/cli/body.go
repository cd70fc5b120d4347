package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"schakel/clients/protocol"
)

// safeContact is what must be seen before any telephone number (rule R06): how to
// reach the victim without the family noticing, and whom not to inform.
const safeContact = "veiligContact"

// field is one member of a JSON object, in the order in which the sender wrote it.
type field struct {
	name  string
	value any // string, json.Number, bool, nil, []field or []any
}

// showBody shows a body as an outline, in the sender's order, safe contact first.
// What is not JSON is shown as text; every character that a terminal would act on
// is shown as an escape. A day or an instant among known, the fields of its form, reads as
// people say it, with what was signed behind it.
func (a *app) showBody(body []byte, known []protocol.Field) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := ordered(d, 0)
	fields, isObject := v.([]field)
	if err != nil || !isObject {
		a.printf("%s\n", inert(string(body)))
		return nil
	}
	for _, f := range fields {
		if f.name == safeContact {
			a.printf("%s\n", a.in(red, "SAFE CONTACT: read before you call anybody"))
			a.outline([]field{f}, known, "  ")
		}
	}
	for _, f := range fields {
		if f.name != safeContact {
			a.outline([]field{f}, known, "")
		}
	}
	return nil
}

func (a *app) outline(fields []field, known []protocol.Field, indent string) {
	for _, f := range fields {
		var form protocol.Field
		if i := slices.IndexFunc(known, func(k protocol.Field) bool { return k.Name == f.name }); i >= 0 {
			form = known[i]
		}
		label := indent + a.in(dim, inertLine(f.name)+":")
		switch v := f.value.(type) {
		case []field:
			a.printf("%s\n", label)
			a.outline(v, form.Fields, indent+"  ")
		case []any:
			a.outlineList(label, v, form, indent)
		default:
			a.printf("%s %s\n", label, a.leaf(v, form))
		}
	}
}

func (a *app) outlineList(label string, items []any, form protocol.Field, indent string) {
	var leaves []string
	for _, item := range items {
		switch v := item.(type) {
		case []field, []any:
		default:
			leaves = append(leaves, a.leaf(v, form))
		}
	}
	if len(leaves) == len(items) {
		a.printf("%s %s\n", label, strings.Join(leaves, ", "))
		return
	}
	a.printf("%s\n", label)
	for i, item := range items {
		form.Name = strconv.Itoa(i + 1)
		a.outline([]field{{form.Name, item}}, []protocol.Field{form}, indent+"  ")
	}
}

// leaf is a value on one line. A line end inside it becomes visible, so that text
// cannot pass for another field.
func (a *app) leaf(v any, form protocol.Field) string {
	switch v := v.(type) {
	case string:
		if said, ok := form.Moment(v, a.Zone); ok {
			return said.EN + " (" + inertLine(v) + ")"
		}
	case nil:
		return "-"
	case bool:
		if v {
			return "ja"
		}
		return "nee"
	}
	return inertLine(fmt.Sprint(v))
}

var errDeep = errors.New("nested too deeply")

const maxDepth = 32

// ordered decodes one JSON value and keeps the order of members, which a map
// would lose.
func ordered(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return object(d, depth)
	case json.Delim('['):
		return array(d, depth)
	}
	return t, nil
}

func object(d *json.Decoder, depth int) (any, error) {
	fields := []field{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := ordered(d, depth+1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field{fmt.Sprint(name), v})
	}
	return fields, end(d)
}

func array(d *json.Decoder, depth int) (any, error) {
	items := []any{}
	for d.More() {
		v, err := ordered(d, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, end(d)
}

func end(d *json.Decoder) error {
	_, err := d.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
