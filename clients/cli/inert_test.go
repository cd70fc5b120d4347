package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"schakel/clients/cli"
)

// hostile is what a partner might put into a text: an escape that clears the
// screen, an 8-bit one, a bell, a bidi override, an invisible tag, a line
// separator, a carriage return that overwrites, broken UTF-8.
const hostile = "\x1b[2J\u009b31m\a\u202egnp.exe\u2066\u200b\U000e0041\u2028\r\x7fend"

// acting are the characters that must not reach a terminal, line ends aside.
func acting(s string) (found []rune) {
	for _, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			found = append(found, r)
		}
	}
	return found
}

// TestReceivedTextIsInert is attack F19, with a control that shows the detector
// sees what the raw body holds.
func TestReceivedTextIsInert(t *testing.T) {
	body, err := json.Marshal(map[string]any{"feiten": hostile, hostile: map[string]string{"x": hostile}, "lijst": []string{hostile}})
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	p.serve(&scripted{body: body})
	for _, args := range [][]string{{"read", "4f1c"}, {"read", "4f1c", "--json"}} {
		out, _ := p.must(cli.Done, args...)
		if found := acting(out); len(found) > 0 {
			t.Errorf("schakel %v lets %q through", args, found)
		}
	}
	out, _ := p.must(cli.Done, "read", "4f1c")
	if !strings.Contains(out, `\u202egnp.exe`) {
		t.Errorf("what was there is not shown as an escape:\n%s", out)
	}
	raw, _ := p.must(cli.Done, "read", "4f1c", "--body")
	if raw != string(body) {
		t.Errorf("--body to a pipe must be the exact bytes")
	}
	if len(acting(hostile)) < 8 {
		t.Errorf("control: the detector sees only %q", acting(hostile))
	}
}

// TestBodyThatIsNotAnObject shows that text in place of JSON is inert as well.
func TestBodyThatIsNotAnObject(t *testing.T) {
	for _, body := range []string{hostile, `"` + "\u202e" + `"`, `[1,2`, strings.Repeat("[", 100000), "\xff\xfe"} {
		p := newPlace(t)
		p.serve(&scripted{body: []byte(body)})
		out, _ := p.must(cli.Done, "read", "4f1c")
		if found := acting(out); len(found) > 0 {
			t.Errorf("body %.20q lets %q through", body, found)
		}
	}
}

func TestSafeContactComesFirst(t *testing.T) {
	p := newPlace(t)
	p.serve(fullNode())
	out, _ := p.must(cli.Done, "read", "4f1c")
	safe, phone := strings.Index(out, "nietInformeren"), strings.Index(out, "+31600000003")
	if safe < 0 || phone < 0 || safe > phone {
		t.Errorf("whom not to inform must stand before any telephone number:\n%s", out)
	}
}

func TestErrorsAreInert(t *testing.T) {
	p := newPlace(t)
	_, stderr := p.must(cli.Usage, "\x1b]0;owned\a")
	if found := acting(stderr); len(found) > 0 {
		t.Errorf("an error lets %q through", found)
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	p := newPlace(t)
	p.serve(fullNode())
	if out, _ := p.must(cli.Done, "inbox"); strings.Contains(out, "\x1b[") {
		t.Error("colour on what is no terminal")
	}
	if out, _ := p.must(cli.Done, "inbox", "--color", "always"); !strings.Contains(out, "\x1b[1;31macuut") {
		t.Error("control: --color=always paints nothing")
	}
	p.environ = append(p.environ, "NO_COLOR=1")
	if out, _ := p.must(cli.Done, "inbox"); strings.Contains(out, "\x1b[") {
		t.Error("colour in spite of NO_COLOR")
	}
}
