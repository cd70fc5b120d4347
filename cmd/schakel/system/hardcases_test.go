//go:build linux

package system_test

import (
	"embed"
	"path"
	"strings"
	"testing"
	"time"
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

// The control of both: what a case file says and is not so, is noticed.
func TestCaseFilesCanFail(t *testing.T) {
	p := newPlay(t, openClock(t))
	for _, line := range []string{"the clock stands at 2026-12-22 09:00",
		"N = huisarts sends melding spoed to vt, in a new case",
		"M = huisarts sends melding spoed to vt politie, in a new case", "B = vt takes M"} {
		if err := p.do(line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	p.patience = 100 * time.Millisecond
	for _, wrong := range []string{
		"regie: politie, term 1, at vt", "regie: vt, term 2, at vt", "regie: nobody, at vt", "regie: vt, term 1, at om",
		"offer M is open, at vt", "vt owes bevestigen for M, at vt", "vt owes terugkoppelen-1 for M, within PT1H, at vt",
		"vt owes terugkoppelen-1 for M, until 2026-12-30 00:00, at vt", "vt owes no terugkoppelen-1 for M, at vt",
		"vt did terugkoppelen-1 for M with B, at vt", "vt is late with terugkoppelen-1 for M, at vt", "B has no effect, by R21, at vt",
		"B rests on M, at vt", "M is missing, at vt", "M is corrected by B, at vt", "M is withdrawn by B, at vt", "M is flagged R02, at vt",
		"M is not shown, at vt", "M was said to nobody, at huisarts", "M is an exercise, at vt", "M is readable inside B, at vt", "nothing of the case of M, at vt",
		"the case of M cannot be tied to that of N, at vt", "closed by B, at vt",
		"refused R02: huisarts sends melding spoed to vt politie",  // allowed
		"refused R17: huisarts sends melding acuut to vt",          // under another rule
		"huisarts sends melding acuut to vt",                       // not allowed
		"rejected R02: huisarts sends melding acuut to vt",         // by an honest client
		"kept R02: huisarts sends melding spoed to vt politie",     // with nothing wrong
		"rejected R02: huisarts sends melding spoed to vt politie", // and so is taken
		"huisarts sends melding spoed to school", "huisarts thinks of M", "vt takes X",
	} {
		if p.do(wrong) == nil {
			t.Errorf("passes: %s", wrong)
		}
	}
	p.patience = caseTime
	if err := p.do("regie: vt, term 1, at vt huisarts politie"); err != nil {
		t.Errorf("control: what is so is noticed as well: %v", err)
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
		if err := p.do(line); err != nil {
			t.Fatalf("%s.case:%d: %s\n\t%v", name, n+1, line, err)
		}
	}
	if err := p.agree(); err != nil {
		t.Errorf("%s.case: %v", name, err)
	}
}
