package browser_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of what pages say anew")

// tree is a page as a screen reader has it: roles, names and states, and nothing of looks.
type tree struct {
	Name  string `json:"name"`
	Text  string `json:"text"`
	Shown string `json:"shown"` // as text alone, as somebody sees it
}

// changing is what is another at each run, and what takes its place.
var changing = []struct {
	pattern *regexp.Regexp
	put     string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "HASH"},
	{regexp.MustCompile(`(?i)\b(zaak|case) [0-9a-f]{8}(…[0-9a-f]{4})?`), "$1 CASE"},
	{regexp.MustCompile(`\b(apparaat|bericht) [0-9a-f]{8}\b`), "$1 NUMMER"},
	{regexp.MustCompile(`(Apparaat …|Trek in |apparaat …)[0-9a-f]{6}\b`), "${1}NUMMER"},
	{regexp.MustCompile(`\b(127\.0\.0\.1|localhost):\d+`), "$1:POORT"},
	{regexp.MustCompile(`\b\d+ regels\b`), "REGELS"},
	{regexp.MustCompile(`- listitem: "?\d{5}"?`), "- listitem: CIJFERS"},
	{regexp.MustCompile(`\b\d{5}( \d{5}){7}\b`), "CIJFERS"},
	{regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}T[0-9:.+Z-]+`), "MOMENT"},
	{regexp.MustCompile(`\bnog \d+ (dag(en)?|uur|minuten|minuut)\b`), "nog DUUR"},
	{regexp.MustCompile(`\b\d+ (dag(en)?|uur|minuten|minuut) te laat\b`), "DUUR te laat"},
	{regexp.MustCompile(`/enter/[A-Za-z0-9_-]{43}`), "/enter/LINK"},
	{regexp.MustCompile(`(?i)\b((maan|dins|woens|donder|vrij|zater|zon)dag|(ma|di|wo|do|vr|za|zo)) \d`), "DAG 0"},
	{regexp.MustCompile(`(?i)\b\d{1,2}[ -](jan|feb|mrt|maart|apr|mei|jun|jul|aug|sep|okt|nov|dec)[a-z.]*( \d{4})?`), "DATUM"},
	{regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b`), "DATUM"},
	{regexp.MustCompile(`\b\d{1,2}:\d{2}\b`), "TIJD"},
	{regexp.MustCompile(`(?i)\b(vandaag|gisteren|morgen)\b`), "DATUM"},
}

// withoutPlaces leaves out the list of places: it is the same on every page, and who adds a
// place must not read every page again.
func withoutPlaces(text string) string {
	var out []string
	inside := -1
	for line := range strings.Lines(text) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if inside >= 0 && indent > inside {
			continue
		}
		inside = -1
		if strings.HasPrefix(strings.TrimSpace(line), `- navigation "Onderdelen"`) {
			inside = indent
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// news is said whenever something came in, which may be before the page is looked at or
// after: TestNewsLeavesTheFocus is about that.
var news = regexp.MustCompile(`(?m)^ *- status:\n *- paragraph:\n *- text: Er is iets nieuws\.\n *- link "Toon het":\n *- /url: .*\n`)

// fleeting are pages that say what was looked at before, which is more at each look, or who
// is on call, who is another each week; and one that nobody reads to its end.
var fleeting = regexp.MustCompile(`^(log|log of a case|note that is too long|(offline, )?(on call|on-call|log).*|take over.*|swap.*|override.*|leave.*|sheet.*)$`)

// goldenFile is where it stands what the page of a visit says.
func goldenFile(name string) string {
	return filepath.Join("testdata", "aria", strings.NewReplacer(" ", "-", ",", "").Replace(name)+".txt")
}

// golden holds what a page says to its file in testdata/aria. -update writes one, to be
// read before it is kept.
func golden(t *testing.T, tr tree) {
	t.Helper()
	if fleeting.MatchString(tr.Name) {
		return
	}
	got := news.ReplaceAllString(withoutPlaces(tr.Text+"\n"), "")
	for _, c := range changing {
		got = c.pattern.ReplaceAllString(got, c.put)
	}
	path := goldenFile(tr.Name)
	if *update {
		ok(t, os.MkdirAll(filepath.Dir(path), 0o755))
		ok(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: nobody read yet what this page says; -update writes %s", tr.Name, path)
		return
	}
	ok(t, err)
	if got != string(want) {
		t.Errorf("%s says something else (-update writes it anew, after a look)\ngot:\n%s\nwant:\n%s", tr.Name, got, want)
	}
}
