package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

func newReadKey(t testing.TB) *seal.ReadKey {
	t.Helper()
	k, err := seal.NewReadKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestReadKey(t *testing.T) {
	k, other := newReadKey(t), newReadKey(t)
	closed, err := k.Lock().Close([]byte("message 1"), []byte("canary"))
	if err != nil || len(closed) != len("canary")+seal.ReadOverhead {
		t.Fatalf("%d bytes, %v", len(closed), err)
	}
	if plain, err := k.Open([]byte("message 1"), closed); err != nil || string(plain) != "canary" {
		t.Fatalf("opened %q, %v", plain, err)
	}
	again, err := seal.ParseReadKey(k.Secret())
	if err != nil || again.Lock().ID() != k.Lock().ID() {
		t.Fatalf("a kept key is another one: %v", err)
	}
	changed := bytes.Clone(closed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"as something else": func() ([]byte, error) { return k.Open([]byte("message 2"), closed) },
		"with another key":  func() ([]byte, error) { return other.Open([]byte("message 1"), closed) },
		"changed":           func() ([]byte, error) { return k.Open([]byte("message 1"), changed) },
		"cut":               func() ([]byte, error) { return k.Open([]byte("message 1"), closed[:40]) },
		"nothing":           func() ([]byte, error) { return k.Open([]byte("message 1"), nil) },
	} {
		if plain, err := open(); !errors.Is(err, seal.ErrClosed) || plain != nil {
			t.Errorf("opened %s: %q, %v", name, plain, err)
		}
	}
}

// A person's reading key comes from the signing key and the person, and says nothing of it.
func TestReadKeyOfPerson(t *testing.T) {
	p, err := seal.NewPersonKey(identity.PersonID{1}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := p.ReadKey()
	second, err := p.ReadKey()
	if err != nil || first.Lock().ID() != second.Lock().ID() {
		t.Fatalf("one person, two reading keys: %v", err)
	}
	other, err := (&seal.PersonKey{ID: identity.PersonID{2}, Key: p.Key}).ReadKey()
	if err != nil || other.Lock().ID() == first.Lock().ID() {
		t.Errorf("two persons, one reading key: %v", err)
	}
	if bytes.Contains(p.Key, first.Secret()) || bytes.Equal(p.Key.Seed(), first.Secret()) {
		t.Error("the reading key is the signing key")
	}
}

func TestReadKeyRefuses(t *testing.T) {
	if _, err := seal.ParseReadKey(make([]byte, 31)); !errors.Is(err, seal.ErrKey) {
		t.Errorf("short secret: %v", err)
	}
	for _, b := range [][]byte{nil, make([]byte, 32), make([]byte, 1217), bytes.Repeat([]byte{255}, 1216)} {
		if _, err := seal.ParseReadLock(b); !errors.Is(err, seal.ErrKey) {
			t.Errorf("lock of %d bytes: %v", len(b), err)
		}
	}
	if _, err := (seal.ReadLock{}).Close(nil, []byte("x")); !errors.Is(err, seal.ErrKey) {
		t.Errorf("closed to nobody: %v", err)
	}
	k := newReadKey(t)
	if s := fmt.Sprintf("%v %+v %#v", *k, k, *k); strings.Contains(s, fmt.Sprint(k.Secret())) || !strings.Contains(s, "private") {
		t.Errorf("printed: %s", s)
	}
	if _, err := json.Marshal(k); err == nil {
		t.Error("encoded")
	}
}

func FuzzParseReadLock(f *testing.F) {
	k := newReadKey(f)
	f.Add(k.Lock().Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := seal.ParseReadLock(b)
		if err == nil && !bytes.Equal(l.Bytes(), b) {
			t.Error("another spelling")
		}
	})
}
