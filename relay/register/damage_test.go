package register_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/register"
)

// reopen opens a copy of a file with these bytes.
func reopen(t *testing.T, file []byte) (*register.Log, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "register.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return register.Open(register.Config{Path: path, LogName: trusttest.LogName, LogKey: trusttest.NewKey("log")})
}

// written is a file with a small register, and the chain in it.
func written(t *testing.T) ([]byte, *trusttest.Chain) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "register.db")
	c := trusttest.New(now)
	for range 3 {
		c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	}
	l := open(t, path)
	fill(t, l, c)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file, c
}

// TestDamagedFile flips bytes all over the file: it either opens as it was, or is
// refused as damaged. It never opens as something else, and never panics.
func TestDamagedFile(t *testing.T) {
	file, c := written(t)
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 300 {
		bad := bytes.Clone(file)
		at := random.IntN(len(bad))
		bad[at] ^= byte(1 + random.IntN(255))
		l, err := reopen(t, bad)
		switch {
		case err == nil:
			if l.Register() == nil || l.Register().Root() != c.Register().Root() {
				t.Errorf("byte %d: another register", at)
			}
			l.Close()
		case errors.Is(err, register.ErrCorrupt):
			refused++
		default:
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if refused == 0 {
		t.Error("no flip in 300 was noticed")
	}
	t.Logf("%d of 300 flips refused, the others hit what is not in use", refused)
}

func TestCutFile(t *testing.T) {
	file, _ := written(t)
	for _, size := range []int{0, 1, 100, 4096, 8192, 12288, len(file) / 2, len(file) - 4096} {
		if l, err := reopen(t, file[:size]); err == nil {
			// bbolt grows files ahead: the end may be unused.
			if size < len(file)/2 {
				t.Errorf("%d of %d bytes open", size, len(file))
			}
			l.Close()
		} else if !errors.Is(err, register.ErrCorrupt) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if l, err := reopen(t, file); err != nil {
		t.Errorf("control: %v", err)
	} else {
		l.Close()
	}
	if _, err := reopen(t, []byte("this is not a register at all, but somebody put it there\n")); !errors.Is(err, register.ErrCorrupt) {
		t.Errorf("another file: %v", err)
	}
}

// TestLostCommit: one damaged meta page makes bbolt go back by one commit without
// a word. The log must not, or every client would alarm over a fork.
func TestLostCommit(t *testing.T) {
	file, _ := written(t)
	page := os.Getpagesize()
	for _, meta := range []int{0, page} {
		bad := bytes.Clone(file)
		bad[meta+16+40]++
		if l, err := reopen(t, bad); !errors.Is(err, register.ErrCorrupt) {
			t.Errorf("meta page at %d: %v", meta, err)
			if l != nil {
				l.Close()
			}
		}
	}
}

// TestRecipientsAreChecked: a recipient string that was changed on disk is not
// handed out.
func TestRecipientsAreChecked(t *testing.T) {
	file, c := written(t)
	var b trust.Epochs
	for _, e := range c.Entries() {
		if p, err := trust.ParseEntry(e); err == nil && p.Body.Kind() == trust.KindEpoch {
			b = p.Body.(trust.Epochs)
		}
	}
	want := trusttest.Device{Device: trust.Device{ID: b.Device}}.Recipient(3)
	bad := bytes.ReplaceAll(file, []byte(want), append([]byte("X"), want[1:]...))
	l, err := reopen(t, bad)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if s, ok, err := l.Recipient(b.Device, 3); ok || !errors.Is(err, register.ErrCorrupt) {
		t.Errorf("changed recipient: %q, %v, %v", s, ok, err)
	}
	if s, ok, err := l.Recipient(b.Device, 4); !ok || err != nil || s == "" {
		t.Errorf("control: %q, %v, %v", s, ok, err)
	}
}
