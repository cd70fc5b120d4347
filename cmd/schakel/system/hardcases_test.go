//go:build linux

package system_test

import (
	"embed"
	"path"
	"strings"
	"testing"
)

// The hard cases of the protocol, each a file that somebody who knows the protocol and
// no Go can read and judge. testdata/cases/README.md says what a line means.
//
//go:embed testdata/cases/*.case
var caseFiles embed.FS

// clocked marks the cases in which days go by. A program that runs takes no clock from
// anybody, tests included, so these are played by nodes inside this process.
const clocked = "clock-"

// Every hard case on real programs: a relay, ten desks with a daemon each, and for what
// an honest client refuses a modified one, which the other end must catch. At the end
// nothing of all that is readable at the relay.
func TestHardCases(t *testing.T) {
	o := openOffices(t)
	for _, name := range caseNames(t, false) {
		t.Run(name, func(t *testing.T) { playCase(t, o, name) })
	}
	if !t.Failed() {
		o.sawNothing(t)
	}
}

// The hard cases in which time passes: a real relay and real nodes, of which this
// process has the clock.
func TestHardCasesOnTheClock(t *testing.T) {
	for _, name := range caseNames(t, true) {
		t.Run(name, func(t *testing.T) { playCase(t, openClock(t), name) })
	}
}

func caseNames(t *testing.T, onClock bool) (names []string) {
	t.Helper()
	files, err := caseFiles.ReadDir("testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".case")
		if strings.HasPrefix(name, clocked) == onClock {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Fatal("no case files")
	}
	return names
}

// playCase plays a file line by line, and then compares what the desks make of it.
func playCase(t *testing.T, s stage, name string) {
	text := must[[]byte](t)(caseFiles.ReadFile(path.Join("testdata/cases", name+".case")))
	p := newPlay(t, s)
	defer p.restore()
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		p.line = n + 1
		if err := p.do(line); err != nil {
			t.Fatalf("%s.case:%d: %s\n\t%v", name, n+1, line, err)
		}
	}
	if err := p.agree(); err != nil {
		t.Errorf("%s.case: %v", name, err)
	}
}
