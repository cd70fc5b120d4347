package store_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCreateRefuses(t *testing.T) {
	p := newPlace(t)
	p.create(t)
	if _, err := store.Create(t.Context(), p.dir, store.CreateOptions{Keys: p.ways}); !errors.Is(err, store.ErrExists) {
		t.Errorf("over a store: %v", err)
	}
	q := newPlace(t)
	for name, ways := range map[string][]vault.Way{"no way": nil, "no recovery": p.ways[:1], "recovery only": q.ways[1:], "recovery twice": {q.ways[1], q.ways[1]}} {
		if _, err := store.Create(t.Context(), q.dir, store.CreateOptions{Keys: ways}); !errors.Is(err, vault.ErrTooFewWays) {
			t.Errorf("%s: %v", name, err)
		}
	}
	q.create(t) // what failed left nothing in the way
}

func TestModes(t *testing.T) {
	p := newPlace(t)
	fill(t, p.create(t), 1, 3)
	files := 0
	err := filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err == nil && st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", e.Name(), st.Mode().Perm())
		}
		files++
		return err
	})
	if err != nil || files < 7 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	p := filled(t, 1)
	wrong := []vault.Way{vault.Passphrase{Phrase: "een heel andere zin van iemand"}, vault.KeyFile{Path: filepath.Join(t.TempDir(), "none")}}
	if _, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: wrong}); !errors.Is(err, vault.ErrNoWay) || !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("wrong keys: %v", err)
	}
	if _, err := store.Open(t.Context(), t.TempDir(), store.Unlock{Keys: p.ways}); !errors.Is(err, vault.ErrNoWay) {
		t.Errorf("empty folder: %v", err)
	}
	s := p.open(t)
	if _, err := s.Meddle(`PRAGMA user_version=99`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := openError(t, p); !errors.Is(err, store.ErrNewer) {
		t.Errorf("newer schema: %v", err)
	}
}

// Each way opens alone.
func TestWays(t *testing.T) {
	p := filled(t, 1)
	for i := range p.ways {
		place{dir: p.dir, ways: p.ways[i : i+1]}.open(t).Close()
	}
	s := p.open(t)
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "store-key"), []byte(vault.NewCredential()), 0o400); err != nil {
		t.Fatal(err)
	}
	added := vault.Credential{Folder: credentials, Name: "store-key"}
	if err := errors.Join(s.AddKey(added), s.RemoveKey(p.ways[0])); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveKey(added); !errors.Is(err, vault.ErrTooFewWays) {
		t.Errorf("removing the last but the recovery: %v", err)
	}
	s.Close()
	place{dir: p.dir, ways: []vault.Way{added}}.open(t).Close()
	if err := openError(t, place{dir: p.dir, ways: p.ways[:1]}); !errors.Is(err, vault.ErrNoWay) {
		t.Errorf("removed way: %v", err)
	}
}

