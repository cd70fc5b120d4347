package casefile_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/protocol/calendar"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// anchor enters an anchor of the device over messages, and returns what proves each.
func (w *world) anchor(t testing.TB, by trusttest.Device, cosigned func([]byte) []byte, messages ...message.Hash) (proofs []casefile.Anchored) {
	t.Helper()
	var leaves []trust.Hash
	salt := func(h message.Hash) trust.Hash { return sha256.Sum256(append([]byte("salt"), h[:]...)) }
	for _, h := range messages {
		leaves = append(leaves, trust.AnchorLeaf(salt(h), trust.Hash(h)))
	}
	tree, err := trust.NewAnchorTree(leaves)
	ok(t, err)
	b := trust.Anchor{Device: by.ID, Day: w.at.Truncate(24 * time.Hour), Root: tree.Root()}
	entry, err := b.Sign(w.chain.Register().Next(b.Subject()), by.Sign)
	ok(t, err)
	w.chain.Add(entry)
	reg := w.chain.Register()
	point := w.chain.Checkpoint(reg.Size(), reg.Root())
	if cosigned != nil {
		point = cosigned(point)
	}
	for i, h := range messages {
		p := casefile.Anchored{Message: h, Device: by.ID, Day: uint64(b.Day.Unix()), Salt: salt(h), Index: uint64(i), Size: uint64(len(messages)), Checkpoint: point}
		path, err := tree.Path(i)
		ok(t, err)
		p.Path = path
		proofs = append(proofs, p)
	}
	return proofs
}

func (w *world) carry(t testing.TB, proofs ...casefile.Anchored) {
	t.Helper()
	for _, p := range proofs {
		raw, err := p.Encode()
		ok(t, err)
		w.dossier.Anchors = append(w.dossier.Anchors, raw)
	}
}

func hashesOf(t testing.TB, raws [][]byte) (hs []message.Hash) {
	t.Helper()
	for _, raw := range raws {
		s, err := message.Parse(raw)
		ok(t, err)
		hs = append(hs, s.Hash())
	}
	return hs
}

// By when a message was there: a size of the register, and a time where its witnesses
// signed one. A message by itself has the same, with the file of the case as its register.
func TestAnchoredMessages(t *testing.T) {
	w := story(t)
	hashes := hashesOf(t, w.dossier.Messages)
	w.carry(t, w.anchor(t, w.vt, nil, hashes...)...)
	size := w.chain.Size()
	w.chain.Enrol("om/parket", "om") // the register goes on
	file := w.finish(t, false)
	r := casefile.Verify(file, w.told())
	if !r.Sound || r.LeftOut != 0 {
		t.Fatalf("%d left out, faults: %s", r.LeftOut, faults(r))
	}
	for _, m := range r.Messages {
		if m.Fixed == nil || m.Fixed.Size != size || m.Fixed.Entry != size-1 || !m.Fixed.At.IsZero() || m.Fixed.By.ID != w.vt.ID.String() {
			t.Errorf("%s: %+v, want before %d entries and no time", m.Class, m.Fixed, size)
		}
	}
	said := fmt.Sprintf("before the register had more than %d entries; no witness signed when that was; anchor of device %s, entry %d", size, w.vt.ID, size-1)
	if page := string(unpack(t, file)["dossier.en.html"]); strings.Count(page, said) != len(hashes) {
		t.Errorf("the page does not say of each message: %s", said)
	}
	source, err := casefile.ReadSource(file, w.told())
	ok(t, err)
	for i, raw := range w.dossier.Messages {
		s, err := casefile.VerifySingle(raw, source)
		if err != nil || s.Fixed == nil || s.Fixed.Size != size {
			t.Errorf("message %d by itself: %+v, %v", i, s.Fixed, err)
		}
	}
}

