package webtest

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Page is a page as a browser without scripts has it.
type Page struct {
	Reply
	At string // its address

	root *html.Node
	last func() Reply // how it was asked for
}

// Window is a browser without scripts: it opens addresses, fills in the forms that stand
// on a page, presses their buttons, and goes where the answer leads.
type Window struct {
	*Browser
	Page
}

// Node is an element of a page.
type Node = *html.Node

// maxLed is how often an answer may lead on.
const maxLed = 5

// Open goes to an address.
func (w *Window) Open(path string) Page {
	w.t.Helper()
	return w.ask(path, func() Reply { return w.Get(path) })
}

// Press sends a form with one of its buttons, named as "name=value"; empty where the
// button has no name.
func (w *Window) Press(f Form, button string) Page {
	w.t.Helper()
	v := f.sent()
	if name, value, named := strings.Cut(button, "="); named {
		if !slices.Contains(f.buttons, button) {
			w.t.Fatalf("%s has no button %q, but %q:\n%.2000s", f.Action, button, f.buttons, w.Body)
		}
		v.Add(name, value)
	}
	path := f.Action
	return w.ask(path, func() Reply { return w.Post(path, v) })
}

// Reload asks for the page again as it was asked for: what was a form is sent once more.
func (w *Window) Reload() Page {
	w.t.Helper()
	return w.ask(w.At, w.last)
}

func (w *Window) ask(path string, request func() Reply) Page {
	w.t.Helper()
	r := request()
	last := request
	for range maxLed {
		to := r.Header.Get("Location")
		if to == "" {
			break
		}
		path = to
		last = func() Reply { return w.Get(to) }
		r = last()
	}
	root, err := html.Parse(strings.NewReader(r.Body))
	ok(w.t, err)
	path, _, _ = strings.Cut(path, "#")
	w.Page = Page{Reply: r, At: path, root: root, last: last}
	return w.Page
}

// Form is a form that stands on a page, with what a browser would send of it.
type Form struct {
	Action string
	url.Values

	buttons []string
}

// sent is a form as browsers send it: lines end in CR LF.
func (f Form) sent() url.Values {
	out := url.Values{}
	for name, values := range f.Values {
		for _, v := range values {
			out.Add(name, strings.ReplaceAll(v, "\n", "\r\n"))
		}
	}
	return out
}

// Buttons are the buttons of a form that have a name, as "name=value".
func (f Form) Buttons() []string { return f.buttons }

// Form is the form of a page that leads to an address.
func (p Page) Form(t testing.TB, action string) Form {
	t.Helper()
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			if f := p.form(n); f.Action == action {
				return f
			}
		}
	}
	t.Fatalf("%s has no form that leads to %s:\n%.3000s", p.At, action, p.Body)
	return Form{}
}

func (p Page) form(form *html.Node) Form {
	path, _, _ := strings.Cut(p.At, "?")
	f := Form{Action: path, Values: url.Values{}}
	if a := attribute(form, "action"); a != "" {
		f.Action = a
	}
	for n := range form.Descendants() {
		if n.Type == html.ElementNode {
			f.add(n)
		}
	}
	return f
}

func (f *Form) add(n *html.Node) {
	name, value := attribute(n, "name"), attribute(n, "value")
	switch kind := attribute(n, "type"); {
	case name == "":
	case n.Data == "button":
		f.buttons = append(f.buttons, name+"="+value)
	case n.Data == "textarea":
		f.Add(name, Text(n))
	case n.Data == "select":
		f.Add(name, chosen(n))
	case n.Data != "input":
	case kind != "checkbox" && kind != "radio" || has(n, "checked"):
		f.Add(name, value)
	}
}

// chosen is the option of a list that is selected, or the first.
func chosen(list *html.Node) (value string) {
	first := true
	for n := range list.Descendants() {
		if n.Type == html.ElementNode && n.Data == "option" && (first || has(n, "selected")) {
			value, first = attribute(n, "value"), false
		}
	}
	return value
}

// Elements are the elements of a page of one kind, in their order.
func (p Page) Elements(kind string) []*html.Node { return Elements(p.root, kind) }

// Elements are those of one kind inside another.
func Elements(in *html.Node, kind string) (out []*html.Node) {
	for n := range in.Descendants() {
		if n.Type == html.ElementNode && n.Data == kind {
			out = append(out, n)
		}
	}
	return out
}

// Link is where a link inside an element leads, of those that begin with a prefix.
func Link(in *html.Node, prefix string) string {
	for _, a := range Elements(in, "a") {
		if to := attribute(a, "href"); strings.HasPrefix(to, prefix) {
			return to
		}
	}
	return ""
}

// Labelled reports by what an element is labelled.
func Labelled(n *html.Node) string { return attribute(n, "aria-labelledby") }

// Text is what stands in an element.
func Text(in *html.Node) string {
	var out strings.Builder
	for n := range in.Descendants() {
		if n.Type == html.TextNode {
			out.WriteString(n.Data)
		}
	}
	return out.String()
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}
