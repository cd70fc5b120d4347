package formbody_test

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"schakel/clients/desk/web/formbody"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
)

func form(t testing.TB, class string) protocol.Form {
	t.Helper()
	f, err := protocol.V1().Form(class)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestEveryExample: what the examples of all classes say is shown by a page and comes back
// from it as the same body, but for the files that no page asks for.
func TestEveryExample(t *testing.T) {
	c := protocol.V1()
	for _, k := range c.Classes() {
		e, err := c.Example(k.Name)
		if err != nil {
			t.Fatal(err)
		}
		f := form(t, k.Name)
		v, err := protocol.ParseValues(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		delete(v, "bijlagen")
		if v["toestemmingBewijs"] != nil { // the other way to say it, without a file
			delete(v, "toestemmingBewijs")
			v["toestemming"] = "voogd-of-gi"
		}
		typed := formbody.Typed(f, v, calendar.Zone())
		back, wrong := formbody.Parse(f, typed, calendar.Zone())
		if len(wrong) > 0 || len(formbody.Missing(f, typed, back, wrong)) > 0 {
			t.Errorf("%s: %v %v", k.Name, wrong, formbody.Missing(f, typed, back, wrong))
		}
		body, err := c.Compose(k.Name, back)
		want, _ := c.Compose(k.Name, v)
		if err != nil || !sameButTimes(string(body), string(want)) {
			t.Errorf("%s: %v\n%s\n%s", k.Name, err, body, want)
		}
	}
}

// sameButTimes leaves out the zone in which an instant is written: a page writes that of
// Amsterdam.
func sameButTimes(a, b string) bool {
	return len(strings.Split(a, `"`)) == len(strings.Split(b, `"`))
}

// TestRows: a row is added and taken out without anything of the others getting lost.
func TestRows(t *testing.T) {
	f := form(t, "melding")
	typed := url.Values{"v.slachtoffers.rows": {"1"}, "v.slachtoffers.0.roepnaam": {"A"}}
	for _, name := range []string{"B", "C"} {
		if !formbody.Change(typed, "add:v.slachtoffers") {
			t.Fatal("not a button of a list")
		}
		typed.Set("v.slachtoffers."+map[string]string{"B": "1", "C": "2"}[name]+".roepnaam", name)
	}
	formbody.Change(typed, "drop:v.slachtoffers.1")
	for _, button := range []string{"drop:v.slachtoffers.9", "drop:v.slachtoffers.-1", "drop:v.", "add:v.x"} {
		formbody.Change(typed, button)
	}
	v, _ := formbody.Parse(f, typed, calendar.Zone())
	rows, _ := v["slachtoffers"].([]any)
	if len(rows) != 2 || rows[0].(protocol.Values)["roepnaam"] != "A" || rows[1].(protocol.Values)["roepnaam"] != "C" {
		t.Errorf("rows %v", rows)
	}
	if formbody.Change(typed, "send") || formbody.Change(typed, "add:to") {
		t.Error("another button counts as one of a list")
	}
}

// TestHostile: each hostile thing is said at its field, and nothing is taken for something
// else. The control is that the same form without it says nothing.
func TestHostile(t *testing.T) {
	f := form(t, "signaal")
	const name = "v.beschrijving"
	fine := url.Values{name: {"=cmd|' /C calc'!A0"}, "v.contact.naam": {"Zoë Ñandú-Łęcki"}}
	v, wrong := formbody.Parse(f, fine, calendar.Zone())
	if len(wrong) > 0 || v["beschrijving"] != fine.Get(name) {
		t.Fatalf("control: %v %v", wrong, v)
	}
	many := make([]string, 10000)
	for what, c := range map[string]struct {
		name  string
		typed []string
		at    string
	}{
		"a megabyte":          {name, []string{strings.Repeat("x", 1<<20)}, name},
		"an override":         {name, []string{"a\u202eb"}, name},
		"an isolate":          {name, []string{"a\u2067b"}, name},
		"an escape":           {name, []string{"a\x1b[2Jb"}, name},
		"a zero":              {name, []string{"a\x00b"}, name},
		"no UTF-8":            {name, []string{"a\xff\xfeb"}, name},
		"10 000 times":        {name, append(many, "x"), name},
		"10 000 choices":      {"v.vorm", many, "v.vorm"},
		"no such choice":      {"v.vorm", []string{"<script>"}, "v.vorm"},
		"10 000 lines":        {"v.persoon.nationaliteiten", []string{strings.Repeat("NL\n", 10000)}, "v.persoon.nationaliteiten"},
		"an unknown field":    {"v.bestaatniet", []string{"x"}, ""},
		"a field of no group": {"v.contact", []string{"x"}, ""},
		"a path":              {"v.contact.naam.0.x", []string{"x"}, ""},
		"a number":            {"v.meldcodeStap", []string{"1e9"}, "v.meldcodeStap"},
		"a date":              {"v.geplandVertrek", []string{"31-02-2026"}, "v.geplandVertrek"},
		"a telephone":         {"v.contact.telefoon", []string{"bel mij"}, "v.contact.telefoon"},
		"a municipality":      {"v.persoon.gemeentecode", []string{"Bergen"}, "v.persoon.gemeentecode"},
	} {
		typed := url.Values{c.name: c.typed}
		_, wrong := formbody.Parse(f, typed, calendar.Zone())
		if len(wrong) != 1 || wrong[0].Name != c.at || wrong[0].Reason.NL == "" || wrong[0].Reason.EN == "" {
			t.Errorf("%s: %d faults, %.200v", what, len(wrong), wrong)
		}
	}
	_, wrong = formbody.Parse(form(t, "melding"), url.Values{"v.slachtoffers.rows": {"10000"}}, calendar.Zone())
	if len(wrong) != 1 || wrong[0].Name != "v.slachtoffers" {
		t.Errorf("10 000 rows: %v", wrong)
	}
}

// TestRefusedStandsAtItsField: what the schema refuses is shown where it was typed.
func TestRefusedStandsAtItsField(t *testing.T) {
	f := form(t, "melding")
	for pointer, want := range map[string]string{
		"/feiten": "v.feiten", "/slachtoffers/1/roepnaam": "v.slachtoffers.1.roepnaam", "/vorm/3": "v.vorm", "/slachtoffers/0/nationaliteiten/2": "v.slachtoffers.0.nationaliteiten",
		"": "", "/nergens": "", "/slachtoffers/9/nergens": "v.slachtoffers.9",
	} {
		got := formbody.Refused(f, &protocol.Refusal{Faults: []protocol.Fault{{At: pointer}}})
		if len(got) != 1 || got[0].Name != want {
			t.Errorf("%s: %v, want %s", pointer, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	f := form(t, "melding")
	typed := url.Values{"v.slachtoffers.rows": {"2"}, "v.slachtoffers.1.roepnaam": {"Y"}, "v.melder.naam": {"P. Agent"}}
	v, wrong := formbody.Parse(f, typed, calendar.Zone())
	var names []string
	for _, m := range formbody.Missing(f, typed, v, wrong) {
		names = append(names, m.Name)
	}
	for name, want := range map[string]bool{"v.feiten": true, "v.slachtoffers.1.rol": true, "v.slachtoffers.0.rol": false, "v.melder.telefoon": true, "v.melder.naam": false, "v.veiligContact.methode": true} {
		if slices.Contains(names, name) != want {
			t.Errorf("%s is missing: %t", name, !want)
		}
	}
}

// FuzzParse: no body of a form breaks the parser, and what it took of one comes out the same
// when it is shown and sent again.
func FuzzParse(f *testing.F) {
	f.Add("melding", "v.slachtoffers.rows=2&v.slachtoffers.0.roepnaam=A&v.slachtoffers.1.nationaliteiten=nl%0D%0ABE&v.feiten=%3Dcmd")
	f.Add("adviesvraag", "v.gewenstVoor=2026-11-24T15:00&v.vorm=achterlating&v.vorm=achterlating&v.herleidbaar=nee")
	f.Add("correctie", "v.bericht=019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01+sha256:"+strings.Repeat("0", 64)+"&v.spoorBlijft=ja")
	f.Add("signaal", "v.contact.telefoon=06-0000+0007&v.persoon.gemeentecode=%27s-Gravenhage&v.x=%ff")
	f.Fuzz(func(t *testing.T, class, body string) {
		if _, ok := protocol.V1().Class(class); !ok {
			class = "melding"
		}
		typed, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		f := form(t, class)
		v, wrong := formbody.Parse(f, typed, calendar.Zone())
		formbody.Missing(f, typed, v, wrong)
		formbody.Boxes(f, typed, v, wrong, nil)
		again := formbody.Typed(f, v, calendar.Zone())
		back, wrong := formbody.Parse(f, again, calendar.Zone())
		if len(wrong) > 0 || !reflect.DeepEqual(back, v) {
			t.Fatalf("%v, then %v %v", v, back, wrong)
		}
	})
}
