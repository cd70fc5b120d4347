package schakel_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// whispers are the envelopes that pass the relay.
type whispers struct {
	mu  sync.Mutex
	all [][]byte
}

func (w *whispers) tap(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	if p, ok := f.(wire.Put); ok && from == wire.SideDevice {
		w.mu.Lock()
		w.all = append(w.all, p.Envelope)
		w.mu.Unlock()
	}
	return []wire.Frame{f}
}

func (w *whispers) kinds(n *schakel.Node) (kinds []delivery.Kind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, raw := range w.all {
		kinds = append(kinds, n.KindForTest(raw))
	}
	return kinds
}

func (e *evil) view(t *testing.T, size uint64, root trust.Hash) delivery.Delivery {
	d := e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), nil))
	d.Register = delivery.RegisterView{Size: size, Root: root}
	return d
}

func (e *evil) sends(t *testing.T, to identity.DeskID) error {
	_, err := e.knooppunt.Node.Send(testContext(t), e.draft(t, to))
	return err
}

// stopped reports whether an alarm of the register stops it; that the protocol has no such
// route is another matter.
func stopped(err error) bool {
	return errors.Is(err, schakel.ErrOtherView) || errors.Is(err, schakel.ErrForked)
}

// clear puts an alarm away, as a person does who telephoned.
func (e *evil) clear(t *testing.T, kind schakel.AlarmKind) {
	t.Helper()
	alarms, err := e.knooppunt.Node.Alarms(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alarms {
		if a.Kind == kind {
			if err := e.knooppunt.Node.ClearAlarm(testContext(t), kind, a.Subject); err != nil {
				t.Error(err)
			}
		}
	}
}

// found is what the newest evidence of a kind shows, on a machine that has the file and the
// fingerprint alone.
func (e *evil) found(t *testing.T, kind evidence.Kind) (found evidence.Finding) {
	t.Helper()
	eventually(t, "there is evidence of "+kind.String(), func() bool {
		all, err := e.knooppunt.Node.Evidence(testContext(t))
		i := slices.IndexFunc(all, func(x schakel.Evidence) bool { return x.Kind == kind.String() })
		if err != nil || i < 0 {
			return false
		}
		raw, err := e.knooppunt.Node.EvidenceFile(testContext(t), all[i].ID[:64])
		if err != nil {
			t.Fatal(err)
		}
		f, err := evidence.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if found, err = f.Verify(e.Fingerprint()); err != nil {
			t.Fatalf("what was kept shows nothing: %v", err)
		}
		return true
	})
	return found
}

// Gossip finds what the relay shows to one desk and not to another, keeps what proves it,
// and stops what it must. The rows are those of the attack list.
func TestGossip(t *testing.T) {
	heard := &whispers{}
	e := newEvilOn(t, func(c *schakeltest.Chain) { c.Tap = heard.tap })
	reg := e.knooppunt.Node.RegisterForTest()
	vt, relay := trust.Device{ID: e.vt.Node.Device()}.Subject(), trust.Subject("relay/relay-test")

	t.Run("F08 leaves both messages", func(t *testing.T) {
		e.put(t, e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), nil)))
		e.counter--
		e.put(t, e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), nil)))
		if f := e.found(t, evidence.KindCounter); !f.Proven || !slices.Equal(f.Against, []trust.Subject{vt}) {
			t.Errorf("found %+v", f)
		}
	})
	t.Run("H02 leaves both messages", func(t *testing.T) {
		first := e.signed(t, e.draft(t, e.knooppunt.Desk), nil)
		e.put(t, e.message(first))
		e.put(t, e.message(e.signed(t, e.draft(t, e.knooppunt.Desk), func(m *message.Message) { m.ID = first.Message.ID })))
		if f := e.found(t, evidence.KindIdentifier); !f.Proven || !slices.Equal(f.Against, []trust.Subject{vt}) {
			t.Errorf("found %+v", f)
		}
	})
	e.honest(t)
	if e.alarmed(t, schakel.AlarmView) || e.sends(t, e.vt.Desk) != nil {
		t.Fatal("honest deliveries are taken for another register")
	}
	t.Run("C08 another root at a size that is here", func(t *testing.T) { e.otherView(t, heard, reg, vt, relay) })
	t.Run("C08 the log signed both", func(t *testing.T) { e.split(t, reg, relay) })
	t.Run("F16 a size that nobody proves", func(t *testing.T) { e.ahead(t) })
	t.Run("F17 a register of long ago", func(t *testing.T) { e.longAgo(t, reg) })
}

