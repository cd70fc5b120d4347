package trust_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

func anchorOf(w *world, days int, by trusttest.Key, change func(*trust.Anchor)) []byte {
	b := trust.Anchor{Device: w.vt.ID, Day: now.Truncate(24*time.Hour).AddDate(0, 0, days), Root: trust.Hash{7}}
	if change != nil {
		change(&b)
	}
	return w.ok(b.Sign(w.next(b), by))
}

// anchorAttacks: F11 by way of the log. Who stole a key dates nothing back into a day
// that was anchored, nor into any once the device was revoked.
func anchorAttacks() []attack {
	control := func(w *world) []byte { return anchorOf(w, 1, w.vt.Sign, nil) }
	again := func(days int) func(w *world) []byte {
		return func(w *world) []byte { return anchorOf(w, days, w.vt.Sign, nil) }
	}
	row := func(what string, want error, f func(w *world) []byte) attack {
		return attack{"F11 anchor " + what, want, f, control}
	}
	text := func(what, old, new string) attack {
		return row(what, trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), old, new, noteSigner{"device", w.vt.Sign})
		})
	}
	return []attack{
		row("of another device", trust.ErrUnauthorised, func(w *world) []byte { return anchorOf(w, 1, w.pol.Sign, nil) }),
		row("of a device that nobody entered", trust.ErrRule, func(w *world) []byte {
			return anchorOf(w, 1, w.fresh.Sign, func(b *trust.Anchor) { b.Device = w.fresh.ID })
		}),
		row("by the organisation", trust.ErrFormat, func(w *world) []byte { return forge(w.t, textOf(control(w)), w.orgKey...) }),
		{"F11 anchor of the same day again", trust.ErrRule, after(again(0), again(0)), again(1)},
		{"F11 anchor of an earlier day", trust.ErrRule, after(again(3), again(2)), again(4)},
		{"F11 anchor after the revocation", trust.ErrRevoked, after(func(w *world) []byte {
			b := trust.Revoke{Of: w.pol.Subject(), Reason: trust.ReasonLost, Effective: now}
			return w.ok(b.Sign(w.next(b), trust.ByOrg(trusttest.OrgKey("politie-mn"))))
		}, func(w *world) []byte {
			return anchorOf(w, 1, w.pol.Sign, func(b *trust.Anchor) { b.Device = w.pol.ID })
		}), control},
		text("at noon", "T00:00:00Z", "T12:00:00Z"),
		text("of no day", "day 2026", "day 1970"),
		text("with a line more", "root ", "messages 12\nroot "),
	}
}

// after enters an entry that counts before the attack.
func after(first, then func(w *world) []byte) func(w *world) []byte {
	return func(w *world) []byte {
		w.Add(first(w))
		return then(w)
	}
}

// What stands in an anchor is proved by salt, place and path; nothing else is, nor by
// anything a hash different.
func TestAnchorHolds(t *testing.T) {
	for _, size := range []int{1, 2, 3, 8, 13} {
		leaves := make([]trust.Hash, size)
		for i := range leaves {
			leaves[i] = trust.AnchorLeaf(hashOf("salt", i), hashOf("message", i))
		}
		tree, err := trust.NewAnchorTree(leaves)
		if err != nil {
			t.Fatal(err)
		}
		a := trust.Anchor{Day: now.Truncate(24 * time.Hour), Root: tree.Root()}
		for i := range leaves {
			path, err := tree.Path(i)
			if err != nil {
				t.Fatal(err)
			}
			holds := func(leaf trust.Hash, index, size int, path []trust.Hash) error {
				return a.Holds(leaf, uint64(index), uint64(size), path)
			}
			if err := holds(leaves[i], i, size, path); err != nil {
				t.Fatalf("control: leaf %d of %d: %v", i, size, err)
			}
			for what, err := range map[string]error{
				"another salt":      holds(trust.AnchorLeaf(hashOf("salt", i+1), hashOf("message", i)), i, size, path),
				"another message":   holds(trust.AnchorLeaf(hashOf("salt", i), hashOf("message", i+1)), i, size, path),
				"another place":     holds(leaves[i], (i+1)%max(size, 2), max(size, 2), path),
				"beyond the end":    holds(leaves[i], size, size, path),
				"a longer path":     holds(leaves[i], i, size, append(slices.Clone(path), trust.Hash{})),
				"too many messages": holds(leaves[i], i, trust.MaxAnchored+1, path),
				"an endless path":   holds(leaves[i], i, size, make([]trust.Hash, 1000)),
			} {
				if !errors.Is(err, trust.ErrProof) {
					t.Errorf("%s, leaf %d of %d: %v", what, i, size, err)
				}
			}
		}
	}
	if _, err := trust.NewAnchorTree(nil); !errors.Is(err, trust.ErrTooLarge) {
		t.Errorf("no messages at all: %v", err)
	}
}

func hashOf(what string, i int) trust.Hash { return sha256.Sum256(fmt.Append(nil, what, i)) }

// The register finds an anchor by device and day, and a clone grows on its own.
func TestAnchorsAreFound(t *testing.T) {
	w := newWorld(t)
	day := now.Truncate(24 * time.Hour)
	if _, ok := w.Register().LastAnchor(w.vt.ID); ok {
		t.Fatal("an anchor before there is one")
	}
	before := w.Register()
	for i := range 3 {
		w.Add(anchorOf(w, 2*i, w.vt.Sign, func(b *trust.Anchor) { b.Root = hashOf("root", i) }))
	}
	reg := w.Register()
	for i := range 3 {
		a, ok := reg.AnchorOf(w.vt.ID, day.AddDate(0, 0, 2*i))
		if !ok || a.Root != hashOf("root", i) || a.Index != before.Size()+uint64(i) {
			t.Errorf("anchor %d: %+v, %v", i, a, ok)
		}
	}
	if last, ok := reg.LastAnchor(w.vt.ID); !ok || last.Root != hashOf("root", 2) {
		t.Errorf("last: %+v, %v", last, ok)
	}
	if _, ok := reg.AnchorOf(w.vt.ID, day.AddDate(0, 0, 1)); ok {
		t.Error("a day without one has one")
	}
	if _, ok := before.LastAnchor(w.vt.ID); ok {
		t.Error("an older register has it too")
	}
}

// A light device anchors nothing, a full one of the same desk does.
func TestLightDeviceAnchorsNothing(t *testing.T) {
	w := newWorld(t)
	w.fresh.Device.Type = trust.DeviceLight
	w.Add(w.freshDevice())
	of := func(id identity.DeviceID, key trusttest.Key) error {
		_, err := w.Register().Check(anchorOf(w, 1, key, func(b *trust.Anchor) { b.Device = id }))
		return err
	}
	if err := of(w.fresh.ID, w.fresh.Sign); !errors.Is(err, trust.ErrRule) {
		t.Errorf("light: %v", err)
	}
	if err := of(w.vt.ID, w.vt.Sign); err != nil {
		t.Errorf("control: %v", err)
	}
}
