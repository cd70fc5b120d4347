package browser_test

import (
	"encoding/csv"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/clients/desk/web"
)

// webFolder is where the pages are written down: what they can say is read from there, so
// that a page that is added, or a fault, cannot be forgotten here.
const webFolder = "../../../clients/desk/web"

var (
	stateSaid = regexp.MustCompile(`class="(?:empty|wrong)"([^>]*)>((?:[^<]|<[^/])*)</`)
	keySaid   = regexp.MustCompile(`\{\{t "([a-z0-9.-]+)"\}\}`)
	keysSaid  = regexp.MustCompile(`\{\{t \(print "([a-z0-9.-]+)" [^)]*\)\}\}`)
	faultSaid = regexp.MustCompile(`\.fault\([^,]+, "([a-z0-9.-]+)"\)`)
)

// statesIn are the keys of what a page says where it has nothing to show, or where something
// that was typed is wrong. What only a script shows is left out: the walks with passkeys
// see that. A key that ends in "-" stands for all that begin so.
func statesIn(text string) (keys []string) {
	for _, m := range stateSaid.FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[1], "hidden") {
			continue
		}
		for _, k := range append(keySaid.FindAllStringSubmatch(m[2], -1), keysSaid.FindAllStringSubmatch(m[2], -1)...) {
			keys = append(keys, k[1])
		}
	}
	for _, m := range faultSaid.FindAllStringSubmatch(text, -1) {
		keys = append(keys, m[1])
	}
	return keys
}

// words are what the web desk says in Dutch, by key.
func words(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(webFolder, "woorden.csv"))
	ok(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord, r.Comment = '|', true, -1, '#'
	rows, err := r.ReadAll()
	ok(t, err)
	out := map[string]string{}
	for _, row := range rows {
		out[row[0]] = row[1]
	}
	return out
}

// states are all sentences that say that something is empty or wrong.
func states(t *testing.T) map[string]string {
	t.Helper()
	all, out := words(t), map[string]string{}
	for _, pattern := range []string{"*.go", "pages/*.html", "pages/parts/*.html"} {
		files, err := filepath.Glob(filepath.Join(webFolder, pattern))
		ok(t, err)
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			ok(t, err)
			for _, key := range statesIn(string(text)) {
				for k, sentence := range all {
					if k == key || (strings.HasSuffix(key, "-") && strings.HasPrefix(k, key)) {
						out[k] = sentence
					}
				}
			}
		}
	}
	return out
}

// notLookedAt are states without a visit, and why.
var notLookedAt = map[string]string{
	"cases.further":   "comes after more cases than a page holds: TestNothingIsLostBetweenPages",
	"choose.none":     "no role of the protocol may send nothing",
	"device.mismatch": "needs the request of a new device: the tests of the page do that",
	"log.none":        "whoever looks at the log stands in it",
	"sheet.not-text":  "needs a file that is no text: the tests of the page do that",
}

// noPage are forms that are not sent from a page of their own, and what answers them.
var noPage = map[string]string{
	"/alarms/clearance":                            "a button; what is no alarm any more has a page of problems",
	"/directory/{org}/{desk}/test":                 "a button",
	"/drafts/{id}":                                 "a button; the form that it leads to can be in conflict",
	"/sheets/{id}/removal":                         "a button",
	"/sheets/{id}/files/removal":                   "a button",
	"/messages/{ref}/attachments/{place}/transfer": "a button; what is not there has a page of problems",
	"/on-call/drills/new":                          "a button; who may not begin is told so on a page of problems",
	"/people/removal":                              "a button",
	"/enter/{link}":                                "a button; a link that was used is looked at",
	"/sign-out":                                    "a button",
	"/language":                                    "a button",
	"/lock":                                        "a button",
	"/hide":                                        "a button",
	"/alive":                                       "asked by scripts",
	"/passkeys":                                    "asked by scripts: TestPasskey",
	"/passkeys/begin":                              "asked by scripts: TestPasskey",
	"/passkeys/removal":                            "a button",
	"/passkeys/signing":                            "asked by scripts: TestSigningWithAPasskey",
	"/passkeys/signing/begin":                      "asked by scripts: TestSigningWithAPasskey",
	"/sign-in/passkey":                             "asked by scripts: TestPasskey",
	"/sign-in/passkey/begin":                       "asked by scripts: TestPasskey",
}

// complete demands that every page was looked at, every form as it comes back with what is
// wrong, and every sentence that says that something is empty or wrong.
func (p *pages) complete() {
	p.t.Helper()
	for _, fault := range missing(web.Routes(), states(p.t), p.seen, p.failed, strings.Join(p.shown, "\n")) {
		p.t.Error(fault)
	}
	p.stale()
}

// elsewhere are the golden files of pages that another test looks at.
var elsewhere = []string{"no user here", "inbox, sent by an old register", "sending on, an old register", "sending on, an old register, nobody called", "plain inbox", "plain form",
	"check, an old register", "check, an old register, nobody called", "what is not acute, an old register"}

// stale demands that every golden file is one of a page that was looked at.
func (p *pages) stale() {
	p.t.Helper()
	for _, name := range elsewhere {
		p.heard[goldenFile(name)] = true
	}
	files, err := filepath.Glob(goldenFile("*"))
	ok(p.t, err)
	for _, f := range files {
		if !p.heard[f] {
			p.t.Errorf("%s: nobody looks at that page any more", f)
		}
	}
}

func missing(routes []web.Route, sentences map[string]string, seen, failed map[string]bool, shown string) (out []string) {
	for _, r := range routes {
		if r.Method == http.MethodGet && !seen[r.Path] && r.Path != "/live" {
			out = append(out, "nobody looked at "+r.Path)
		}
		if r.Method == http.MethodPost && !failed[r.Path] && noPage[r.Path] == "" {
			out = append(out, "nobody looked at the form of "+r.Path+" as it comes back")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(sentences)) {
		if !strings.Contains(shown, sentences[key]) && notLookedAt[key] == "" {
			out = append(out, "nobody saw a page say "+key+": "+sentences[key])
		}
	}
	return out
}

// TestWhatIsMissingIsFound is the control of complete.
func TestWhatIsMissingIsFound(t *testing.T) {
	t.Parallel()
	keys := statesIn(`{{else}}<p class="empty">{{if .A}}{{t "a.none"}}{{else}}{{t (print "b.none-" .Part)}}{{end}}</p>
<p class="wrong" id="x-wrong">{{t "c.wrong"}}</p><p class="wrong" hidden>{{t "d.script"}}</p> f.fault("to", "e.choose")`)
	if want := []string{"a.none", "b.none-", "c.wrong", "e.choose"}; !slices.Equal(keys, want) {
		t.Errorf("states: %q, want %q", keys, want)
	}
	all := states(t)
	for _, key := range []string{"inbox.none-us", "write.no-desk", "form.wrong-pin", "people.namesake", "directory.empty"} {
		if all[key] == "" {
			t.Errorf("%s is not known as a state", key)
		}
	}
	routes := []web.Route{{Method: "GET", Path: "/a"}, {Method: "GET", Path: "/b"}, {Method: "POST", Path: "/a"}}
	got := missing(routes, map[string]string{"a.none": "Niets.", "b.none": "Er is niets."}, map[string]bool{"/a": true}, nil, "Er is niets.")
	if want := []string{"nobody looked at /b", "nobody looked at the form of /a as it comes back", "nobody saw a page say a.none: Niets."}; !slices.Equal(got, want) {
		t.Errorf("missing: %q", got)
	}
}
