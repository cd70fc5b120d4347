// Package formbody turns a form of the protocol into the fields of an HTML form, and what a
// browser sends of them into values again.
//
//	values, wrong := formbody.Parse(form, request.PostForm, zone)
//	boxes := formbody.Boxes(form, request.PostForm, wrong)
//
// The fields are named by their path: v.slachtoffers.0.roepnaam. What a browser sends is
// hostile: it may hold any name, any number of times, with any bytes. [Parse] walks over
// the form and not over what was sent, so that only what the form has is taken, and says of
// all else that it does not belong there. Nothing that was typed is changed or dropped: what
// is wrong with it stands beside it.
package formbody

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/routing"
)

// Prefix begins the names of the fields of a form, so that they are never taken for those
// of the page around it.
const Prefix = "v."

// Bounds of one form. The longest list of an example has four rows.
const (
	maxRows   = 40
	maxValues = 64
)

// Fault is something wrong with what was typed, and in which field.
type Fault struct {
	Name   string // of the field; empty: of the form as a whole
	Reason protocol.Text
}

func text(nl, en string) protocol.Text { return protocol.Text{NL: nl, EN: en} }

// parsing is one walk over a form and what was typed in it.
type parsing struct {
	typed  url.Values
	zone   *time.Location
	faults []Fault
	known  map[string]bool // names that the form has
}

// Parse reads what was typed. What cannot be read is left out of the values and stands in
// the faults; that something is missing is no fault yet: see [Missing].
func Parse(f protocol.Form, typed url.Values, zone *time.Location) (protocol.Values, []Fault) {
	p := &parsing{typed: typed, zone: zone, known: map[string]bool{}}
	v := p.group(Prefix, f.Fields)
	p.strangers()
	return v, p.faults
}

func (p *parsing) wrong(name string, reason protocol.Text) {
	p.faults = append(p.faults, Fault{name, reason})
}

func (p *parsing) group(prefix string, fields []protocol.Field) protocol.Values {
	v := protocol.Values{}
	for _, f := range fields {
		if x := p.field(prefix+f.Name, f); protocol.Given(x) {
			v[f.Name] = x
		}
	}
	return v
}

func (p *parsing) field(name string, f protocol.Field) any {
	switch {
	case !Offered(f):
		return nil
	case isMessage(f) && !f.Many:
		return p.message(name)
	case f.Kind == protocol.KindGroup && f.Many:
		return p.rows(name, f)
	case f.Kind == protocol.KindGroup:
		return p.group(name+".", f.Fields)
	case f.Many && f.Kind == protocol.KindChoice:
		return p.several(name, f, p.typed[name])
	case f.Many:
		return p.several(name, f, strings.Split(p.once(name), "\n"))
	}
	s, _ := p.one(name, f, p.once(name))
	return s
}

// once is what was typed in a field that comes once.
func (p *parsing) once(name string) string {
	p.known[name] = true
	all := p.typed[name]
	if len(all) == 0 {
		return ""
	}
	if len(all) > 1 {
		p.wrong(name, text(fmt.Sprintf("dit veld kwam %d keer; alleen het eerste staat hier", len(all)), fmt.Sprintf("this field came %d times; only the first is shown", len(all))))
	}
	return strings.ReplaceAll(all[0], "\r\n", "\n") // as browsers send line ends
}

func (p *parsing) one(name string, f protocol.Field, typed string) (string, bool) {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return "", false
	}
	v, wrong := f.Read(typed, p.zone)
	if wrong != (protocol.Text{}) {
		p.wrong(name, wrong)
		return "", false
	}
	if f.Kind == protocol.KindInstant { // written as its field will show it again
		again, _ := f.Read(shown(f, v, p.zone), p.zone)
		return again, true
	}
	return v, true
}

func (p *parsing) several(name string, f protocol.Field, typed []string) any {
	p.known[name] = true
	if len(typed) > maxValues {
		p.wrong(name, text(fmt.Sprintf("dit zijn er %d; hoogstens %d kan", len(typed), maxValues), fmt.Sprintf("these are %d; at most %d", len(typed), maxValues)))
		return nil
	}
	out := []any{}
	for _, t := range typed {
		if v, ok := p.one(name, f, t); ok && !slices.Contains(out, any(v)) {
			out = append(out, v)
		}
	}
	return out
}

func (p *parsing) rows(name string, f protocol.Field) any {
	n, fine := rowsOf(p.typed, name, f)
	p.known[name+rowsEnd] = true
	if !fine {
		p.wrong(name, text(fmt.Sprintf("hoogstens %d kan", maxRows), fmt.Sprintf("at most %d", maxRows)))
	}
	out := []any{}
	for i := range n {
		if v := p.group(name+"."+strconv.Itoa(i)+".", f.Fields); len(v) > 0 {
			out = append(out, v)
		}
	}
	return out
}

// rowsEnd ends the name of the hidden field that says how many rows a list has.
const rowsEnd = ".rows"

// rowsOf is how many rows of a list the form has: those that were asked for, and one where
// the list must not stay empty.
func rowsOf(typed url.Values, name string, f protocol.Field) (n int, fine bool) {
	if f.Required {
		n = 1
	}
	said := typed.Get(name + rowsEnd)
	if said == "" {
		return n, true
	}
	asked, err := strconv.Atoi(said)
	if err != nil || asked < 0 || asked > maxRows {
		return maxRows, false
	}
	return max(n, asked), true
}

