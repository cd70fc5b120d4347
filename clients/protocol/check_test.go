package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func refusal(t testing.TB, err error) *protocol.Refusal {
	t.Helper()
	var r *protocol.Refusal
	if !errors.As(err, &r) || !errors.Is(err, protocol.ErrRefused) {
		t.Fatalf("error = %v, want a Refusal", err)
	}
	for _, s := range []string{r.Rule, r.Reason.NL, r.Reason.EN, r.Remedy.NL, r.Remedy.EN} {
		if s == "" {
			t.Errorf("a refusal leaves something unsaid: %+v", r)
		}
	}
	return r
}

// check is the sender's answer, with the case that the examples tell.
func check(d protocol.Draft) error { return protocol.V1().Check(d, story(d)).Refusal() }

func TestEveryExampleKeepsTheProtocol(t *testing.T) {
	for _, class := range protocol.V1().Classes() {
		if err := check(exampleDraft(t, class.Name)); err != nil {
			t.Errorf("%s: %v", class.Name, err)
		}
	}
}

// Every example has failing twins: each of its fields that the schema requires
// taken away, one field too many, one of another type.
func TestEveryExampleHasFailingTwins(t *testing.T) {
	for _, class := range protocol.V1().Classes() {
		d := exampleDraft(t, class.Name)
		good := d.Body
		twins := map[string][]byte{
			"one field too many": edited(t, good, func(o map[string]any) { o["nietAfgesproken"] = "x" }),
			"not an object":      []byte(`["x"]`),
			"empty":              []byte(`{}`),
		}
		for _, name := range slices.Sorted(maps.Keys(fields(t, good))) {
			twins["another type: "+name] = edited(t, good, func(o map[string]any) { o[name] = map[string]any{"x": 1} })
		}
		for name, body := range twins {
			d.Body = body
			if r := refusal(t, check(d)); r.Rule != protocol.RuleSchema {
				t.Errorf("%s, %s: refused by %s", class.Name, name, r.Rule)
			}
		}
		removed := 0
		for name := range fields(t, good) {
			d.Body = edited(t, good, func(o map[string]any) { delete(o, name) })
			if err := check(d); err != nil {
				removed++
				if r := refusal(t, err); !strings.Contains(r.Reason.EN, name) {
					t.Errorf("%s without %s: the reason does not name it: %s", class.Name, name, r.Reason.EN)
				}
			}
		}
		if removed == 0 {
			t.Errorf("%s: no field is required", class.Name)
		}
	}
}

func fields(t testing.TB, body []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestCheckRefuses(t *testing.T) {
	knooppunt, police := party(identity.RoleKnooppunt), party(identity.RolePolitie)
	for _, c := range []struct {
		name, class string
		change      func(*protocol.Draft)
		rule        string
	}{
		{"unknown class", "melding", func(d *protocol.Draft) { d.Class = "oproep" }, protocol.RuleClass},
		{"class in other spelling", "melding", func(d *protocol.Draft) { d.Class = "Melding" }, protocol.RuleClass},
		{"acute signal", "signaal", func(d *protocol.Draft) { d.Urgency = message.Acute }, protocol.RuleUrgency},
		{"urgency of no protocol", "melding", func(d *protocol.Draft) { d.Urgency = "nu" }, protocol.RuleUrgency},
		{"nobody addressed", "melding", func(d *protocol.Draft) { d.To = nil }, protocol.RuleAddressed},
		{"too many addressed", "melding", func(d *protocol.Draft) { d.To = make([]protocol.Party, message.MaxAddressed+1) }, protocol.RuleAddressed},
		{"one desk twice", "melding", func(d *protocol.Draft) { d.To = append(d.To, d.To[0]) }, protocol.RuleAddressed},
		{"own desk", "melding", func(d *protocol.Draft) { d.To = append(d.To, d.From) }, protocol.RuleAddressed},
		{"no route", "signaal", func(d *protocol.Draft) { d.To = []protocol.Party{police} }, protocol.RuleRoute},
		{"no route for the second", "signaal", func(d *protocol.Draft) { d.To = append(d.To, police) }, protocol.RuleRoute},
		{"desk not in the register", "signaal", func(d *protocol.Draft) { d.To[0].Role = "" }, protocol.RuleRoute},
		{"sender not in the register", "signaal", func(d *protocol.Draft) { d.From.Role = "" }, protocol.RuleRoute},
		{"police to the ministry", "contactverzoek", func(d *protocol.Draft) { d.To = []protocol.Party{party(identity.RoleBuza)} }, protocol.RuleAbroad},
		{"ministry to the police", "achterlatingssignaal", func(d *protocol.Draft) { d.To = append(d.To, police) }, protocol.RuleAbroad},
		{"post to the ministry of another", "achterlatingssignaal", func(d *protocol.Draft) {
			d.From = party(identity.RolePost)
			d.To = []protocol.Party{party(identity.RoleBuza)}
		}, protocol.RuleAbroad},
		{"ministry may not, knooppunt or not", "overdracht", func(d *protocol.Draft) { d.From = party(identity.RoleBuza); d.To = []protocol.Party{knooppunt} }, protocol.RuleRoute},
		{"handover by a machine", "overdracht", func(d *protocol.Draft) { d.Person = false }, protocol.RulePerson},
		{"acknowledgement by a machine", "ontvangstbevestiging", func(d *protocol.Draft) { d.Person = false }, protocol.RulePerson},
		{"acknowledges nothing", "ontvangstbevestiging", func(d *protocol.Draft) { d.Answers = nil }, protocol.RuleAnswers},
		{"acknowledges another", "ontvangstbevestiging", func(d *protocol.Draft) { d.Answers[0].ID[15]++ }, protocol.RuleAnswers},
		{"acknowledges two", "ontvangstbevestiging", func(d *protocol.Draft) { d.Answers = append(d.Answers, d.Answers[0]) }, protocol.RuleAnswers},
		{"other outcome in the heading", "besluit", func(d *protocol.Draft) { d.Outcome = "afgewezen" }, protocol.RuleOutcome},
		{"outcome without a decision", "melding", func(d *protocol.Draft) { d.Outcome = "aanvaard" }, protocol.RuleOutcome},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := exampleDraft(t, c.class)
			if err := check(d); err != nil {
				t.Fatalf("control: the example itself is refused: %v", err)
			}
			c.change(&d)
			if r := refusal(t, check(d)); r.Rule != c.rule {
				t.Errorf("refused by %s, want %s: %v", r.Rule, c.rule, r)
			}
		})
	}
}

