package cli_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"schakel/clients/cli"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// typed runs a command at which somebody sits and types these lines.
func (p *place) typed(lines []string, args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	var out, errs bytes.Buffer
	std := cli.Stdio{In: strings.NewReader(strings.Join(lines, "\n") + "\n"), Out: &out, Err: &errs, Now: now, Zone: time.FixedZone("CET", 3600),
		Environ: append([]string{"SCHAKEL_HOME=" + p.home}, p.environ...), Asks: true}
	code = cli.Main(p.t.Context(), args, std)
	return out.String(), errs.String(), code
}

func chain() []schakel.Desk {
	return []schakel.Desk{
		{ID: "arts/praktijk", Org: "Huisarts", Role: identity.RoleSignaleerder, Reachable: true},
		{ID: "politie-mn/oc", Org: "Politie Midden-Nederland", Role: identity.RolePolitie, Region: "RE03", Telephone: "+31600000004", Reachable: true},
		{ID: "politie-ams/oc", Org: "Politie Amsterdam", Role: identity.RolePolitie, Region: "RE05", Telephone: "+31600000005", Reachable: true},
		{ID: "knooppunt/piket", Org: "Landelijk Knooppunt", Role: identity.RoleKnooppunt, Region: "NL", Telephone: "+31600000006", Reachable: true},
	}
}

const callBackTOML = `
aanleiding = "Wie regelt vannacht opvang?"
gewensteFunctie = "piket"
terugbellenVoor = 2026-11-24T15:00:00+01:00
terugbelnummer = "+31600000004"
slachtofferAanwezig = true

[contact]
naam = "P. Agent"
telefoon = "+31600000004"
`

func callBack(more ...string) []string {
	return append([]string{"send", "--class", "contactverzoek", "--urgency", "spoed", "--to", "politie-mn/oc"}, more...)
}

// Values in TOML and in JSON make the same body; a finished body travels as it is.
func TestFromFile(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	fromTOML := writeFile(t, filepath.Join(t.TempDir(), "v.toml"), callBackTOML, 0o600)
	p.must(cli.Done, callBack("--from-file", fromTOML)...)
	values := `{"slachtofferAanwezig":"ja","contact":{"telefoon":"+31600000004","naam":"P. Agent"},"terugbelnummer":"+31600000004",
		"gewensteFunctie":"piket","terugbellenVoor":"2026-11-24T15:00:00+01:00","aanleiding":"Wie regelt vannacht opvang?"}`
	fromJSON := writeFile(t, filepath.Join(t.TempDir(), "v.json"), values, 0o600)
	p.must(cli.Done, callBack("--from-file", fromJSON)...)
	if len(n.drafts) != 2 || string(n.drafts[0].Body) != string(n.drafts[1].Body) || !json.Valid(n.drafts[0].Body) {
		t.Fatalf("drafts: %+v", n.drafts)
	}
	ready := "  " + strings.Replace(values, `"ja"`, "true", 1) + "\n"
	p.must(cli.Done, callBack("--from-file", writeFile(t, filepath.Join(t.TempDir(), "b.json"), ready, 0o600))...)
	if string(n.drafts[2].Body) != ready {
		t.Errorf("a finished body was changed: %s", n.drafts[2].Body)
	}
	p.in = callBackTOML
	p.must(cli.Done, callBack("--from-file", "-")...)
	if string(n.drafts[3].Body) != string(n.drafts[0].Body) {
		t.Errorf("from standard input: %s", n.drafts[3].Body)
	}
}

