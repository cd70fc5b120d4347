package docs_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A README that nobody finishes is not read.
const maxReadme = 250

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	makePattern    = regexp.MustCompile("(?m)^[`$ ]*make ([a-z][a-z-]*)")
	targetPattern  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	fencePattern   = regexp.MustCompile("(?ms)^```.*?^```")
	anchorDropped  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

func readme(files tree) (wrong []string) {
	n := strings.Count(string(files["README.md"]), "\n")
	if n == 0 || n > maxReadme {
		wrong = append(wrong, fmt.Sprintf("README.md has %d lines, want 1 to %d", n, maxReadme))
	}
	return wrong
}

// links: every relative link in the pages leads to a tracked file, a folder of
// them, or a heading of one.
func links(files tree) (wrong []string) {
	for name, raw := range files {
		if path.Ext(name) != ".md" {
			continue
		}
		text := fencePattern.ReplaceAllString(string(raw), "")
		for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if !resolves(files, name, m[1]) {
				wrong = append(wrong, fmt.Sprintf("%s: no such place: %s", name, m[1]))
			}
		}
	}
	return wrong
}

func resolves(files tree, from, link string) bool {
	file, anchor, _ := strings.Cut(link, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
	}
	raw, ok := files[target]
	if !ok {
		inside := func(name string) bool { return strings.HasPrefix(name, target+"/") }
		return anchor == "" && slices.ContainsFunc(slices.Collect(maps.Keys(files)), inside)
	}
	return anchor == "" || slices.Contains(anchors(raw), anchor)
}

// anchors are the headings of a page as links name them.
func anchors(page []byte) (all []string) {
	for _, m := range headingPattern.FindAllSubmatch(page, -1) {
		a := anchorDropped.ReplaceAllString(strings.ToLower(string(m[1])), "")
		all = append(all, strings.ReplaceAll(strings.TrimSpace(a), " ", "-"))
	}
	return all
}

// targets: every make target that a page names is in the Makefile.
func targets(files tree) (wrong []string) {
	var known []string
	for _, m := range targetPattern.FindAllSubmatch(files["Makefile"], -1) {
		known = append(known, string(m[1]))
	}
	for name, raw := range files {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, span := range code(string(raw)) {
			for _, m := range makePattern.FindAllStringSubmatch(span, -1) {
				if !slices.Contains(known, m[1]) {
					wrong = append(wrong, fmt.Sprintf("%s: make %s is not in the Makefile", name, m[1]))
				}
			}
		}
	}
	return wrong
}

var spanPattern = regexp.MustCompile("`[^`\n]+`")

// code returns the fenced blocks and code spans of a page: prose may "make" anything.
func code(page string) []string {
	rest := fencePattern.ReplaceAllString(page, "")
	return append(fencePattern.FindAllString(page, -1), spanPattern.FindAllString(rest, -1)...)
}

// rooms: the README says of each room of the three libraries what it is.
func rooms(files tree) (wrong []string) {
	seen := map[string]bool{}
	for name := range files {
		wing, rest, _ := strings.Cut(name, "/")
		room, _, nested := strings.Cut(rest, "/")
		if !nested || path.Ext(name) != ".go" || seen[wing+room] || wing != "crypto" && wing != "relay" && wing != "clients" {
			continue
		}
		seen[wing+room] = true
		if !strings.Contains(string(files["README.md"]), "**"+room+"**") {
			wrong = append(wrong, fmt.Sprintf("README.md does not say what %s/%s is", wing, room))
		}
	}
	return wrong
}

var promiseRules = map[string]func(tree) []string{"readme": readme, "links": links, "targets": targets, "rooms": rooms}

func TestPromises(t *testing.T) {
	files := tracked(t)
	for name, rule := range promiseRules {
		t.Run(name, func(t *testing.T) {
			wrong := rule(files)
			slices.Sort(wrong)
			report(t, wrong)
		})
	}
}

// Controls: each rule finds a promise that is not kept.
func TestPromisesFindTheBroken(t *testing.T) {
	fine := tree{
		"README.md":       []byte("# Schakel\n\nSee [a](docs/x.md), [b](docs), [c](docs/x.md#two-words), [d](#schakel), [e](https://schakel.example). **door** `make test`\n"),
		"docs/x.md":       []byte("# X\n## Two words\n[up](../README.md)\n```\nmake demo\n[not](a-link)\n```\n"),
		"relay/door/d.go": []byte("package door\n"),
		"Makefile":        []byte("test:\n\ttrue\ndemo: build\n\ttrue\n"),
	}
	for name, rule := range promiseRules {
		if wrong := rule(fine); len(wrong) > 0 {
			t.Errorf("control: %s finds %q in what is fine", name, wrong)
		}
	}
	for name, c := range map[string]struct{ rule, file, text string }{
		"too long":           {"readme", "README.md", strings.Repeat("x\n", maxReadme+1)},
		"no such file":       {"links", "docs/y.md", "[x](z.md)\n"},
		"no such heading":    {"links", "docs/y.md", "[x](x.md#three)\n"},
		"no such target":     {"targets", "docs/y.md", "`make coffee`\n"},
		"a room unknown":     {"rooms", "crypto/attic/a.go", "package attic\n"},
		"no target in block": {"targets", "docs/y.md", "```\nmake tea\n```\n"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := maps.Clone(fine)
			broken[c.file] = []byte(c.text)
			if wrong := promiseRules[c.rule](broken); len(wrong) != 1 {
				t.Errorf("found %q, want one thing", wrong)
			}
		})
	}
}

// The licence is the one that the pages name, whole, and CI can be run.
func TestFurniture(t *testing.T) {
	licence, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"EUROPEAN UNION PUBLIC LICENCE v. 1.2", "15. Applicable Law", "Appendix", "EUPL version."} {
		if !strings.Contains(string(licence), s) {
			t.Errorf("LICENSE has no %q", s)
		}
	}
	for _, script := range []string{"../.ci/run", "../.ci/test", "../.ci/need"} {
		if info, err := os.Stat(script); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be executed: %v", script, err)
		}
		if out, err := exec.Command("bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", script, out)
		}
	}
	if run, _ := os.ReadFile("../.ci/run"); !strings.Contains(string(run), "\nmake test\n") {
		t.Error(".ci/run does not call make test")
	}
}
