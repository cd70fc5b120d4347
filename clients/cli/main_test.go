package cli_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/cli"
	"schakel/clients/desk"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the clock of every test here.
func now() time.Time { return time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC) }

// place is a machine of its own: a home folder, an environment, nothing else.
type place struct {
	t       *testing.T
	home    string
	environ []string
	in      string
	free    func(string) (uint64, error) // room on its disk
}

func newPlace(t *testing.T) *place {
	dir := t.TempDir()
	return &place{t: t, home: filepath.Join(dir, "device"), environ: []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, "config")},
		free: func(string) (uint64, error) { return 50e9, nil }}
}

// run runs one command and returns its streams and exit code.
func (p *place) run(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	var out, errs bytes.Buffer
	std := cli.Stdio{In: strings.NewReader(p.in), Out: &out, Err: &errs, Now: now, Zone: time.UTC, Free: p.free,
		Environ: append([]string{"SCHAKEL_HOME=" + p.home}, p.environ...)}
	code = cli.Main(p.t.Context(), args, std)
	return out.String(), errs.String(), code
}

// must fails the test when the exit code is another than want.
func (p *place) must(want int, args ...string) (stdout, stderr string) {
	p.t.Helper()
	stdout, stderr, code := p.run(args...)
	if code != want {
		p.t.Fatalf("schakel %s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), code, want, stdout, stderr)
	}
	return stdout, stderr
}

// serve answers for the place as a daemon would, with node behind it.
func (p *place) serve(node desk.Node) {
	p.t.Helper()
	ln, err := desk.Listen(filepath.Join(p.home, "desk.sock"))
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- desk.New(desk.Config{Node: node}).Serve(ctx, ln) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
}

// golden compares got with a file, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew, after a look)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}
