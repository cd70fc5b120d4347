package casefile_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/crypto/delivery"
	"schakel/crypto/message"
)

// element is one element of a page, with what stands in it.
type element struct {
	name  string
	attrs map[string]string
	text  string
	in    []string // what it stands in, outermost first
}

// void are the elements of the page that have no end.
var void = regexp.MustCompile(`<(meta[^>]*)>`)

// elements reads a page, and is strict about nesting where a browser is not.
func elements(page string) (all []*element, err error) {
	d := xml.NewDecoder(strings.NewReader(void.ReplaceAllString(page, "<$1/>")))
	d.Entity = xml.HTMLEntity
	var open []*element
	for {
		t, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && len(open) == 0:
			return all, nil
		case err != nil:
			return all, fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			e := &element{name: t.Name.Local, attrs: map[string]string{}}
			for _, a := range t.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			for _, o := range open {
				e.in = append(e.in, o.name)
			}
			all, open = append(all, e), append(open, e)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1].name != t.Name.Local {
				return all, fmt.Errorf("at byte %d: </%s> closes nothing", d.InputOffset(), t.Name.Local)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			for _, o := range open {
				o.text += string(t)
			}
		}
	}
}

// barriers are what keeps somebody from reading a page who hears it, prints it, or moves
// by the keyboard; and what reaches out of it.
func barriers(page string) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	all, err := elements(page)
	if err != nil {
		return []string{err.Error()}
	}
	count, ids, level := map[string]int{}, map[string]bool{}, 0
	for _, e := range all {
		count[e.name]++
		if id := e.attrs["id"]; id != "" {
			if ids[id] {
				say("id %q stands twice", id)
			}
			ids[id] = true
		}
	}
	for _, e := range all {
		for name, value := range e.attrs {
			switch {
			case strings.HasPrefix(name, "on"), slices.Contains([]string{"src", "srcset", "action", "data", "style"}, name):
				say("<%s %s>", e.name, name)
			case name == "href" && !strings.HasPrefix(value, "#") && value != "dossier.html" && value != "dossier.en.html":
				say("a reference out of the file: %s", value)
			case slices.Contains([]string{"aria-labelledby", "aria-describedby"}, name) && !ids[value], name == "href" && value[0] == '#' && !ids[value[1:]]:
				say("%s of <%s> names nothing: %s", name, e.name, value)
			}
		}
		within := func(name string) bool { return slices.Contains(e.in, name) }
		switch e.name {
		case "script", "iframe", "object", "embed", "form", "input", "link", "img", "svg", "base":
			say("<%s>", e.name)
		case "h1", "h2", "h3", "h4", "h5", "h6":
			if n := int(e.name[1] - '0'); n > level+1 {
				say("<%s> %q after a heading of level %d", e.name, e.text, level)
			} else {
				level = n
			}
			if strings.TrimSpace(e.text) == "" {
				say("an empty <%s>", e.name)
			}
		case "th":
			if s := e.attrs["scope"]; s != "row" && s != "col" || strings.TrimSpace(e.text) == "" {
				say("<th scope=%q> %q", s, e.text)
			}
		case "td", "tr":
			if !within("table") {
				say("<%s> outside a table", e.name)
			}
		case "dt", "dd":
			if e.in[len(e.in)-1] != "dl" {
				say("<%s> outside a list", e.name)
			}
		case "a", "section", "article", "nav":
			if strings.TrimSpace(e.text) == "" && e.attrs["aria-label"] == "" {
				say("an empty <%s>", e.name)
			}
			if (e.name == "section" || e.name == "article") && e.attrs["aria-labelledby"] == "" {
				say("<%s> without a name", e.name)
			}
		}
	}
	for name, n := range map[string]int{"html": 1, "title": 1, "h1": 1, "main": 1, "header": 1, "style": 1} {
		if count[name] != n {
			say("%d of <%s>", count[name], name)
		}
	}
	for _, must := range []string{`<meta charset="utf-8">`, `default-src 'none'`, `name="viewport"`, "@media print", `class="skip" href="#inhoud"`} {
		if !strings.Contains(page, must) {
			say("no %s", must)
		}
	}
	if regexp.MustCompile(`(?i)url\(|@import|javascript:|http-equiv="refresh"`).MatchString(page) {
		say("something to fetch or to run")
	}
	return found
}

// hostilePage is a case whose every text is an attack, with all that a page can hold:
// safe contact, obligations, proofs, a missing message, an exercise.
func hostilePage(t *testing.T) map[string][]byte {
	t.Helper()
	w := newWorld(t)
	for i, attack := range []string{`</dd></dl></article><script>alert(1)</script>`, `\u001b[2J\u001b]0;title\u0007\u009b31m`, `\u202e\u2066\u200b\u2028`,
		`=cmd|' /C calc'!A0`, `\" onmouseover=\"x`, `&#60;b&#62;`, strings.Repeat("lang", 2000)} {
		text := strings.Replace(body(t, "melding"), "Slachtoffer belt", attack, 1)
		report := w.say(t, w.doctor, "melding", message.Acute, text, func(m *message.Message) { m.Heading.Exercise = i == 0 }, "politie-mn/oc", "vt20/crisis")
		if i == 6 {
			w.dossier.Messages = w.dossier.Messages[:len(w.dossier.Messages)-1]
			w.say(t, w.vt, "informatieverzoek", message.Urgent, body(t, "informatieverzoek"), func(m *message.Message) { m.Heading.Answers = []message.Ref{report.Ref()} }, "politie-mn/oc")
		}
	}
	asked := w.say(t, w.vt, "signaal", message.Routine, body(t, "signaal"), nil, "arts/praktijk", "politie-mn/oc")
	w.dossier.Statements = [][]byte{w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: 1})}
	w.dossier.Record.Received = nil
	return unpack(t, w.finish(t, true))
}

// Both pages are read by a screen reader, by print and by keyboard alike, and reach
// nothing outside: whatever stands in the messages.
func TestPageHasNoBarriers(t *testing.T) {
	files := hostilePage(t)
	for _, name := range []string{"dossier.html", "dossier.en.html"} {
		page := string(files[name])
		if found := barriers(page); len(found) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(found, "\n"))
		}
		for _, r := range page {
			if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2066 || r == 0x200b || r == 0x2028) {
				t.Errorf("%s: %q acts", name, r)
			}
		}
		for _, inert := range []string{`=cmd|&#39;`, `&lt;script&gt;`, `\u001b[2J`, `\u202e`} {
			if !strings.Contains(page, inert) {
				t.Errorf("%s does not show %q", name, inert)
			}
		}
	}
	honest := string(files["dossier.html"])
	for what, broken := range map[string]string{
		"script": strings.Replace(honest, "</main>", "<script>1</script></main>", 1), "heading": strings.Replace(honest, "<h2 ", "<h4 ", 1),
		"scope": strings.Replace(honest, ` scope="row"`, "", 1), "language link": strings.Replace(honest, `href="dossier.en.html"`, `href="https://x"`, 1),
		"nesting": strings.Replace(honest, "</table>", "", 1), "print": strings.Replace(honest, "@media print", "@media screen", 1),
		"label": strings.Replace(honest, `aria-labelledby="zaak"`, `aria-labelledby="niets"`, 1), "handler": strings.Replace(honest, "<h1>", `<h1 onclick="1">`, 1),
	} {
		if broken == honest || len(barriers(broken)) == 0 {
			t.Errorf("control: %s is no barrier", what)
		}
	}
}
