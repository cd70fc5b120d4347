package docs_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Bounds on the code. Nobody reads a file of a thousand lines at night.
const (
	maxFile     = 500
	maxFunction = 60
	maxTracked  = 1 << 20 // bytes; what is larger was generated, or is not ours
)

// topLevel is what may stand in the first folder: the client fixed it.
var topLevel = []string{"cmd", "relay", "crypto", "clients", "configs", "go.mod", "go.sum", "docker-compose.yml", "Dockerfile", "README.md",
	"Makefile", ".ci", "docs", "LICENSE", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", ".gitignore", ".dockerignore"}

// drawers are names that say nothing of what is inside.
var drawers = []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "misc", "data", "info", "impl", "tools"}

// marks are what must not be left in a tracked file: traces of one machine, of the
// tools of its makers, and of work put off. The brackets keep the expressions from
// matching themselves.
var marks = map[string]*regexp.Regexp{
	"a path of one machine": regexp.MustCompile(`(^|[^A-Za-z0-9_.])/([w]ork|[f]arm|[t]mp|[r]oot)/`),
	"a tool of one machine": regexp.MustCompile(`\b[f]arm-(bench|studio)\b`),
	"work put off":          regexp.MustCompile(`\b(TO[D]O|FIX[M]E|XX[X])\b|not [b]uilt yet|not [i]mplemented`),
}

// sleep is how a test guesses: it waits too long on a fast machine and too short on a slow one.
var sleep = regexp.MustCompile(`\btime\.[S]leep\(`)

// tree is the tracked files by their path, with slashes.
type tree map[string][]byte

func entries(files tree) (wrong []string) {
	seen := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		if !seen[top] && !slices.Contains(topLevel, top) {
			wrong = append(wrong, top+" does not belong in the first folder")
		}
		seen[top] = true
	}
	return wrong
}

func names(files tree) (wrong []string) {
	for name := range files {
		for part := range strings.SplitSeq(strings.TrimSuffix(name, path.Ext(name)), "/") {
			if slices.Contains(drawers, strings.TrimSuffix(part, "_test")) {
				wrong = append(wrong, name+": "+part+" says nothing of what is inside")
			}
		}
	}
	return wrong
}

func leftovers(files tree) (wrong []string) {
	for name, raw := range files {
		if len(raw) > maxTracked || bytes.HasPrefix(raw, []byte("\x7fELF")) {
			wrong = append(wrong, fmt.Sprintf("%s: %d bytes; generated files are not committed", name, len(raw)))
			continue
		}
		for i, line := range strings.Split(string(raw), "\n") {
			for what, mark := range marks {
				if mark.MatchString(line) {
					wrong = append(wrong, fmt.Sprintf("%s:%d: %s", name, i+1, what))
				}
			}
			if strings.HasSuffix(name, "_test.go") && sleep.MatchString(line) {
				wrong = append(wrong, fmt.Sprintf("%s:%d: a test that sleeps; wait for a condition, or use testing/synctest", name, i+1))
			}
		}
	}
	return wrong
}

// shapes is the bounds on files and functions; tests may be longer than code.
func shapes(files tree) (wrong []string) {
	for name, raw := range files {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if n := bytes.Count(raw, []byte("\n")); n > maxFile {
			wrong = append(wrong, fmt.Sprintf("%s has %d lines, at most %d: is a name missing?", name, n, maxFile))
		}
		wrong = append(wrong, functions(name, raw)...)
	}
	return wrong
}

func functions(name string, raw []byte) (wrong []string) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, raw, 0)
	if err != nil {
		return []string{err.Error()}
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from := set.Position(f.Pos())
		if n := set.Position(f.End()).Line - from.Line + 1; n > maxFunction {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s has %d lines, at most %d", name, from.Line, f.Name.Name, n, maxFunction))
		}
		if f.Recv == nil && f.Name.Name == "init" {
			wrong = append(wrong, fmt.Sprintf("%s:%d: func init: who imports must not start anything", name, from.Line))
		}
	}
	return wrong
}

