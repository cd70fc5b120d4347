package cli_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"schakel/clients/cli"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
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

// TestF19ReceivedTextIsInert is attack F19, with a control that shows the detector
// sees what the raw body holds.
func TestF19ReceivedTextIsInert(t *testing.T) {
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

// Nothing that a partner, a colleague or a register wrote acts on the terminal of
// somebody who is asked questions, nor on the page to check before a message goes: names,
// telephone numbers, outcomes, and what a saved draft says.
func TestPromptsAreInert(t *testing.T) {
	p, o := newPlace(t), overview()
	o.Messages[0].From.Desk, o.Messages[0].Class = identity.DeskID("arts/"+hostile), "afweging"+hostile
	desks := chain()
	for i := range desks {
		desks[i].Org, desks[i].Region, desks[i].Telephone = hostile+strings.Repeat("lang ", 3000), hostile, hostile
	}
	named := schakel.Named{Ref: ref(1), Class: "afweging" + hostile, From: identity.DeskID("arts/" + hostile), Created: now(), Outcome: hostile}
	n := &scripted{desks: desks, overview: o, persons: []schakel.Person{{Name: hostile, Function: hostile, Telephone: hostile}}, prepared: &schakel.Prepared{
		Case: hostile, Added: []identity.DeskID{desks[3].ID, identity.DeskID("x/" + hostile)}, Unreached: []identity.DeskID{identity.DeskID("y/" + hostile)},
		RestsOn: []schakel.Named{named}, Encloses: []schakel.Named{named}, Answers: &named, Telephone: true, Exercise: true}}
	p.serve(n)
	file := writeFile(t, filepath.Join(t.TempDir(), "v.toml"), callBackTOML+"\n[persoon]\ngemeentecode = \"GM0344\\u001b[2J\\u202e\"\n", 0o600)
	shown := ""
	for _, try := range [][]string{callBack("--from-file", file), callBack(), {"send", "--class", "contactverzoek", "--urgency", "acuut"},
		{"send", "--class", "besluit", "--urgency", "spoed", "--answers", hash1}} {
		answers := append(answersTo()[2:], answersTo()...)
		out, errs, _ := p.typed(answers, try...)
		shown += errs
		if found := acting(out + errs); len(found) > 0 {
			t.Errorf("schakel %v lets %q through", try, found)
		}
	}
	for _, args := range [][]string{{"draft", "list"}, {"draft", "show", id1}} {
		if out, errs := p.must(cli.Done, args...); len(acting(out+errs)) > 0 {
			t.Errorf("schakel %v lets %q through", args, acting(out+errs))
		}
	}
	if !strings.Contains(shown, `\u202egnp.exe`) || !strings.Contains(shown, "[geverifieerd in het register]") {
		t.Errorf("control: the page was never shown:\n%.2000s", shown)
	}
}

// What an arrow key leaves in a line is asked again, and reaches no message.
func TestTypedControlCharacters(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	answers := answersTo()[2:]
	answers[1] = "Wie regelt\x1b[D opvang?"
	answers = slices.Insert(answers, 2, "Wie\tregelt vannacht opvang?")
	args := []string{"send", "--class", "contactverzoek", "--urgency", "spoed"}
	_, errs, code := p.typed(answers, args...)
	if code != cli.Done || len(n.drafts) != 1 || !strings.Contains(errs, "stuurtekens") {
		t.Fatalf("exit %d, %d sent\n%s", code, len(n.drafts), errs)
	}
	if body := string(n.drafts[0].Body); !strings.Contains(body, "Wie regelt vannacht opvang?") || strings.Contains(body, "u001b") {
		t.Errorf("body %s", body)
	}
	answers[1] = strings.Repeat("x", 20<<10)
	if _, errs, code := p.typed(answers, args...); code != cli.Usage || !strings.Contains(errs, "a line of more than") || len(n.drafts) != 1 {
		t.Errorf("a line without end: exit %d\n%s", code, errs)
	}
}

// A moment in a body reads as people say it, with what was signed behind it; nothing else does.
func TestMomentsInABody(t *testing.T) {
	form, err := protocol.V1().Form("repatrieringsplan")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"reis":{"vertrekOp":"2026-11-28T03:10:00Z","aankomstOp":"morgen\u001b[2J"},"persoon":{"geboortedatum":"2009-03-14"},"toelichting":"2026-11-28T03:10:00Z"}`
	shown := cli.Outline([]byte(body), form.Fields...)
	for _, want := range []string{"vertrekOp: Sat 28 Nov 2026, 04:10 (2026-11-28T03:10:00Z)\n", `aankomstOp: morgen\u001b[2J`, "geboortedatum: Sat 14 Mar 2009 (2009-03-14)\n", "toelichting: 2026-11-28T03:10:00Z\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
	if plain := cli.Outline([]byte(body)); !strings.Contains(plain, "vertrekOp: 2026-11-28T03:10:00Z\n") {
		t.Errorf("control: without a form it is shown as it was written:\n%s", plain)
	}
}
