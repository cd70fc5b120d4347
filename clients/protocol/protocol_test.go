package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"schakel/clients/protocol"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/lanes"
)

// source is the material that the protocol was taken from, where it stands beside the
// project.
func source(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "protocol")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the source of the copy is not beside this tree; nothing to compare")
	}
	return dir
}

// The project keeps its own copy of the protocol, and added to it. The schemas and
// examples that it was taken from are still there, byte for byte.
func TestCopyEqualsItsSource(t *testing.T) {
	source := source(t)
	for _, pattern := range []string{"schemas/*.json", "voorbeelden/*.json"} {
		files, err := filepath.Glob(filepath.Join(source, pattern))
		if err != nil || len(files) < 20 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			name, _ := filepath.Rel(source, f)
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(name) == "kop.schema.json" {
				continue // knows the new classes and the mark of an exercise
			}
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s differs from its source: %v", name, err)
			}
		}
	}
}

// What was added to the catalogue took nothing away: roles, urgencies, rules and
// classes of the source stand in ours as they stood there, but for the signer and for
// routes that follow those of the source.
func TestCatalogueKeepsItsSource(t *testing.T) {
	read := func(path string) map[string]any {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return fields(t, raw)
	}
	classes := func(c map[string]any) map[string]any {
		out := map[string]any{}
		for _, k := range c["klassen"].([]any) {
			k := k.(map[string]any)
			delete(k, "ondertekenaar")
			out[k["naam"].(string)] = k
		}
		return out
	}
	want, got := read(filepath.Join(source(t), "catalogus.json")), read("catalogus.json")
	for _, part := range []string{"protocol", "rollen", "urgenties", "opmerkingen"} {
		if !reflect.DeepEqual(got[part], want[part]) {
			t.Errorf("%s differs from the source", part)
		}
	}
	for part, pair := range map[string][2]map[string]any{"class": {classes(want), classes(got)},
		"rule": {want["regels"].(map[string]any), got["regels"].(map[string]any)}} {
		for name, w := range pair[0] {
			if ours, ok := pair[1][name].(map[string]any); ok && part == "class" {
				theirs := w.(map[string]any)["routes"].([]any)
				ours["routes"] = ours["routes"].([]any)[:len(theirs)]
			}
			if !reflect.DeepEqual(pair[1][name], w) {
				t.Errorf("%s %s differs from the source", part, name)
			}
		}
	}
}

func TestV1IsComplete(t *testing.T) {
	c := protocol.V1()
	if n := len(c.Classes()); n != 24 {
		t.Errorf("%d classes, want 24", n)
	}
	for i := 1; i <= 30; i++ {
		id := "R" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		if r, ok := c.Rule(id); !ok || r.Text == "" {
			t.Errorf("rule %s is missing", id)
		}
	}
	for _, class := range c.Classes() {
		if len(class.Routes) == 0 || len(class.Urgencies) == 0 {
			t.Errorf("%s has no route or no urgency", class.Name)
		}
	}
}

// The relay's table is exactly the union of the routes of all classes, with the
// highest tier any class gives the lane. The relay may not import this package,
// so the comparison stands here.
func TestLanesAreTheUnionOfAllRoutes(t *testing.T) {
	union := union(protocol.V1().Classes())
	for _, from := range identity.Roles() {
		for _, to := range identity.Roles() {
			want, wantOK := union[[2]identity.Role{from, to}]
			got, gotOK := lanes.Ceiling(from, to, false)
			if got != want || gotOK != wantOK {
				t.Errorf("%s to %s: lanes say tier %d, %v; the catalogue says %d, %v", from, to, got, gotOK, want, wantOK)
			}
		}
	}
}

// Control: without one class the union is another, so the test above can fail.
func TestLanesControl(t *testing.T) {
	classes := slices.DeleteFunc(protocol.V1().Classes(), func(c protocol.Class) bool { return c.Name == protocol.ClassAcknowledgement })
	if _, ok := union(classes)[[2]identity.Role{identity.RoleLecEgg, identity.RoleOpvang}]; ok {
		t.Error("a lane that only acknowledgements use is in a union without them")
	}
}