// isMessage reports whether a group names a message by its identifier and hash: a person
// chooses it from those of the case.
func isMessage(f protocol.Field) bool {
	return f.Kind == protocol.KindGroup && len(f.Fields) == 2 && f.Fields[0].Name == "berichtId" && f.Fields[1].Name == "hash"
}

// MessageValue is a message as its choice carries it.
func MessageValue(id, hash string) string {
	return id + " sha256:" + strings.TrimPrefix(hash, "sha256:")
}

func (p *parsing) message(name string) any {
	typed := strings.TrimSpace(p.once(name))
	if typed == "" {
		return nil
	}
	id, hash, ok := strings.Cut(typed, " ")
	if !ok || strings.ContainsAny(hash, " \t\n") || len(id) != 36 || len(hash) != len("sha256:")+64 {
		p.wrong(name, text("kies een bericht uit de lijst", "choose a message from the list"))
		return nil
	}
	return protocol.Values{"berichtId": id, "hash": hash}
}

// Offered reports whether a page can ask for a field. What describes a file by its hash is
// filled in by whatever attaches files, and by no person.
func Offered(f protocol.Field) bool {
	return f.Kind != protocol.KindGroup || isMessage(f) ||
		!slices.ContainsFunc(f.Fields, func(x protocol.Field) bool { return x.Kind == protocol.KindHash && x.Required })
}

// strangers finds what was sent and is not in the form: that somebody typed it there, or
// that somebody makes up forms, both must be seen.
func (p *parsing) strangers() {
	var names []string
	for name := range p.typed {
		if strings.HasPrefix(name, Prefix) && !p.known[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	p.wrong("", text(fmt.Sprintf("%d velden horen niet in dit formulier, zoals %.60s", len(names), names[0]),
		fmt.Sprintf("%d fields do not belong in this form, such as %.60s", len(names), names[0])))
}

// Typed is what a person would have typed to get these values: the inverse of [Parse].
func Typed(f protocol.Form, v protocol.Values, zone *time.Location) url.Values {
	out := url.Values{}
	fill(out, Prefix, f.Fields, v, zone)
	return out
}

func fill(out url.Values, prefix string, fields []protocol.Field, v protocol.Values, zone *time.Location) {
	for _, f := range fields {
		name, x := prefix+f.Name, v[f.Name]
		if !protocol.Given(x) || !Offered(f) {
			continue
		}
		group, isGroup := x.(protocol.Values)
		items, isList := x.([]any)
		switch {
		case isMessage(f) && isGroup:
			out.Set(name, MessageValue(fmt.Sprint(group["berichtId"]), fmt.Sprint(group["hash"])))
		case f.Kind == protocol.KindGroup && f.Many:
			out.Set(name+rowsEnd, strconv.Itoa(len(items)))
			for i, item := range items {
				row, _ := item.(protocol.Values)
				fill(out, name+"."+strconv.Itoa(i)+".", f.Fields, row, zone)
			}
		case f.Kind == protocol.KindGroup:
			fill(out, name+".", f.Fields, group, zone)
		case f.Many && isList && f.Kind == protocol.KindChoice:
			for _, item := range items {
				out.Add(name, shown(f, item, zone))
			}
		case f.Many && isList:
			var lines []string
			for _, item := range items {
				lines = append(lines, shown(f, item, zone))
			}
			out.Set(name, strings.Join(lines, "\n"))
		default:
			out.Set(name, shown(f, x, zone))
		}
	}
}

// localTime is what a browser sends for a date and time without a zone.
const localTime = "2006-01-02T15:04"

// shown is a value as its field shows it.
func shown(f protocol.Field, v any, zone *time.Location) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "ja"
		}
		return "nee"
	case string:
		return shownText(f, v, zone)
	}
	return fmt.Sprint(v)
}

func shownText(f protocol.Field, v string, zone *time.Location) string {
	switch f.Kind {
	case protocol.KindInstant:
		t, err := time.Parse(time.RFC3339, v)
		if err != nil {
			return v
		}
		if t.Second() != 0 {
			return t.In(zone).Format(localTime + ":05")
		}
		return t.In(zone).Format(localTime)
	case protocol.KindMunicipality:
		if m, ok := routing.Of(v); ok && len(routing.Find(m.Name)) == 1 {
			return m.Name
		}
	}
	return v
}

// Hidden are the fields of values that no page shows, by their names: who goes on with them
// in a form would lose them.
func Hidden(f protocol.Form, v protocol.Values) []string { return hidden(f.Fields, v, "") }

func hidden(fields []protocol.Field, v protocol.Values, path string) (out []string) {
	for name, x := range v {
		i := slices.IndexFunc(fields, func(f protocol.Field) bool { return f.Name == name })
		if !protocol.Given(x) {
			continue
		}
		if i < 0 || !Offered(fields[i]) {
			out = append(out, path+name)
			continue
		}
		rows, isList := x.([]any)
		if !isList {
			rows = []any{x}
		}
		for _, row := range rows {
			if group, ok := row.(protocol.Values); ok {
				out = append(out, hidden(fields[i].Fields, group, path+name+".")...)
			}
		}
	}
	slices.Sort(out)
	return out
}
