//go:build linux

package system_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

var (
	full = flag.Bool("full", false, "as many kills and messages as the promises speak of")
	seed = flag.Uint64("seed", 1, "of what is random in the kill tests")

	besideAge = flag.Int64("beside-age", 1024, "MiB of the file that goes beside age, in full")
)

// workshop is the folder of everything that the tests of this package share.
var workshop string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if workshop = os.Getenv(ownNetwork); workshop != "" { // the folder of who started this process
		return m.Run()
	}
	var err error
	if workshop, err = os.MkdirTemp("", "schakel-system-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(workshop)
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// programs are the paths of schakel and schakel-relay.
type programs struct{ schakel, relay string }

// The programs under test, the same without the race detector, and those with a
// seeded fault.
var (
	honest         = sync.OnceValues(func() (programs, error) { return buildPrograms("honest", race) })
	plain          = sync.OnceValues(func() (programs, error) { return buildPrograms("plain", "") })
	earlyRelay     = sync.OnceValues(func() (programs, error) { return buildPrograms("early", "-tags=seeded_early") })
	carelessClient = sync.OnceValues(func() (programs, error) { return buildPrograms("careless", "-tags=seeded_careless") })
	twiceClient    = sync.OnceValues(func() (programs, error) { return buildPrograms("twice", "-tags=seeded_twice") })
)

func buildPrograms(name, flags string) (programs, error) {
	dir := filepath.Join(workshop, name) + string(filepath.Separator)
	built := programs{schakel: dir + "schakel", relay: dir + "schakel-relay"}
	if _, err := os.Stat(built.relay); err == nil { // by who started this process
		return built, nil
	}
	args := append([]string{"build", "-o", dir}, strings.Fields(flags)...)
	cmd := exec.Command("go", append(args, "schakel/cmd/schakel", "schakel/cmd/schakel-relay")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return programs{}, fmt.Errorf("failed to build the programs: %w\n%s", err, out)
	}
	return built, nil
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