func (e *evil) otherView(t *testing.T, heard *whispers, reg *trust.Register, against ...trust.Subject) {
	lie := e.view(t, reg.Size(), trust.Hash{1})
	e.put(t, lie)
	eventually(t, "there is an alarm", func() bool { return e.alarmed(t, schakel.AlarmView) })
	eventually(t, "nothing goes to that desk", func() bool { return errors.Is(e.sends(t, e.vt.Desk), schakel.ErrOtherView) })
	if err := e.sends(t, e.police.Desk); stopped(err) {
		t.Errorf("an evil partner stopped what goes to another desk: %v", err)
	}
	e.honest(t) // what it says is still heard
	f := e.found(t, evidence.KindView)
	slices.Sort(f.Against)
	slices.Sort(against)
	if !f.Proven || !slices.Equal(f.Against, against) {
		t.Errorf("found %+v", f)
	}
	eventually(t, "it is shown our checkpoint", func() bool {
		return slices.Contains(heard.kinds(e.vt.Node), delivery.KindCheckpoint)
	})
	e.clear(t, schakel.AlarmView)
	if err := e.sends(t, e.vt.Desk); err != nil {
		t.Errorf("after somebody put the alarm away: %v", err)
	}
}

func (e *evil) split(t *testing.T, reg *trust.Register, relay trust.Subject) {
	show := func(note []byte) {
		content, err := delivery.Encode(delivery.Checkpoint{Version: delivery.Version, Note: note, Size: reg.Size(), Root: trust.Hash{1}})
		if err != nil {
			t.Fatal(err)
		}
		e.put(t, delivery.Delivery{Kind: delivery.KindCheckpoint, Content: content, Counter: e.counter})
	}
	forged, err := trust.SignCheckpoint("schakel.example/relay-test", reg.Size(), trust.Hash{1}, newImpostor())
	if err != nil {
		t.Fatal(err)
	}
	show(forged)
	e.honest(t)
	if err := e.sends(t, e.police.Desk); stopped(err) {
		t.Fatalf("a checkpoint that the log did not sign stopped everything: %v", err)
	}
	show(e.Checkpoint(reg.Size(), trust.Hash{1}))
	eventually(t, "nothing goes anywhere", func() bool { return errors.Is(e.sends(t, e.police.Desk), schakel.ErrForked) })
	if f := e.found(t, evidence.KindFork); !f.Proven || !slices.Equal(f.Against, []trust.Subject{relay}) {
		t.Errorf("found %+v", f)
	}
	e.knooppunt.Stop()
	e.knooppunt.Reopen()
	e.knooppunt.Start()
	eventually(t, "nor after a start", func() bool { return errors.Is(e.sends(t, e.police.Desk), schakel.ErrForked) })
	e.clear(t, schakel.AlarmRegister)
	eventually(t, "somebody let it go on", func() bool { return !stopped(e.sends(t, e.police.Desk)) })
}

func (e *evil) ahead(t *testing.T) {
	size, root, grow := e.Ahead()
	d := e.view(t, size, root)
	e.put(t, d)
	s, err := message.Parse(d.Content)
	if err != nil {
		t.Fatal(err)
	}
	e.honest(t) // it stops nobody
	if e.shown(t, s) || e.alarmed(t, schakel.AlarmAhead) {
		t.Error("it was judged, or told of, at once")
	}
	e.Pass(11 * time.Minute)
	eventually(t, "after ten minutes there is an alarm", func() bool { return e.alarmed(t, schakel.AlarmAhead) })
	grow()
	eventually(t, "it is judged once the register is there", func() bool { return e.shown(t, s) })
	eventually(t, "and the alarm is over", func() bool { return !e.alarmed(t, schakel.AlarmAhead) })
}

