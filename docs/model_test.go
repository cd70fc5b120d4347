package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const modelFile = "model/schakel.pml"

// demands are the properties of the model; those about what must happen some day need
// spin to be fair to every process.
var demands = map[string]bool{"promise": false, "kept": false, "once": false, "arrives": true, "paged": true}

// mutations are the controls: what each leaves out, and the demand that must fail then.
var mutations = map[string]string{
	"EARLY": "promise", "FORGET_ON_RECEIPT": "kept", "ACK_BEFORE_STORE": "promise", "NO_DEDUPLICATION": "once",
	"NO_EPOCH": "arrives", "TIMER_IN_MEMORY": "paged", "ROW_SAYS_CALLED": "paged",
}

// needSpin skips where nobody asked for the model: it takes half a minute, which is
// make check's.
func needSpin(t *testing.T) {
	t.Helper()
	if os.Getenv("SCHAKEL_TEST_NEED_SPIN") == "" {
		t.Skip("make check searches the model")
	}
	for _, program := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("SCHAKEL_TEST_NEED_SPIN is set and there is no %s: apt-get install %s", program, program)
		}
	}
}

// explorer is a program that tries every order of the model's steps.
func explorer(t *testing.T, mutation string) string {
	t.Helper()
	dir := t.TempDir()
	model, err := filepath.Abs(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-a", model}
	if mutation != "" {
		args = append([]string{"-D" + mutation}, args...)
	}
	for _, line := range [][]string{append([]string{"spin"}, args...), {"gcc", "-O2", "-w", "-DNFAIR=3", "-o", "pan", "pan.c"}} {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", line, err, out)
		}
	}
	return filepath.Join(dir, "pan")
}

var foundPattern = regexp.MustCompile(`errors: (\d+)`)

// violated reports whether some order of steps breaks a demand. What was not tried to
// the end is not an answer.
func violated(t *testing.T, program, demand string) bool {
	t.Helper()
	args := []string{"-a", "-m100000", "-n", "-N", demand}
	if demands[demand] {
		args = append(args, "-f")
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = filepath.Dir(program)
	out, err := cmd.CombinedOutput()
	found := foundPattern.FindSubmatch(out)
	if found == nil || strings.Contains(string(out), "search depth too small") || strings.Contains(string(out), "out of memory") {
		t.Fatalf("%s: %v\n%s", demand, err, out)
	}
	return string(found[1]) != "0"
}

// TestModel holds every demand in every order; TestModelNotices finds a loss in each
// mutation.
func TestModel(t *testing.T) {
	needSpin(t)
	program := explorer(t, "")
	for demand := range demands {
		t.Run(demand, func(t *testing.T) {
			if violated(t, program, demand) {
				t.Error("some order of steps breaks it")
			}
		})
	}
}

func TestModelNotices(t *testing.T) {
	needSpin(t)
	for mutation, demand := range mutations {
		t.Run(mutation, func(t *testing.T) {
			if !violated(t, explorer(t, mutation), demand) {
				t.Errorf("nothing is wrong with %s", demand)
			}
		})
	}
}

// TestModelPage: the page knows every demand and every mutation, the model too.
func TestModelPage(t *testing.T) {
	files := tracked(t)
	page, model := string(files["docs/model/README.md"]), string(files["docs/"+modelFile])
	for demand := range demands {
		if !strings.Contains(page, "| `"+demand+"` |") || !strings.Contains(model, "ltl "+demand+" ") {
			t.Errorf("%s is not in the page or not in the model", demand)
		}
	}
	for mutation, demand := range mutations {
		if !strings.Contains(page, "| `"+mutation+"` |") || !strings.Contains(page, "| `"+demand+"` |") || !strings.Contains(model, "def "+mutation+"\n") {
			t.Errorf("%s is not in the page or not in the model", mutation)
		}
	}
	for _, m := range regexp.MustCompile(`#ifn?def (\w+)`).FindAllStringSubmatch(model, -1) {
		if mutations[m[1]] == "" && m[1] != "CRASHES" {
			t.Errorf("%s is in the model and nobody tries it", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`([a-z]+/[a-z/]+\\.go)`").FindAllStringSubmatch(page, -1) {
		if files[m[1]] == nil {
			t.Errorf("there is no %s", m[1])
		}
	}
}