func union(classes []protocol.Class) map[[2]identity.Role]envelope.Tier {
	out := map[[2]identity.Role]envelope.Tier{}
	for _, c := range classes {
		for _, from := range identity.Roles() {
			for _, to := range identity.Roles() {
				for _, u := range c.Urgencies {
					if c.CarriesAt(from, to, u) {
						lane := [2]identity.Role{from, to}
						out[lane] = max(out[lane], protocol.TierOf(u, c.Name))
					}
				}
			}
		}
	}
	return out
}

func TestTiers(t *testing.T) {
	for u, want := range map[message.Urgency]envelope.Tier{
		message.Acute: envelope.TierAcute, message.Urgent: envelope.TierUrgent,
		message.Routine: envelope.TierRoutine, message.Info: envelope.TierNone, "zeer-acuut": envelope.TierNone,
	} {
		if got := protocol.TierOf(u, "melding"); got != want {
			t.Errorf("%s: tier %d, want %d", u, got, want)
		}
		if got := protocol.TierOf(u, protocol.ClassAcknowledgement); got != envelope.TierNone {
			t.Errorf("an acknowledgement under %s pages with tier %d", u, got)
		}
	}
}

func TestNeedsPerson(t *testing.T) {
	var need []string
	for _, c := range protocol.V1().Classes() {
		if protocol.NeedsPerson(c.Name) != c.Person {
			t.Errorf("%s: the catalogue says that a person signs: %v", c.Name, c.Person)
		}
		if c.Person {
			need = append(need, c.Name)
		}
	}
	slices.Sort(need)
	if got := strings.Join(need, " "); got != "besluit correctie intrekking koppeling ontvangstbevestiging overdracht strafbaar-feit-melding uitnodiging" {
		t.Errorf("a person signs: %s", got)
	}
}

func TestTermsOfAClass(t *testing.T) {
	c := protocol.V1()
	for _, w := range []struct {
		class   string
		urgency message.Urgency
		want    string // delivered, acknowledged, answered, life
	}{
		{"melding", message.Acute, "PT2M PT15M PT1H P7D"},
		{"melding", message.Urgent, "PT15M PT4H PT24H P7D"},
		{"melding", message.Routine, "1WD 1WD 5WD P14D"},
		{"contactverzoek", message.Acute, "PT2M PT15M PT15M P7D"}, // deviates
		{"repatrieringsplan", message.Urgent, "PT15M PT4H PT4H P7D"},
		{"terugkoppeling", message.Info, "1WD - - P30D"},
	} {
		class, _ := c.Class(w.class)
		terms, ok := class.Terms(w.urgency)
		if !ok {
			t.Fatalf("%s under %s has no terms", w.class, w.urgency)
		}
		got := strings.Join([]string{terms.Delivered.String(), terms.Acknowledged.String(), terms.Answered.String(), terms.Life.String()}, " ")
		if got != w.want {
			t.Errorf("%s under %s: %s, want %s", w.class, w.urgency, got, w.want)
		}
		if terms.AroundTheClock != (w.urgency == message.Acute || w.urgency == message.Urgent) {
			t.Errorf("%s: around the clock = %v", w.urgency, terms.AroundTheClock)
		}
		if terms.TelephoneToo != (w.urgency == message.Acute) {
			t.Errorf("%s: telephone too = %v", w.urgency, terms.TelephoneToo)
		}
	}
	signal, _ := c.Class("signaal")
	if _, ok := signal.Terms(message.Acute); ok {
		t.Error("an acute signaal has terms; it must be a melding")
	}
}

