package docs_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// performancePage has what was measured, and the command that repeats each figure.
const performancePage = "docs/performance.md"

var (
	benchCommand = regexp.MustCompile("`go test -run - -bench '?([A-Za-z|]+)[^`]* \\./([a-z/]+)`")
	benchTable   = regexp.MustCompile(`(?m)^\| .+ \|$`)
)

// unrepeatable are the commands of the page that name a benchmark which is not there, and
// the tables that no command repeats.
func unrepeatable(files tree) (wrong []string) {
	text := string(files[performancePage])
	for _, m := range benchCommand.FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Split(m[1], "|") {
			if !benchmarked(files, m[2], name) {
				wrong = append(wrong, fmt.Sprintf("%s has no Benchmark%s", m[2], name))
			}
		}
	}
	for _, section := range strings.Split(text, "\n## ")[1:] {
		if title, _, _ := strings.Cut(section, "\n"); benchTable.MatchString(section) && !strings.Contains(section, "`bin/schakel bench") &&
			!strings.Contains(section, "`make ") && !benchCommand.MatchString(section) {
			wrong = append(wrong, title+" has figures and no command")
		}
	}
	return wrong
}

func benchmarked(files tree, room, name string) bool {
	for file, raw := range files {
		if strings.HasPrefix(file, room+"/") && !strings.Contains(file[len(room)+1:], "/") && strings.Contains(string(raw), "\nfunc Benchmark"+name) {
			return true
		}
	}
	return false
}

// TestFiguresCanBeRepeated: each table of figures names a command, and each benchmark that a
// command names is there.
func TestFiguresCanBeRepeated(t *testing.T) {
	files := tracked(t)
	if len(benchCommand.FindAll(files[performancePage], -1)) < 3 {
		t.Fatal(performancePage + " names no benchmarks")
	}
	for _, w := range unrepeatable(files) {
		t.Error(w)
	}
	for about, page := range map[string]string{
		"no Benchmark": "\n## A\n`go test -run - -bench Nowhere ./relay`", "no command": "\n## B\n| a | b |\n",
	} {
		files[performancePage] = []byte(page)
		if wrong := unrepeatable(files); len(wrong) != 1 || !strings.Contains(wrong[0], about) {
			t.Errorf("control %q: %q", about, wrong)
		}
	}
}
