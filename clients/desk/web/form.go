package web

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"schakel/clients/desk"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
)

// form is a form as somebody filled it in, and what is wrong with it. It never holds a
// PIN: a page that comes back asks for it again.
type form struct {
	Trouble *trouble // that no field is to blame for
	Signer  string   // whose PIN it asks

	lang   language
	values url.Values
	wrong  map[string]string // what is wrong, by field
	order  []string          // of fields that are wrong
}

// form reads what was typed: out of the address where it is only looked at, out of the
// body where it is sent.
func (v *visit) form() *form {
	f := &form{lang: v.lang, values: url.Values{}, wrong: map[string]string{}, Signer: v.user.Name}
	if v.Method == http.MethodGet {
		f.values = v.URL.Query()
	} else {
		_ = v.PostFormValue("") // parses it; what is malformed has no values, and is asked for again
		f.values = maps.Clone(v.PostForm)
	}
	f.values.Del("pin")
	f.values.Del("pin-again")
	return f
}

// Get is what was typed into a field.
func (f *form) Get(name string) string { return strings.TrimSpace(f.values.Get(name)) }

// Is reports whether a choice or a tick was made.
func (f *form) Is(name, value string) bool {
	for _, v := range f.values[name] {
		if v == value {
			return true
		}
	}
	return false
}

// Wrong is what is wrong with a field; empty where nothing is.
func (f *form) Wrong(name string) string { return f.wrong[name] }

func (f *form) fault(name, key string) {
	if f.wrong[name] == "" {
		f.order = append(f.order, name)
	}
	f.wrong[name] = f.lang.word(key)
}

// need demands that something stands in a field, and says in words of that field what: a
// list of faults is read out without the form.
func (f *form) need(names ...string) {
	for _, n := range names {
		if f.Get(n) == "" {
			f.fault(n, "form.needed-"+n)
		}
	}
}

// Faults are the fields that are wrong, for the list above the form.
func (f *form) Faults() (out []fault) {
	for _, n := range f.order {
		out = append(out, fault{n, f.wrong[n]})
	}
	return out
}

func (f *form) good() bool { return len(f.order) == 0 && f.Trouble == nil }

// time reads a date and time by the clock in the Netherlands; zero where none was typed.
func (f *form) time(name string) time.Time {
	text := f.Get(name)
	if text == "" {
		return time.Time{}
	}
	t, err := time.ParseInLocation(localTime, text, calendar.Zone())
	if err != nil {
		f.fault(name, "form.wrong-time")
	}
	return t
}

// refuse notes why something was not done, beside the field where there is one, and says
// with which status the form comes back. What the user may not do at all is an error.
func (f *form) refuse(err error) (status int, _ error) {
	if errors.Is(err, desk.ErrRight) || errors.Is(err, desk.ErrOwnPerson) {
		return 0, err
	}
	if errors.Is(err, schakel.ErrPIN) {
		f.fault("pin", "form.wrong-pin")
		return http.StatusForbidden, nil
	}
	t, status := troubleOf(err, f.lang)
	f.Trouble = &t
	return status, nil
}

// by is who signs: the user's own person, with the PIN that was typed.
func (v *visit) by() schakel.By {
	return schakel.By{Person: v.user.Person, PIN: v.PostFormValue("pin")}
}

// signs refuses a user who signs as nobody.
func (v *visit) signs() error {
	if v.user.Person == "" {
		return schakel.ErrPersonNeeded
	}
	return nil
}

// field is one field as its template shows it.
type field struct {
	Name, Label, Hint, Type, Value, Wrong string
	Optional                              bool
}

// Field is a field with its label; then, where they are there, its type and its hint.
func (f *form) Field(name, label string, more ...string) field {
	out := field{Name: name, Label: label, Type: "text", Value: f.Get(name), Wrong: f.Wrong(name)}
	if len(more) > 0 {
		out.Type = more[0]
	}
	if len(more) > 1 {
		out.Hint = more[1]
	}
	if strings.HasPrefix(out.Type, "new-") {
		out.Value = ""
	}
	return out
}

// Carried are the values that a check page sends along.
func (f *form) Carried(names ...string) []field { return carried(f.values, names...) }

func carried(values url.Values, names ...string) (out []field) {
	for _, n := range names {
		for _, v := range values[n] {
			out = append(out, field{Name: n, Value: v})
		}
	}
	return out
}

// Query is the address of a page with what was filled in so far, to change it.
func (f *form) Query(path string, names ...string) string {
	q := url.Values{}
	for _, n := range names {
		if vs := f.values[n]; len(vs) > 0 {
			q[n] = vs
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
