package register_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/register"
)

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func open(t testing.TB, path string) *register.Log {
	t.Helper()
	l, err := register.Open(register.Config{Path: path, LogName: trusttest.LogName, LogKey: trusttest.NewKey("log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// fill appends whatever of the chain the log does not have yet, as partners do.
func fill(t testing.TB, l *register.Log, c *trusttest.Chain) {
	t.Helper()
	entries := c.Entries()
	if l.Size() == 0 {
		if _, err := l.Import(t.Context(), entries[:1], now); err != nil {
			t.Fatal(err)
		}
	}
	for i := l.Size(); i < uint64(len(entries)); i++ {
		if index, err := l.Append(t.Context(), entries[i], c.RecipientsOf(entries[i]), now); err != nil || index != i {
			t.Fatalf("entry %d: index %d, %v", i, index, err)
		}
	}
}

// TestFollow has a client follow a log from its genesis, across a restart.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register.db")
	c := trusttest.New(now)
	d := c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	l := open(t, path)
	if _, err := l.Append(t.Context(), c.Genesis(), nil, now); !errors.Is(err, register.ErrNoGenesis) {
		t.Fatalf("a partner founded the register: %v", err)
	}
	grown := l.Grown()
	fill(t, l, c)
	<-grown
	reg, err := trust.New(c.Genesis(), c.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	reg, pinned := advance(t, l, reg, reg.Pin())

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	if s, ok, err := l.Recipient(d.ID, 3); !ok || err != nil || s != d.Recipient(3) {
		t.Errorf("recipient: %q, %v, %v", s, ok, err)
	}
	c.Enrol("politie-mn/zeden", identity.RolePolitie)
	fill(t, l, c)
	reg, _ = advance(t, l, reg, pinned)
	if reg.Root() != c.Register().Root() {
		t.Error("client and log differ")
	}
}

// advance fetches what is new as a session does, piece by piece.
func advance(t testing.TB, l *register.Log, reg *trust.Register, pinned trust.Pinned) (*trust.Register, trust.Pinned) {
	t.Helper()
	c, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	u := trust.Update{Checkpoint: c.Note, From: pinned.Size}
	if u.Proof, err = l.Proof(pinned.Size, c.Size); err != nil {
		t.Fatal(err)
	}
	for have := pinned.Size; have < c.Size; {
		piece, err := l.Entries(have, 3)
		if err != nil || len(piece) == 0 {
			t.Fatalf("entries from %d: %d, %v", have, len(piece), err)
		}
		if err := u.Add(have, piece); err != nil {
			t.Fatal(err)
		}
		have += uint64(len(piece))
	}
	reg, pinned, err = trust.Advance(reg, pinned, u)
	if err != nil {
		t.Fatal(err)
	}
	return reg, pinned
}
