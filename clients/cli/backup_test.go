package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"schakel/clients/cli"
)

// A backup is a new file, whole, for its owner only, and noted when it is there; nothing is
// overwritten and nothing half is left.
func TestBackupIsANewFile(t *testing.T) {
	p := newPlace(t)
	n := &scripted{}
	p.serve(n)
	dir := t.TempDir()
	file := filepath.Join(dir, "een.backup")
	out, said := p.must(cli.Done, "backup", file)
	if strings.TrimSpace(out) != file || !strings.Contains(said, "12 messages of 3 cases") || !strings.Contains(said, "not inside: the keys of this device") {
		t.Errorf("%q\n%s", out, said)
	}
	st, err := os.Stat(file)
	if err != nil || st.Mode().Perm() != 0o600 || !slices.Contains(n.did, "noted a backup") {
		t.Errorf("%v, %v, %v", st, err, n.did)
	}
	if b, err := os.ReadFile(file); string(b) != "a backup" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, said := p.must(cli.Conflict, "backup", file); !strings.Contains(said, "never overwritten") {
		t.Error(said)
	}
	out, _ = p.must(cli.Done, "backup", dir, "--json")
	if !strings.Contains(out, `"schema": "schakel.backup/1"`) || !strings.Contains(out, "schakel-20261124") {
		t.Error(out)
	}
	if all, _ := os.ReadDir(dir); len(all) != 2 {
		t.Errorf("%d files", len(all))
	}
	p.must(cli.NotFound, "backup", filepath.Join(dir, "nowhere", "x"))
}

// The recovery passphrase comes from a file or a terminal; a made one is shown once.
func TestRecoveryPassphrase(t *testing.T) {
	p := newPlace(t)
	n := &scripted{}
	p.serve(n)
	right, wrong := filepath.Join(t.TempDir(), "right"), filepath.Join(t.TempDir(), "wrong")
	for file, phrase := range map[string]string{right: "zes woorden op papier\n", wrong: "iets anders\n"} {
		if err := os.WriteFile(file, []byte(phrase), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.must(cli.Done, "recovery", "try", "--passphrase-file", right)
	p.must(cli.Locked, "recovery", "try", "--passphrase-file", wrong)
	p.must(cli.Usage, "recovery", "try")
	out, said := p.must(cli.Done, "recovery", "change", "--make-passphrase")
	phrase, _ := strings.CutPrefix(n.did[len(n.did)-1], "recovery ")
	if len(strings.Fields(phrase)) != 6 || strings.Count(said, phrase) != 1 || strings.Contains(out, phrase) {
		t.Errorf("%q: %q\n%s", phrase, out, said)
	}
	p.must(cli.Usage, "restore", "--verify")
}