// Desks of one organisation always may, in every class; a namesake elsewhere may not.
func TestOneOrganisation(t *testing.T) {
	d := exampleDraft(t, "signaal")
	d.From = protocol.Party{Desk: "politie/wijk", Role: identity.RolePolitie}
	d.To = []protocol.Party{{Desk: "politie/egg", Role: identity.RoleLecEgg}}
	if err := check(d); err != nil {
		t.Errorf("one organisation: %v", err)
	}
	d.To[0].Desk = "politie-nl/egg"
	if r := refusal(t, check(d)); r.Rule != protocol.RuleRoute {
		t.Errorf("another organisation: refused by %s", r.Rule)
	}
}

// A body that two readers could read differently, or that costs more to read than
// to send, is refused before the schema sees it.
func TestHostileBodies(t *testing.T) {
	d := exampleDraft(t, "ontvangstbevestiging")
	good := string(edited(t, d.Body, func(o map[string]any) { delete(o, "eersteActie") }))
	inject := func(s string) string { return strings.Replace(good, `"status"`, s+`, "status"`, 1) }
	for name, body := range map[string]string{
		"nothing":             ``,
		"too large":           `"` + strings.Repeat("x", message.MaxBody) + `"`,
		"not JSON":            `{`,
		"two values":          good + good,
		"byte order mark":     "\ufeff" + good,
		"broken UTF-8":        inject("\"eersteActie\": \"\xff\""),
		"a key twice":         inject(`"status": "in-behandeling"`),
		"an escaped key":      inject(`"stat\u0075s": "in-behandeling"`),
		"half a pair":         inject(`"eersteActie": "\ud800"`),
		"the other half":      inject(`"eersteActie": "\udc00"`),
		"half and a letter":   inject(`"eersteActie": "\ud800\u0041"`),
		"escape sequence":     inject(`"eersteActie": "\u001b[2J"`),
		"zero character":      inject(`"eersteActie": "\u0000"`),
		"a gigantic number":   inject(`"eersteActie": 1e999999999`),
		"a gigantic fraction": inject(`"eersteActie": 1e-999999999`),
		"a fraction":          inject(`"eersteActie": 1.0`),
		"beyond a double":     inject(`"eersteActie": 9007199254740993`),
		"deep":                inject(`"eersteActie": ` + strings.Repeat("[", 60000) + strings.Repeat("]", 60000)),
		"many":                inject(`"eersteActie": [` + strings.Repeat("1,", 60000) + `1]`),
	} {
		t.Run(name, func(t *testing.T) {
			d.Body = []byte(body)
			if r := refusal(t, check(d)); r.Rule != protocol.RuleJSON {
				t.Errorf("refused by %s: %v", r.Rule, r)
			}
		})
	}
	for name, body := range map[string]string{
		"a whole pair":        inject(`"eersteActie": "\ud83d\udea8"`),
		"escaped backslash":   inject(`"eersteActie": "\\ud800"`),
		"lines and accents":   inject(`"eersteActie": "één\ntwee\tdrie"`),
		"other field order":   string(edited(t, []byte(good), func(map[string]any) {})),
		"an escaped letter":   inject(`"eersteActie": "\u00e9\u00e9n"`),
		"names in any script": inject(`"eersteActie": "فاطمة belt om 09:00"`),
	} {
		d.Body = []byte(body)
		if err := check(d); err != nil {
			t.Errorf("control, %s: %v", name, err)
		}
	}
}

