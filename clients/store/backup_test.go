package store_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
)

// backedUp is a store with a device, twelve messages and an epoch key, and a backup of it.
func backedUp(t *testing.T) (s *store.Store, p place, backup []byte) {
	t.Helper()
	p = filled(t, 12)
	s = p.open(t)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.SetDevice(store.Device{ID: self, Desk: peer, Sign: privateKey(1), Login: privateKey(2), Org: privateKey(3)}),
			tx.PutEpochKey(store.EpochKey{Number: 7, Secret: "AGE-SECRET-KEY-PQ-KANARIE", From: now, Until: now.Add(time.Hour)}),
			tx.SetSetting("name", []byte("a value")))
	})
	return s, p, backupOf(t, s)
}

func backupOf(t *testing.T, s *store.Store) []byte {
	t.Helper()
	var out bytes.Buffer
	b, err := s.Backup(t.Context(), &out, now)
	if err != nil {
		t.Fatal(err)
	}
	if b.Messages == 0 || b.Device != self {
		t.Errorf("made %+v", b)
	}
	return out.Bytes()
}

func restore(t *testing.T, backup []byte, phrase string) (*store.Store, store.Backup, string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	key := vault.KeyFile{Path: filepath.Join(t.TempDir(), "key")}
	s, b, err := store.Restore(t.Context(), bytes.NewReader(backup), dir, store.RestoreOptions{Phrase: phrase, Keys: []vault.Way{key}})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, b, dir, err
}

// A backup made while the store is in use holds what was in it, opens with the recovery
// passphrase, and what comes out of it is no longer that device.
func TestBackupAndRestore(t *testing.T) {
	s, p, backup := backedUp(t)
	save(t, s, said(99, "na de reservekopie"))
	r, b, dir, err := restore(t, backup, recoveryPhrase)
	if err != nil {
		t.Fatal(err)
	}
	if b.Messages != 12 || b.Desk != peer || b.Device != self || !b.At.Equal(now) {
		t.Errorf("%+v", b)
	}
	view(t, r, func(tx *store.Tx) error {
		for n := uint64(1); n <= 12; n++ {
			if m, err := tx.Message(storedMessage(n, store.Out).Hash); err != nil || !bytes.Equal(m.Raw, crashBody(n)) {
				t.Errorf("message %d: %v", n, err)
			}
		}
		if _, err := tx.Message(said(99, "").Hash); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("control: what came after the backup: %v", err)
		}
		if v, err := tx.Setting("name"); string(v) != "a value" {
			t.Errorf("setting %q, %v", v, err)
		}
		if _, err := tx.Device(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the old device came back: %v", err)
		}
		if ks, err := tx.EpochKeys(); len(ks) != 0 || err != nil {
			t.Errorf("%d epoch keys came back, %v", len(ks), err)
		}
		if n, err := tx.LastCounter(peer); n != 0 || err != nil {
			t.Errorf("counters came back: %d, %v", n, err)
		}
		if ds, err := tx.Offers([16]byte{9}, now, 0, 100); len(ds) != 0 || err != nil {
			t.Errorf("%d envelopes of the old device would be offered, %v", len(ds), err)
		}
		o, err := tx.Origin()
		if err != nil || o.Device != self || o.Desk != peer || !o.Org.Equal(privateKey(3)) || !o.At.Equal(now) {
			t.Errorf("origin %+v, %v", o, err)
		}
		return nil
	})
	update(t, r, func(tx *store.Tx) error { return tx.ForgetOrigin() })
	r.Close()
	again := place{dir: dir, ways: []vault.Way{vault.Passphrase{Phrase: recoveryPhrase}}}.open(t)
	if err := again.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if f := search(t, again, "woord body"); f.Unreadable != 0 {
		t.Errorf("%+v", f)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "backup-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Errorf("the store that was backed up: %v", err)
	}
}

// Neither the keys that a backup must not hold nor the words in it can be read in its
// bytes; with the keys of the store, the words can, and the device's keys cannot.
func TestWhatABackupHolds(t *testing.T) {
	_, _, backup := backedUp(t)
	r, _, _, err := restore(t, backup, recoveryPhrase)
	if err != nil {
		t.Fatal(err)
	}
	sign, login := privateKey(1).Seed(), privateKey(2).Seed()
	found := map[string]bool{}
	look := func(b []byte) {
		for name, what := range map[string][]byte{"sign": sign, "login": login, "epoch": []byte("KANARIE"), "body": crashBody(3)} {
			found[name] = found[name] || bytes.Contains(b, what)
		}
	}
	look(backup)
	if len(found) != 4 || found["body"] {
		t.Errorf("in the bytes of the backup: %v", found)
	}
	if err := r.Readable(t.Context(), look); err != nil {
		t.Fatal(err)
	}
	if found["sign"] || found["login"] || found["epoch"] || !found["body"] {
		t.Errorf("with the keys of the store: %v", found)
	}
}

