package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A test that fails once beside others is forgiven and named; nothing else is (decision 0268).
func TestSteady(t *testing.T) {
	t.Parallel()
	// once fails until its marker is there; first says why.
	once := func(marker, first string) string {
		return fmt.Sprintf("if _, err := os.Stat(%q); err != nil { _ = os.WriteFile(%[1]q, nil, 0o600); %s }; ", marker, first)
	}
	const slow = `t.Fatal("the machine was slow")`
	four := once("a", slow)
	for _, name := range []string{"B", "C", "D"} {
		four += "}\n\nfunc Test" + name + "(t *testing.T) { " + once(name, slow)
	}
	for _, c := range []struct {
		name, room, test, body string
		forgiven               bool
	}{
		{"what passes is not named", "cmd/some", "TestSome", "", true},
		{"once", "cmd/some", "TestSome", once("a", slow), true},
		{"once, twice", "cmd/some", "TestSome", once("a", slow) + once("b", slow), false},
		{"always", "cmd/some", "TestSome", slow, false},
		{"four", "cmd/some", "TestSome", four, false},
		{"in a room where nothing may", "relay/queue/some", "TestSome", once("a", slow), false},
		{"what may not", "cmd/some", "TestKilledAtPoints", once("a", slow), false},
		{"loses", "cmd/some", "TestSome", once("a", `t.Fatal("3 of 10 lost")`), false},
		{"races", "cmd/some", "TestSome", once("a", `t.Fatal("WARNING: DATA RACE")`), false},
		{"panics", "cmd/some", "TestSome", once("a", `panic("the machine was slow")`), false},
		{"does not build", "cmd/some", "TestSome", "os.Nothing()", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			room := filepath.Join(dir, c.room)
			write := func(name, text string) {
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(filepath.Join(dir, "go.mod"), "module schakel\n\ngo 1.26\n")
			write(filepath.Join(room, "some_test.go"), "package some\n\nimport (\"os\"; \"testing\")\n\nvar _ = os.Getpid\n\nfunc "+c.test+"(t *testing.T) { "+c.body+" }\n")
			unsteady := filepath.Join(dir, "unsteady")
			script, err := filepath.Abs("../.ci/steady")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(script, "-count=1", "--", "./...")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "UNSTEADY="+unsteady, "GOFLAGS=", "GOWORK=off")
			out, err := cmd.CombinedOutput()
			if (err == nil) != c.forgiven {
				t.Errorf("%v\n%s", err, out)
			}
			named, _ := os.ReadFile(unsteady)
			if strings.Contains(string(named), c.test) != (c.forgiven && c.body != "") {
				t.Errorf("named: %q\n%s", named, out)
			}
		})
	}
}
