package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/schakel"
)

// What a daemon hands out as a case file is verified before anybody is told that it is
// one; the deletions are listed, and their statements written as they were signed.
func TestCaseFile(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	out := filepath.Join(t.TempDir(), "dossier.zip")
	if stdout, stderr := p.must(cli.Unverified, "case", "export", case1, "--out", out); !strings.Contains(stdout, "FAULT") || !strings.Contains(stderr, "do not rest on it") {
		t.Errorf("stdout %s stderr %s", stdout, stderr)
	}
	p.must(cli.Unverified, "verify", out)
	p.must(cli.Usage, "case", "export", case1)
	p.must(cli.NotFound, "verify", out+".zip")
	if stdout, _ := p.must(cli.Done, "case", "deletions"); !strings.Contains(stdout, case1) || !strings.Contains(stdout, "vt20/crisis") {
		t.Errorf("deletions: %s", stdout)
	}
	statements := filepath.Join(t.TempDir(), "vernietigd.txt")
	if stdout, _ := p.must(cli.Done, "case", "deletions", "--json", "--out", statements); !strings.Contains(stdout, `"schema": "schakel.deletions/1"`) {
		t.Errorf("deletions: %s", stdout)
	}
	if raw, err := os.ReadFile(statements); err != nil || string(raw) != "statement\n" {
		t.Errorf("statements %q, %v", raw, err)
	}
}

func TestCaseFileNeedsThePIN(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{personErr: schakel.ErrPIN})
	pin := writeFile(t, filepath.Join(t.TempDir(), "pin"), "000000\n", 0o600)
	p.must(cli.Refused, "case", "export", case1, "--out", filepath.Join(t.TempDir(), "x.zip"), "--person", "P. Iket", "--pin-file", pin)
}
