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

// cosign gives a witness's line for what the log asks.
func cosign(t *testing.T, l *register.Log, witness int, at time.Time) error {
	t.Helper()
	p, ok := l.ToCosign()
	if !ok {
		t.Fatal("no witness is asked")
	}
	c, err := trust.ParseCheckpoint(p.Note)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Cosign(trusttest.WitnessName(witness), trusttest.WitnessKey(witness), at)
	if err != nil {
		t.Fatal(err)
	}
	return l.Cosign(p.Size, s.Line(), now)
}

func servedSize(t *testing.T, l *register.Log) uint64 {
	t.Helper()
	p, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	return p.Size
}

// TestServedIsCosigned: what clients are given never goes past the quorum and never
// back, through growth, restarts, and another root.
func TestServedIsCosigned(t *testing.T) {
	c := trusttest.New(now)
	c.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	path := filepath.Join(t.TempDir(), "register.db")
	l := open(t, path)
	fill(t, l, c)
	plain := c.Size()
	if _, asked := l.ToCosign(); asked || servedSize(t, l) != plain {
		t.Fatal("a register without witnesses asks for them")
	}
	add := func(change func()) {
		t.Helper()
		before := c.Size()
		change()
		for _, e := range c.Entries()[before:] {
			if _, err := l.Append(t.Context(), e, nil, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	again := func() {
		t.Helper()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, path)
	}
	add(func() { c.Demand(3, 2) })
	for range 2 {
		if got := servedSize(t, l); got != plain {
			t.Fatalf("served %d without a quorum, want %d", got, plain)
		}
		again()
	}
	first := c.Size()
	if err := cosign(t, l, 0, now); err != nil {
		t.Fatal(err)
	}
	add(func() { c.AddDesk("om/zsm", identity.RoleOM) }) // the question stays the same
	for what, err := range map[string]error{
		"a stranger":    cosign(t, l, 7, now),
		"a time ahead":  cosign(t, l, 1, now.Add(time.Hour)),
		"another size":  l.Cosign(c.Size(), []byte("x"), now),
		"no line":       l.Cosign(first, nil, now),
		"twice the one": cosignTwice(t, l),
	} {
		if !errors.Is(err, trust.ErrCosignature) || servedSize(t, l) != plain {
			t.Fatalf("%s: %v, served %d", what, err, servedSize(t, l))
		}
	}
	if err := cosign(t, l, 1, now); err != nil || servedSize(t, l) != first {
		t.Fatalf("the quorum: %v, served %d", err, servedSize(t, l))
	}
	again()
	if got := servedSize(t, l); got != first {
		t.Fatalf("after a restart: %d, want %d", got, first)
	}
	if size, at, ok := l.Freshness(now); !ok || size != first || !at.Equal(now) {
		t.Errorf("freshness: %d, %v, %v", size, at, ok)
	}
	// A root with other witnesses does not wait for those of before.
	add(func() { c.Demand(1, 1) })
	if err := cosign(t, l, 0, now); err != nil || servedSize(t, l) != c.Size() {
		t.Fatalf("another root: %v, served %d of %d", err, servedSize(t, l), c.Size())
	}
	add(func() { c.Demand(0, 0) })
	if _, asked := l.ToCosign(); asked || servedSize(t, l) != c.Size() {
		t.Errorf("a root that demands nobody: served %d of %d", servedSize(t, l), c.Size())
	}
}

// cosignTwice answers like one that counts only if the same witness does not make a
// quorum by itself.
func cosignTwice(t *testing.T, l *register.Log) error {
	if err := cosign(t, l, 0, now.Add(time.Second)); err != nil {
		return err
	}
	return trust.ErrCosignature
}

// TestNoQuorumYet: a register whose very first root demands witnesses gives nothing
// until they have signed.
func TestNoQuorumYet(t *testing.T) {
	c := trusttest.New(now)
	root := c.Root(1, 2, c.Holders...)
	root.Witnesses, root.Quorum = trusttest.Witnesses(2), 2
	genesis := sign(t)(root.Sign(trust.First(), c.Quorum()...))
	l := open(t, filepath.Join(t.TempDir(), "register.db"))
	if _, err := l.Import(t.Context(), [][]byte{genesis, c.Entries()[1]}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Checkpoint(); !errors.Is(err, register.ErrNoQuorum) {
		t.Fatalf("without a quorum: %v", err)
	}
	for i := range 2 {
		if err := cosign(t, l, i, now); err != nil {
			t.Fatal(err)
		}
	}
	if got := servedSize(t, l); got != 2 {
		t.Errorf("served %d", got)
	}
}