// What is missing is named where nobody can be asked, and nothing is sent.
func TestFromFileThatLacksSomething(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	file := func(content string) []string {
		return callBack("--from-file", writeFile(t, filepath.Join(t.TempDir(), "v.toml"), content, 0o600))
	}
	if _, errs := p.must(cli.Usage, file(`gewensteFunctie = "piket"`)...); !contains(errs, "aanleiding", "terugbelnummer", "contact", "--from-file") {
		t.Errorf("stderr: %s", errs)
	}
	if _, errs := p.must(cli.Refused, file(strings.Replace(callBackTOML, `"piket"`, `"onbekend"`, 1))...); !contains(errs, "gewensteFunctie") {
		t.Errorf("stderr: %s", errs)
	}
	if _, errs := p.must(cli.Refused, file(callBackTOML+"onbekend = 1\n")...); !contains(errs, "onbekend") {
		t.Errorf("stderr: %s", errs)
	}
	p.must(cli.Usage, file("aanleiding = ")...)
	if _, errs := p.must(cli.Usage, callBack()...); !contains(errs, "--body or --from-file", "gewensteFunctie") {
		t.Errorf("stderr: %s", errs)
	}
	p.must(cli.Usage, callBack("--from-file", "x", "--body", "y")...)
	if len(n.drafts) != 0 {
		t.Errorf("sent: %v", n.drafts)
	}
}

// What Schakel added is said; the added desk gets the message.
func TestAddedIsShown(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain(), prepared: &schakel.Prepared{Added: []identity.DeskID{"knooppunt/piket"},
		RestsOn: []schakel.Named{{Ref: ref(1), Class: "afweging", From: "vt20/crisis", Created: now(), Outcome: "melden-aan-politie"}}, Encloses: []schakel.Named{{Ref: ref(1)}}}}
	p.serve(n)
	file := writeFile(t, filepath.Join(t.TempDir(), "v.toml"), callBackTOML, 0o600)
	_, errs := p.must(cli.Done, callBack("--from-file", file)...)
	if !contains(errs, "also goes to knooppunt/piket", "rests on afweging a100000000", "melden-aan-politie", "encloses") {
		t.Errorf("stderr: %s", errs)
	}
	if !slices.Contains(n.drafts[0].To, "knooppunt/piket") {
		t.Errorf("to %v", n.drafts[0].To)
	}
	refusing := &scripted{desks: chain(), prepared: &schakel.Prepared{Refusal: refusal().(*protocol.Refusal)}}
	q := newPlace(t)
	q.serve(refusing)
	q.must(cli.Refused, callBack("--from-file", file)...)
	if len(refusing.drafts) != 0 {
		t.Error("sent although a rule refuses it")
	}
}

// answersTo are the answers to all questions of a contactverzoek.
func answersTo() []string {
	return []string{
		"11",                                              // class: contactverzoek, checked below
		"2",                                               // urgency
		"", "Wie regelt vannacht opvang?", "En waar?", "", // aanleiding: not empty, two lines
		"1",                          // piket
		"straks", "24-11-2026 15:00", // an instant, at the second attempt
		"06-00000004",    // a Dutch number
		"misschien", "j", // yes or no
		"P. Agent", "+31600000004", "", // contact, and nothing that is not needed
		"",         // nothing more at the top
		"9", "1,2", // desks, at the second attempt
		"ja", // the check page
	}
}

