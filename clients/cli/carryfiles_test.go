package cli_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/courier"
	"schakel/clients/schakel"
	"schakel/relay/queue/queuetest/disktest"
)

// withSealed is a node with sealed files of some lengths, small ones first.
func withSealed(lengths ...int) *scripted {
	n := &scripted{sealed: map[string][]byte{}, brought: schakel.Brought{Taken: 1}}
	for _, length := range lengths {
		b := bytes.Repeat([]byte{byte(length)}, length)
		id := courier.SealedName(sha256.Sum256(b))
		n.sealed[id] = b
		n.carried.Attachments = append(n.carried.Attachments, schakel.SealedFile{ID: id, Length: uint64(length)})
	}
	return n
}

// Attachments go beside the file, each under its SHA-256, and come in from there. Of what lies
// in the folder only that is opened which is waited for, and only a plain file of its length.
func TestAttachmentsBesideAFile(t *testing.T) {
	p, folder := newPlace(t), t.TempDir()
	node := withSealed(3000, 40_000, 50_000)
	p.serve(node)
	file := filepath.Join(folder, "stick")
	if out, _ := p.must(cli.Done, "outbox", "export", file, "--to", "om/officier"); !strings.Contains(out, "3 (90 KiB)") {
		t.Errorf("it says %s", out)
	}
	beside := courier.FolderOf(file)
	if names := namesIn(t, beside); len(names) != 3 || slices.ContainsFunc(names, func(n string) bool { return len(n) != 64 }) {
		t.Errorf("beside it lie %q", names)
	}
	p.must(cli.Conflict, "outbox", "export", file, "--to", "om/officier")
	p.must(cli.Done, "outbox", "export", filepath.Join(folder, "bare"), "--to", "om/officier", "--without-attachments")
	if _, err := os.Stat(courier.FolderOf(filepath.Join(folder, "bare"))); err == nil {
		t.Error("a folder without attachments")
	}
	out, _ := p.must(cli.Done, "inbox", "import", file)
	if !strings.Contains(out, "3 attachments taken in") {
		t.Errorf("it says %s", out)
	}
	hostileFolder(t, beside, node.carried.Attachments)
	node.did = nil
	out, said := p.must(cli.Partly, "inbox", "import", file)
	if !strings.Contains(out, "3 attachments refused") || !strings.Contains(out, "3 attachments still to come") || !strings.Contains(said, "brought again") {
		t.Errorf("it says %s, %s", out, said)
	}
	if len(node.did) != 1 { // of the three only the one whose length is right was opened
		t.Errorf("did %q", node.did)
	}
	out, _ = p.must(cli.Done, "inbox", "import", filepath.Join(folder, "bare"))
	if !strings.Contains(out, "3 attachments still to come") {
		t.Errorf("without a folder it says %s", out)
	}
	p.must(cli.NotFound, "inbox", "import", file, "--attachments", filepath.Join(folder, "none"))
	if out, _ := p.must(cli.Partly, "inbox", "import", filepath.Join(folder, "bare"), "--attachments", beside, "--json"); !strings.Contains(out, `"refused": 3`) {
		t.Errorf("as JSON: %s", out)
	}
}

// hostileFolder makes a folder of sealed files one that a stranger prepared: one bit changed, a pipe
// that nobody writes to, a link out of the folder, and names that nobody asked for.
func hostileFolder(t *testing.T, folder string, files []schakel.SealedFile) {
	t.Helper()
	path := func(i int) string { return filepath.Join(folder, files[i].ID) }
	content, err := os.ReadFile(path(0))
	if err != nil {
		t.Fatal(err)
	}
	content[0] ^= 1
	writeFile(t, path(0), string(content), 0o600)
	outside := writeFile(t, filepath.Join(t.TempDir(), "outside"), strings.Repeat("x", int(files[2].Length)), 0o600)
	for _, err := range []error{os.Remove(path(1)), syscall.Mkfifo(path(1), 0o600), os.Remove(path(2)), os.Symlink(outside, path(2))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(folder, strings.Repeat("ab", 32)), "nobody asked", 0o600)
	writeFile(t, filepath.Join(folder, "autorun.inf"), "nobody asked", 0o600)
}

func namesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	rows, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		names = append(names, r.Name())
	}
	return names
}

// What cannot be read here any more does not leave half, and the others do.
func TestCarryWhatIsGone(t *testing.T) {
	p, folder := newPlace(t), t.TempDir()
	node := withSealed(3000)
	node.fileErr = schakel.ErrNotHere
	p.serve(node)
	file := filepath.Join(folder, "stick")
	if _, said := p.must(cli.Partly, "outbox", "export", file, "--to", "om/officier"); !strings.Contains(said, "1 attachments are not on this device") {
		t.Errorf("it says %q", said)
	}
	if names := namesIn(t, courier.FolderOf(file)); len(names) > 0 {
		t.Errorf("half of it lies there: %q", names)
	}
}

// On a medium that is full the messages go, with what finds room; what does not is said, with
// what to do, and nothing of it looks whole.
func TestCarryToAFullMedium(t *testing.T) {
	stick := disktest.Tmpfs(t, 256<<10)
	p := newPlace(t)
	node := withSealed(3000, 600_000, 700_000)
	p.serve(node)
	file := stick.Path("stick")
	out, said := p.must(cli.Partly, "outbox", "export", file, "--to", "om/officier")
	if !strings.Contains(said, "2 attachments of 1269 KiB") || !strings.Contains(said, "no space left") || !strings.Contains(said, "larger medium") || !strings.Contains(out, "1 (3000 B)") {
		t.Errorf("it says %s, %s", out, said)
	}
	if names := namesIn(t, courier.FolderOf(file)); len(names) != 1 || names[0] != node.carried.Attachments[0].ID {
		t.Errorf("beside it lie %q", names)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "envelopes" {
		t.Errorf("%q, %v", b, err)
	}
}
