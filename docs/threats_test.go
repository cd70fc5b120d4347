package docs_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// threatPage has one row for each claim about an adversary, with the tests that show it.
const threatPage = "docs/threat-model.md"

var (
	threatTable  = regexp.MustCompile(`(?s)## In one table\n(.*?)\n## `)
	threatRow    = regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)
	threatNeeded = []string{"relay operator", "network", "recorder", "hacked partner", "hacked device", "insider officer", "stolen device",
		"stolen organisation key", "stolen root share", "witness minority", "witness majority", "operator of S3 or Redis", "thief of a backup"}
)

// threats: every row names tests that exist, and every adversary has one.
func threats(files tree) (wrong []string) {
	table := threatTable.FindSubmatch(files[threatPage])
	if table == nil {
		return []string{threatPage + " has no table"}
	}
	who := ""
	for _, row := range threatRow.FindAllStringSubmatch(string(table[1]), -1) {
		if row[1] == "adversary" || strings.HasPrefix(row[1], "---") {
			continue
		}
		who += row[1] + "\n"
		named := namePattern.FindAllStringSubmatch(row[4], -1)
		if len(named) == 0 {
			wrong = append(wrong, row[1]+" has no test")
		}
		for _, n := range named {
			if !testPattern.MatchString(n[1]) || !exists(files, n[1]) {
				wrong = append(wrong, fmt.Sprintf("%s: there is no %s", row[1], n[1]))
			}
		}
	}
	for _, needed := range threatNeeded {
		if !strings.Contains(who, needed) {
			wrong = append(wrong, "no row for "+needed)
		}
	}
	return wrong
}

// exists reports whether a package has a test of that name.
func exists(files tree, name string) bool {
	dot := strings.LastIndexByte(name, '.')
	for file, raw := range files {
		if strings.HasPrefix(file, name[:dot]+"/") && !strings.Contains(file[dot+1:], "/") && strings.HasSuffix(file, "_test.go") &&
			strings.Contains(string(raw), "\nfunc "+name[dot+1:]+"(t *testing.T)") {
			return true
		}
	}
	return false
}

func TestThreats(t *testing.T) { report(t, threats(tracked(t))) }

// Controls: a test that is not there, a row without one, and an adversary that was left out.
func TestThreatsFindTheUnshown(t *testing.T) {
	page := func(rows string) tree {
		return tree{"x/x_test.go": []byte("package x_test\n\nfunc TestX(t *testing.T) {}\n"),
			threatPage: []byte("## In one table\n\n| adversary | can | by | shown |\n|---|---|---|---|\n" + rows + "\n## Next\n")}
	}
	var all strings.Builder
	for _, who := range threatNeeded {
		fmt.Fprintf(&all, "| %s | a | b | `x.TestX` |\n", who)
	}
	if wrong := threats(page(all.String())); len(wrong) > 0 {
		t.Errorf("control: %q in what is fine", wrong)
	}
	for name, rows := range map[string]string{
		"a test that is not there": strings.Replace(all.String(), "x.TestX", "x.TestY", 1),
		"a package that is not":    strings.Replace(all.String(), "x.TestX", "y.TestX", 1),
		"no test":                  strings.Replace(all.String(), "`x.TestX`", "trust us", 1),
		"an adversary left out":    strings.Replace(all.String(), "network", "weather", 1),
	} {
		if wrong := threats(page(rows)); len(wrong) != 1 {
			t.Errorf("%s: found %q", name, wrong)
		}
	}
}