// sheets are the ways in which text leaves for a program that reckons with it.
var sheets = regexp.MustCompile(`\bcsv\.NewWriter\(|\btext/csv\b|\btab-separated-values\b|\bspreadsheet|\bms-excel\b`)

// spreadsheets is why nothing here makes a cell beginning with = + - or @ inert: no program
// of Schakel writes a table that a spreadsheet opens, so no text of a partner becomes a
// formula on a colleague's machine. Whoever writes the first one makes its cells inert
// (OWASP, CSV Injection), and takes this rule along to there.
func spreadsheets(files tree) (wrong []string) {
	for name, raw := range files {
		if path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && sheets.Match(raw) {
			wrong = append(wrong, name+" writes for spreadsheets: text of partners could become a formula there")
		}
	}
	return wrong
}

// shapeRules are the rules that look at the tracked files.
var shapeRules = map[string]func(tree) []string{
	"first folder": entries, "names": names, "left behind": leftovers, "shape": shapes, "spreadsheets": spreadsheets,
}

func TestShape(t *testing.T) {
	files := tracked(t)
	for name, rule := range shapeRules {
		t.Run(name, func(t *testing.T) {
			wrong := rule(files)
			slices.Sort(wrong)
			report(t, wrong)
		})
	}
}

// Controls: each rule finds what breaks it.
func TestShapeFindsTheCrooked(t *testing.T) {
	long := "package x\n\nfunc F() {\n" + strings.Repeat("\tprintln()\n", maxFunction) + "}\n"
	for name, c := range map[string]struct {
		rule string
		file string
		text string
	}{
		"a new room":        {"first folder", "server/main.go", "package main\n"},
		"a drawer":          {"names", "relay/util/x.go", "package util\n"},
		"a drawer of tests": {"names", "relay/helpers_test.go", "package relay\n"},
		"a machine":         {"left behind", "docs/x.md", "see /" + "work/main\n"},
		"put off":           {"left behind", "relay/x.go", "package relay // TO" + "DO: later\n"},
		"a binary":          {"left behind", "bin", "\x7fELF"},
		"a large file":      {"left behind", "x.bin", strings.Repeat("x", maxTracked+1)},
		"a sleeping test":   {"left behind", "relay/x_test.go", "time." + "Sleep(1)\n"},
		"a long file":       {"shape", "relay/x.go", "package relay\n" + strings.Repeat("// x\n", maxFile)},
		"a long function":   {"shape", "relay/x.go", long},
		"an init":           {"shape", "relay/x.go", "package relay\n\nfunc init() {}\n"},
		"no Go":             {"shape", "relay/x.go", "pakcage relay\n"},
		"rows":              {"spreadsheets", "clients/x.go", "package x\n\nfunc F() { csv.NewWriter(w) }\n"},
		"a kind of file":    {"spreadsheets", "clients/x.go", "package x\n\nconst kind = \"text/csv\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if wrong := shapeRules[c.rule](tree{c.file: []byte(c.text)}); len(wrong) != 1 {
				t.Errorf("found %q, want one thing", wrong)
			}
		})
	}
	fine := tree{"relay/x.go": []byte("package relay\n\nfunc F() {\n" + strings.Repeat("\tprintln()\n", maxFunction-2) + "}\n")}
	for name, rule := range shapeRules {
		if wrong := rule(fine); len(wrong) > 0 {
			t.Errorf("control: %s finds %q in what is fine", name, wrong)
		}
	}
}

// tracked reads the files that git tracks; in a tree without git, all files.
func tracked(t *testing.T) tree {
	t.Helper()
	files := tree{}
	for _, name := range trackedNames(t) {
		if strings.HasPrefix(name, "docs/testdata/crooked/") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		files[name] = raw
	}
	if len(files) < 20 {
		t.Fatalf("only %d files: looking in the wrong place", len(files))
	}
	return files
}

func trackedNames(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = ".."
	if out, err := cmd.Output(); err == nil {
		return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	}
	var all []string
	err := filepath.WalkDir("..", func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains([]string{".git", "bin", "dist", "node_modules", ".demo"}, d.Name()) && d.IsDir() {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			name, _ := filepath.Rel("..", p)
			all = append(all, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
