package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// attackPage is the ledger of attacks; attackList is what it follows, where that is at hand.
const (
	attackPage = "docs/attacks.md"
	attackList = "../../shared/tests/evil-relay.md"
)

// attackRow is one line of the ledger.
type attackRow struct {
	id    string
	shown string   // the last column
	tests []string // package.Test, as the last column names them
}

var (
	rowPattern  = regexp.MustCompile(`(?m)^\| ([A-H][0-9]{2}) \| (.+) \| (.+) \| (.*) \|$`)
	namePattern = regexp.MustCompile("`([^`]+)`")
	testPattern = regexp.MustCompile(`^[a-z0-9/]+\.Test\w+$`)
	idPattern   = regexp.MustCompile(`\b[A-H][0-9]{2}\b`)
	// The names of a test begin with the rows that it shows: "A07 device removed", "TestD36D37Middle".
	sayPattern  = regexp.MustCompile(`^(?:[A-H][0-9]{2}(?: |$))+`)
	funcPattern = regexp.MustCompile(`^Test((?:[A-H][0-9]{2})+)`)
)

const (
	notBuilt = "**not built**: "
	doesLess = "**does less**: "
)

func ledger(page []byte) (rows []attackRow) {
	for _, m := range rowPattern.FindAllStringSubmatch(string(page), -1) {
		r := attackRow{id: m[1], shown: m[4]}
		for _, n := range namePattern.FindAllStringSubmatch(r.shown, -1) {
			r.tests = append(r.tests, n[1])
		}
		rows = append(rows, r)
	}
	return rows
}

// attacks: every row has tests that name it, or says why it has none.
func attacks(files tree) (wrong []string) {
	rows := ledger(files[attackPage])
	if n := strings.Count(string(files[attackPage]), "\n| "); n != len(rows)+strings.Count(string(files[attackPage]), "\n| row |") {
		wrong = append(wrong, fmt.Sprintf("%s: %d lines of tables, %d rows were read", attackPage, n, len(rows)))
	}
	says := sayings{files: files, of: map[string]map[string][]string{}}
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.id] {
			wrong = append(wrong, r.id+" stands there twice")
		}
		seen[r.id] = true
		reason, missing := strings.CutPrefix(r.shown, notBuilt)
		switch {
		case missing && (len(r.tests) > 0 || len(reason) < 10):
			wrong = append(wrong, r.id+" is not built: say why, and name no test")
		case !missing && len(r.tests) == 0:
			wrong = append(wrong, r.id+" has no test")
		}
		for _, name := range r.tests {
			if err := says.row(r.id, name); err != nil {
				wrong = append(wrong, err.Error())
			}
		}
	}
	return wrong
}

// sayings are the rows that the tests of each package name.
type sayings struct {
	files tree
	of    map[string]map[string][]string // package, test: rows
}

func (s sayings) row(id, name string) error {
	if !testPattern.MatchString(name) {
		return fmt.Errorf("%s: %q is not package.Test", id, name)
	}
	dot := strings.LastIndexByte(name, '.')
	pkg, test := name[:dot], name[dot+1:]
	if s.of[pkg] == nil {
		tests, err := namedRows(s.files, pkg)
		if err != nil {
			return err
		}
		s.of[pkg] = tests
	}
	ids, there := s.of[pkg][test]
	if !there {
		return fmt.Errorf("%s: there is no %s", id, name)
	}
	if !slices.Contains(ids, id) {
		return fmt.Errorf("%s: %s names no such row", id, name)
	}
	return nil
}

