package formbody

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"schakel/clients/protocol"
)

// Box is a field of a page with what was typed in it, and what is wrong with that.
type Box struct {
	Name        string // of the field, and its place on the page
	Label, Help protocol.Text
	Look        string // which kind of field the page shows: see the looks
	Needed      bool
	Value       string
	Options     []Option
	Fields      []Box // of a group: what is needed, and what already says something
	More        []Box // of a group: what may stay empty
	Open        bool  // More says something: do not hide it
	Rows        []Row
	CanAdd      bool
	CanDrop     bool
	Wrong       []protocol.Text
	Longest     int  // letters; 0: no bound
	Short       bool // its options say enough in a word or two
}

// Option is one choice.
type Option struct {
	Value       string
	Label, Help protocol.Text
	Chosen      bool
}

// Row is one of a list of groups.
type Row struct {
	Name   string
	Number int // from one
	Box
}

// The looks that a box can have.
const (
	LookLine         = "line"
	LookStory        = "story" // several lines
	LookLines        = "lines" // one thing a line
	LookNumber       = "number"
	LookDate         = "date"
	LookInstant      = "instant"
	LookTelephone    = "telephone"
	LookMunicipality = "municipality"
	LookRadios       = "radios"
	LookList         = "list" // one out of many, or none
	LookChecks       = "checks"
	LookTick         = "tick" // must be said yes to
	LookMessage      = "message"
	LookGroup        = "group"
	LookRows         = "rows"
)

// shortList is how many choices a tired eye sees at once; longer lists fold.
const shortList = 8

// maker makes the boxes of one form.
type maker struct {
	form     protocol.Form
	typed    url.Values
	wrong    map[string][]protocol.Text
	messages []Option
}

// Boxes are the fields of a form at its top: what is needed first, as the form orders it,
// and what may stay empty after that. messages are those of the case, for fields that name
// one. v is what the fields say so far.
func Boxes(f protocol.Form, typed url.Values, v protocol.Values, faults []Fault, messages []Option) (needed, more []Box, open bool) {
	m := maker{f, typed, map[string][]protocol.Text{}, messages}
	for _, x := range faults {
		m.wrong[x.Name] = append(m.wrong[x.Name], x.Reason)
	}
	fields := slices.Clone(f.Fields)
	for i := range fields {
		fields[i].Required = f.Needs(fields[i].Name, v)
		if fields[i].Kind == protocol.KindChoice && decided(f, fields[i].Name, v) {
			fields[i].Choices = f.ChoicesOf(fields[i].Name, v)
		}
	}
	fields = slices.DeleteFunc(fields, func(x protocol.Field) bool {
		return f.Hides(x.Name, v) && !protocol.Given(v[x.Name]) // what was typed there stays to be seen
	})
	b := Box{}
	m.fill(&b, Prefix, fields)
	return b.Fields, b.More, b.Open
}

// decided reports whether everything was answered that the choices of a field depend on.
// Until then a page shows all of them: it cannot ask in turns, as a terminal does.
func decided(f protocol.Form, name string, v protocol.Values) bool {
	return !slices.ContainsFunc(f.Dependencies, func(d protocol.Dependency) bool {
		return d.Allow[name] != nil && slices.ContainsFunc(d.When, func(c protocol.Condition) bool { return !protocol.Given(v[c.Field]) })
	})
}

func (m maker) fill(b *Box, prefix string, fields []protocol.Field) {
	for _, f := range fields {
		if !Offered(f) {
			continue
		}
		x := m.box(prefix+f.Name, f)
		if f.Required || m.seen(f) {
			b.Fields = append(b.Fields, x)
			continue
		}
		b.More = append(b.More, x)
		b.Open = b.Open || m.says(x)
	}
}

// seen reports whether a field that may stay empty is not folded away: how to reach the
// victim safely (R06), but for a correction, which says what changes; and the municipality,
// by which the right desk is found.
func (m maker) seen(f protocol.Field) bool {
	return f.Name == "veiligContact" && m.form.Class != protocol.ClassCorrection || f.Kind == protocol.KindMunicipality
}

// says reports whether something was typed in a box, or is wrong with it.
func (m maker) says(b Box) bool {
	inside := slices.Concat(b.Fields, b.More)
	for _, r := range b.Rows {
		inside = append(inside, r.Box)
	}
	return b.Value != "" || len(b.Wrong) > 0 || slices.ContainsFunc(b.Options, func(o Option) bool { return o.Chosen }) || slices.ContainsFunc(inside, m.says)
}

