package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"schakel/relay/daemon"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
)

// elsewhere is the same chain's relay in another data folder.
func (h *house) elsewhere() *house {
	return &house{t: h.t, data: filepath.Join(h.t.TempDir(), "data"), Chain: h.Chain}
}

func (h *house) openQueue() *boltqueue.Store {
	h.t.Helper()
	store, err := boltqueue.Open(boltqueue.Config{Path: filepath.Join(h.data, "queue.db"), MinFree: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	return store
}

func (h *house) epoch() [16]byte {
	h.t.Helper()
	store := h.openQueue()
	defer store.Close()
	state, err := store.State(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return state.Epoch
}

// backedUp is a house with one notice in its mailboxes, and a backup of it.
func backedUp(t *testing.T) (h *house, backup string) {
	t.Helper()
	h = admitted(t)
	store := h.openQueue()
	_, err := store.Commit(t.Context(), []queue.Op{&queue.Notice{Desk: "vt20/crisis", Device: [16]byte{1}, Kind: queue.NoticeExpired, Created: 1}})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	backup = filepath.Join(t.TempDir(), "backup")
	out, said := h.run(daemon.Done, "backup", "--out", backup)
	if strings.TrimSpace(out) != backup || !strings.Contains(said, "1 notices") {
		t.Errorf("backup said %q, %q", out, said)
	}
	return h, backup
}

func TestBackupAndRestore(t *testing.T) {
	h, backup := backedUp(t)
	h.run(daemon.Conflict, "backup", "--out", backup)
	h.run(daemon.Usage, "backup")
	restored := h.elsewhere()
	_, said := restored.run(daemon.Done, "restore", backup)
	if !strings.Contains(said, "register import") {
		t.Errorf("restore said %q", said)
	}
	for _, name := range []string{"tls.key", "receipt.key", "log.key", "queue.db"} {
		if stat, err := os.Stat(filepath.Join(restored.data, name)); err != nil || stat.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, stat, err)
		}
	}
	if stat, err := os.Stat(backup); err != nil || stat.Mode().Perm() != 0o700 {
		t.Errorf("the backup: %v, %v", stat, err)
	}
	restored.run(daemon.Conflict, "restore", backup)
	if restored.epoch() == h.epoch() {
		t.Error("a restored store has the epoch that it had before")
	}
	store := restored.openQueue()
	defer store.Close()
	page, err := store.Read(t.Context(), "vt20/crisis", 0, queue.Limit{Records: 9, Bytes: 1 << 20})
	if err != nil || len(page.Records) != 1 {
		t.Errorf("restored were %+v, %v", page, err)
	}
}

// A restored register may be shorter than what devices have seen: what was added
// since is imported before the relay starts.
func TestRestoreThenImport(t *testing.T) {
	h, backup := backedUp(t)
	before, _ := h.run(daemon.Done, "register", "list")
	entry, err := h.Relay.Sign(h.Register().Next(h.Relay.Subject()), h.Quorum()...)
	if err != nil {
		t.Fatal(err)
	}
	h.Add(entry)
	restored := h.elsewhere()
	restored.run(daemon.Done, "restore", backup)
	_, said := restored.run(daemon.Done, "register", "import", h.entriesFile())
	after, _ := restored.run(daemon.Done, "register", "list")
	if strings.Count(after, "\n") != strings.Count(before, "\n")+1 || !strings.Contains(said, "1 new") {
		t.Errorf("import said %q; before\n%s after\n%s", said, before, after)
	}
}

// What is not a whole and unchanged backup is refused, and leaves nothing behind.
func TestRestoreRefuses(t *testing.T) {
	for name, harm := range map[string]func(folder string) error{
		"no list":         func(f string) error { return os.Remove(filepath.Join(f, "SHA256SUMS")) },
		"file gone":       func(f string) error { return os.Remove(filepath.Join(f, "queue.db")) },
		"a bit of a key":  func(f string) error { return flipIn(filepath.Join(f, "receipt.key"), 40) },
		"a bit of a mail": func(f string) error { return flipIn(filepath.Join(f, "queue.db"), 20_000) },
		"another path":    func(f string) error { return relist(f, "relay.json", "../relay.json") },
		"not all listed":  func(f string) error { return relist(f, "log.key", "suspended") },
	} {
		t.Run(name, func(t *testing.T) {
			h, backup := backedUp(t)
			if err := harm(backup); err != nil {
				t.Fatal(err)
			}
			restored := h.elsewhere()
			want := daemon.Failed
			if name == "no list" {
				want = daemon.NotFound
			}
			_, said := restored.run(want, "restore", backup)
			if there, err := os.ReadDir(restored.data); len(there) > 0 {
				t.Errorf("%d files stay, %v; it said %s", len(there), err, said)
			}
		})
	}
}

// A backup of damaged mailboxes is none.
func TestBackupRefusesDamage(t *testing.T) {
	h, _ := backedUp(t)
	path := filepath.Join(h.data, "queue.db")
	if err := os.Truncate(path, 9000); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "second")
	h.run(daemon.Failed, "backup", "--out", out)
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func flipIn(path string, at int) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	raw[at] ^= 1
	return os.WriteFile(path, raw, 0o600)
}

func relist(folder, from, to string) error {
	path := filepath.Join(folder, "SHA256SUMS")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(raw), from, to, 1)), 0o600)
}
