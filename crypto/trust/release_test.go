package trust_test

import (
	"crypto/sha256"
	"testing"

	"schakel/crypto/trust"
)

// released enters the list of a version, as these holders sign it.
func released(w *world, version, list string, holders ...trust.Signer) []byte {
	b := trust.Release{Version: version, List: sha256.Sum256([]byte(list))}
	return w.ok(b.Sign(w.next(b), holders...))
}

// releaseAttacks: G05. Nobody but the root says which programs a version is, once.
func releaseAttacks() []attack {
	control := func(w *world) []byte { return released(w, "v1.0.0", "ours", w.Quorum()...) }
	of := func(version, list string) func(w *world) []byte {
		return func(w *world) []byte { return released(w, version, list, w.Quorum()...) }
	}
	row := func(what string, want error, f func(w *world) []byte) attack {
		return attack{"G05 release " + what, want, f, control}
	}
	text := func(what, old, new string) attack {
		return row(what, trust.ErrFormat, func(w *world) []byte { return edit(w.t, control(w), old, new, w.root...) })
	}
	revoked := func(w *world) []byte {
		b := trust.Revoke{Of: "release/v1.0.0", Reason: trust.ReasonCompromised, Effective: now}
		return w.ok(b.Sign(w.next(b), trust.ByRoot(w.Holders[0]), trust.ByRoot(w.Holders[1])))
	}
	return []attack{
		row("by one holder of two", trust.ErrUnauthorised, func(w *world) []byte { return released(w, "v1.0.0", "ours", w.Holders[0]) }),
		row("by an organisation", trust.ErrFormat, func(w *world) []byte { return forge(w.t, textOf(control(w)), w.orgKey...) }),
		{"G05 release of a version with another list", trust.ErrRule, after(control, of("v1.0.0", "theirs")), of("v1.0.1", "theirs")},
		{"G05 release of what was revoked", trust.ErrRevoked, after(after(control, revoked), control), of("v1.0.1", "ours")},
		text("of no version", "release/v1.0.0", "release/1.0.0"),
		text("with capitals", "release/v1.0.0", "release/v1.0.0-RC"),
		text("with a line more", "list ", "url https://schakel.example\nlist "),
	}
}

// What the register says of a version is what all partners see, at every size.
func TestG05ReleaseInTheRegister(t *testing.T) {
	w := newWorld(t)
	if _, ok := w.Register().Release("v1.0.0"); ok {
		t.Fatal("nobody released it yet")
	}
	w.Add(released(w, "v1.0.0", "ours", w.Quorum()...))
	copied := w.Register().Clone()
	got, ok := w.Register().Release("v1.0.0")
	if !ok || got.List != sha256.Sum256([]byte("ours")) || !got.Active() {
		t.Errorf("got %+v, %v", got, ok)
	}
	b := trust.Revoke{Of: got.Subject(), Reason: trust.ReasonCompromised, Effective: now}
	w.Add(w.ok(b.Sign(w.next(b), trust.ByRoot(w.Holders[0]), trust.ByRoot(w.Holders[1]))))
	if got, _ := w.Register().Release("v1.0.0"); got.Active() {
		t.Error("a revoked release is active")
	}
	if got, _ := copied.Release("v1.0.0"); !got.Active() {
		t.Error("a copy changed with the original")
	}
}