// A refusal is sent back, shown and logged, so it quotes nothing that a person wrote.
func TestRefusalQuotesNoContent(t *testing.T) {
	const canary = "KANARIE Fatima"
	leaks := 0
	for _, class := range protocol.V1().Classes() {
		d := exampleDraft(t, class.Name)
		good := d.Body
		for name := range fields(t, good) {
			for _, change := range []func(map[string]any){
				func(o map[string]any) { o[name] = canary },
				func(o map[string]any) { o[name] = []any{canary, canary} },
				func(o map[string]any) { o[name] = map[string]any{canary: canary, "rol": canary, "telefoon": canary} },
				func(o map[string]any) { o[canary] = o[name] },
			} {
				d.Body = edited(t, good, change)
				err := check(d)
				if err == nil {
					continue // free text: a canary is as good as anything
				}
				r := refusal(t, err)
				if shown, _ := json.Marshal(r); bytes.Contains(shown, []byte("KANARIE")) || strings.Contains(err.Error(), "KANARIE") {
					t.Errorf("%s, %s: the refusal quotes the body: %s", class.Name, name, shown)
				}
				leaks++
			}
		}
	}
	if leaks == 0 {
		t.Error("control: nothing was refused")
	}
}

// Control: the schema library's own words do quote the body, so the test above can fail.
func TestSchemaLibraryQuotesContent(t *testing.T) {
	c := jsonschema.NewCompiler()
	if err := c.AddResource("x.json", map[string]any{"pattern": "^[0-9]+$"}); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("x.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate("KANARIE"); err == nil || !strings.Contains(err.Error(), "KANARIE") {
		t.Errorf("error = %v", err)
	}
}

func TestFaultsAreSortedAndBounded(t *testing.T) {
	d := exampleDraft(t, "melding")
	d.Body = edited(t, d.Body, func(o map[string]any) {
		persons := make([]any, 60)
		for i := range persons {
			persons[i] = map[string]any{"rol": "buurman"}
		}
		o["slachtoffers"] = persons
	})
	first := refusal(t, check(d))
	if len(first.Faults) != 20 || !strings.HasPrefix(first.Reason.EN, "60 fault(s)") {
		t.Errorf("%d faults shown: %s", len(first.Faults), first.Reason.EN)
	}
	again := refusal(t, check(d))
	if !slices.Equal(first.Faults, again.Faults) {
		t.Error("the same body is refused in other words")
	}
}

// Both ends build the same draft of the same message.
func TestDraftOf(t *testing.T) {
	m := message.Message{Body: []byte(`{}`), Person: make([]byte, 16), Sender: message.Sender{Desk: "vt20/crisis"},
		Addressed: []identity.DeskID{"knooppunt/piket", "vreemd/bureau"},
		Heading:   message.Heading{Class: "overdracht", Urgency: message.Urgent, Outcome: "x", RestsOn: make([]message.Ref, 1)}}
	d := protocol.DraftOf(m, register{"vt20/crisis": {Role: identity.RoleVeiligThuis, Region: "VT20"}, "knooppunt/piket": {Role: identity.RoleKnooppunt}})
	if d.Class != "overdracht" || d.Urgency != message.Urgent || d.Outcome != "x" || len(d.RestsOn) != 1 || !d.Person {
		t.Errorf("draft = %+v", d)
	}
	if d.From != (protocol.Party{Desk: "vt20/crisis", Role: identity.RoleVeiligThuis, Region: "VT20"}) ||
		d.To[0].Role != identity.RoleKnooppunt || d.To[1] != (protocol.Party{Desk: "vreemd/bureau"}) {
		t.Errorf("parties = %v %v", d.From, d.To)
	}
	if r := refusal(t, check(d)); r.Rule != protocol.RuleRoute {
		t.Errorf("a desk that is not in the register: refused by %s", r.Rule)
	}
}

func FuzzCheck(f *testing.F) {
	for _, class := range protocol.V1().Classes() {
		f.Add(class.Name, []byte(exampleDraft(f, class.Name).Body))
	}
	f.Add("melding", []byte(`{"a":1e999999999}`))
	f.Add("besluit", []byte(`{"\ud800":[[{}]]}`))
	f.Fuzz(func(t *testing.T, class string, body []byte) {
		if _, ok := protocol.V1().Class(class); !ok {
			class = "melding"
		}
		d := exampleDraft(t, class)
		d.Body = body
		first := check(d)
		if first != nil {
			refusal(t, first)
		}
		// Round trip: what is accepted is JSON that means the same in another layout.
		var compact bytes.Buffer
		if err := json.Compact(&compact, body); err != nil {
			if first == nil {
				t.Fatalf("accepted what is not JSON: %q", body)
			}
			return
		}
		d.Body = compact.Bytes()
		if again := check(d); (again == nil) != (first == nil) && len(body) <= message.MaxBody {
			t.Fatalf("%q: %v; in another layout: %v", body, first, again)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	d := exampleDraft(b, "melding")
	protocol.V1()
	b.ReportAllocs()
	for b.Loop() {
		if err := check(d); err != nil {
			b.Fatal(err)
		}
	}
}
