package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
)

// sheet is a page of the desk on paper.
type sheet struct {
	Path    string       `json:"path"`
	Text    string       `json:"text"`
	Head    string       `json:"head"`  // what heads it
	Heads   string       `json:"heads"` // how: once, or on every sheet
	Root    string       `json:"root"`  // the outermost box: one of a fixed size is cut through its lines
	Pressed []string     `json:"pressed"`
	Wide    int          `json:"wide"`
	Sizes   [][2]float64 `json:"sizes"` // of the sheets, in points
}

// wrong is what is not right about a page on paper.
func (s sheet) wrong() (all []string) {
	if len(s.Pressed) > 0 {
		all = append(all, "what is for the screen is printed: "+strings.Join(s.Pressed, " "))
	}
	for _, want := range []string{"Vertrouwelijk.", "vt20/crisis", "stand van", "2026", "P. Iket"} {
		if !strings.Contains(s.Head, want) {
			all = append(all, "its heading does not say "+want)
		}
	}
	if s.Heads != "table-header-group" {
		all = append(all, "the heading is not on every sheet")
	}
	if s.Root != "block normal" {
		all = append(all, "lines are cut in two where a sheet ends: "+s.Root)
	}
	if s.Wide > 0 {
		all = append(all, "it is wider than the paper")
	}
	if len(s.Sizes) == 0 {
		all = append(all, "there is no sheet")
	}
	for _, size := range s.Sizes {
		if math.Abs(size[0]-595) > 2 || math.Abs(size[1]-842) > 2 {
			all = append(all, "a sheet is not A4")
		}
	}
	return all
}

// TestPaper prints a case, its message, the outage card and who is on call: on A4, each
// sheet headed by what it is, as of when, and that it is confidential, and without what is
// for the screen.
func TestPaper(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	o.Rota(nil)
	r, err := o.Member.Node.Restriction(t.Context(), hash)
	ok(t, err)
	seen := printed(t, o, "/cases/"+r.Case, "/messages/"+hash, "/card", "/on-call")
	for i, shows := range [][]string{{"Veilig contact", "fietslampje", "Wie doet mee"}, {"fietslampje", "za 14 mrt 2009", "Utrecht (GM0344)"}, {"Noodkaart", "112"}, {"De komende 14 dagen"}} {
		for _, w := range seen[i].wrong() {
			t.Errorf("%s: %s", seen[i].Path, w)
		}
		for _, want := range shows {
			if !strings.Contains(seen[i].Text, want) {
				t.Errorf("%s does not print %q", seen[i].Path, want)
			}
		}
	}
	number := r.Case[:8] + "…" + r.Case[len(r.Case)-4:]
	if !strings.Contains(seen[0].Head, number) || !strings.Contains(seen[1].Head, number) || strings.Contains(seen[2].Head, number) {
		t.Errorf("the headings are %q, %q and %q", seen[0].Head, seen[1].Head, seen[2].Head)
	}
	crooked := sheet{Pressed: []string{"<button>"}, Heads: "block", Wide: 1, Sizes: [][2]float64{{612, 792}}}
	if found := crooked.wrong(); len(found) != 10 {
		t.Errorf("control: %q", found)
	}
}

// printed prints pages of an office, as its person sees them. SCHAKEL_PICTURES is where
// the sheets go for who wants to see them.
func printed(t *testing.T, o *webtest.Office, paths ...string) []sheet {
	t.Helper()
	in, err := json.Marshal(map[string]any{"chromium": chromium(t), "base": o.Base, "paths": paths, "folder": os.Getenv("SCHAKEL_PICTURES"),
		"cookies": cookies(t, o.User(o.Person.Name, desk.Roles()...), o.Base)})
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "print.mjs")
	cmd.Stdin, cmd.WaitDelay = bytes.NewReader(in), 10*time.Second
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("printing: %v\n%s", err, errs.String())
	}
	var said struct {
		Sheets []sheet `json:"sheets"`
	}
	ok(t, json.Unmarshal(out, &said))
	if len(said.Sheets) != len(paths) {
		t.Fatalf("%d of %d were printed", len(said.Sheets), len(paths))
	}
	return said.Sheets
}
