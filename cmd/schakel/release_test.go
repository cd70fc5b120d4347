package main_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var full = flag.Bool("full", false, "build both programs from nothing, which takes minutes")

const released = "linux-amd64"

// A release is built twice, from two folders, and again with an empty build cache, and is
// the same to the byte; a list of it is signed, and each program is found in it. A source file that
// changed gives another hash, which the list refuses.
func TestG05ReproducibleRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds both programs twice, and the relay from nothing")
	}
	here, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	there, cache := copyOfTree(t, here), "GOCACHE="+t.TempDir()
	anew := []string{"schakel-relay"} // from an empty cache
	if *full {
		anew = append(anew, "schakel")
	}
	first, second := buildRelease(t, here), buildRelease(t, there)
	compare := func(folder string, names ...string) {
		for _, name := range names {
			a, b := readProgram(t, first, name), readProgram(t, folder, name)
			if !bytes.Equal(a, b) {
				t.Errorf("%s: %x here, %x there", name, sha256.Sum256(a), sha256.Sum256(b))
			}
			if bytes.Contains(a, []byte(here)) {
				t.Errorf("%s holds the path of the folder that it was built in", name)
			}
		}
	}
	compare(second, "schakel", "schakel-relay")
	compare(buildRelease(t, there, cache, "PROGRAMS=./cmd/"+strings.Join(anew, " ./cmd/")), anew...)
	schakel := filepath.Join(first, released, "schakel")
	run := func(want int, args ...string) string { return runProgram(t, want, schakel, args...) }
	if out := run(0, "version"); !strings.HasPrefix(out, "schakel v1.0.0-test\n") {
		t.Errorf("it does not say which release it is: %s", out)
	}
	key := filepath.Join(t.TempDir(), "release.key")
	verifier := strings.TrimSpace(run(0, "release", "key", "--name", "schakel.example/releases", "--out", key))
	run(0, "release", "sign", first, "--key", key, "--version", "v1.0.0-test", "--commit", strings.Repeat("0a", 20))
	list := filepath.Join(first, "release.txt")
	run(0, "release", "verify", list, "--key", verifier) // the one that runs
	for _, name := range []string{"schakel", "schakel-relay"} {
		run(0, "release", "verify", list, filepath.Join(second, released, name), "--key", verifier)
	}

	main := filepath.Join(there, "cmd", "schakel-relay", "main.go")
	source, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(source, []byte("func main() {"), []byte("func main() {\n\tprintln(\"another\")\n"), 1)
	if bytes.Equal(changed, source) {
		t.Fatal("nothing was changed")
	}
	if err := os.WriteFile(main, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	third := buildRelease(t, there, "PROGRAMS=./cmd/schakel-relay")
	if bytes.Equal(readProgram(t, third, "schakel-relay"), readProgram(t, first, "schakel-relay")) {
		t.Error("control: another source file, and the same program")
	}
	run(8, "release", "verify", list, filepath.Join(third, released, "schakel-relay"), "--key", verifier)
}

// Control: without -trimpath the folder that a program was built in is in its bytes, and
// comparing finds that.
func TestFolderShowsWithoutTrimpath(t *testing.T) {
	build := func(flags ...string) []byte {
		dir := t.TempDir()
		for name, content := range map[string]string{"go.mod": "module small\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { panic(1) }\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false"}, flags...), "-o", "small", ".")...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		program, err := os.ReadFile(filepath.Join(dir, "small"))
		if err != nil {
			t.Fatal(err)
		}
		return program
	}
	if bytes.Equal(build(), build()) {
		t.Error("two folders do not show: the test above could not find them")
	}
	if !bytes.Equal(build("-trimpath"), build("-trimpath")) {
		t.Error("two folders show all the same")
	}
}

// buildRelease runs .ci/release of a tree, in an environment that would change the programs
// if it were let through.
func buildRelease(t *testing.T, tree string, environ ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	cmd := exec.Command(filepath.Join(tree, ".ci", "release"), "v1.0.0-test", folder, "linux/amd64")
	cmd.Env = append(append(os.Environ(), "GOAMD64=v2", "CGO_ENABLED=1"), environ...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

func readProgram(t *testing.T, folder, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, released, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func runProgram(t *testing.T, want int, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	var failure *exec.ExitError
	switch {
	case errors.As(err, &failure) && failure.ExitCode() == want:
	case err != nil || want != 0:
		t.Fatalf("%s: %v, want %d\n%s", strings.Join(args, " "), err, want, out)
	}
	return string(out)
}

// copyOfTree copies what the programs are built from: all files of Go and those beside
// them, also those that git does not know, such as the look of the web desk.
func copyOfTree(t *testing.T, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "elsewhere", "schakel")
	for _, part := range []string{"go.mod", "go.sum", ".ci", "cmd", "clients", "configs", "crypto", "relay"} {
		err := filepath.WalkDir(filepath.Join(from, part), func(name string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			inside, err := filepath.Rel(from, name)
			if err != nil {
				return err
			}
			target := filepath.Join(to, inside)
			switch {
			case d.Name() == "node_modules":
				return filepath.SkipDir
			case d.IsDir():
				return os.MkdirAll(target, 0o700)
			case !d.Type().IsRegular():
				return nil
			}
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			return os.WriteFile(target, content, info.Mode().Perm())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
