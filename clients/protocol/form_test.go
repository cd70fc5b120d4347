package protocol_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
)

func form(t testing.TB, class string) protocol.Form {
	t.Helper()
	f, err := protocol.V1().Form(class)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// rows is the words as they are written, without the heading.
func rows(t *testing.T) [][]string {
	r := csv.NewReader(bytes.NewReader(readFile(t, "woorden.csv")))
	r.Comma = '|'
	all, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

// everyField calls f for each field of each form, groups included.
func everyField(t *testing.T, f func(class, parent string, x protocol.Field)) {
	var walk func(class, parent string, fields []protocol.Field)
	walk = func(class, parent string, fields []protocol.Field) {
		for _, x := range fields {
			f(class, parent, x)
			walk(class, x.Name, x.Fields)
		}
	}
	for _, class := range protocol.V1().Classes() {
		walk(class.Name, "", form(t, class.Name).Fields)
	}
}

// Every class, field and value has its words in both languages, and no word is there
// for nothing.
func TestEveryFieldHasWords(t *testing.T) {
	unused := map[string]bool{}
	for _, row := range rows(t) {
		unused[row[0]] = true
	}
	use := func(what string, keys ...string) {
		for _, key := range keys {
			if _, ok := unused[key]; ok {
				unused[key] = false
				return
			}
		}
		t.Errorf("%s has no words", what)
	}
	whole := func(what string, texts ...protocol.Text) {
		for _, x := range texts {
			if x.NL == "" || x.EN == "" {
				t.Errorf("%s has no words in one language", what)
			}
		}
	}
	for _, class := range protocol.V1().Classes() {
		f := form(t, class.Name)
		use(class.Name, "#"+class.Name)
		whole(class.Name, f.Label, f.Help)
	}
	everyField(t, func(class, parent string, f protocol.Field) {
		what := class + "/" + parent + "." + f.Name
		within := parent
		if parent == "bijlagen" || parent == "dossierBijlagen" || parent == "toestemmingBewijs" || parent == "aangereiktBewijs" {
			within = "bijlage"
		}
		use(what, class+"/"+f.Name, within+"."+f.Name, f.Name)
		whole(what, f.Label, f.Help)
		for _, c := range f.Choices {
			use(what+"="+c.Value, f.Name+"="+c.Value, "="+c.Value)
			whole(what+"="+c.Value, c.Label)
		}
	})
	for key, idle := range unused {
		if idle {
			t.Errorf("words for %s, which nothing has", key)
		}
	}
}

// grave are the fields in which a wrong choice does harm: it warns whom it must not, leaves
// somebody without anybody, or moves the regie.
var grave = []string{"status", "uitkomst", "brpStatus", "methode", "nietInformeren", "toestemming", "politieIngelicht", "moment", "onveiligheid",
	"acuteOfStructureleOnveiligheid", "geregeld", "wijze", "verzoekAanOntvanger", "nieuweRegieRol", "verzoek"}

// Each value of a grave field says in one line, in both languages, what choosing it does;
// and of no choice in one language only.
func TestGraveChoicesHaveHelp(t *testing.T) {
	found := map[string]bool{}
	without := 0
	everyField(t, func(class, parent string, f protocol.Field) {
		for _, c := range f.Choices {
			if (c.Help.NL == "") != (c.Help.EN == "") {
				t.Errorf("%s/%s=%s has help in one language", class, f.Name, c.Value)
			}
			if !slices.Contains(grave, f.Name) {
				without++
				continue
			}
			found[f.Name] = true
			if c.Help.NL == "" || c.Help == c.Label {
				t.Errorf("%s/%s=%s has no help", class, f.Name, c.Value)
			}
		}
	})
	for _, name := range grave {
		if !found[name] {
			t.Errorf("no form has a choice %s", name)
		}
	}
	if without == 0 {
		t.Error("control: everything is grave")
	}
}

// hard are words that a person at night stumbles over, and what to write instead.
var hard = regexp.MustCompile(`(?i)\b(middels|teneinde|derhalve|desbetreffende|dient te|inzake|alvorens|thans|indien|conform|betreffende|hieromtrent|geschieden|` +
	`pursuant|hereby|thereof|aforementioned|notwithstanding|utili[sz]e|prior to)\b`)

const maxWords = 15

// plainWords says what is wrong with a text: long sentences and hard words.
func plainWords(text string) (wrong []string) {
	if w := hard.FindString(text); w != "" {
		wrong = append(wrong, "hard word "+w)
	}
	for _, sentence := range regexp.MustCompile(`[.!?:]+(\s|$)`).Split(text, -1) {
		if n := len(strings.Fields(sentence)); n > maxWords {
			wrong = append(wrong, "a long sentence: "+sentence)
		}
	}
	return wrong
}

func TestWordsArePlain(t *testing.T) {
	for _, row := range rows(t) {
		for _, text := range row[1:] {
			for _, wrong := range plainWords(text) {
				t.Errorf("%s: %s", row[0], wrong)
			}
		}
		if help := row[2]; help != "" && !strings.ContainsAny(help[len(help)-1:], ".?") {
			t.Errorf("%s: help that is no sentence: %s", row[0], help)
		}
	}
	for _, bad := range []string{"Indien u dit weet, vul het in.", "een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien"} {
		if len(plainWords(bad)) != 1 {
			t.Errorf("control: %q is plain", bad)
		}
	}
}

func TestFormsFollowTheSchema(t *testing.T) {
	f := form(t, "melding")
	if f.Fields[0].Name != "veiligContact" || !f.Fields[0].Required {
		t.Errorf("the form of a melding begins with %s", f.Fields[0].Name)
	}
	for _, class := range protocol.V1().Classes() {
		for i, x := range form(t, class.Name).Fields {
			if x.Name == "veiligContact" && i > 0 {
				t.Errorf("%s: veiligContact comes after %d others", class.Name, i)
			}
		}
	}
	// The other fields stand as the schema lists them.
	var order struct{ Properties json.RawMessage }
	if err := json.Unmarshal(readFile(t, "schemas/besluit.schema.json"), &order); err != nil {
		t.Fatal(err)
	}
	at := -1
	for _, x := range form(t, "besluit").Fields {
		next := bytes.Index(order.Properties, []byte(`"`+x.Name+`"`))
		if next < at {
			t.Errorf("%s is out of order", x.Name)
		}
		at = next
	}
	kinds := map[string]protocol.Kind{}
	everyField(t, func(_, parent string, x protocol.Field) { kinds[parent+"."+x.Name] = x.Kind })
	for name, want := range map[string]protocol.Kind{".feiten": protocol.KindGroup, "contact.telefoon": protocol.KindTelephone, ".minderjarig": protocol.KindYesNo,
		".spoorBlijft": protocol.KindConfirm, ".ingang": protocol.KindInstant, "slachtoffers.geboortedatum": protocol.KindDate, "slachtoffers.bsn": protocol.KindBSN,
		"slachtoffers.gemeentecode": protocol.KindMunicipality, "slachtoffers.leeftijdSchatting": protocol.KindNumber, "verblijf.land": protocol.KindCountry,
		".motivering": protocol.KindLong, ".afwegingHash": protocol.KindHash, ".andereZaakRef": protocol.KindReference, ".reden": protocol.KindChoice} {
		if kinds[name] != want {
			t.Errorf("%s is %q, want %q", name, kinds[name], want)
		}
	}
}

func TestDependencies(t *testing.T) {
	f := form(t, "overdracht")
	if f.Needs("gemeentecode", protocol.Values{"nieuweRegieRol": "knooppunt"}) || !f.Needs("gemeentecode", protocol.Values{"nieuweRegieRol": "veilig-thuis"}) {
		t.Error("a municipality is needed exactly for Veilig Thuis")
	}
	if n := len(f.ChoicesOf("brpStatus", protocol.Values{"nieuweRegieRol": "knooppunt"})); n != 3 || len(f.ChoicesOf("brpStatus", nil)) != 5 {
		t.Errorf("%d choices for the knooppunt", n)
	}
	b := form(t, "besluit")
	for _, c := range []struct {
		betreft, uitkomst   string
		ingang, voorwaarden bool
	}{{"overdracht", "aanvaard", true, false}, {"overdracht", "afgewezen", false, false}, {"inzetverzoek", "aanvaard", false, false},
		{"overdracht", "aanvaard-onder-voorwaarden", true, true}, {"inzetverzoek", "aanvaard-onder-voorwaarden", false, true}} {
		v := protocol.Values{"betreft": c.betreft, "uitkomst": c.uitkomst}
		if b.Needs("ingang", v) != c.ingang || b.Needs("voorwaarden", v) != c.voorwaarden {
			t.Errorf("%+v: ingang %v, voorwaarden %v", c, b.Needs("ingang", v), b.Needs("voorwaarden", v))
		}
	}
	a := form(t, "adviesvraag")
	if v := (protocol.Values{"herleidbaar": "nee"}); !a.Hides("personen", v) || len(a.ChoicesOf("grondslag", v)) != 1 || a.Hides("personen", protocol.Values{"herleidbaar": "ja"}) {
		t.Error("advice without names asks for names")
	}
	r := form(t, "reisdocumentverzoek")
	if choices := r.ChoicesOf("toestemming", protocol.Values{"minderjarig": true}); slices.ContainsFunc(choices, func(c protocol.Choice) bool { return c.Value == "nvt-meerderjarig" }) || len(choices) != 5 {
		t.Errorf("a child is of age: %v", choices)
	}
	if missing := b.Missing(protocol.Values{"betreft": "overdracht", "uitkomst": "aanvaard"}); !slices.Equal(missing, []string{"motivering", "ingang", "regieBij", "besluitDoor"}) {
		t.Errorf("missing %v", missing)
	}
}

// values is a body as a person would have filled it in: everything as text.
func values(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := protocol.Values{}
		for k, x := range v {
			out[k] = values(x)
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, values(x))
		}
		return out
	case bool:
		return map[bool]string{true: "ja", false: "nee"}[v]
	case json.Number:
		return v.String()
	}
	return v
}