func TestAnchoredWithWitnesses(t *testing.T) {
	w := story(t)
	w.chain.Demand(3, 2)
	day := w.at.Add(26 * time.Hour).Truncate(time.Second)
	signed := func(point []byte) []byte {
		return trusttest.Cosigned(trusttest.Cosigned(point, day, 0), day.Add(time.Minute), 2)
	}
	w.carry(t, w.anchor(t, w.vt, signed, hashesOf(t, w.dossier.Messages)...)...)
	for _, m := range casefile.Verify(w.finish(t, false), w.told()).Messages {
		if m.Fixed == nil || !m.Fixed.At.Equal(day) {
			t.Errorf("%+v, want %v", m.Fixed, day)
		}
	}
	said := "uiterlijk " + amsterdam(day) + ", dat tekenden de getuigen van het register; anker van apparaat " + w.vt.ID.String()
	if page := string(unpack(t, w.finish(t, false))["dossier.html"]); strings.Count(page, said) != len(w.dossier.Messages) {
		t.Errorf("the page does not say of each message: %s", said)
	}
	// Control: one witness is no quorum, and then the proof proves nothing.
	w = story(t)
	w.chain.Demand(3, 2)
	w.carry(t, w.anchor(t, w.vt, func(p []byte) []byte { return trusttest.Cosigned(p, day, 1) }, hashesOf(t, w.dossier.Messages)...)...)
	if r := casefile.Verify(w.finish(t, false), w.told()); r.Sound || r.Messages[0].Fixed != nil {
		t.Errorf("one witness of two: %+v", r.Messages[0].Fixed)
	}
}

// Each thing that can be wrong with a proof is a fault of the file, and the message is
// not said to have been there.
func TestDoctoredAnchors(t *testing.T) {
	for name, change := range map[string]func(w *world, p *casefile.Anchored){
		"another day":        func(_ *world, p *casefile.Anchored) { p.Day += 86400 },
		"another device":     func(w *world, p *casefile.Anchored) { p.Device = w.police.ID },
		"another salt":       func(_ *world, p *casefile.Anchored) { p.Salt[0]++ },
		"another place":      func(_ *world, p *casefile.Anchored) { p.Index++ },
		"another count":      func(_ *world, p *casefile.Anchored) { p.Size += 7 },
		"no path":            func(_ *world, p *casefile.Anchored) { p.Path = nil },
		"another message":    func(_ *world, p *casefile.Anchored) { p.Message[0]++ },
		"no checkpoint":      func(_ *world, p *casefile.Anchored) { p.Checkpoint = nil },
		"an older one":       func(w *world, p *casefile.Anchored) { p.Checkpoint = older(w) },
		"of another log":     func(w *world, p *casefile.Anchored) { p.Checkpoint = w.otherLog(p) },
		"of a register else": func(w *world, p *casefile.Anchored) { p.Checkpoint = w.chain.Checkpoint(w.chain.Size(), trust.Hash{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t)
			proofs := w.anchor(t, w.vt, nil, hashesOf(t, w.dossier.Messages)...)
			change(w, &proofs[0])
			w.carry(t, proofs...)
			r := casefile.Verify(w.finish(t, false), w.told())
			fixed := 0
			for _, m := range r.Messages {
				if m.Fixed != nil {
					fixed++
				}
			}
			if r.Sound || len(r.Faults) != 1 || r.Faults[0].Kind != casefile.FaultAnchor || fixed != len(r.Messages)-1 {
				t.Errorf("sound %v, %d of %d fixed, faults %s", r.Sound, fixed, len(r.Messages), faults(r))
			}
		})
	}
}

func amsterdam(t time.Time) string { return t.In(calendar.Zone()).Format("2006-01-02 15:04 MST") }

func older(w *world) []byte {
	reg := w.chain.Register()
	root, _ := reg.RootAt(reg.Size() - 1)
	return w.chain.Checkpoint(reg.Size()-1, root)
}

func (w *world) otherLog(p *casefile.Anchored) []byte {
	point, err := trust.ParseCheckpoint(p.Checkpoint)
	if err != nil {
		panic(err)
	}
	raw, err := trust.SignCheckpoint(trusttest.LogName, point.Size, point.Root, trusttest.NewKey("another log"))
	if err != nil {
		panic(err)
	}
	return raw
}

func FuzzAnchored(f *testing.F) {
	w := story(f)
	for _, p := range w.anchor(f, w.vt, nil, hashesOf(f, w.dossier.Messages)...) {
		raw, err := p.Encode()
		ok(f, err)
		f.Add(raw)
	}
	reg := w.chain.Register()
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := casefile.ParseAnchored(raw)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("another spelling was accepted: %x, %x", raw, again)
		}
		if fixed, err := p.Verify(reg); err == nil && (fixed.Size > reg.Size() || fixed.Entry >= fixed.Size) {
			t.Fatalf("verified, and says %s", fmt.Sprint(fixed))
		}
	})
}
