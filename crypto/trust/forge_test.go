package trust_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// noteSigner signs with the note library itself, whatever the text says: how an
// attacker makes entries, and an oracle for how this package does.
type noteSigner struct {
	name string
	key  trusttest.Key
}

func (s noteSigner) Name() string { return s.name }

func (s noteSigner) KeyHash() uint32 {
	vkey, err := note.NewEd25519VerifierKey(s.name, ed25519.PublicKey(s.key.Private.Public().(ed25519.PublicKey)))
	if err != nil {
		panic(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		panic(err)
	}
	return v.KeyHash()
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg) }

// forge signs text as it stands.
func forge(t testing.TB, text string, by ...note.Signer) []byte {
	t.Helper()
	raw, err := note.Sign(&note.Note{Text: text}, by...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// textOf returns the signed part of an entry.
func textOf(entry []byte) string {
	i := strings.LastIndex(string(entry), "\n\n")
	return string(entry[:i+1])
}

// edit replaces part of an entry's text and signs the result.
func edit(t testing.TB, entry []byte, old, new string, by ...note.Signer) []byte {
	t.Helper()
	text := textOf(entry)
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in %q", old, text)
	}
	return forge(t, strings.Replace(text, old, new, 1), by...)
}

// world is a chain with two organisations, and room for attacks on it.
type world struct {
	*trusttest.Chain
	t            testing.TB
	vt, pol      trusttest.Device // enrolled
	root, orgKey []note.Signer    // of vt20
	fresh        trusttest.Device // not enrolled yet, of vt20
}

// seed is what every world begins with: made once, because signing takes time.
var seed = sync.OnceValue(func() *world {
	c := trusttest.New(now)
	return &world{Chain: c, vt: c.Enrol("vt20/crisis", identity.RoleVeiligThuis), pol: c.Enrol("politie-mn/zeden", identity.RolePolitie)}
})

func newWorld(t testing.TB) *world {
	s := seed()
	w := &world{Chain: s.Chain.Clone(), t: t, vt: s.vt, pol: s.pol}
	w.fresh = trusttest.NewDevice("fresh", "vt20/crisis", now)
	w.root = []note.Signer{noteSigner{"root", w.Holders[0]}, noteSigner{"root", w.Holders[1]}}
	w.orgKey = []note.Signer{noteSigner{"org", trusttest.OrgKey("vt20")}}
	return w
}

func (w *world) next(b trust.Body) trust.Place { return w.Register().Next(b.Subject()) }

// ok unwraps what a signature makes.
func (w *world) ok(entry []byte, err error) []byte {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return entry
}

func (w *world) freshDevice() []byte {
	return w.ok(w.fresh.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), w.fresh.Sign, w.fresh.Login))
}

// attack is a row of evil-relay.md: an entry that must not count, and a control
// that differs from it in nothing but the attack, and does.
type attack struct {
	id      string
	want    error
	attack  func(w *world) []byte
	control func(w *world) []byte
}

// run shows that everybody skips the attack, that it alarms, that it moves
// nothing, and that the control still counts behind it.
func (a attack) run(t *testing.T) {
	w := newWorld(t)
	entry := a.attack(w) // may need entries before it that count
	reg := w.Register()
	if _, err := reg.Check(entry); !errors.Is(err, a.want) || !errors.Is(err, trust.ErrSkipped) {
		t.Fatalf("attack: %v, want %v", err, a.want)
	}
	size := reg.Size()
	if err := reg.Apply(entry); !errors.Is(err, a.want) {
		t.Fatalf("applied: %v, want %v", err, a.want)
	}
	if s := reg.Skipped(size); len(s) != 1 || s[0].Index != size || !errors.Is(s[0].Reason, a.want) {
		t.Fatalf("no alarm: %v", s)
	}
	if reg.Size() != size+1 {
		t.Fatalf("a bad entry stopped the register at %d", reg.Size())
	}
	if err := reg.Apply(a.control(w)); err != nil {
		t.Fatalf("control: %v", err)
	}
}
