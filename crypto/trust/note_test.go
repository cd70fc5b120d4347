package trust_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// TestVKey is the part of C20 about verifier keys: those with '+' in their base64
// are accepted, other spellings are not, and the note library agrees.
func TestVKey(t *testing.T) {
	plus := 0
	for i := range 64 {
		v, err := trust.LogKey("schakel.example/relay-1", trusttest.NewKey(fmt.Sprint(i)).Public())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(v.String(), "+") > 2 {
			plus++
		}
		if got, err := trust.ParseLogKey(v.String()); err != nil || got != v {
			t.Errorf("%s: %v", v, err)
		}
		if theirs, err := note.NewVerifier(v.String()); err != nil || theirs.Name() != v.Name {
			t.Errorf("the note library refuses %s: %v", v, err)
		}
	}
	if plus == 0 {
		t.Error("no key with a plus in its base64 among 64")
	}
}

func TestVKeyRefused(t *testing.T) {
	key := trusttest.NewKey("log").Public()
	good, err := trust.LogKey("relay-1", key)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := trust.WitnessKey("relay-1", key)
	if err != nil {
		t.Fatal(err)
	}
	s := good.String()
	name, rest, _ := strings.Cut(s, "+")
	hash, key64, _ := strings.Cut(rest, "+")
	low := "Ae" + strings.Repeat("A", 42) // not the key: the hash would differ as well
	for what, bad := range map[string]string{
		"empty":              "",
		"name only":          name,
		"no key":             name + "+" + hash + "+",
		"wrong hash":         name + "+00000000+" + key64,
		"hash in capitals":   name + "+" + strings.ToUpper(hash) + "+" + key64,
		"another name":       "relay-2+" + hash + "+" + key64,
		"name with a space":  "relay 1+" + hash + "+" + key64,
		"a witness's":        witness.String(),
		"something behind":   s + "=",
		"a line behind":      s + "\n",
		"another key":        name + "+" + hash + "+" + low,
		"enormous":           strings.Repeat("a", 1<<20) + s,
		"capitals in a name": "Relay-1+" + hash + "+" + key64,
	} {
		if v, err := trust.ParseLogKey(bad); !errors.Is(err, trust.ErrFormat) {
			t.Errorf("%s: %v, %v", what, v, err)
		}
	}
	if _, err := trust.ParseLogKey(s); err != nil {
		t.Errorf("control: %v", err)
	}
	if _, err := trust.ParseWitnessKey(witness.String()); err != nil {
		t.Errorf("control: witness: %v", err)
	}
	if _, err := trust.ParseWitnessKey(s); err == nil {
		t.Error("a log's key as a witness's")
	}
	for _, name := range []string{"", "a b", "a+b", "É", strings.Repeat("a", 65)} {
		if _, err := trust.LogKey(name, key); err == nil {
			t.Errorf("name %q", name)
		}
	}
}

// TestNoteLibraryAgrees: entries and checkpoints are notes that the library opens,
// with the key hashes that it computes.
func TestNoteLibraryAgrees(t *testing.T) {
	w := newWorld(t)
	open := func(raw []byte, s noteSigner) error {
		vkey, err := trust.LogKey(s.name, s.key.Public())
		if err != nil {
			return err
		}
		v, err := note.NewVerifier(vkey.String())
		if err != nil {
			return err
		}
		_, err = note.Open(raw, note.VerifierList(v))
		return err
	}
	if err := open(w.Genesis(), noteSigner{"root", w.Holders[0]}); err != nil {
		t.Errorf("genesis: %v", err)
	}
	if err := open(w.freshDevice(), noteSigner{"login", w.fresh.Login}); err != nil {
		t.Errorf("device: %v", err)
	}
	if err := open(w.Update(1).Checkpoint, noteSigner{trusttest.LogName, w.Log}); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	if err := open(w.Genesis(), noteSigner{"root", w.vt.Sign}); err == nil {
		t.Error("control: a key that did not sign opens the genesis")
	}
}

// brokenSigner is a token that signs something else than it was asked to.
type brokenSigner struct{ trusttest.Key }

func (b brokenSigner) Sign([]byte) ([]byte, error) { return b.Key.Sign([]byte("something else")) }

// absentSigner is a token that is not plugged in.
type absentSigner struct{ trusttest.Key }

var errAbsent = errors.New("no token")

func (absentSigner) Sign([]byte) ([]byte, error) { return nil, errAbsent }

func TestSigning(t *testing.T) {
	w := newWorld(t)
	o := trusttest.Org("om")
	if _, err := o.Sign(trust.First(), brokenSigner{w.Holders[0]}); err == nil {
		t.Error("a signature that does not verify went into an entry")
	}
	if _, err := o.Sign(trust.First(), absentSigner{w.Holders[0]}); !errors.Is(err, errAbsent) {
		t.Errorf("absent token: %v", err)
	}
	if _, err := o.Sign(trust.Place{}, w.Quorum()...); !errors.Is(err, trust.ErrFormat) {
		t.Errorf("seq 0: %v", err)
	}
	if _, err := o.Sign(trust.First()); !errors.Is(err, trust.ErrFormat) {
		t.Errorf("no signer: %v", err)
	}
	o.Name = "\n"
	if _, err := o.Sign(trust.First(), w.Quorum()...); !errors.Is(err, trust.ErrFormat) {
		t.Errorf("name with a line end: %v", err)
	}
	if _, err := trust.Cosign(w.freshDevice(), trust.ByRoot(w.Holders[0])); !errors.Is(err, trust.ErrFormat) {
		t.Errorf("the root has no say over devices: %v", err)
	}
}

// TestCosign: holders sign one after the other, in any order, and twice changes
// nothing: the same signatures give the same bytes.
func TestCosign(t *testing.T) {
	w := newWorld(t)
	o := trusttest.Org("om")
	both := w.ok(o.Sign(trust.First(), w.Quorum()...))
	for _, order := range [][]int{{0, 1}, {1, 0}, {1, 1, 0, 0}} {
		entry := w.ok(o.Sign(trust.First(), w.Holders[order[0]]))
		if _, err := w.Register().Check(entry); !errors.Is(err, trust.ErrUnauthorised) {
			t.Fatalf("one of two: %v", err)
		}
		for _, i := range order[1:] {
			entry = w.ok(trust.Cosign(entry, trust.ByRoot(w.Holders[i])))
		}
		if string(entry) != string(both) {
			t.Errorf("order %v gives other bytes", order)
		}
	}
	if _, err := w.Register().Check(both); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestDeviceRequest: a further device signs first and the organisation later, with
// the same bytes as when both sign at once.
func TestDeviceRequest(t *testing.T) {
	w := newWorld(t)
	asked := w.ok(w.fresh.Device.Request(trust.First(), w.fresh.Sign, w.fresh.Login))
	if _, err := w.Register().Check(asked); !errors.Is(err, trust.ErrUnauthorised) {
		t.Errorf("before the organisation signed: %v", err)
	}
	if got := w.ok(trust.Cosign(asked, trust.ByOrg(trusttest.OrgKey("vt20")))); string(got) != string(w.freshDevice()) {
		t.Error("other bytes")
	}
	if _, err := w.Register().Check(w.ok(trust.Cosign(asked, trust.ByOrg(trusttest.OrgKey("politie-mn"))))); !errors.Is(err, trust.ErrUnauthorised) {
		t.Errorf("signed by another organisation: %v", err)
	}
}
