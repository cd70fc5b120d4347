package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/zalando/go-keyring"

	"schakel/clients/store/vault"
)

const phrase = "zes willekeurige woorden op papier"

var recovery = vault.Passphrase{Phrase: phrase, WorkFactor: 4}

func keyFile(t testing.TB) vault.KeyFile {
	return vault.KeyFile{Path: filepath.Join(t.TempDir(), "key")}
}

func credential(t testing.TB) vault.Credential {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "store-key"), []byte(vault.NewCredential()), 0o400); err != nil {
		t.Fatal(err)
	}
	return vault.Credential{Folder: dir, Name: "store-key"}
}

func TestEachWayOpensAlone(t *testing.T) {
	keyring.MockInit()
	dir := t.TempDir()
	ways := []vault.Way{recovery, keyFile(t), credential(t), vault.Keyring{Account: dir}}
	k, id, err := vault.Create(dir, ways...)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways {
		got, gotID, err := vault.Open(dir, w)
		if err != nil || got != k || gotID != id {
			t.Errorf("%s: %v", w.File(), err)
		}
	}
	for _, w := range ways[1:3] { // each needs its own secret
		os.Remove(filepath.Join(dir, "keys", "recovery.age"))
		other := map[string]vault.Way{"keyfile.wrap": keyFile(t), "credential.wrap": credential(t)}[w.File()]
		if _, err := other.Wrap(id, []byte("make its secret")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := vault.Open(dir, other); !errors.Is(err, vault.ErrWrapped) || !errors.Is(err, vault.ErrNoWay) {
			t.Errorf("%s with another secret: %v", w.File(), err)
		}
	}
}

// A keyring that is not there, as on a server, fails with its own error, leaves
// nothing behind, and the other ways still open.
func TestKeyringAbsent(t *testing.T) {
	keyring.MockInit()
	dir, kf := t.TempDir(), keyFile(t)
	ring := vault.Keyring{Account: dir}
	if _, _, err := vault.Create(dir, recovery, ring); err != nil {
		t.Fatal(err)
	}
	keyring.MockInitWithError(errors.New("no bus"))
	if _, _, err := vault.Open(dir, ring); !errors.Is(err, vault.ErrKeyring) {
		t.Errorf("opening: %v", err)
	}
	if _, _, err := vault.Open(dir, ring, recovery); err != nil {
		t.Errorf("with the recovery as well: %v", err)
	}
	fresh := t.TempDir()
	if _, _, err := vault.Create(fresh, recovery, ring, kf); !errors.Is(err, vault.ErrKeyring) {
		t.Errorf("creating: %v", err)
	}
	if _, _, err := vault.Create(fresh, recovery, kf); err != nil {
		t.Errorf("creating again without it: %v", err)
	}
}

func TestRules(t *testing.T) {
	dir, kf := t.TempDir(), keyFile(t)
	k, id, err := vault.Create(dir, recovery, kf)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := vault.Create(dir, recovery, kf); !errors.Is(err, vault.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	if err := vault.Add(dir, id, k, kf); !errors.Is(err, vault.ErrExists) {
		t.Errorf("added twice: %v", err)
	}
	for _, w := range []vault.Way{recovery, kf} {
		if err := vault.Remove(dir, w); !errors.Is(err, vault.ErrTooFewWays) {
			t.Errorf("removed %s of two: %v", w.File(), err)
		}
	}
	cred := credential(t)
	if err := errors.Join(vault.Add(dir, id, k, cred), vault.Remove(dir, kf)); err != nil {
		t.Fatal(err)
	}
	if got, _, err := vault.Open(dir, cred); err != nil || got != k {
		t.Errorf("added way: %v", err)
	}
	short := vault.Passphrase{Phrase: "kort", WorkFactor: 4}
	if _, _, err := vault.Create(t.TempDir(), short, kf); !errors.Is(err, vault.ErrTooShort) {
		t.Errorf("short phrase: %v", err)
	}
}

func TestKeyFileModes(t *testing.T) {
	dir, kf := t.TempDir(), keyFile(t)
	if _, _, err := vault.Create(dir, recovery, kf); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(kf.Path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(kf.Path, mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := vault.Open(dir, kf); !errors.Is(err, vault.ErrPermissions) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, _, err := vault.Open(dir, vault.KeyFile{Path: path}); err == nil || errors.Is(err, vault.ErrPermissions) {
			t.Errorf("no file: %v", err)
		}
	}
	for _, c := range []vault.Credential{{}, {Folder: t.TempDir(), Name: "none"}, {Folder: dir, Name: "../key"}} {
		if _, err := c.Unwrap(nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Attack G07: a file that asks for 2^40 rounds is refused before any is done, and
// so is one just above the cap.
func TestG07WorkFactorCapped(t *testing.T) {
	locked, err := vault.Lock([]byte("secret"), phrase, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, logN := range []string{"21", "22", "40", "63"} {
		greedy := strings.Replace(string(locked), " 4\n", " "+logN+"\n", 1)
		if greedy == string(locked) {
			t.Fatal("no work factor found")
		}
		if _, err := vault.Unlock([]byte(greedy), phrase); !errors.Is(err, vault.ErrTooMuchWork) {
			t.Errorf("work factor %s: %v", logN, err)
		}
	}
	lower := strings.Replace(string(locked), " 4\n", " 3\n", 1)
	if _, err := vault.Unlock([]byte(lower), phrase); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("another work factor: %v", err)
	}
	for _, logN := range []int{-1, 21} {
		if _, err := vault.Lock(nil, phrase, logN); !errors.Is(err, vault.ErrTooMuchWork) {
			t.Errorf("locking with %d: %v", logN, err)
		}
	}
}

func TestUnlockRefuses(t *testing.T) {
	locked, err := vault.Lock([]byte("secret"), phrase, 4)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := vault.Unlock(locked, phrase); string(got) != "secret" || err != nil {
		t.Errorf("control: %q, %v", got, err)
	}
	for i := range locked {
		b := bytes.Clone(locked)
		b[i] ^= 1
		if got, err := vault.Unlock(b, phrase); err == nil || bytes.Equal(got, []byte("secret")) {
			t.Errorf("byte %d changed: %q, %v", i, got, err)
		}
	}
	for _, wrong := range []string{"", phrase + " ", strings.ToUpper(phrase)} {
		if _, err := vault.Unlock(locked, wrong); !errors.Is(err, vault.ErrPassphrase) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := vault.Unlock(make([]byte, 1<<20), phrase); !errors.Is(err, vault.ErrWrapped) {
		t.Errorf("1 MiB: %v", err)
	}
}

// The recovery file is an ordinary age file: without this program its owner can
// still get at the key.
func TestRecoveryIsStockAge(t *testing.T) {
	dir := t.TempDir()
	_, id, err := vault.Create(dir, recovery, keyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "keys", "recovery.age"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	identity, err := age.NewScryptIdentity(phrase)
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(f, identity)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil || !strings.HasPrefix(string(plain), "schakel-store-key-v1 "+id.String()+" ") {
		t.Errorf("%v", err)
	}
}

// One way's file in the place of another's does not open.
func TestFilesDoNotStandIn(t *testing.T) {
	kf := keyFile(t)
	wrapped, err := kf.Wrap(vault.ID{}, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	asCredential := vault.Credential{Folder: filepath.Dir(kf.Path), Name: "key"}
	if _, err := asCredential.Unwrap(wrapped); !errors.Is(err, vault.ErrWrapped) {
		t.Errorf("key file's wrap as a credential's: %v", err)
	}
}

func TestKeyPrintsNothing(t *testing.T) {
	k, _, err := vault.Create(t.TempDir(), recovery, keyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", k)
	out := fmt.Sprintf("%v %+v %#v %s %x %d", k, k, k, k, k, k) + log.String()
	if strings.Count(out, "[key]") != 7 {
		t.Errorf("printed %s", out)
	}
}

func FuzzUnwrap(f *testing.F) {
	kf := keyFile(f)
	wrapped, err := kf.Wrap(vault.ID{}, []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wrapped)
	f.Add([]byte("SKV1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := kf.Unwrap(b)
		if err != nil && !errors.Is(err, vault.ErrWrapped) {
			t.Fatal(err)
		}
		if err == nil && (!bytes.Equal(b, wrapped) || string(plain) != "plain") {
			t.Fatalf("another file opened: %x", b)
		}
	})
}

// FuzzLine: whatever a way unwraps is taken as a key line in one spelling only.
func FuzzLine(f *testing.F) {
	f.Add([]byte("schakel-store-key-v1 00000000-0000-0000-0000-000000000000 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	f.Add([]byte("schakel-store-key-v1 "))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := vault.Reline(b)
		if err != nil && !errors.Is(err, vault.ErrWrapped) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("%q comes back as %q", b, again)
		}
	})
}

// A store that only its officer opens has that one way, and takes no other.
func TestAttendedStandsAlone(t *testing.T) {
	dir, officer, file := t.TempDir(), vault.Attended(recovery), keyFile(t)
	k, id, err := vault.Create(dir, officer)
	if err != nil || !vault.IsAttended(dir) {
		t.Fatal(err)
	}
	if got, gotID, err := vault.Open(dir, officer); err != nil || got != k || gotID != id {
		t.Errorf("%v", err)
	}
	if _, _, err := vault.Open(dir, vault.Attended{Phrase: "andere woorden dan deze"}); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	for _, w := range []vault.Way{file, credential(t), recovery} {
		if err := vault.Add(dir, id, k, w); !errors.Is(err, vault.ErrAttended) {
			t.Errorf("%s beside it: %v", w.File(), err)
		}
	}
	if err := vault.Remove(dir, officer); !errors.Is(err, vault.ErrTooFewWays) {
		t.Errorf("without any way: %v", err)
	}
	for name, ways := range map[string][]vault.Way{"with a key file": {officer, file}, "with a recovery": {officer, recovery}} {
		if _, _, err := vault.Create(t.TempDir(), ways...); !errors.Is(err, vault.ErrAttended) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// somebody puts a key beside it that opens without a person
	wrapped, err := file.Wrap(id, []byte("anything"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", file.File()), wrapped, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := vault.Open(dir, officer); !errors.Is(err, vault.ErrAttended) {
		t.Errorf("opened all the same: %v", err)
	}
	// and the other way round: an ordinary store does not become one
	ordinary := t.TempDir()
	if k, id, err = vault.Create(ordinary, recovery, keyFile(t)); err != nil || vault.IsAttended(ordinary) {
		t.Fatal(err)
	}
	if err := vault.Add(ordinary, id, k, officer); !errors.Is(err, vault.ErrAttended) {
		t.Errorf("added to an ordinary store: %v", err)
	}
}