// Somebody who knows nothing by heart sends a message by answering questions.
func TestPrompts(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	answers := answersTo()
	_, menu, _ := p.typed([]string{}, "send")
	for i, line := range strings.Split(menu, "\n") {
		if strings.Contains(line, ". Contactverzoek") {
			answers[0] = strings.TrimSpace(strings.SplitN(line, ".", 2)[0])
		} else if i > 100 {
			t.Fatalf("no contactverzoek in\n%s", menu)
		}
	}
	_, errs, code := p.typed(answers, "send")
	if code != cli.Done || len(n.drafts) != 1 {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	d := n.drafts[0]
	if d.Class != "contactverzoek" || d.Urgency != "spoed" || !slices.Equal(d.To, []identity.DeskID{"politie-mn/oc", "politie-ams/oc"}) {
		t.Errorf("draft %+v", d)
	}
	want := `{"aanleiding":"Wie regelt vannacht opvang?\nEn waar?","gewensteFunctie":"piket","terugbellenVoor":"2026-11-24T15:00:00+01:00",` +
		`"terugbelnummer":"+31600000004","slachtofferAanwezig":true,"contact":{"naam":"P. Agent","telefoon":"+31600000004"}}`
	if string(d.Body) != want {
		t.Errorf("body %s", d.Body)
	}
	for _, said := range []string{"U verstuurt aan 2 organisaties:", "Politie Midden-Nederland, politie RE03 (politie-mn/oc)", "[geverifieerd in het register]", "dit is verplicht"} {
		if !strings.Contains(errs, said) {
			t.Errorf("no %q in\n%s", said, errs)
		}
	}
	if strings.Contains(errs, "Huisarts") {
		t.Error("offers a desk that cannot get this class")
	}
	golden(t, "text/prompts.txt", errs)
}

// A no on the check page sends nothing; so does input that ends halfway.
func TestNotSent(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	file := writeFile(t, filepath.Join(t.TempDir(), "v.toml"), callBackTOML, 0o600)
	args := callBack("--from-file", file, "--english")
	if _, errs, code := p.typed([]string{"", "no"}, args...); code != cli.Refused || !contains(errs, "You send to 1 organisation") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, _, code := p.typed([]string{""}, args...); code != cli.Usage {
		t.Errorf("input that ended: exit %d", code)
	}
	if len(n.drafts) != 0 {
		t.Errorf("sent: %v", n.drafts)
	}
	if _, errs, code := p.typed([]string{""}, append(args, "--yes")...); code != cli.Done || len(n.drafts) != 1 {
		t.Errorf("control: exit %d: %s", code, errs)
	}
}

// Acute is a call first, said before anything is asked; and the desk's number with it.
func TestAcuteIsACallFirst(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	file := writeFile(t, filepath.Join(t.TempDir(), "v.toml"), callBackTOML, 0o600)
	args := []string{"send", "--class", "contactverzoek", "--urgency", "acuut", "--to", "politie-mn/oc", "--from-file", file}
	_, errs, code := p.typed([]string{"", "ja"}, args...)
	call, page := strings.Index(errs, "Bel eerst 112"), strings.Index(errs, "U verstuurt aan")
	if code != cli.Done || call < 0 || call > page || !contains(errs, "bel ook: +31600000004") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// The commonest mistake is the desk of another region: the page says so.
func TestWrongRegionIsSaid(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	file := writeFile(t, filepath.Join(t.TempDir(), "v.toml"), exampleTOML(t, "melding"), 0o600)
	args := func(to string) []string {
		return []string{"send", "--class", "melding", "--urgency", "acuut", "--to", "knooppunt/piket", "--to", to, "--from-file", file}
	}
	more := []string{"", "", "", "", "", "", "", "", "", "ja"}
	if _, errs, _ := p.typed(more, args("politie-ams/oc")...); !contains(errs, "LET OP: politie-ams/oc hoort niet bij de gemeente") {
		t.Errorf("no warning: %s", errs)
	}
	if _, errs, _ := p.typed(more, args("politie-mn/oc")...); contains(errs, "LET OP") {
		t.Errorf("control: a warning for the right one: %s", errs)
	}
}

// exampleTOML is the example of a class as values of its form.
func exampleTOML(t *testing.T, class string) string {
	t.Helper()
	e, err := protocol.V1().Example(class)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(e.Body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	raw, err := toml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestForwardCommand(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	p.in = "123456\n"
	_, errs := p.must(cli.Done, "forward", "4f1c", "--to", "politie-mn/oc", "--person", "P. Iket", "--pin-file", "-")
	if len(n.forwarded) != 1 || n.forwarded[0] != (schakel.Forwarding{To: "politie-mn/oc", Person: "P. Iket", PIN: "123456"}) || !contains(errs, "forwarded") {
		t.Errorf("%+v %s", n.forwarded, errs)
	}
	p.must(cli.Usage, "forward", "4f1c", "--to", "nergens")
	for err, code := range map[error]int{schakel.ErrNotReturned: cli.Conflict, schakel.ErrNoRightDesk: cli.NotFound} {
		n.sendErr = err
		if _, errs := p.must(code, "forward", "4f1c"); !contains(errs, "--to") {
			t.Errorf("no remedy: %s", errs)
		}
	}
}

func TestWrongRecipient(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	ack := func(more ...string) []string {
		p.in = "123456\n"
		return append([]string{"ack", "4f1c", "--person", "P. Iket", "--pin-file", "-"}, more...)
	}
	p.must(cli.Done, ack("--wrong-recipient", "--right-role", "veilig-thuis", "--right-region", "vt13")...)
	if a := n.acks[0]; a.Status != "verkeerde-ontvanger" || a.RightRole != identity.RoleVeiligThuis || a.RightUnit != "VT13" {
		t.Errorf("%+v", a)
	}
	p.must(cli.Usage, ack("--wrong-recipient", "--status", "in-behandeling")...)
	p.must(cli.Usage, ack("--right-role", "politie")...)
	if _, errs := p.must(cli.Usage, ack("--wrong-recipient", "--right-role", "politi")...); !contains(errs, `did you mean "politie"`) {
		t.Errorf("stderr: %s", errs)
	}
}

// Every class can be written from a file of values: the example as TOML and as JSON says
// the same as the example.
func TestEveryClassFromFile(t *testing.T) {
	p, n := newPlace(t), &scripted{desks: chain()}
	p.serve(n)
	for _, class := range protocol.V1().Classes() {
		e, err := protocol.V1().Example(class.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"v.toml", "v.json"} {
			values := string(e.Body)
			if file == "v.toml" {
				values = exampleTOML(t, class.Name)
			}
			path := writeFile(t, filepath.Join(t.TempDir(), file), values, 0o600)
			n.drafts = nil
			p.must(cli.Done, "send", "--class", class.Name, "--urgency", string(class.Urgencies[0]), "--to", "knooppunt/piket", "--from-file", path)
			var got, want any
			if json.Unmarshal(n.drafts[0].Body, &got) != nil || json.Unmarshal(e.Body, &want) != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s from %s: %s", class.Name, file, n.drafts[0].Body)
			}
		}
	}
}

// F21: whoever sends hears which desks a message brings into the case, before it goes where
// somebody can be asked; who took part is no news, nor is anybody in a new case.
func TestF21SenderIsTold(t *testing.T) {
	o := overview()
	in := append(chain(), schakel.Desk{ID: "politie-re03/oc", Org: "Politie", Role: identity.RolePolitie, Region: "RE03", Telephone: "+31600000008", Reachable: true})
	p, n := newPlace(t), &scripted{desks: in, overview: o}
	p.serve(n)
	file := writeFile(t, filepath.Join(t.TempDir(), "v.toml"), callBackTOML, 0o600)
	send := func(to string, more ...string) []string {
		return append([]string{"send", "--class", "contactverzoek", "--urgency", "spoed", "--to", to, "--from-file", file}, more...)
	}
	if _, errs := p.must(cli.Done, send("politie-ams/oc", "--case", case1)...); !contains(errs, "has not seen this case yet: politie-ams/oc") {
		t.Errorf("the sender is not told:\n%s", errs)
	}
	for what, args := range map[string][]string{"took part": send("politie-re03/oc", "--case", case1), "a new case": send("politie-ams/oc")} {
		if _, errs := p.must(cli.Done, args...); contains(errs, "has not seen") {
			t.Errorf("%s:\n%s", what, errs)
		}
	}
	sent := len(n.drafts)
	_, errs, _ := p.typed([]string{"", "nee"}, send("politie-ams/oc", "--case", case1)...)
	if !contains(errs, "LET OP: politie-ams/oc zag deze zaak nog niet") || len(n.drafts) != sent {
		t.Errorf("asked, and sent all the same: %d\n%s", len(n.drafts)-sent, errs)
	}
}