// A catalogue that contradicts itself, or reaches outside itself, is refused whole.
func TestLoadRefuses(t *testing.T) {
	for name, edit := range map[string][3]string{
		"unknown role":        {"catalogus.json", `"signaleerder",`, `"minister",`},
		"unknown rule":        {"catalogus.json", `"R26"`, `"R99"`},
		"unknown answer":      {"catalogus.json", `"terugkoppeling"`, `"terugkoppelen"`},
		"unknown field":       {"catalogus.json", `"gloss"`, `"glos"`},
		"unknown urgency":     {"catalogus.json", `"spoed",`, `"haast",`},
		"term without sense":  {"catalogus.json", `"PT2M"`, `"two minutes"`},
		"unknown calendar":    {"catalogus.json", `"werkdagen"`, `"weekdagen"`},
		"class no schema":     {"catalogus.json", `schemas/signaal.schema.json`, `schemas/none.schema.json`},
		"schema from network": {"schemas/melding.schema.json", `"#/$defs/contact"`, `"https://schakel.example/contact.json"`},
		"schema from disk":    {"schemas/melding.schema.json", `"#/$defs/contact"`, `"file:///etc/hostname"`},
		"schema not JSON":     {"schemas/melding.schema.json", `{`, `[`},
		"unknown signer":      {"catalogus.json", `"persoon"`, `"machine"`},
		"route too loud": {"catalogus.json", `"regulier"
     ]
    },`, `"ter-kennisname"
     ]
    },`},
		"kop not a schema": {"schemas/kop.schema.json", `"object"`, `"objekt"`},
	} {
		t.Run(name, func(t *testing.T) {
			files := copyOf(t)
			f := files[edit[0]]
			if !bytes.Contains(f.Data, []byte(edit[1])) {
				t.Fatalf("%s holds no %s", edit[0], edit[1])
			}
			f.Data = bytes.Replace(f.Data, []byte(edit[1]), []byte(edit[2]), 1)
			if _, err := protocol.Load(files); !errors.Is(err, protocol.ErrCatalogue) {
				t.Errorf("error = %v, want ErrCatalogue", err)
			}
		})
	}
	if _, err := protocol.Load(copyOf(t)); err != nil {
		t.Errorf("control: the unedited copy is refused: %v", err)
	}
}

// The digest names an agreement: the same files give the same, any other byte another.
func TestDigest(t *testing.T) {
	digest := func(files fs.FS) [32]byte {
		t.Helper()
		c, err := protocol.Load(files)
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest()
	}
	v1 := protocol.V1().Digest()
	if v1 != digest(copyOf(t)) {
		t.Error("a copy has another digest")
	}
	for _, name := range []string{"catalogus.json", "schemas/melding.schema.json", "schemas/kop.schema.json"} {
		files := copyOf(t)
		files[name].Data = append(files[name].Data, '\n')
		if digest(files) == v1 {
			t.Errorf("a change of %s does not show in the digest", name)
		}
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func copyMap(files fstest.MapFS) fstest.MapFS {
	out := fstest.MapFS{}
	for name, f := range files {
		out[name] = &fstest.MapFile{Data: f.Data}
	}
	return out
}

func copyOf(t testing.TB) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" || strings.HasPrefix(path, "testdata") {
			return err
		}
		raw, err := os.ReadFile(path)
		out[path] = &fstest.MapFile{Data: raw}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The catalogue is shared by every goroutine of a daemon.
func TestConcurrentUse(t *testing.T) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, class := range protocol.V1().Classes() {
				if err := check(exampleDraft(t, class.Name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func party(r identity.Role) protocol.Party {
	return protocol.Party{Desk: identity.DeskID(string(r) + "/piket"), Role: r}
}

// edited returns the body with one change made to its fields.
func edited(t testing.TB, body []byte, change func(map[string]any)) []byte {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	change(o)
	out, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAnyFolderWillDo: a program reads its agreement in whatever folder somebody is, also one
// whose name is no part of an address.
func TestAnyFolderWillDo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "50 %, dossier #1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	agreed := protocol.V1().Agreement() // read where the test began
	t.Chdir(dir)
	c, err := protocol.ParseAgreement(agreed)
	if err != nil {
		t.Fatal(err)
	}
	if c.Digest() != protocol.V1().Digest() {
		t.Error("another agreement")
	}
	shapes, err := protocol.ReadShapes([]byte(`{"a":{"type":"string"}}`))
	if err == nil {
		_, err = shapes.At("/a")
	}
	if err != nil {
		t.Errorf("a contract: %v", err)
	}
}
