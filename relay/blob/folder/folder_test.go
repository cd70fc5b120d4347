package folder_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/relay/blob"
	"schakel/relay/blob/blobtest"
	"schakel/relay/blob/folder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) blob.Store { return openIn(t, t.TempDir()) }

func openIn(t *testing.T, dir string) *folder.Store {
	t.Helper()
	s, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) { blobtest.Run(t, open) }

// Controls: each check notices a store that breaks its promise.
func TestBrokenStoresAreNoticed(t *testing.T) {
	for _, c := range blobtest.Checks() {
		broken, ok := blobtest.Broken(open(t))[c.Name]
		if ok && c.Run(context.Background(), broken) == nil {
			t.Errorf("%s: not noticed", c.Name)
		}
	}
}

// A name leads nowhere but into the folder, by dots or by a link.
func TestNamesStayInside(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	s := openIn(t, filepath.Join(dir, "blobs"))
	if err := os.Symlink(dir, filepath.Join(dir, "blobs", "out")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "a/../../x", "/x", "out/x"} {
		if err := s.Put(ctx, name, bytes.NewReader([]byte("x")), 1); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("outside the folder: %v", err)
	}
}

// What was left by a Put that a crash cut is removed after an hour, and not before: it
// may be another relay's, which is still writing.
func TestLeftoversGo(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	young, old := filepath.Join(dir, "incoming", "young"), filepath.Join(dir, "incoming", "old")
	for _, name := range []string{young, old} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ago := time.Now().Add(-2 * time.Hour)
	if err := errors.Join(os.Chtimes(old, ago, ago), s.Tidy(context.Background())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Error("the old one is there:", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
}