// A second process, and a second opening in the same one, are told so.
func TestInUse(t *testing.T) {
	p := newPlace(t)
	p.create(t)
	if err := openError(t, p); !errors.Is(err, store.ErrInUse) {
		t.Errorf("same process: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashWriter$")
	cmd.Env = append(os.Environ(), childDir+"="+p.dir, childKey+"="+p.ways[0].(vault.KeyFile).Path)
	out, err := cmd.Output()
	if err == nil || !bytes.Contains(out, []byte(store.ErrInUse.Error())) {
		t.Errorf("other process: %q, %v", out, err)
	}
}

func TestTransactions(t *testing.T) {
	s := newStore(t)
	setting := func(name string) func(*store.Tx) error {
		return func(tx *store.Tx) error { return tx.SetSetting(name, nil) }
	}
	failure := errors.New("failure")
	err := s.Update(t.Context(), func(tx *store.Tx) error { return errors.Join(setting("failed")(tx), failure) })
	if !errors.Is(err, failure) {
		t.Error(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("panic was swallowed")
			}
		}()
		s.Update(t.Context(), func(tx *store.Tx) error { setting("panicked")(tx); panic("oops") })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err = s.Update(ctx, func(tx *store.Tx) error { cancel(); return setting("cancelled")(tx) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.View(late, (*store.Tx).CountForEver); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a statement that was interrupted at the deadline of its caller: %v", err)
	}
	if err := s.View(t.Context(), setting("viewed")); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("writing in View: %v", err)
	}
	if err := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.RaiseAlarm("a", "b", "c", now); return err }); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("alarm in View: %v", err)
	}
	update(t, s, setting("kept"))
	view(t, s, func(tx *store.Tx) error {
		for _, name := range []string{"failed", "panicked", "cancelled", "viewed"} {
			if _, err := tx.Setting(name); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := tx.Setting("kept")
		return err
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.View(t.Context(), setting("closed")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A Tx kept beyond its function does nothing any more.
func TestKeptTransaction(t *testing.T) {
	s := newStore(t)
	var kept *store.Tx
	update(t, s, func(tx *store.Tx) error { kept = tx; return nil })
	if err := kept.SetSetting("late", nil); err == nil {
		t.Error("wrote after its end")
	}
	if _, err := kept.Setting("late"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("read after its end: %v", err)
	}
}

// A caller that waits its turn can give up.
func TestWaitingEnds(t *testing.T) {
	s := newStore(t)
	update(t, s, func(*store.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.View(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("transaction inside another: %v", err)
		}
		return nil
	})
}

func TestConcurrency(t *testing.T) {
	s := newStore(t)
	const workers, each = 8, 20
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() {
			for i := range uint64(each) {
				err := s.Update(t.Context(), func(tx *store.Tx) error { return sendOne(tx, w*1000+i+1, []byte("x")) })
				err2 := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.Messages(store.Query{}); return err })
				if err := errors.Join(err, err2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	view(t, s, func(tx *store.Tx) error {
		last, err := tx.LastCounter(peer)
		n, err2 := tx.OutboxSize()
		if last != workers*each || n != workers*each {
			t.Errorf("counter %d, %d deliveries", last, n)
		}
		return errors.Join(err, err2)
	})
}

const canary = "kanarie-in-de-mijn"

// Nothing that is content or secret stands in clear in any file of the folder,
// while the store is open, after a kill and after closing.
func TestNothingInClear(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	locked, err := store.LockPerson(privateKey(7), "123456", 4)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error {
		m := storedMessage(1, store.In)
		m.Raw, m.Class, m.Peer, m.Case = []byte(canary+" body"), canary, identity.DeskID(canary), [16]byte([]byte(canary))
		_, err := tx.SaveMessage(m)
		_, err2 := tx.Quarantine(store.Quarantined{Reason: canary, At: now, Raw: []byte(canary)})
		return errors.Join(err, err2,
			tx.SetDevice(store.Device{ID: self, Desk: canary, Sign: privateKey(1), Login: privateKey(2), Org: privateKey(3), Relay: canary}),
			tx.SetSetting(canary, []byte(canary)), tx.PutEpochKey(store.EpochKey{Number: 1, Secret: canary}),
			tx.SetPerson(store.Person{ID: [16]byte{1}, Name: canary, Locked: locked}),
			tx.SetAcknowledged(m.Hash, store.Acknowledgement{At: now, Person: canary}),
			tx.PutDelivery(storedDelivery(1, 1, m.Hash, []byte(canary))), tx.Audit(canary, canary, [16]byte{}, now))
	})
	keyFile, err := os.ReadFile(p.ways[0].(vault.KeyFile).Path)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"content": []byte(canary), "wrapping key": bytes.TrimSpace(keyFile), "recovery phrase": []byte(recoveryPhrase)}
	for _, i := range []byte{1, 2, 3, 7} {
		secrets[fmt.Sprint("private key ", i)] = privateKey(i).Seed()
	}
	searchClear(t, p.dir, secrets, false)
	s.Close()
	searchClear(t, p.dir, secrets, false)

	if err := os.WriteFile(filepath.Join(p.dir, "control"), []byte("before "+canary+" after"), 0o600); err != nil {
		t.Fatal(err)
	}
	searchClear(t, p.dir, secrets, true)
}

// searchClear looks for secrets as they are, in hex and in base64.
func searchClear(t *testing.T, dir string, secrets map[string][]byte, want bool) {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for name, secret := range secrets {
			for _, form := range [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(base64.RawStdEncoding.EncodeToString(secret[:len(secret)/3*3]))} {
				if bytes.Contains(b, form) {
					found = true
					if !want {
						t.Errorf("%s stands in clear in %s", name, e.Name())
					}
				}
			}
		}
		return err
	})
	if err != nil || found != want {
		t.Errorf("found %v, want %v, %v", found, want, err)
	}
}