func (m maker) box(name string, f protocol.Field) Box {
	b := Box{Name: name, Label: f.Label, Help: f.Help, Needed: f.Required, Wrong: m.wrong[name], Look: lookOf(f), Value: clean(m.typed.Get(name)), Longest: f.Max}
	switch b.Look {
	case LookDate, LookInstant:
		if b.Value != "" && len(b.Wrong) > 0 {
			b.Look = LookLine // a browser shows nothing of a date that is none
		}
	case LookGroup:
		m.fill(&b, name+".", f.Fields)
	case LookRows:
		n, _ := rowsOf(m.typed, name, f)
		b.CanAdd, b.CanDrop = n < maxRows, n > 1 || !f.Required
		for i := range n {
			row := Row{Name: name + "." + strconv.Itoa(i), Number: i + 1, Box: Box{Label: f.Label}}
			m.fill(&row.Box, row.Name+".", f.Fields)
			b.Rows = append(b.Rows, row)
		}
	case LookMessage:
		b.Options = m.chosen(name, m.messages)
	case LookRadios, LookList, LookChecks:
		b.Options, b.Value = m.chosen(name, options(f)), ""
		b.Short = !slices.ContainsFunc(b.Options, func(o Option) bool { return o.Help != (protocol.Text{}) })
	}
	return b
}

// clean is text that a page can hold; what is wrong with the rest was said beside it.
func clean(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func options(f protocol.Field) (out []Option) {
	if f.Kind == protocol.KindYesNo {
		return []Option{{Value: "ja", Label: text("Ja", "Yes")}, {Value: "nee", Label: text("Nee", "No")}}
	}
	for _, c := range f.Choices {
		out = append(out, Option{Value: c.Value, Label: c.Label, Help: c.Help})
	}
	return out
}

func (m maker) chosen(name string, all []Option) []Option {
	all = slices.Clone(all)
	for i := range all {
		all[i].Chosen = slices.Contains(m.typed[name], all[i].Value)
	}
	return all
}

func lookOf(f protocol.Field) string {
	switch {
	case isMessage(f) && !f.Many:
		return LookMessage
	case f.Kind == protocol.KindGroup && f.Many:
		return LookRows
	case f.Kind == protocol.KindGroup:
		return LookGroup
	case f.Kind == protocol.KindChoice && f.Many:
		return LookChecks
	case f.Many:
		return LookLines
	case f.Kind == protocol.KindYesNo && f.Required, f.Kind == protocol.KindChoice && f.Required && len(f.Choices) <= shortList:
		return LookRadios
	case f.Kind == protocol.KindYesNo, f.Kind == protocol.KindChoice:
		return LookList
	}
	if look, ok := looks()[f.Kind]; ok {
		return look
	}
	return LookLine
}

func looks() map[protocol.Kind]string {
	return map[protocol.Kind]string{protocol.KindLong: LookStory, protocol.KindNumber: LookNumber, protocol.KindBSN: LookNumber, protocol.KindConfirm: LookTick,
		protocol.KindDate: LookDate, protocol.KindInstant: LookInstant, protocol.KindTelephone: LookTelephone, protocol.KindMunicipality: LookMunicipality}
}

// AsksPlace reports whether a form asks for a municipality somewhere.
func AsksPlace(fields []protocol.Field) bool {
	return slices.ContainsFunc(fields, func(f protocol.Field) bool {
		return f.Kind == protocol.KindMunicipality || AsksPlace(f.Fields)
	})
}

// Gist is how the first story of a form begins, for a list of several that are alike.
func Gist(f protocol.Form, typed url.Values) string {
	for _, x := range f.Fields {
		if told := Short(typed.Get(Prefix + x.Name)); x.Kind == protocol.KindLong && told != "" {
			return told
		}
	}
	return ""
}

// Short is how a text begins.
func Short(text string) string {
	told := []rune(strings.TrimSpace(clean(text)))
	return string(told[:min(len(told), gistLength)])
}

const gistLength = 60

// Change adds a row to a list of a form, or takes one out, as a button names it: add:PATH,
// or drop:PATH.N. It reports whether the button was one of those. The rows below one that
// is taken out move up.
func Change(typed url.Values, button string) bool {
	verb, path, ok := strings.Cut(button, ":")
	if !ok || !strings.HasPrefix(path, Prefix) || verb != "add" && verb != "drop" {
		return false
	}
	if verb == "add" {
		n, _ := strconv.Atoi(typed.Get(path + rowsEnd))
		if n >= 0 && n < maxRows {
			typed.Set(path+rowsEnd, strconv.Itoa(n+1))
		}
		return true
	}
	i := strings.LastIndexByte(path, '.')
	list := path[:i]
	gone, err := strconv.Atoi(path[i+1:])
	n, _ := strconv.Atoi(typed.Get(list + rowsEnd))
	if err != nil || gone < 0 || gone >= n || n > maxRows {
		return true
	}
	dropRow(typed, list, gone)
	typed.Set(list+rowsEnd, strconv.Itoa(n-1))
	return true
}

func dropRow(typed url.Values, list string, gone int) {
	moved := url.Values{}
	for name, v := range typed {
		rest, ok := strings.CutPrefix(name, list+".")
		number, tail, isRow := strings.Cut(rest, ".")
		i, err := strconv.Atoi(number)
		if !ok || !isRow || err != nil || i < gone {
			continue
		}
		delete(typed, name)
		if i > gone {
			moved[list+"."+strconv.Itoa(i-1)+"."+tail] = v
		}
	}
	for name, v := range moved {
		typed[name] = v
	}
}
