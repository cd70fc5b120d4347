package docs_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// faultPage is the ledger of faults; faultList is what it follows, where that is at hand.
const (
	faultPage = "docs/reliability.md"
	faultList = "../../shared/tests/faults.md"
	faultRows = 86
)

var (
	faultsRun    = flag.Bool("faults", false, "run the tests of the fault rows, with many rounds")
	faultsRow    = flag.String("row", "", "only the tests of this row")
	faultsRounds = flag.Int("rounds", 200, "how many power cuts; other counts follow")
	faultsSeed   = flag.String("seed", "", "of everything random; none: what make test takes")
	faultsKept   = flag.String("kept", "", "a folder for what applications wrote down")
)

// faultRow is one line of the ledger.
type faultRow struct {
	id, shown, control string
	tests              []string // package.Test, of both columns
}

var (
	faultPattern    = regexp.MustCompile(`(?m)^\| ([0-9]{2}) \| (.+) \| (.+) \| (.*) \| ?(.*) \|$`)
	faultTest       = regexp.MustCompile(`^[a-z0-9/-]+\.(?:Test|Fuzz)\w+$`)
	testFuncPattern = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

func faultLedger(page []byte) (rows []faultRow) {
	for _, m := range faultPattern.FindAllStringSubmatch(string(page), -1) {
		r := faultRow{id: m[1], shown: m[4], control: m[5]}
		for _, n := range namePattern.FindAllStringSubmatch(r.shown+r.control, -1) {
			if strings.Contains(n[1], ".Test") || strings.Contains(n[1], ".Fuzz") {
				r.tests = append(r.tests, n[1])
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// faults: every row has tests that exist, or says why it has none.
func faults(files tree) (wrong []string) {
	page := files[faultPage]
	rows := faultLedger(page)
	if n := strings.Count(string(page), "\n| "); n != len(rows)+strings.Count(string(page), "\n| row |") {
		wrong = append(wrong, fmt.Sprintf("%s: %d lines of tables, %d rows were read", faultPage, n, len(rows)))
	}
	there := map[string]bool{}
	for name, raw := range files {
		if strings.HasSuffix(name, "_test.go") {
			for _, m := range testFuncPattern.FindAllSubmatch(raw, -1) {
				there[filepath.ToSlash(filepath.Dir(name))+"."+string(m[1])] = true
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.id] {
			wrong = append(wrong, r.id+" stands there twice")
		}
		seen[r.id] = true
		reason, missing := strings.CutPrefix(r.shown, notBuilt)
		less, partly := strings.CutPrefix(r.shown, doesLess)
		switch {
		case missing && (len(r.tests) > 0 || len(reason) < 10):
			wrong = append(wrong, r.id+" is not built: say why, and name no test")
		case !missing && len(r.tests) == 0:
			wrong = append(wrong, r.id+" has no test")
		case partly && strings.HasPrefix(less, "`"):
			wrong = append(wrong, r.id+" does less: say what")
		}
		for _, name := range r.tests {
			if !faultTest.MatchString(name) || !there[name] {
				wrong = append(wrong, r.id+": there is no "+name)
			}
		}
	}
	return wrong
}

func TestFaultLedger(t *testing.T) {
	files := tracked(t)
	report(t, faults(files))
	rows := faultLedger(files[faultPage])
	count := map[string]int{}
	for n, r := range rows {
		if r.id != fmt.Sprintf("%02d", n+1) {
			t.Fatalf("row %s is in the place of %02d", r.id, n+1)
		}
		switch {
		case strings.HasPrefix(r.shown, notBuilt):
			count["not built"]++
		case strings.HasPrefix(r.shown, doesLess):
			count["does less"]++
		default:
			count["shown"]++
		}
	}
	if len(rows) != faultRows {
		t.Errorf("%d rows, want %d", len(rows), faultRows)
	}
	if list, err := os.ReadFile(faultList); err != nil {
		t.Log("the list that the page follows is not here")
	} else if n := len(regexp.MustCompile(`(?m)^\| [0-9]+ \| `).FindAll(list, -1)); n != faultRows {
		t.Errorf("the list has %d rows, want %d", n, faultRows)
	}
	t.Logf("%d rows shown, %d do less, %d not built", count["shown"], count["does less"], count["not built"])
}

// Controls: a row without a test, a name that is misspelt, and a reason that is none.
func TestFaultLedgerFindsTheUntested(t *testing.T) {
	page := func(line string) tree {
		return tree{"x/x_test.go": []byte("package x_test\nfunc TestA(t *testing.T) {}\n"),
			faultPage: []byte("| row | fault | must | shown by | control |\n|---|---|---|---|---|\n" + line + "\n")}
	}
	for line, want := range map[string]string{
		"| 01 | kill | L | `x.TestA` | |":                        "",
		"| 01 | kill | L | `x.TestA` | its part \"b\" |":         "",
		"| 01 | kill | L | **not built**: no machine for it | |": "",
		"| 01 | kill | L | it is fine | |":                       "01 has no test",
		"| 01 | kill | L | `x.TestB` | |":                        "01: there is no x.TestB",
		"| 01 | kill | L | `x.TestA` | `y.TestA` |":              "01: there is no y.TestA",
		"| 01 | kill | L | **not built**: no | |":                "01 is not built: say why, and name no test",
		"| 01 | kill | L | **does less**: `x.TestA` | |":         "01 does less: say what",
		"| 1 | kill | L | `x.TestA` | |":                         faultPage + ": 1 lines of tables, 0 rows were read",
	} {
		if got := strings.Join(faults(page(line)), "; "); got != want {
			t.Errorf("%s\nfound %q\nwant  %q", line, got, want)
		}
	}
}

// longer are the flags by which packages do more than in make test.
func longer(pkg string, rounds int) []string {
	n := func(part int) string { return fmt.Sprint(max(1, rounds/part)) }
	switch pkg {
	case "cmd/schakel/system":
		return []string{"-full", "-line-cuts", fmt.Sprint(5 * rounds)}
	case "relay":
		return []string{"-full"}
	case "cmd/schakel-relay":
		return []string{"-full", "-kills", fmt.Sprint(5 * rounds)}
	case "relay/queue/boltqueue":
		return []string{"-cuts", n(1)}
	case "relay/queue/redisqueue":
		return []string{"-cuts", n(1), "-failovers", n(4), "-damages", fmt.Sprint(5 * rounds)}
	case "relay/oncall":
		return []string{"-deadlines", fmt.Sprint(50 * rounds)}
	}
	return nil
}

// seeds are the packages whose tests can be repeated by a number.
var seeds = []string{"cmd/schakel/system", "cmd/schakel-relay", "relay/queue/boltqueue", "relay/queue/redisqueue", "relay/oncall"}

// TestFaults is what make faults runs. Tests that several rows name run once.
func TestFaults(t *testing.T) {
	if !*faultsRun {
		t.Skip("make faults runs it")
	}
	wanted := map[string][]string{} // package: its tests
	rows := 0
	for _, r := range faultLedger(tracked(t)[faultPage]) {
		if *faultsRow != "" && strings.TrimLeft(*faultsRow, "0") != strings.TrimLeft(r.id, "0") {
			continue
		}
		rows++
		if len(r.tests) == 0 {
			t.Logf("row %s: %s", r.id, r.shown)
		}
		for _, name := range r.tests {
			dot := strings.LastIndexByte(name, '.')
			if pkg, test := name[:dot], name[dot+1:]; !slices.Contains(wanted[pkg], test) {
				wanted[pkg] = append(wanted[pkg], test)
			}
		}
	}
	if rows == 0 {
		t.Fatalf("there is no row %q", *faultsRow)
	}
	for _, pkg := range slices.Sorted(maps.Keys(wanted)) {
		t.Run(strings.ReplaceAll(pkg, "/", " "), func(t *testing.T) { runFaults(t, pkg, wanted[pkg]) })
	}
}

func runFaults(t *testing.T, pkg string, tests []string) {
	args := []string{"test", "-count=1", "-v", "-timeout=6h", "-run", "^(" + strings.Join(tests, "|") + ")$"}
	if *faultsKept != "" {
		kept := filepath.Join(*faultsKept, strings.ReplaceAll(pkg, "/", "-"))
		if err := os.MkdirAll(kept, 0o700); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-artifacts", "-outputdir", kept)
	}
	args = append(args, "schakel/"+pkg, "-args")
	args = append(args, longer(pkg, *faultsRounds)...)
	if *faultsSeed != "" && slices.Contains(seeds, pkg) {
		args = append(args, "-seed", *faultsSeed)
	}
	t.Log("go ", strings.Join(args, " "))
	var tail bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Stdout, cmd.Stderr = &tail, &tail
	err := cmd.Run()
	t.Log(tail.String())
	if err != nil {
		t.Error(err)
	}
}
