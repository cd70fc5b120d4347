package demo_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"schakel/clients/demo"
)

func TestReadSeen(t *testing.T) {
	parent := t.TempDir()
	t.Setenv("TMPDIR", parent)
	if _, err := demo.Newest(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a demonstration: %v", err)
	}
	dir := filepath.Join(parent, demo.Prefix+"1")
	if err := os.MkdirAll(filepath.Join(dir, "relay"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(parent, demo.Prefix+"2"), 0o755); err != nil { // somebody else's
		t.Fatal(err)
	}
	if got, err := demo.Newest(); err != nil || got != dir {
		t.Errorf("newest: %s, %v", got, err)
	}
	if seen, err := demo.ReadSeen(dir); err != nil || len(seen) != 0 {
		t.Errorf("before anything was seen: %v, %v", seen, err)
	}
	path := filepath.Join(dir, "relay", "demo-seen.jsonl")
	line := `{"envelope":"019ab2c0-6004-7b00-8a00-000000000004","desk":"vt20/crisis","tier":3,"size":5887}` + "\n"
	for content, ok := range map[string]bool{line + line: true, line + "junk\n": false, `{"envelope":"x"}`: false} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if seen, err := demo.ReadSeen(dir); (err == nil) != ok || ok && (len(seen) != 2 || seen[1].Size != 5887) {
			t.Errorf("%q: %v, %v", content, seen, err)
		}
	}
}