// A changed byte anywhere, an end that is missing, something behind it, a wrong passphrase:
// refused, and nothing is left in the place.
func TestDamagedBackups(t *testing.T) {
	_, _, backup := backedUp(t)
	refusedAs := func(what string, damaged []byte, phrase string, want ...error) {
		t.Helper()
		_, _, dir, err := restore(t, damaged, phrase)
		ok := false
		for _, w := range want {
			ok = ok || errors.Is(err, w)
		}
		if !ok {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: left %s", what, dir)
		}
	}
	for _, off := range []int{0, 600, 5 * 512, len(backup) / 2, len(backup) - 2048} {
		b := bytes.Clone(backup)
		b[off] ^= 1
		if bytes.Equal(b, backup) {
			t.Fatal("control")
		}
		_, _, _, err := restore(t, b, recoveryPhrase)
		inReadme := off == 600
		if err == nil != inReadme {
			t.Errorf("byte %d changed: %v", off, err)
		}
	}
	for _, size := range []int{0, 100, 1000, len(backup) / 2, len(backup) - 3000} {
		refusedAs(fmt.Sprintf("the first %d bytes", size), backup[:size], recoveryPhrase, store.ErrBackup, vault.ErrPassphrase)
	}
	refusedAs("a wrong passphrase", backup, "zes andere woorden op papier", vault.ErrPassphrase)
	refusedAs("no tar", []byte("geen reservekopie"), recoveryPhrase, store.ErrBackup)
	other := newPlace(t)
	other.create(t).Close()
	_, _, foreign := backedUp(t)
	mixed := append(bytes.Clone(foreign[:4*512]), backup[4*512:]...)
	refusedAs("the key of another store", mixed, recoveryPhrase, store.ErrBackup, vault.ErrPassphrase)
}

