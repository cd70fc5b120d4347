package once_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"schakel/clients/desk/once"
	"schakel/clients/store"
	"schakel/clients/store/vault"
)

// TestNoRoom: where too many answers are kept nothing new is begun, what was answered still
// is, and the next day there is room.
func TestNoRoom(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "store"), []vault.Way{vault.KeyFile{Path: filepath.Join(t.TempDir(), "key")}, vault.Passphrase{Phrase: "zes willekeurige woorden", WorkFactor: 4}}
	st, err := store.Create(t.Context(), dir, store.CreateOptions{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Unix(1_790_000_000, 0)
	k := once.New(st, func() time.Time { return now })
	k.SetRoom(2)
	begins := func(key string, want error) *once.Answer {
		t.Helper()
		a, err := k.Begin(t.Context(), once.KeyOf("a", key), once.Print{1})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
		return a
	}
	for _, key := range []string{"1", "2"} {
		begins(key, nil)
		if err := k.Done(t.Context(), once.KeyOf("a", key), once.Print{1}, once.Answer{Status: 201}); err != nil {
			t.Fatal(err)
		}
	}
	begins("3", once.ErrFull)
	if a := begins("1", nil); a == nil || a.Status != 201 {
		t.Errorf("what was answered: %+v", a)
	}
	now = now.Add(25 * time.Hour)
	begins("3", nil)
}

func TestOnce(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "store"), []vault.Way{vault.KeyFile{Path: filepath.Join(t.TempDir(), "key")}, vault.Passphrase{Phrase: "zes willekeurige woorden", WorkFactor: 4}}
	st, err := store.Create(t.Context(), dir, store.CreateOptions{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_790_000_000, 0)
	clock := func() time.Time { return now }
	k := once.New(st, clock)
	key, print, other := once.KeyOf("a", "key"), once.Print{1}, once.Print{2}
	if once.KeyOf("b", "key") == key || once.KeyOf("a\x00", "key") == once.KeyOf("a", "\x00key") {
		t.Error("two callers have one key")
	}
	begin := func(k *once.Keeper, p once.Print, want error) *once.Answer {
		t.Helper()
		a, err := k.Begin(t.Context(), key, p)
		if !errors.Is(err, want) {
			t.Fatalf("begin: %v, want %v", err, want)
		}
		return a
	}
	begin(k, print, nil)
	begin(k, print, once.ErrRunning)
	if err := k.Undo(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	begin(k, other, nil) // nothing happened, so it may be something else
	begin(once.New(st, clock), other, once.ErrUnknown)
	want := once.Answer{Status: 201, Header: map[string]string{"Location": "/v1/x", "ETag": `"1"`}, Body: []byte(`{"a":1}`)}
	if err := k.Done(t.Context(), key, other, want); err != nil {
		t.Fatal(err)
	}
	begin(k, print, once.ErrOther)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err = store.Open(t.Context(), dir, store.Unlock{Keys: keys}); err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	k = once.New(st, clock)
	if got := begin(k, other, nil); got == nil || got.Status != 201 || !bytes.Equal(got.Body, want.Body) || len(got.Header) != 2 {
		t.Errorf("after a restart: %+v", got)
	}
	begin(k, print, once.ErrOther)
	now = now.Add(25 * time.Hour)
	if got := begin(k, print, nil); got != nil {
		t.Errorf("a day later: %+v", got)
	}
	k.Lost(key)
	begin(k, print, once.ErrUnknown)
}
