package schakel_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// TestC06WitnessNeverSignsTwoBranches is C06 at a witness: whatever the log signs, and
// whenever the witness's process ended, it signs one branch and keeps the other as
// evidence.
func TestC06WitnessNeverSignsTwoBranches(t *testing.T) {
	t.Parallel()
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	key := m.Witness("vt20.example/log")
	ctx, reg := testContext(t), chain.Register()
	ask := func(size uint64, root trust.Hash, from uint64, proof []trust.Hash) ([]byte, uint64) {
		t.Helper()
		signed, line, err := m.Node.CosignForTest(ctx, wire.Cosign{Checkpoint: chain.Checkpoint(size, root), From: from, Proof: proof})
		if err != nil {
			t.Fatal(err)
		}
		return line, signed
	}
	counts := func(line []byte, size uint64, root trust.Hash) bool {
		c, err := trust.ParseCheckpoint(chain.Checkpoint(size, root))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Read(line, trust.Root{Witnesses: []trust.VKey{key}, Quorum: 1}, m.Node.NowForTest())
		return err == nil
	}
	size := reg.Size()
	root := reg.Root()
	proof, err := reg.Proof(1, size)
	if err != nil {
		t.Fatal(err)
	}
	if line, _ := ask(size, trust.Hash{1}, 1, proof); line != nil {
		t.Fatal("signed without a proof")
	}
	line, signed := ask(size, root, 1, proof)
	if signed != size || !counts(line, size, root) {
		t.Fatalf("control: %q at %d", line, signed)
	}

	// The answer never left, the process ended: the next one knows.
	m.Reopen()
	if line, signed := ask(size, trust.Hash{1}, size, nil); line != nil || signed != size {
		t.Fatalf("two roots at one size: %q", line)
	}
	for what, f := range map[string]func() ([]byte, uint64){
		"a longer branch":            func() ([]byte, uint64) { return ask(size+5, trust.Hash{2}, size, []trust.Hash{{3}}) },
		"a proof from elsewhere":     func() ([]byte, uint64) { return ask(size+5, trust.Hash{4}, 2, proof) },
		"smaller, and another":       func() ([]byte, uint64) { return ask(size-1, trust.Hash{5}, size, nil) },
		"smaller, from an old relay": func() ([]byte, uint64) { r, _ := reg.RootAt(size - 1); return ask(size-1, r, size, nil) },
	} {
		if line, signed := f(); line != nil || signed != size {
			t.Errorf("%s: signed %q", what, line)
		}
	}
	if line, _ := ask(size, root, size, nil); !counts(line, size, root) {
		t.Error("the same again is refused")
	}
	w, err := schakel.Witness(ctx, m.Store())
	if err != nil || w.Size != size || w.Key != key {
		t.Fatalf("%+v, %v", w, err)
	}
	// Not in evidence: the relay that is behind, and the one that is mistaken about us.
	kept, err := m.Node.Evidence(ctx)
	if err != nil || len(kept) != 3 {
		t.Errorf("%d pieces of evidence, want 3: %v", len(kept), err)
	}
	if verdicts := provenOf(t, m, kept, chain.Fingerprint()); verdicts != 2 { // of the longer branch nothing shows where it begins to differ
		t.Errorf("%d of %d pieces prove to others that the log signed two registers", verdicts, len(kept))
	}
	if len(alarms(t, m, schakel.AlarmRegister)) != 1 {
		t.Error("no alarm, or several")
	}
}

// provenOf counts what a third party finds proven, with nothing but the files and the
// fingerprint.
func provenOf(t *testing.T, m *schakeltest.Member, kept []schakel.Evidence, fingerprint string) (proven int) {
	t.Helper()
	for _, k := range kept {
		raw, err := m.Node.EvidenceFile(testContext(t), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		f, err := evidence.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		found, err := f.Verify(fingerprint)
		if err != nil {
			t.Errorf("what was kept shows nothing: %v", err)
		}
		if found.Proven {
			proven++
		}
	}
	return proven
}

// TestWitnessesOverTheRelay: two devices witness over their connection, partners get
// the register that they cosigned, and a relay that shows one of them a fork gets
// no signature, an alarm, and no further.
func TestWitnessesOverTheRelay(t *testing.T) {
	t.Parallel()
	chain := schakeltest.Prepare(t)
	var evil atomic.Bool
	var liar atomic.Value // the device that is lied to
	var lines atomic.Int64
	chain.Tap = func(d identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if !evil.Load() || liar.Load() != d {
			return []wire.Frame{f}
		}
		switch f := f.(type) {
		case wire.Cosign:
			c, _ := trust.ParseCheckpoint(f.Checkpoint)
			f.Checkpoint = chain.Checkpoint(c.Size, trust.Hash{6})
			return []wire.Frame{f}
		case wire.Cosigned:
			if len(f.Line) > 0 {
				lines.Add(1)
			}
		}
		return []wire.Frame{f}
	}
	chain.StartRelay()
	a := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	b := chain.Join("politie-mn/oc", identity.RolePolitie)
	c := chain.Join("arts/praktijk", identity.RoleSignaleerder)
	liar.Store(b.Node.Device())
	chain.Demand(2, a.Witness("vt20.example/log"), b.Witness("politie-mn.example/log"))
	for _, m := range []*schakeltest.Member{a, b, c} {
		m.Start()
	}
	status := func(m *schakeltest.Member) schakel.Status {
		st, err := m.Node.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	level := func() bool { return status(c).RegisterSize == chain.Register().Size() }
	eventually(t, "the register that two cosigned", func() bool {
		return level() && strings.Contains(status(c).Witnesses, "2 of 2 must cosign; 1 dishonest witness tolerated, 0 may be away; cosigned at")
	})

	evil.Store(true)
	chain.Grow(1)
	eventually(t, "the fork is refused", func() bool {
		return slices.ContainsFunc(alarms(t, b, schakel.AlarmRegister), func(a schakel.Alarm) bool { return a.Subject == "witness" })
	})
	kept, err := b.Node.Evidence(testContext(t))
	if err != nil || len(kept) == 0 || lines.Load() != 0 {
		t.Fatalf("evidence %d, lines %d, %v", len(kept), lines.Load(), err)
	}
	if level() {
		t.Fatal("the register advanced without its quorum")
	}
}

// TestWitnessKeyStays: a device has one witness, and one made from its backup has none.
func TestWitnessKeyStays(t *testing.T) {
	t.Parallel()
	m := schakeltest.New(t).Join("vt20/crisis", identity.RoleVeiligThuis)
	if _, err := schakel.Witness(testContext(t), m.Store()); !errors.Is(err, schakel.ErrWitness) {
		t.Fatalf("a witness that nobody made: %v", err)
	}
	key := m.Witness("vt20.example/log")
	if again := m.Witness("vt20.example/log"); again != key {
		t.Error("made twice")
	}
	if _, err := schakel.MakeWitness(testContext(t), m.Store(), "another.example/log"); !errors.Is(err, schakel.ErrWitness) {
		t.Errorf("another one: %v", err)
	}
	if _, err := schakel.MakeWitness(testContext(t), m.Store(), "Not A Name"); err == nil {
		t.Error("a name that no root can have")
	}
	m.Start()
	r := m.Restored(m.Backup())
	if w, err := schakel.Witness(testContext(t), r.Store()); err != nil || w.Key != key {
		t.Fatalf("control: the backup has the key: %v", err)
	}
	if _, err := r.Rejoin(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := schakel.Witness(testContext(t), r.Store()); !errors.Is(err, schakel.ErrWitness) {
		t.Errorf("a device restored from a backup signs on: %v", err)
	}
}
