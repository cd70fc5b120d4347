package casefile_test

import (
	"regexp"
	"testing"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/protocol"
)

// raw is a day or an instant as messages carry them.
var raw = regexp.MustCompile(`^\d{4}-\d\d-\d\d`)

// No example of any class shows a day or an instant as it was signed; each keeps it beside
// what is read.
func TestMomentsReadAsPeopleSayThem(t *testing.T) {
	moments, named := 0, 0
	for _, class := range protocol.V1().Classes() {
		form, err := protocol.V1().Form(class.Name)
		if err != nil {
			t.Fatal(err)
		}
		example, err := protocol.V1().Example(class.Name)
		if err != nil {
			continue // no example
		}
		for _, english := range []bool{false, true} {
			safe, rest := casefile.Outline(example.Body, form, english)
			each(append(safe, rest...), func(s casefile.Said) {
				if raw.MatchString(s.Text) {
					t.Errorf("%s: %s: %s", class.Name, s.Label, s.Text)
				}
				if s.Exact != "" {
					moments++
					_, day := time.Parse(time.DateOnly, s.Exact)
					_, instant := time.Parse(time.RFC3339, s.Exact)
					if day != nil && instant != nil {
						t.Errorf("%s: %s: %q is not what was signed", class.Name, s.Label, s.Exact)
					}
				}
			})
		}
		_, rest := casefile.Outline(example.Body, protocol.Form{}, false)
		each(rest, func(s casefile.Said) {
			if raw.MatchString(s.Text) {
				named++
			}
		})
	}
	if moments < 40 || named < 20 {
		t.Errorf("control: %d moments with a form, %d without", moments, named)
	}
}

// Text that looks like a moment is the sender's text, and stays it.
func TestTextIsNoMoment(t *testing.T) {
	form, err := protocol.V1().Form("adviesvraag")
	if err != nil {
		t.Fatal(err)
	}
	_, rest := casefile.Outline([]byte(`{"vraag":"2026-11-27T16:00:00Z","gewenstVoor":"2026-11-27 <b>","x":"2026-11-27"}`), form, false)
	for i, want := range []string{"2026-11-27T16:00:00Z", "2026-11-27 <b>", "2026-11-27"} {
		if rest[i].Text != want || rest[i].Exact != "" {
			t.Errorf("%+v, want %q", rest[i], want)
		}
	}
}

func each(all []casefile.Said, look func(casefile.Said)) {
	for _, s := range all {
		look(s)
		each(s.Items, look)
	}
}
