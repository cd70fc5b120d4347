package protocol_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/configs"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// added is configs/agreement.toml, standing on the protocol of this program, with one
// piece of it replaced.
func added(t testing.TB, old, new string) []byte {
	t.Helper()
	digest := protocol.V1().Digest()
	s := strings.ReplaceAll(string(configs.Agreement), strings.Repeat("0", 64), hex.EncodeToString(digest[:]))
	if !strings.Contains(s, old) {
		t.Fatalf("configs/agreement.toml holds no %q", old)
	}
	return []byte(strings.Replace(s, old, new, 1))
}

func TestAgreementFile(t *testing.T) {
	raw := protocol.V1().Agreement()
	if protocol.V1().Digest() != sha256.Sum256(raw) {
		t.Error("sha256sum gives another digest than Digest")
	}
	c, err := protocol.ParseAgreement(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.Agreement(), raw) || len(c.Classes()) != len(protocol.V1().Classes()) {
		t.Error("it comes back as another")
	}
	d := exampleDraft(t, "melding")
	if err := c.Check(d, story(d)).Refusal(); err != nil {
		t.Errorf("a melding is refused by the agreement that it was written for: %v", err)
	}
	amended, err := protocol.V1().Amend(added(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	again, err := protocol.ParseAgreement(amended.Agreement())
	if err != nil || again.Digest() != amended.Digest() || again.Digest() == c.Digest() {
		t.Errorf("an agreement with an addition comes back as another: %v", err)
	}
	if _, ok := again.Class("bezoekafspraak"); !ok {
		t.Error("the added class is gone")
	}
}

func TestAgreementRefuses(t *testing.T) {
	raw := string(protocol.V1().Agreement())
	for name, bad := range map[string]string{
		"empty":             "",
		"another version":   strings.Replace(raw, "agreement/2", "agreement/3", 1),
		"cut off":           raw[:len(raw)-1],
		"something behind":  raw + "x",
		"other lanes":       strings.Replace(raw, "buza knooppunt 3", "buza politie 3 ", 1),
		"an unknown file":   raw + "file notes.txt 1\nx\n",
		"a file twice":      raw + "file banen.txt 1\nx\n",
		"a path":            raw + "file schemas/../x.schema.json 1\nx\n",
		"a length too long": strings.Replace(raw, "file banen.txt ", "file banen.txt 9", 1),
		"length in octal":   strings.Replace(raw, "file banen.txt ", "file banen.txt 0", 1),
		"catalogue gone":    strings.Replace(raw, "file catalogus.json", "file schemas/catalogus.schema.json", 1),
	} {
		if _, err := protocol.ParseAgreement([]byte(bad)); !errors.Is(err, protocol.ErrAgreement) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The file that comes with Schakel is accepted, and does what it says.
func TestAdditionOfTheConfigs(t *testing.T) {
	c, err := protocol.V1().Amend(added(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if terms := termsOf(t, c, "melding", message.Acute); terms.Acknowledged.String() != "PT10M" || terms.Answered.String() != "PT1H" {
		t.Errorf("acute: %v", terms)
	}
	if terms := termsOf(t, c, "informatieverzoek", message.Routine); terms.Answered.String() != "10WD" || terms.Acknowledged.String() != "1WD" {
		t.Errorf("routine: %v", terms)
	}
	if terms := termsOf(t, c, "melding", message.Routine); terms.Answered.String() != "5WD" {
		t.Error("the term that the law sets for a melding changed")
	}
	if terms := termsOf(t, protocol.V1(), "informatieverzoek", message.Routine); terms.Answered.String() != "5WD" {
		t.Error("the protocol itself changed")
	}
	if c.Calendar().IsWorkingDay(calendar.Date{Year: 2027, Month: time.May, Day: 7}) || !protocol.V1().Calendar().IsWorkingDay(calendar.Date{Year: 2027, Month: time.May, Day: 7}) {
		t.Error("the closed day is not closed, or closed for all")
	}
	d := protocol.Draft{Class: "bezoekafspraak", Urgency: message.Urgent, From: party(identity.RoleVeiligThuis),
		To: []protocol.Party{party(identity.RolePolitie)}, Body: []byte(`{"wanneer":"2026-12-01T10:00:00Z","doel":"eerste-gesprek"}`)}
	if err := c.Check(d, protocol.Case{}).Refusal(); err != nil {
		t.Errorf("the added class is refused: %v", err)
	}
	if r := refusal(t, protocol.V1().Check(d, protocol.Case{}).Refusal()); r.Rule != protocol.RuleClass {
		t.Errorf("without the addition it is refused by %s", r.Rule)
	}
	d.To = []protocol.Party{party(identity.RoleOpvang)}
	if r := refusal(t, c.Check(d, protocol.Case{}).Refusal()); r.Rule != protocol.RuleRoute {
		t.Errorf("outside its routes it is refused by %s", r.Rule)
	}
	m := message.Message{ID: message.ID{1, 6: 0x70, 8: 0x80}, Case: message.CaseRef{2, 6: 0x70, 8: 0x80}, Sender: message.Sender{Desk: "vt20/crisis"},
		Addressed: []identity.DeskID{"politie-mn/oc"}, Heading: message.Heading{Protocol: "schakel/1", Class: "bezoekafspraak", Urgency: message.Urgent, Expires: 1}}
	address := func(identity.DeskID) protocol.Address {
		return protocol.Address{Role: identity.RolePolitie, OIN: "00000099000000003000"}
	}
	if _, err := c.RenderKop(m, address); err != nil {
		t.Errorf("its heading cannot be shown: %v", err)
	}
	if _, err := protocol.V1().RenderKop(m, address); err == nil {
		t.Error("control: without the addition its heading is shown")
	}
}

func termsOf(t *testing.T, c *protocol.Catalogue, class string, u message.Urgency) protocol.Terms {
	t.Helper()
	k, _ := c.Class(class)
	terms, ok := k.Terms(u)
	if !ok {
		t.Fatalf("%s under %s has no terms", class, u)
	}
	return terms
}

// safeContact is veiligContact as the protocol has it, as text.
func safeContact(t testing.TB) string {
	t.Helper()
	var s struct {
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(readFile(t, "schemas/melding.schema.json"), &s); err != nil {
		t.Fatal(err)
	}
	return string(s.Defs["veiligContact"])
}

// Each weakening beside a control: nearly the same, and a choice that partners have.
func TestWeakening(t *testing.T) {
	const (
		required = `"required": ["wanneer", "doel"],`
		wanneer  = `"wanneer": {"type": "string", "format": "date-time"},`
		people   = `"personen": {"type": "string"},`
		rules    = `rules = ["R05"]`
		routes   = `from = ["veilig-thuis", "politie"], to = ["veilig-thuis", "politie"]`
		urgency  = `urgencies = ["spoed", "regulier"]`
	)
	contact := `"veiligContact": ` + safeContact(t) + `,`
	for _, c := range []struct {
		name, rule string
		bad, fine  []string // pairs of what stands there and what takes its place
	}{
		{"acute answered later", "R05", []string{`"PT10M"`, `"PT16M"`}, []string{`"PT10M"`, `"PT15M"`}},
		{"acute in days", "R05", []string{`"PT10M"`, `"1WD"`}, nil},
		{"routine more than twice", "R05", []string{`"10WD"`, `"11WD"`}, []string{`"10WD"`, `"10WD"`}},
		{"routine in days", "R05", []string{`"10WD"`, `"P5D"`}, nil},
		{"a deadline where there is none", "R05", []string{`[deadlines.regulier]`, `[deadlines.ter-kennisname]`}, nil},
		{"an urgency of its own", protocol.RuleUrgency, []string{`[deadlines.regulier]`, `[deadlines.later]`}, nil},
		{"a class that exists", protocol.RuleClass, []string{`"bezoekafspraak"`, `"besluit"`}, []string{`"bezoekafspraak"`, `"huisbezoek"`}},
		{"a name that is a path", protocol.RuleClass, []string{`"bezoekafspraak"`, `"../kop"`}, nil},
		{"the heading's name", protocol.RuleClass, []string{`"bezoekafspraak"`, `"kop"`}, nil},
		{"past the knooppunt", protocol.RuleAbroad, []string{routes, `from = ["buza"], to = ["politie"]`}, []string{routes, `from = ["buza"], to = ["knooppunt"]`}},
		{"no lane", protocol.RuleRoute, []string{routes, `from = ["opvang"], to = ["signaleerder"]`}, nil},
		{"too loud", protocol.RuleRoute, []string{routes, `from = ["politie"], to = ["lec-egg"]`, urgency, `urgencies = ["acuut"]`}, []string{routes, `from = ["politie"], to = ["lec-egg"]`}},
		{"no route", protocol.RuleRoute, []string{`routes = [{ ` + routes + ` }]`, `routes = []`}, nil},
		{"no acknowledgement", "R05", []string{`answers = ["ontvangstbevestiging"]`, `answers = []`},
			[]string{`answers = ["ontvangstbevestiging"]`, `answers = []`, urgency, `urgencies = ["ter-kennisname"]`}},
		{"R05 left out", "R05", []string{rules, `rules = []`}, nil},
		{"a person promised and not asked", protocol.RulePerson, []string{rules, `rules = ["R05", "R22"]`}, []string{rules, `rules = ["R05", "R22"]` + "\nsigner = \"persoon\""}},
		{"people without veiligContact", "R06", []string{wanneer, wanneer + people},
			[]string{wanneer, wanneer + people + contact, required, `"required": ["wanneer", "doel", "veiligContact"],`, rules, `rules = ["R05", "R06"]`}},
		{"people with veiligContact by choice", "R06", []string{wanneer, wanneer + people + contact, rules, `rules = ["R05", "R06"]`}, nil},
		{"a veiligContact of its own", "R06", []string{wanneer, wanneer + `"veiligContact": {"type": "string"},`}, []string{wanneer, wanneer + contact}},
		{"an open object", protocol.RuleSchema, []string{`"additionalProperties": false,`, ``}, nil},
		{"a field that takes anything", protocol.RuleSchema, []string{wanneer, wanneer + `"rest": true,`}, []string{wanneer, wanneer + `"rest": {"type": "boolean"},`}},
		{"an open object inside", protocol.RuleSchema, []string{wanneer, wanneer + `"rest": {"type": "object"},`},
			[]string{wanneer, wanneer + `"rest": {"type": "object", "additionalProperties": false, "properties": {"a": {"type": "integer"}}},`}},
		{"a list of anything", protocol.RuleSchema, []string{wanneer, wanneer + `"rest": {"type": "array"},`}, []string{wanneer, wanneer + `"rest": {"type": "array", "items": {"type": "integer"}},`}},
		{"no schema", protocol.RuleSchema, []string{`"type": "object",`, `"type": "string",`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := protocol.V1().Amend(replaced(t, c.bad))
			var w *protocol.Weakening
			if !errors.As(err, &w) || !errors.Is(err, protocol.ErrWeakens) || w.Rule != c.rule || w.Reason.NL == "" || w.Reason.EN == "" || w.Where == "" {
				t.Errorf("error = %v, want a weakening of %s", err, c.rule)
			}
			if _, err := protocol.V1().Amend(replaced(t, c.fine)); err != nil {
				t.Errorf("control: %v", err)
			}
		})
	}
}

func replaced(t *testing.T, pairs []string) []byte {
	t.Helper()
	raw := added(t, "", "")
	for i := 0; i+1 < len(pairs); i += 2 {
		if !bytes.Contains(raw, []byte(pairs[i])) {
			t.Fatalf("nothing to replace: %s", pairs[i])
		}
		raw = bytes.Replace(raw, []byte(pairs[i]), []byte(pairs[i+1]), 1)
	}
	return raw
}

// What an addition has no words for, and what is no addition at all.
func TestAdditionRefuses(t *testing.T) {
	for name, pair := range map[string][2]string{
		"takes a rule away":     {`[holidays]`, "[rules]\nR09 = \"\"\n[holidays]"},
		"takes a class away":    {`[holidays]`, "remove = [\"melding\"]\n[holidays]"},
		"another life":          {`acknowledged = "PT10M"`, `life = "PT1H"`},
		"stands on another":     {`on = "sha256:`, `on = "sha256:ff`},
		"no name":               {`name = "Voorbeeldketen (fictief)"`, `name = ""`},
		"no day":                {`"2027-05-07"`, `"7 mei"`},
		"an unknown custom":     {`"lustrum"`, `"soms"`},
		"an unknown role":       {`from = ["veilig-thuis", "politie"]`, `from = ["veilig-thuis", "burger"]`},
		"an unknown rule":       {`["R05"]`, `["R05", "R99"]`},
		"an unknown answer":     {`["ontvangstbevestiging"]`, `["ontvangstbevestiging", "post"]`},
		"a schema from outside": {`{"type": "string", "format": "date-time"}`, `{"$ref": "https://schakel.example/x"}`},
		"not TOML":              {`name = `, `name : `},
	} {
		if _, err := protocol.V1().Amend(added(t, pair[0], pair[1])); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	c, err := protocol.V1().Amend(added(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Amend(added(t, "", "")); !errors.Is(err, protocol.ErrAgreement) {
		t.Errorf("an addition on an addition: %v", err)
	}
}

// What Amend accepts keeps every class, rule, lane and acute deadline of the protocol.
func FuzzAmend(f *testing.F) {
	f.Add(string(added(f, "", "")))
	f.Add(string(added(f, `"PT10M"`, `"PT1M"`)))
	f.Add("name = 'x'")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := protocol.V1().Amend([]byte(s))
		if err != nil {
			return
		}
		for _, class := range protocol.V1().Classes() {
			k, ok := c.Class(class.Name)
			if !ok || k.Person != class.Person || len(k.Rules) != len(class.Rules) || len(k.Routes) != len(class.Routes) {
				t.Fatalf("%s is weaker", class.Name)
			}
			for _, u := range class.Urgencies {
				before, _ := class.Terms(u)
				after, _ := k.Terms(u)
				if u == message.Acute && (after.Acknowledged.Fixed > before.Acknowledged.Fixed || after.Acknowledged.IsZero()) {
					t.Fatalf("%s acute: %v after %v", class.Name, after, before)
				}
			}
		}
		again, err := protocol.ParseAgreement(c.Agreement())
		if err != nil || again.Digest() != c.Digest() {
			t.Fatalf("it does not come back: %v", err)
		}
	})
}

func FuzzParseAgreement(f *testing.F) {
	raw := protocol.V1().Agreement()
	f.Add(string(raw))
	f.Add("schakel/agreement/2\nfile banen.txt 0\n\n")
	f.Add("schakel/agreement/2\nfile catalogus.json 2\n{}\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := protocol.ParseAgreement([]byte(s))
		if err == nil && string(c.Agreement()) != s {
			t.Fatal("two files, one agreement")
		}
	})
}

// FuzzLoad: a catalogue that loads has classes whose schemas hold up a check.
func FuzzLoad(f *testing.F) {
	f.Add(string(readFile(f, "catalogus.json")))
	f.Add(`{"protocol":"schakel/1","klassen":[]}`)
	f.Add(`{"protocol":"schakel/1","klassen":[{"naam":"x","schema":"schemas/melding.schema.json","urgenties":["acuut"]}]}`)
	files := copyOf(f)
	f.Fuzz(func(t *testing.T, s string) {
		mine := copyMap(files)
		mine["catalogus.json"].Data = []byte(s)
		c, err := protocol.Load(mine)
		if err != nil {
			if !errors.Is(err, protocol.ErrCatalogue) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		for _, class := range c.Classes() {
			_ = c.Check(protocol.Draft{Class: class.Name, Urgency: message.Acute, Body: []byte("{}")}, protocol.Case{})
		}
		if _, err := protocol.ParseAgreement(c.Agreement()); err != nil {
			t.Fatalf("it does not come back: %v", err)
		}
	})
}