// A restore that fails takes nothing away that was there before it.
func TestRestoreBesideWhatIsThere(t *testing.T) {
	_, _, backup := backedUp(t)
	short := backup[:len(backup)/2]
	place := t.TempDir()
	mine, side := filepath.Join(place, "store", "mine"), filepath.Join(place, "generation")
	if err := errors.Join(os.Mkdir(filepath.Join(place, "store"), 0o700), os.WriteFile(mine, []byte("mine"), 0o600), os.WriteFile(side, []byte("of another"), 0o600)); err != nil {
		t.Fatal(err)
	}
	ways := []vault.Way{vault.KeyFile{Path: filepath.Join(place, "key")}}
	for dir, o := range map[string]store.RestoreOptions{
		filepath.Join(place, "store"): {Phrase: recoveryPhrase, Keys: ways},
		filepath.Join(place, "new"):   {Phrase: recoveryPhrase, Keys: ways, GenerationFile: side},
	} {
		for _, from := range [][]byte{short, backup} {
			if _, _, err := store.Restore(t.Context(), bytes.NewReader(from), dir, o); !errors.Is(err, store.ErrExists) {
				t.Errorf("into %s: %v", dir, err)
			}
		}
	}
	for file, want := range map[string]string{mine: "mine", side: "of another"} {
		if b, err := os.ReadFile(file); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
}

// The name of the folder is no pattern.
func TestAStoreInABracketedFolder(t *testing.T) {
	p := newPlace(t)
	p.dir = filepath.Join(t.TempDir(), "a[b", "store")
	if err := os.Mkdir(filepath.Dir(p.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	p.create(t).Close()
	left := filepath.Join(p.dir, "backup-123")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	p.open(t)
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

// A file that swaps in an age header without end behind a true recovery.age is refused
// before it is read into memory.
func TestBackupWithAnEndlessHeader(t *testing.T) {
	_, _, backup := backedUp(t)
	from := tar.NewReader(bytes.NewReader(backup))
	var out bytes.Buffer
	to := tar.NewWriter(&out)
	for range 3 {
		h, err := from.Next()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "store.age" {
			b = append([]byte("age-encryption.org/v1\n-> scrypt "), bytes.Repeat([]byte("A"), 1<<20)...)
			h.Size = int64(len(b))
		}
		if err := to.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := restore(t, out.Bytes(), recoveryPhrase); !errors.Is(err, store.ErrBackup) || !strings.Contains(err.Error(), "no header") {
		t.Errorf("%v", err)
	}
}

// FuzzBackupMembers: whatever lies in the outer file, only the three members in their order
// and within their bounds are taken, and what is read is what was written.
func FuzzBackupMembers(f *testing.F) {
	made := func(recovery, sealed []byte) []byte {
		path := filepath.Join(f.TempDir(), "sealed")
		if err := os.WriteFile(path, sealed, 0o600); err != nil {
			f.Fatal(err)
		}
		var out bytes.Buffer
		if err := store.ArchiveForTest(&out, path, recovery); err != nil {
			f.Fatal(err)
		}
		return out.Bytes()
	}
	whole := made([]byte("recovery"), []byte("sealed"))
	if recovery, sealed, err := store.MembersForTest(bytes.NewReader(whole)); err != nil || string(recovery) != "recovery" || string(sealed) != "sealed" {
		f.Fatalf("what was written reads back as %q, %q, %v", recovery, sealed, err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		recovery, _, err := store.MembersForTest(bytes.NewReader(b))
		if err != nil && !errors.Is(err, store.ErrBackup) {
			t.Errorf("%v", err)
		}
		if len(recovery) > 8<<10 {
			t.Errorf("%d bytes of recovery.age", len(recovery))
		}
	})
}

// Nothing is restored over a store that is there.
func TestRestoreOverAStore(t *testing.T) {
	s, p, backup := backedUp(t)
	_, _, err := store.Restore(t.Context(), bytes.NewReader(backup), p.dir, store.RestoreOptions{Phrase: recoveryPhrase, Keys: p.ways[:1]})
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("%v", err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Errorf("the store that was there: %v", err)
	}
}

// A backup is made of what was committed, while others write; and one that was cut short is
// swept away at the next opening.
func TestBackupWhileInUse(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	update(t, s, func(tx *store.Tx) error {
		return tx.SetDevice(store.Device{ID: self, Desk: peer, Sign: privateKey(1), Login: privateKey(2)})
	})
	save(t, s, said(1, "een"))
	ended := make(chan error, 1)
	go func() {
		var err error
		for n := uint64(2); n < 60 && err == nil; n++ {
			err = s.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.SaveMessage(said(n, "woord")); return err })
		}
		ended <- err
	}()
	for range 3 {
		r, b, _, err := restore(t, backupOf(t, s), recoveryPhrase)
		if err != nil {
			t.Fatal(err)
		}
		view(t, r, func(tx *store.Tx) error {
			if n, err := tx.CountMessages(store.Query{}); n != b.Messages || err != nil {
				t.Errorf("%d messages, the backup says %d: %v", n, b.Messages, err)
			}
			return nil
		})
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	s.Close()
	left := filepath.Join(p.dir, "backup-123")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	p.open(t)
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

// A store whose key file was lost opens with the recovery passphrase, and from then on by
// itself again; the passphrase can be tried and changed while it is open.
func TestRecover(t *testing.T) {
	p := filled(t, 3)
	lost := p.ways[0].(vault.KeyFile)
	if err := os.Remove(lost.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways[:1]}); !errors.Is(err, vault.ErrNoWay) {
		t.Fatalf("control: %v", err)
	}
	if _, err := store.Recover(t.Context(), p.dir, "zes andere woorden op papier", store.Unlock{Keys: p.ways[:1]}); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := os.Lstat(lost.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a wrong passphrase made a key file: %v", err)
	}
	s, err := store.Recover(t.Context(), p.dir, recoveryPhrase, store.Unlock{Keys: p.ways[:1]})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, err = store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways[:1]})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.TryRecovery("zes andere woorden op papier"); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if err := s.TryRecovery(recoveryPhrase); err != nil {
		t.Error(err)
	}
	if err := s.SetRecovery(vault.Passphrase{Phrase: "kort"}); !errors.Is(err, vault.ErrTooShort) {
		t.Errorf("too short: %v", err)
	}
	if err := s.SetRecovery(vault.Passphrase{Phrase: "een nieuwe zin op ander papier", WorkFactor: 4}); err != nil {
		t.Fatal(err)
	}
	if s.TryRecovery(recoveryPhrase) == nil || s.TryRecovery("een nieuwe zin op ander papier") != nil {
		t.Error("the old passphrase opens it, or the new one does not")
	}
}