func (e *evil) longAgo(t *testing.T, reg *trust.Register) {
	e.Pass(80 * time.Hour)
	eventually(t, "they are connected again", func() bool {
		s, err := e.knooppunt.Node.Status(testContext(t))
		return err == nil && s.Connected
	})
	d := e.view(t, reg.Size()-1, func() trust.Hash { r, _ := reg.RootAt(reg.Size() - 1); return r }())
	e.put(t, d)
	eventually(t, "it is kept apart", func() bool {
		var kept []store.Quarantined
		err := e.knooppunt.Store().View(testContext(t), func(tx *store.Tx) (err error) {
			kept, err = tx.Quarantined(0, 1000)
			return err
		})
		return err == nil && slices.ContainsFunc(kept, func(q store.Quarantined) bool { return q.Reason == "register-old" })
	})
	e.honest(t)
	acute := e.draft(t, e.knooppunt.Desk)
	acute.Class, acute.Urgency, acute.Body = "melding", message.Acute, example(t, "melding")
	s := e.signed(t, acute, nil)
	a := e.message(s)
	a.Register = d.Register
	eventually(t, "an acute one is sealed", func() bool {
		return e.vt.Node.PutForTest(testContext(t), e.knooppunt.Desk, envelope.TierAcute, a) == nil
	})
	eventually(t, "it is shown, and told of", func() bool { return e.shown(t, s) && e.alarmed(t, schakel.AlarmAhead) })
}

// impostor signs with a key that is not the log's.
type impostor struct{ ed25519.PrivateKey }

func newImpostor() impostor { return impostor{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))} }

func (i impostor) Public() identity.Key {
	return identity.Key(i.PrivateKey.Public().(ed25519.PublicKey))
}

func (i impostor) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(i.PrivateKey, msg), nil }

// ghostDevice is a device at a desk that somebody else than its organisation vouched for.
func ghostDevice(t *testing.T, desk identity.DeskID, by trust.Signer) ([]byte, identity.DeviceID) {
	t.Helper()
	keys, err := seal.NewDeviceKeys(identity.DeviceID{0: 1, 6: 0x70, 8: 0x80}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := trust.Device{ID: keys.ID, Desk: desk, Type: trust.DevicePerson, SignKey: keys.SignPublic(), LoginKey: keys.LoginPublic(),
		From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}
	entry, err := d.Sign(trust.First(), by, impostor{keys.Sign}, impostor{keys.Login})
	if err != nil {
		t.Fatal(err)
	}
	return entry, d.ID
}

// An entry that nobody was entitled to make stays as evidence (C13, C14).
func TestSkippedEntryIsEvidence(t *testing.T) {
	e := newEvil(t)
	e.knooppunt.Stop()
	reg := e.knooppunt.Node.RegisterForTest().Clone()
	old := reg.Size()
	ghost, _ := ghostDevice(t, e.vt.Desk, newImpostor())
	if err := reg.Apply(ghost); !errors.Is(err, trust.ErrSkipped) {
		t.Fatalf("the entry counts: %v", err)
	}
	proof, err := reg.Proof(old, reg.Size())
	if err != nil {
		t.Fatal(err)
	}
	u := trust.Update{Checkpoint: e.Checkpoint(reg.Size(), reg.Root()), From: old, Entries: [][]byte{ghost}, Proof: proof}
	if err := e.knooppunt.Node.AdvanceForTest(testContext(t), u); err != nil {
		t.Fatal(err)
	}
	if !e.alarmed(t, schakel.AlarmRegister) {
		t.Error("no alarm")
	}
	if f := e.found(t, evidence.KindEntry); !f.Proven || !slices.Equal(f.Against, []trust.Subject{"relay/relay-test"}) {
		t.Errorf("found %+v", f)
	}
	// The relay goes on with the log that has no ghost in it, and proves its fork thereby.
	e.Grow(1)
	other := e.vt.Node
	eventually(t, "another desk has the other log", func() bool { return other.RegisterForTest().Size() == reg.Size() })
	fork := trust.Update{Checkpoint: e.Checkpoint(reg.Size(), other.RegisterForTest().Root()), From: reg.Size()}
	if err := e.knooppunt.Node.AdvanceForTest(testContext(t), fork); !errors.Is(err, trust.ErrFork) {
		t.Fatalf("the other log: %v", err)
	}
	if f := e.found(t, evidence.KindFork); !f.Proven {
		t.Errorf("found %+v", f)
	}
	if err := e.sends(t, e.police.Desk); !errors.Is(err, schakel.ErrForked) {
		t.Errorf("after a fork: %v", err)
	}
}
