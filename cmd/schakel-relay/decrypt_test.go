package main_test

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxModules bounds what a partner must read to believe the relay.
const maxModules = 60

// secrets are the packages whose code opens an envelope. (Rule 1 of the house; the
// same rule on the import graph stands in docs/house_test.go.)
var secrets = []string{"filippo.io/age", "filippo.io/hpke", "schakel/crypto/seal", "schakel/clients"}

// The relay program does not contain the code to decrypt: not linked, not a symbol.
func TestRelayCannotDecrypt(t *testing.T) {
	program := build(t, "../schakel-relay")
	for _, s := range secretSymbols(t, program) {
		t.Errorf("the relay program contains %s", s)
	}
	linked := modules(t, program)
	for _, m := range linked {
		if strings.HasPrefix(m, "filippo.io/age") || strings.HasPrefix(m, "filippo.io/hpke") {
			t.Errorf("the relay program links the module %s", m)
		}
	}
	if len(linked) > maxModules {
		t.Errorf("the relay program links %d modules, at most %d: %s", len(linked), maxModules, strings.Join(linked, " "))
	}
	t.Logf("%d modules linked", len(linked))
}

// Control: the partner's program does decrypt, and the same look finds it there.
func TestPartnerCanDecrypt(t *testing.T) {
	program := build(t, "../schakel")
	found := strings.Join(secretSymbols(t, program), "\n")
	for _, s := range secrets {
		if !strings.Contains(found, s) {
			t.Errorf("no symbol of %s in the partner's program: the look finds nothing", s)
		}
	}
}

func build(t *testing.T, command string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(command))
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", program, ".")...)
	cmd.Dir = command
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("failed to build %s: %v\n%s", command, err, out)
	}
	return program
}

func secretSymbols(t *testing.T, program string) (found []string) {
	t.Helper()
	out, err := exec.Command("go", "tool", "nm", program).Output()
	if err != nil {
		t.Fatalf("failed to read the symbols: %v", err)
	}
	lines := strings.Split(string(out), "\n")
	if len(lines) < 1000 {
		t.Fatalf("only %d symbols: the program was stripped, and this test sees nothing", len(lines))
	}
	for _, line := range lines {
		for _, s := range secrets {
			if strings.Contains(line, s+".") || strings.Contains(line, s+"/") {
				found = append(found, line)
			}
		}
	}
	return found
}

func modules(t *testing.T, program string) (paths []string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatalf("failed to read the modules: %v", err)
	}
	for _, m := range info.Deps {
		paths = append(paths, m.Path)
	}
	return paths
}