// namedRows are, for each test of a package, the rows that its own name or a string in it
// begins with, or a string in what it uses of the package's tests. Comments do not count:
// what runs must say it.
func namedRows(files tree, pkg string) (map[string][]string, error) {
	uses, says := map[string][]string{}, map[string][]string{}
	var tests []string
	set := token.NewFileSet()
	for name, raw := range files {
		if path.Dir(name) != pkg || !strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, raw, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			for _, declared := range namesOf(d) {
				if strings.HasPrefix(declared, "Test") {
					tests = append(tests, declared)
				}
				ast.Inspect(d, func(n ast.Node) bool {
					switch n := n.(type) {
					case *ast.Ident:
						uses[declared] = append(uses[declared], n.Name)
					case *ast.BasicLit:
						says[declared] = append(says[declared], beginsWith(n)...)
					}
					return true
				})
			}
		}
	}
	out := map[string][]string{}
	for _, test := range tests {
		out[test] = reachable(test, uses, says)
		if m := funcPattern.FindStringSubmatch(test); m != nil {
			for ids := m[1]; ids != ""; ids = ids[3:] {
				out[test] = append(out[test], ids[:3])
			}
		}
	}
	return out, nil
}

// namesOf are the functions, methods, variables and types that a declaration makes.
func namesOf(d ast.Decl) (out []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					out = append(out, n.Name)
				}
			case *ast.TypeSpec:
				out = append(out, s.Name.Name)
			}
		}
	}
	return out
}

func beginsWith(l *ast.BasicLit) []string {
	s, err := strconv.Unquote(l.Value)
	if l.Kind != token.STRING || err != nil {
		return nil
	}
	return idPattern.FindAllString(sayPattern.FindString(s), -1)
}

// reachable collects what a test says, and what it uses says. Another test is not used.
func reachable(test string, uses, says map[string][]string) (out []string) {
	seen, todo := map[string]bool{}, []string{test}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if seen[name] || name != test && strings.HasPrefix(name, "Test") {
			continue
		}
		seen[name] = true
		out = append(out, says[name]...)
		todo = append(todo, uses[name]...)
	}
	return out
}