func typed(t testing.TB, body []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Every example can be filled in, and comes out as the same body; without any of its
// required fields it does not.
func TestComposeEveryExample(t *testing.T) {
	for _, class := range protocol.V1().Classes() {
		e, err := protocol.V1().Example(class.Name)
		if err != nil {
			t.Fatal(err)
		}
		filled := values(typed(t, e.Body)).(protocol.Values)
		body, err := protocol.V1().Compose(class.Name, filled)
		if err != nil {
			t.Errorf("%s: %v", class.Name, err)
			continue
		}
		if !reflect.DeepEqual(typed(t, body), typed(t, e.Body)) {
			t.Errorf("%s comes out as %s", class.Name, body)
		}
		f := form(t, class.Name)
		if missing := f.Missing(filled); len(missing) > 0 {
			t.Errorf("%s: the form misses %v", class.Name, missing)
		}
		for _, x := range f.Fields {
			if !f.Needs(x.Name, filled) {
				continue
			}
			kept := filled[x.Name]
			filled[x.Name] = ""
			if _, err := protocol.V1().Compose(class.Name, filled); err == nil {
				t.Errorf("%s without %s is composed", class.Name, x.Name)
			}
			filled[x.Name] = kept
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	for name, v := range map[string]protocol.Values{
		"unknown field": {"gevoel": "x"}, "no number": {"versie": "twee"}, "a text where fields belong": {"reis": "morgen"}, "fields where text belongs": {"contact": protocol.Values{"naam": protocol.Values{"x": "y"}}},
	} {
		_, err := protocol.V1().Compose("repatrieringsplan", v)
		if r := refusal(t, err); r.Rule != protocol.RuleSchema || strings.Contains(r.Error(), "morgen") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := protocol.V1().Compose("oproep", nil); err == nil {
		t.Error("a body of no class")
	}
}

// What a list calls a class is what its form is called.
func TestLabelIsThatOfTheForm(t *testing.T) {
	c, err := protocol.V1().Amend(added(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range c.Classes() {
		f, err := c.Form(class.Name)
		if label, known := c.Label(class.Name); err != nil || !known || label != f.Label || label.NL == "" {
			t.Errorf("%s: %+v, %+v, %v", class.Name, label, f.Label, err)
		}
	}
	if label, known := c.Label("niets"); known || label != (protocol.Text{}) {
		t.Errorf("no class: %+v", label)
	}
}

// A class that partners added has a form too; its names are its labels.
func TestFormOfAnAddedClass(t *testing.T) {
	c, err := protocol.V1().Amend(added(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Form("bezoekafspraak")
	if err != nil || len(f.Fields) != 3 || f.Fields[1].Choices[0].Label.NL != "eerste gesprek" || f.Help.EN == "" {
		t.Errorf("%+v, %v", f, err)
	}
	body, err := c.Compose("bezoekafspraak", protocol.Values{"wanneer": "2026-12-01T10:00:00Z", "doel": "eerste-gesprek"})
	if err != nil {
		t.Errorf("%s, %v", body, err)
	}
}

func FuzzCompose(f *testing.F) {
	for _, class := range []string{"melding", "besluit", "uitnodiging"} {
		raw, err := os.ReadFile("voorbeelden/" + class + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(class, raw)
	}
	f.Fuzz(func(t *testing.T, class string, raw []byte) {
		var v map[string]any
		if json.Unmarshal(raw, &v) != nil {
			return
		}
		if body, ok := v["body"].(map[string]any); ok {
			v = body
		}
		body, err := protocol.V1().Compose(class, v)
		if err == nil && !json.Valid(body) {
			t.Fatalf("no JSON: %s", body)
		}
	})
}
