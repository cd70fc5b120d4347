package web

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/clients/harmless"
)

// computedOfCases are the keys that the pages of cases make of a part and a value.
func computedOfCases() (keys []string) {
	for _, p := range partsOfCases() {
		keys = append(keys, "cases.part-"+p, "cases.none-"+p)
	}
	for _, way := range []string{"left.", "late."} {
		for _, unit := range []string{"days", "hours", "minutes"} {
			keys = append(keys, way+unit+".one", way+unit+".more")
		}
		keys = append(keys, way+"soon")
	}
	for _, d := range duties() {
		keys = append(keys, "duty."+string(d))
	}
	for _, o := range offerStates() {
		keys = append(keys, "offer."+string(o))
	}
	for _, a := range logActions() {
		keys = append(keys, "did."+strings.TrimSuffix(a, "-"))
	}
	keys = append(keys, "did.api")
	for _, here := range []string{"notes", "playbook", "export", "restrict", "log"} {
		keys = append(keys, "case.heading-"+here)
	}
	for _, r := range remarkKinds() {
		keys = append(keys, "case."+r)
	}
	return keys
}

// noted are the actions that code of a desk writes into the access log: as they stand in a
// call, or as a constant or variable that is called an act or an action.
var noted = regexp.MustCompile(`(?:\.Audit\(|\.note\(ctx, |\.change\(ctx, [^,]+, |\.forgetCase\([^,]+, |\baction[A-Za-z]* += |\bAct[A-Z]\w+ +Act += |, action :?= (?:"",|[^"]+,) )"([a-z][a-z:-]*)"`)

// TestEveryActionHasWords: whoever reads the access log is told in words what was done, and
// never what something else is called. The actions are looked for in the code itself.
func TestEveryActionHasWords(t *testing.T) {
	found := map[string]string{}
	look := func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range noted.FindAllStringSubmatch(string(raw), -1) {
			found[m[1]] = path
		}
		return err
	}
	if err := errors.Join(filepath.WalkDir("../../schakel", look), filepath.WalkDir("../../desk", look)); err != nil {
		t.Fatal(err)
	}
	all := append(logActions(), byProgram)
	for action, path := range found {
		if !slices.Contains(all, action) {
			t.Errorf("%s notes %q, and the page of the log has no words for it", path, action)
		}
	}
	for _, action := range all {
		if found[action] == "" {
			t.Errorf("nothing notes %q, or this test does not see it", action)
		}
	}
}

func TestActionsInWords(t *testing.T) {
	for action, want := range map[string]string{
		"web-passkey": "Passkey gemaakt", "web-passkey-signed": "Getekend met een passkey", // one begins like the other
		"alarm-cleared-te-laat": "Alarm weggezet", "refused-format": "Bericht geweigerd", "key-refused": "Sleutel van een bureau afgewezen",
		"api:getMessage:00112233445566778899aabbccddeeff": "Gedaan door een programma: getMessage",
		"from-a-newer-program":                            "from-a-newer-program", "web-passkey-sold": "web-passkey-sold", "refused": "refused",
		"api:\x1b[31m": "Gedaan door een programma: " + harmless.Line("\x1b[31m"),
	} {
		if got := actionWords(dutch, action); got != want {
			t.Errorf("%s: %q, want %q", action, got, want)
		}
	}
}

// TestEveryPartIsDefinedOnce: of two parts with one name the later one would silently
// stand on the pages of the other.
func TestEveryPartIsDefinedOnce(t *testing.T) {
	if twice := definedTwice(map[string]string{"a": `{{define "x"}}`, "b": `{{define "x"}}`}); len(twice) != 1 {
		t.Errorf("control: %q", twice)
	}
	shared := map[string]string{}
	for _, pattern := range []string{"pages/layout.html", "pages/parts/*.html"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			shared[name] = string(raw)
		}
	}
	if twice := definedTwice(shared); len(twice) > 0 {
		t.Errorf("%q", twice)
	}
}

// TestOnePINField: every page asks for a PIN by the one part for it, so that no page can
// forget to say who signs, or to mark what was wrong.
func TestOnePINField(t *testing.T) {
	var asks []string
	for _, pattern := range []string{"pages/*.html", "pages/parts/*.html"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(raw), `name="pin"`) {
				asks = append(asks, name)
			}
		}
	}
	if !slices.Equal(asks, []string{"pages/parts/form.html"}) {
		t.Errorf("%q have a field for a PIN of their own: use the part \"pin\"", asks)
	}
}

var defined = regexp.MustCompile(`{{define "([^"]+)"}}`)

func definedTwice(files map[string]string) (twice []string) {
	in := map[string]bool{}
	for _, text := range files {
		for _, m := range defined.FindAllStringSubmatch(text, -1) {
			if in[m[1]] {
				twice = append(twice, m[1])
			}
			in[m[1]] = true
		}
	}
	return twice
}
