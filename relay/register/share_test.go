package register_test

import (
	"crypto/sha256"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/register"
)

const sharedCosign = "schakel:{q00}:register-cosign"

func releaseOf(t testing.TB, c *trusttest.Chain) []byte {
	t.Helper()
	b := trust.Release{Version: "v1.0.0", List: sha256.Sum256([]byte("list"))}
	e, err := b.Sign(c.Register().Next(b.Subject()), c.Quorum()...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// witnessed are two relays' logs whose root demands 2 of 3 witnesses.
func witnessed(t *testing.T) (n *nodes, a, b *register.Log) {
	n = newNodes(t)
	n.chain.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	n.chain.Demand(3, 2)
	a, b = n.node(), n.node()
	n.found(a)
	n.follow(a, b)
	return n, a, b
}

// grow adds a desk at one log.
func (n *nodes) grow(desk identity.DeskID, at *register.Log) {
	n.t.Helper()
	before := n.chain.Size()
	n.chain.AddDesk(desk, identity.RoleOM)
	for _, e := range n.chain.Entries()[before:] {
		if _, err := at.Append(n.t.Context(), e, nil, now); err != nil {
			n.t.Fatal(err)
		}
	}
}

func askedSize(t *testing.T, l *register.Log) uint64 {
	t.Helper()
	p, ok := l.ToCosign()
	if !ok {
		t.Fatal("no witness is asked")
	}
	return p.Size
}

// TestRelaysServeWhatNeededNoWitness: a relay to which many rows come at once, and among
// them the root that demands witnesses, serves what the others do meanwhile: no device
// that comes from there is shown a smaller register.
func TestRelaysServeWhatNeededNoWitness(t *testing.T) {
	n, a, b := witnessed(t)
	want := n.chain.Size() - 1
	for i, l := range []*register.Log{a, b, n.node()} {
		n.follow(l)
		if got := servedSize(t, l); got != want {
			t.Errorf("relay %d serves %d, want %d", i, got, want)
		}
	}
}

// TestCosignaturesAreShared: relays ask for one size, though one has more already; what
// witnesses sign at each makes one quorum; and who was away serves no less.
func TestCosignaturesAreShared(t *testing.T) {
	n, a, b := witnessed(t)
	first := n.chain.Size()
	n.grow("om/een", b) // nobody at a heard of it
	n.follow(b)
	if x, y := askedSize(t, a), askedSize(t, b); x != first || y != first {
		t.Fatalf("witnesses are asked for %d and %d, want %d", x, y, first)
	}
	for i, l := range []*register.Log{a, b} {
		if err := cosign(t, l, i, now); err != nil {
			t.Fatal(err)
		}
	}
	n.follow(b, a, b)
	away := n.node()
	n.follow(away)
	for i, l := range []*register.Log{a, b, away} {
		if got := servedSize(t, l); got != first {
			t.Errorf("relay %d serves %d, want %d", i, got, first)
		}
		if got := askedSize(t, l); got != n.chain.Size() {
			t.Errorf("relay %d asks for %d, want %d", i, got, n.chain.Size())
		}
	}
	// A witness that signs anew makes the register fresher everywhere, though nothing grew.
	for i, l := range []*register.Log{a, b} {
		if err := cosign(t, l, i, now); err != nil {
			t.Fatal(err)
		}
	}
	n.follow(b, a, b)
	for i, l := range []*register.Log{b, a} {
		if err := cosign(t, l, i, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	n.follow(b, a, b, a)
	for i, l := range []*register.Log{a, b} {
		if size, at, ok := l.Freshness(now.Add(time.Minute)); !ok || size != n.chain.Size() || !at.After(now) {
			t.Errorf("relay %d: %d entries as of %v", i, size, at)
		}
	}
}

// TestAnotherRootIsAskedFor: what an earlier root demanded is given up at all relays; its
// witnesses may be gone.
func TestAnotherRootIsAskedFor(t *testing.T) {
	n, a, b := witnessed(t)
	if err := cosign(t, a, 0, now); err != nil {
		t.Fatal(err)
	}
	n.follow(a, b)
	n.chain.Demand(1, 1)
	if _, err := b.Append(t.Context(), n.chain.Entries()[n.chain.Size()-1], nil, now); err != nil {
		t.Fatal(err)
	}
	n.follow(b, a)
	if err := cosign(t, a, 0, now); err != nil {
		t.Fatal(err)
	}
	n.follow(a, b)
	if x, y := servedSize(t, a), servedSize(t, b); x != n.chain.Size() || y != n.chain.Size() {
		t.Errorf("served %d and %d of %d", x, y, n.chain.Size())
	}
}

// TestHostileCosigning: who holds Redis makes no relay serve what witnesses did not sign,
// nor keeps it from what they did.
func TestHostileCosigning(t *testing.T) {
	n, a, b := witnessed(t)
	plain, size := servedSize(t, a), n.chain.Size()
	p, _ := a.ToCosign()
	strangers := trusttest.Cosigned(p.Note, now, 7, 8)
	forged, err := trust.SignCheckpoint(trusttest.LogName, size, trust.Hash{1}, n.chain.Log)
	if err != nil {
		t.Fatal(err)
	}
	otherLog, err := trust.SignCheckpoint(trusttest.LogName, size, p.Root, trusttest.NewKey("another log"))
	if err != nil {
		t.Fatal(err)
	}
	ahead := trusttest.Cosigned(p.Note, now.Add(time.Hour), 0, 1)
	number := strconv.FormatUint(size, 10)
	root := string(p.Root[:])
	for what, fields := range map[string][]any{
		"served, with one witness":    {"served", number + "\n" + string(trusttest.Cosigned(p.Note, now, 0))},
		"served, with strangers":      {"served", number + "\n" + string(strangers)},
		"served, another root":        {"served", number + "\n" + string(trusttest.Cosigned(forged, now, 0, 1))},
		"served, of another log":      {"served", number + "\n" + string(trusttest.Cosigned(otherLog, now, 0, 1))},
		"served, from the future":     {"served", number + "\n" + string(ahead)},
		"served, far too large":       {"served", "99999\n" + string(p.Note)},
		"served, no note":             {"served", number + "\nx"},
		"served, nothing":             {"served", ""},
		"lines of strangers":          {"w:x", "1\n" + string(strangers[len(p.Note):])},
		"lines that are none":         {"w:" + trusttest.WitnessName(0), "99999999999\nx", "w:y", "z", "w:", ""},
		"asked for nothing":           {"asked", ""},
		"asked for what is not there": {"asked", root + "999999999999999"},
		"asked for another root":      {"asked", string(make([]byte, 32)) + "9999999999" + number},
		"asked for half":              {"asked", root},
		"a field of nobody":           {"x", "y"},
	} {
		n.redis(append([]any{"hset", sharedCosign}, fields...)...)
		n.follow(a, b)
		if x, y := servedSize(t, a), servedSize(t, b); x != plain || y != plain {
			t.Fatalf("%s: served %d and %d", what, x, y)
		}
		n.redis("del", sharedCosign)
	}
	// Control: what honest witnesses sign afterwards counts.
	n.follow(a, b)
	for i, l := range []*register.Log{a, b} {
		if err := cosign(t, l, i, now); err != nil {
			t.Fatal(err)
		}
	}
	n.follow(b, a, b)
	if x, y := servedSize(t, a), servedSize(t, b); x != size || y != size {
		t.Errorf("control: served %d and %d of %d", x, y, size)
	}
}

// TestAskedForTooLong: what no quorum signed in two minutes gives way to something larger;
// a witness may have signed that already, and then signs nothing smaller.
func TestAskedForTooLong(t *testing.T) {
	n, a, b := witnessed(t)
	first := n.chain.Size()
	n.grow("om/een", a)
	late := n.node() // it would ask for all there is
	n.follow(late)
	if got := askedSize(t, late); got != first {
		t.Fatalf("asked for %d before its time, want %d", got, first)
	}
	p, _ := late.ToCosign()
	n.redis("hset", sharedCosign, "asked", string(p.Root[:])+"0000000001"+strconv.FormatUint(first, 10))
	later := n.log(filepath.Join(t.TempDir(), "register.db"), n.order())
	n.follow(later, a, b)
	for i, l := range []*register.Log{later, a, b} {
		if got := askedSize(t, l); got != n.chain.Size() {
			t.Errorf("relay %d asks for %d, want %d", i, got, n.chain.Size())
		}
	}
}

// TestReleaseRowsAreNewer: a relay from before releases waits for a newer one rather than
// setting such a row aside.
func TestReleaseRowsAreNewer(t *testing.T) {
	c := trusttest.New(now)
	if v := register.RowText(now, true, releaseOf(t, c))[0]; v != 2 {
		t.Errorf("the row of a release has version %d", v)
	}
	if v := register.RowText(now, true, c.Genesis())[0]; v != 1 {
		t.Errorf("the row of a root has version %d", v)
	}
}
