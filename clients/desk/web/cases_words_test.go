package web

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
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
		keys = append(keys, "did."+a)
	}
	for _, here := range []string{"notes", "playbook", "export", "restrict", "log"} {
		keys = append(keys, "case.heading-"+here)
	}
	for _, r := range remarkKinds() {
		keys = append(keys, "case."+r)
	}
	return keys
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
