package formbody

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"schakel/clients/protocol"
)

// Missing is what the answers so far ask for and is not there, each at the field where a
// person must fill it in. A field that is wrong already is not missing as well.
func Missing(f protocol.Form, typed url.Values, v protocol.Values, faults []Fault) []Fault {
	m := missing{typed: typed, wrong: map[string]bool{}}
	for _, x := range faults {
		m.wrong[x.Name] = true
	}
	for _, x := range f.Fields {
		if !f.Hides(x.Name, v) {
			m.field(Prefix+x.Name, x, v[x.Name], f.Needs(x.Name, v))
		}
	}
	return m.found
}

type missing struct {
	typed url.Values
	wrong map[string]bool
	found []Fault
}

func (m *missing) field(name string, f protocol.Field, v any, needed bool) {
	given := protocol.Given(v)
	if !needed && !given {
		return
	}
	if !Offered(f) {
		if !given {
			m.found = append(m.found, Fault{name, text("hier hoort een bestand bij", "this needs a file")})
		}
		return
	}
	switch {
	case isMessage(f), f.Kind != protocol.KindGroup:
		if !given && !m.wrong[name] {
			m.found = append(m.found, Fault{name, text("vul dit in", "fill this in")})
		}
	case f.Many:
		m.rows(name, f)
	default:
		group, _ := v.(protocol.Values)
		m.group(name+".", f.Fields, group)
	}
}

func (m *missing) group(prefix string, fields []protocol.Field, v protocol.Values) {
	for _, f := range fields {
		m.field(prefix+f.Name, f, v[f.Name], f.Required)
	}
}

// rows looks at the rows in which something was typed, or at the first where nothing was in
// any. What stands in a row it reads again: the values have no empty rows.
func (m *missing) rows(name string, f protocol.Field) {
	n, _ := rowsOf(m.typed, name, f)
	any := false
	for i := range n {
		row := name + "." + strconv.Itoa(i) + "."
		p := &parsing{typed: m.typed, zone: time.UTC, known: map[string]bool{}}
		if v := p.group(row, f.Fields); len(v) > 0 || len(p.faults) > 0 {
			any = true
			m.group(row, f.Fields, v)
		}
	}
	if !any && f.Required {
		m.group(name+".0.", f.Fields, nil)
	}
}

// Refused turns what the schema refuses into faults beside the fields of the form.
func Refused(f protocol.Form, r *protocol.Refusal) (out []Fault) {
	for _, x := range r.Faults {
		out = append(out, Fault{nameAt(f, x.At), x.Reason})
	}
	if len(out) == 0 {
		out = append(out, Fault{"", r.Reason})
	}
	return out
}

// nameAt is the field that a JSON pointer (RFC 6901) into a body leads to, or empty.
func nameAt(f protocol.Form, pointer string) string {
	fields, name := f.Fields, strings.TrimSuffix(Prefix, ".")
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := 0; i < len(steps); i++ {
		found := false
		for _, x := range fields {
			if x.Name != steps[i] {
				continue
			}
			found, name = true, name+"."+x.Name
			switch {
			case isMessage(x), x.Kind != protocol.KindGroup:
				return name
			case x.Many && i+1 < len(steps):
				i++
				name += "." + steps[i]
			}
			fields = x.Fields
			break
		}
		if !found {
			break
		}
	}
	if name+"." == Prefix {
		return ""
	}
	return name
}

// LabelOf is what the field of that name is called, with the number of its row.
func LabelOf(f protocol.Form, name string) (label protocol.Text) {
	fields := f.Fields
	for step := range strings.SplitSeq(strings.TrimPrefix(name, Prefix), ".") {
		if n, err := strconv.Atoi(step); err == nil {
			label = text(label.NL+" "+strconv.Itoa(n+1), label.EN+" "+strconv.Itoa(n+1))
			continue
		}
		for _, x := range fields {
			if x.Name != step {
				continue
			}
			if label != (protocol.Text{}) {
				label = text(label.NL+", "+x.Label.NL, label.EN+", "+x.Label.EN)
			} else {
				label = x.Label
			}
			fields = x.Fields
			break
		}
	}
	return label
}
