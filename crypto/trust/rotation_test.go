package trust_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// rescue is what holders make whose third key is lost: three new keys, two of whom sign.
func (w *world) rescue(by ...trusttest.Key) []byte {
	return w.signRoot(w.Root(2, 2, newHolders()...), by...)
}

func newHolders() []trusttest.Key {
	return []trusttest.Key{trusttest.NewKey("new 0"), trusttest.NewKey("new 1"), trusttest.NewKey("new 2")}
}

// TestRotationAttacks: C11, further rows. The control is two of the old and two of the new.
func TestRotationAttacks(t *testing.T) {
	n := newHolders()
	control := func(w *world) []byte { return w.rescue(w.Holders[0], w.Holders[1], n[0], n[1]) }
	row := func(what string, want error, f func(w *world) []byte) attack {
		return attack{"C11 " + what, want, f, control}
	}
	rows := []attack{
		row("all of the new and none of the old", trust.ErrUnauthorised, func(w *world) []byte { return w.rescue(n...) }),
		row("all of the new and one of the old", trust.ErrUnauthorised, func(w *world) []byte { return w.rescue(append(n, w.Holders[2])...) }),
		row("all of the old and none of the new", trust.ErrUnauthorised, func(w *world) []byte { return w.rescue(w.Holders...) }),
		row("threshold above the keys", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "threshold 2", "threshold 4", w.root...)
		}),
		row("a threshold that no machine counts to", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "threshold 2", "threshold 18446744073709551615", w.root...)
		}),
		row("version 0", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "version 2", "version 0", w.root...)
		}),
		row("a holder as its own witness", trust.ErrKeyReused, func(w *world) []byte {
			return edit(w.t, control(w), "quorum 0", "witness "+witnessKey(w, n[0]).String()+"\nquorum 0", w.root...)
		}),
		row("a quorum above the witnesses", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "quorum 0", "witness "+witnessKey(w, trusttest.NewKey("witness")).String()+"\nquorum 2", w.root...)
		}),
		row("expires before it is issued", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "expires 2027", "expires 2025", w.root...)
		}),
		row("in the place of the genesis", trust.ErrSequence, func(w *world) []byte {
			raw, err := w.Root(2, 2, n...).Sign(trust.First(), w.Holders[0], w.Holders[1], n[0], n[1])
			return w.ok(raw, err)
		}),
	}
	for _, a := range rows {
		t.Run(a.id, a.run)
	}
}

func witnessKey(w *world, k trusttest.Key) trust.VKey {
	v, err := trust.WitnessKey("schakel.example/witness", k.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// TestLostRootKey is the story of operations.md: two of three holders pass the root on to
// three others; from then on the old ones together can do nothing, not even pass it on again.
func TestLostRootKey(t *testing.T) {
	w, n := newWorld(t), newHolders()
	draft := w.rescue(w.Holders[0])
	for step, k := range []trusttest.Key{w.Holders[1], n[1], n[2]} {
		rotation, err := w.Register().Rotation(draft)
		if err != nil || rotation.Complete() {
			t.Fatalf("step %d: complete %v: %v", step, rotation.Complete(), err)
		}
		if _, err := w.Register().Check(draft); !errors.Is(err, trust.ErrUnauthorised) {
			t.Fatalf("step %d: a draft counts: %v", step, err)
		}
		draft = w.ok(trust.Cosign(draft, trust.ByRoot(k)))
	}
	rotation, err := w.Register().Rotation(draft)
	if old, next := rotation.BySigned(); err != nil || !rotation.Complete() || len(old) != 2 || !slices.Equal(next, []identity.Key{n[1].Public(), n[2].Public()}) {
		t.Fatalf("two and two signed: %d and %d: %v", len(old), len(next), err)
	}
	size := w.Size()
	w.Add(draft)
	if _, err := w.Register().Rotation(draft); !errors.Is(err, trust.ErrSequence) {
		t.Errorf("the root in force is no draft any more: %v", err)
	}
	old := []trust.Signer{w.Holders[0], w.Holders[1], w.Holders[2]}
	again := w.Root(3, 1, w.Holders...)
	for what, entry := range map[string][]byte{
		"admits": w.ok(trusttest.Org("om").Sign(trust.First(), old...)),
		"ends":   w.ok(trust.Revoke{Of: "org/vt20", Reason: trust.ReasonLost, Effective: now}.Sign(w.Register().Next("org/vt20"), trust.ByRoot(w.Holders[0]), trust.ByRoot(w.Holders[1]))),
		"rules":  w.ok(again.Sign(w.next(again), old...)),
	} {
		if _, err := w.Register().Check(entry); !errors.Is(err, trust.ErrUnauthorised) {
			t.Errorf("an old holder still %s: %v", what, err)
		}
	}
	// What the old ones signed before still counts, and who followed the log goes on.
	if d, ok := w.Register().Desk("vt20/crisis"); !ok || !d.Active() {
		t.Error("a desk that the old root admitted is gone")
	}
	reg, err := trust.Replay(w.Entries()[:size], w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	next, _, err := trust.Advance(reg, reg.Pin(), w.Update(size))
	if err != nil || next.Authority().Version != 2 || len(next.Skipped(0)) != 0 {
		t.Fatalf("a client of before does not follow: %v", err)
	}
}

// TestRotationRefuses what no further signature could mend.
func TestRotationRefuses(t *testing.T) {
	w, n := newWorld(t), newHolders()
	b := w.Root(2, 2, n...)
	for what, c := range map[string]struct {
		draft []byte
		want  error
	}{
		"another kind":                    {w.freshDevice(), trust.ErrRule},
		"nothing":                         {nil, trust.ErrFormat},
		"a version skipped":               {w.ok(w.Root(3, 2, n...).Sign(w.next(b), w.Holders[0])), trust.ErrRule},
		"the first place":                 {w.ok(b.Sign(trust.First(), w.Holders[0])), trust.ErrSequence},
		"a stranger signed":               {w.ok(b.Sign(w.next(b), w.Holders[0], trusttest.NewKey("stranger"))), trust.ErrUnauthorised},
		"an organisation's key as holder": {w.ok(w.Root(2, 1, trusttest.OrgKey("vt20")).Sign(w.next(b), w.Holders[0])), trust.ErrKeyReused},
	} {
		if _, err := w.Register().Rotation(c.draft); !errors.Is(err, c.want) || !errors.Is(err, trust.ErrSkipped) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	if _, err := w.Register().Rotation(w.ok(b.Sign(w.next(b), w.Holders[0]))); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestC12RootExpiry: C12, the moments at which people are warned and sending stops.
func TestC12RootExpiry(t *testing.T) {
	b := newWorld(t).Register().Authority()
	for _, c := range []struct {
		before            time.Duration
		expiring, expired bool
	}{
		{trust.RootWarning + time.Second, false, false},
		{trust.RootWarning, true, false},
		{time.Second, true, false},
		{0, true, true},
		{-time.Hour, true, true},
	} {
		at := b.Expires.Add(-c.before)
		if b.Expiring(at) != c.expiring || b.Expired(at) != c.expired {
			t.Errorf("%s before: expiring %v, expired %v", c.before, b.Expiring(at), b.Expired(at))
		}
	}
}