// listed compares the ledger with the list that it follows: none left out, none made up.
func listed(page, list []byte) (wrong []string) {
	want, have := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(list)) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.SplitN(line, "|", 4)
		for _, id := range idPattern.FindAllString(cells[1], -1) {
			want[id] = true
		}
		if m := regexp.MustCompile(`([A-H])([0-9]{2})–[A-H]([0-9]{2})`).FindStringSubmatch(cells[1]); m != nil {
			from, _ := strconv.Atoi(m[2])
			to, _ := strconv.Atoi(m[3])
			for n := from; n <= to; n++ {
				want[fmt.Sprintf("%s%02d", m[1], n)] = true
			}
		}
		for _, id := range idPattern.FindAllString(cells[2], -1) { // two rows in one line
			if strings.Contains(cells[2], "/ "+id) || strings.Contains(cells[2], "; "+id) {
				want[id] = true
			}
		}
	}
	for _, r := range ledger(page) {
		have[r.id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if !have[id] {
			wrong = append(wrong, id+" is in the list and not in "+attackPage)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if !want[id] {
			wrong = append(wrong, id+" is in "+attackPage+" and not in the list")
		}
	}
	return wrong
}

func TestAttacks(t *testing.T) {
	files := tracked(t)
	wrong := attacks(files)
	if list, err := os.ReadFile(attackList); err == nil {
		wrong = append(wrong, listed(files[attackPage], list)...)
	} else {
		t.Log("the list that the page follows is not here")
	}
	report(t, wrong)
	count := map[string]int{}
	for _, r := range ledger(files[attackPage]) {
		switch {
		case strings.HasPrefix(r.shown, notBuilt):
			count["not built"]++
		case strings.HasPrefix(r.shown, doesLess):
			count["does less"]++
		default:
			count["shown"]++
		}
	}
	if len(ledger(files[attackPage])) != 156 {
		t.Errorf("%d rows, want 156: none is dropped without a reason in docs/decisions", len(ledger(files[attackPage])))
	}
	t.Logf("%d rows shown, %d do less, %d not built", count["shown"], count["does less"], count["not built"])
}

// Controls: a row without a test, a name that is misspelt, a test that does not say which
// row it shows, and a row that was taken out are found.
func TestAttacksFindTheUntested(t *testing.T) {
	const code = "package x_test\n\nvar rows = []string{\"A01 replay\"}\n\n" +
		"func TestRows(t *testing.T) { for range rows { t.Run(\"B02 last\", nil) } } // B03 is only a comment\n" +
		"func TestC04D36Clock(t *testing.T) { TestRows(t) }\n"
	page := func(lines ...string) tree {
		return tree{"x/x_test.go": []byte(code), attackPage: []byte("# Attacks\n\n| row | attack | must | shown by |\n|---|---|---|---|\n" + strings.Join(lines, "\n") + "\n")}
	}
	row := func(id, shown string) string { return "| " + id + " | what | must | " + shown + " |" }
	fine := []string{row("A01", "`x.TestRows`"), row("B02", "`x.TestRows`"), row("C04", "`x.TestC04D36Clock`"),
		row("D36", "`x.TestC04D36Clock`"), row("E01", notBuilt+"there are no attachments"), row("F09", doesLess+"it is seen: `x.TestRows`")}
	fine[5] = row("A02", doesLess+"counted only: `x.TestA02`")
	withA02 := page(fine...)
	withA02["x/y_test.go"] = []byte("package x_test\nfunc TestA02(t *testing.T) {}\n")
	if wrong := attacks(withA02); len(wrong) > 0 {
		t.Errorf("control: %q in what is fine", wrong)
	}
	for name, c := range map[string]struct{ line, want string }{
		"no test":                {row("A03", "it is refused"), "A03 has no test"},
		"misspelt":               {row("A01", "`x.TestRow`"), "A01: there is no x.TestRow"},
		"no such package":        {row("A01", "`y.TestRows`"), "A01: there is no y.TestRows"},
		"a comment":              {row("B03", "`x.TestRows`"), "B03: x.TestRows names no such row"},
		"what another test says": {row("A01", "`x.TestC04D36Clock`"), "A01: x.TestC04D36Clock names no such row"},
		"no reason":              {row("E01", notBuilt), "E01 is not built: say why, and name no test"},
		"not built, and shown":   {row("A01", notBuilt+"nobody did `x.TestRows`"), "A01 is not built: say why, and name no test"},
		"not a test":             {row("A01", "`TestRows`"), `A01: "TestRows" is not package.Test`},
		"no row":                 {"| A1 | what | must | `x.TestRows` |", "docs/attacks.md: 2 lines of tables, 0 rows were read"},
	} {
		t.Run(name, func(t *testing.T) {
			if wrong := attacks(page(c.line)); !slices.Equal(wrong, []string{c.want}) {
				t.Errorf("found %q, want %q", wrong, c.want)
			}
		})
	}
	list := []byte("| id | attack |\n|---|---|\n| A01 | replay |\n| A05 | later / A06 earlier |\n| A11 | cut; A12 at a chunk | REJECT |\n| D34–D35 | tokens |\n")
	whole := page(row("A01", ""), row("A05", ""), row("A06", ""), row("A11", ""), row("A12", ""), row("D34", ""), row("D35", ""))[attackPage]
	if wrong := listed(whole, list); len(wrong) > 0 {
		t.Errorf("control: %q in what is whole", wrong)
	}
	for _, id := range []string{"A01", "A06", "A12", "D35"} {
		without := strings.Replace(string(whole), row(id, ""), "", 1)
		if wrong := listed([]byte(without), list); !slices.Equal(wrong, []string{id + " is in the list and not in docs/attacks.md"}) {
			t.Errorf("without %s: %q", id, wrong)
		}
	}
	if wrong := listed(append(slices.Clone(whole), (row("A99", "")+"\n")...), list); len(wrong) != 1 {
		t.Errorf("a row more: %q", wrong)
	}
}
