package relay_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// cosigner is an honest witness behind a device's session.
type cosigner struct {
	*relaytest.Session
	number int
	log    trust.VKey
	seen   trust.Pinned
}

// witnessWorld is a relay whose root demands 2 of 3 witnesses since its last entry,
// and the devices that speak for them.
func witnessWorld(t *testing.T, c relaytest.Config) (*relaytest.World, *relaytest.Device, []*relaytest.Device) {
	t.Helper()
	w, vt, pol := pair(t, c)
	devices := []*relaytest.Device{vt, pol, w.Enrol("om-mn/zsm", identity.RoleOM)}
	client := w.Enrol("opvang/een", identity.RoleOpvang)
	demand(t, w)
	return w, client, devices
}

// demand has the root demand 2 of 3 witnesses from the next entry on.
func demand(t *testing.T, w *relaytest.World) {
	t.Helper()
	before := len(w.Entries())
	w.Demand(3, 2)
	for _, e := range w.Entries()[before:] {
		if _, err := w.Register.Append(t.Context(), e, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func newCosigner(t *testing.T, w *relaytest.World, d *relaytest.Device, number int) *cosigner {
	t.Helper()
	reg, err := trust.New(w.Genesis(), w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	c := &cosigner{Session: d.Login(), number: number, log: w.Relay.Log, seen: reg.Pin()}
	c.announce()
	return c
}

func (c *cosigner) announce() {
	c.Send(wire.Cosigned{Witness: trusttest.WitnessName(c.number), Size: c.seen.Size})
}

// sign waits for the relay's question and answers it as an honest witness does.
func (c *cosigner) sign(t *testing.T) trust.Pinned {
	t.Helper()
	f := relaytest.Expect[wire.Cosign](c.Session)
	next, err := c.seen.Witness(c.log, f.Checkpoint, f.Proof)
	if err != nil || f.From != c.seen.Size {
		t.Fatalf("witness %d at %d is asked from %d: %v", c.number, c.seen.Size, f.From, err)
	}
	c.seen = next
	c.Send(wire.Cosigned{Witness: trusttest.WitnessName(c.number), Size: next.Size, Line: line(t, f.Checkpoint, c.number)})
	return next
}

func line(t *testing.T, checkpoint []byte, witness int) []byte {
	t.Helper()
	c, err := trust.ParseCheckpoint(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Cosign(trusttest.WitnessName(witness), trusttest.WitnessKey(witness), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s.Line()
}

// advanced waits until a device is told of a size, and follows the register there.
func advanced(t *testing.T, s *relaytest.Session, reg *trust.Register, p trust.Pinned, size uint64) (*trust.Register, trust.Pinned) {
	t.Helper()
	until(t, "told of the cosigned register", func() bool { return relaytest.Expect[wire.Advanced](s).RegisterSize == size })
	return followed(t, s, reg, p, size)
}

func followed(t *testing.T, s *relaytest.Session, reg *trust.Register, p trust.Pinned, size uint64) (*trust.Register, trust.Pinned) {
	t.Helper()
	u, _ := fetch(t, s, p.Size)
	u.Now = time.Now()
	next, p, err := trust.Advance(reg, p, u)
	if err != nil || next.Size() != size {
		t.Fatalf("size %d, want %d: %v", next.Size(), size, err)
	}
	return next, p
}

// TestQuorumOfWitnesses: clients are given what the quorum cosigned and nothing
// newer, whichever witness is away; a restart loses nothing of it; what a hostile
// witness returns counts for nothing.
func TestQuorumOfWitnesses(t *testing.T) {
	w, client, devices := witnessWorld(t, relaytest.Config{})
	reg, err := trust.New(w.Genesis(), w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	s := client.Login()
	before, size := w.Chain.Register().Size()-1, w.Chain.Register().Size()
	reg, pinned := followed(t, s, reg, reg.Pin(), before)

	first := newCosigner(t, w, devices[0], 0)
	first.sign(t)
	hostile := devices[1].Login()
	hostile.Send(wire.Cosigned{Witness: trusttest.WitnessName(1), Size: 1})
	asked := relaytest.Expect[wire.Cosign](hostile)
	hostile.Send(wire.Cosigned{Witness: trusttest.WitnessName(1), Size: size, Line: line(t, asked.Checkpoint, 3)}) // whom the root does not name
	refusedOne(t, w)
	hostile.Send(wire.Cosigned{Witness: trusttest.WitnessName(1), Size: size, Line: []byte("— x AAAA\n")}) // nobody asked
	reg, pinned = followed(t, s, reg, pinned, before)
	refusedOne(t, w)
	hostile.Close()

	second := newCosigner(t, w, devices[1], 1)
	if p := second.sign(t); p.Size != size {
		t.Fatalf("signed %d of %d", p.Size, size)
	}
	reg, pinned = advanced(t, s, reg, pinned, size)

	// The third is asked as well, but nobody waits for it; and without the second,
	// it is the one that makes the quorum.
	third := newCosigner(t, w, devices[2], 2)
	third.sign(t)
	second.Close()
	w.Append(entryOf(t, w, "om-mn/nieuw"), nil)
	first.sign(t)
	third.sign(t)
	reg, pinned = advanced(t, s, reg, pinned, size+1)

	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.Start()
	s = client.Login()
	_, again := followed(t, s, reg, pinned, size+1)
	if c, _ := trust.ParseCheckpoint(again.Note); len(c.Cosignatures(reg.Authority(), time.Now())) < 2 {
		t.Errorf("after a restart:\n%s", again.Note)
	}
}

// refusedOne waits until the relay has refused one cosignature, and counted the
// first honest one.
func refusedOne(t *testing.T, w *relaytest.World) {
	t.Helper()
	until(t, "the relay refuses a line", func() bool {
		text := metricsOf(t, w)
		return strings.Contains(text, `schakel_relay_cosignatures_total{result="refused"} 1`) &&
			strings.Contains(text, `schakel_relay_cosignatures_total{result="ok"} 1`)
	})
}

func metricsOf(t *testing.T, w *relaytest.World) string {
	t.Helper()
	answer, err := http.Get(w.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, answer.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func entryOf(t *testing.T, w *relaytest.World, desk identity.DeskID) []byte {
	t.Helper()
	d := trust.Desk{ID: desk, Name: "Bureau", Role: identity.RoleOM, Region: "XA", Phone: "+31600000001"}
	e, err := d.Sign(w.Chain.Register().Next(d.Subject()), trusttest.OrgKey(desk.Org()), w.Quorum()...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestWitnessesAreAskedAgain: a cosignature says when, so it is asked for again
// though nothing grew, and devices hear that there are fresher ones.
func TestWitnessesAreAskedAgain(t *testing.T) {
	w, client, devices := witnessWorld(t, relaytest.Config{Limits: relay.Limits{Cosign: 2 * time.Second}})
	reg, err := trust.New(w.Genesis(), w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	size := w.Chain.Register().Size()
	a, b := newCosigner(t, w, devices[0], 0), newCosigner(t, w, devices[1], 1)
	s := client.Login()
	a.sign(t)
	b.sign(t)
	reg, pinned := advanced(t, s, reg, reg.Pin(), size)
	before, ok := reg.CosignedAt(pinned, time.Now())
	if !ok {
		t.Fatal("no quorum")
	}
	until(t, "fresher cosignatures", func() bool {
		a.sign(t)
		b.sign(t)
		_, pinned = advanced(t, s, reg, pinned, size)
		at, ok := reg.CosignedAt(pinned, time.Now())
		return ok && at.After(before)
	})
}

// TestWitnessThatRefuses: a witness that says what it signed is shown the proof from
// there; one that signed more than the relay has is left alone, and so is one that
// the root does not name.
func TestWitnessThatRefuses(t *testing.T) {
	w, _, devices := witnessWorld(t, relaytest.Config{})
	size := w.Chain.Register().Size()
	s := devices[0].Login()
	s.Send(wire.Cosigned{Witness: "schakel.example/stranger", Size: 1})
	s.Send(wire.Cosigned{Witness: trusttest.WitnessName(0), Size: size + 1})
	s.Send(wire.Cosigned{Witness: trusttest.WitnessName(0), Size: 1})
	for _, from := range []uint64{1, 4} {
		f := relaytest.Expect[wire.Cosign](s)
		root, _ := w.Chain.Register().RootAt(from)
		if _, err := (trust.Pinned{Size: from, Root: root}).Witness(w.Relay.Log, f.Checkpoint, f.Proof); err != nil || f.From != from {
			t.Fatalf("asked from %d, want %d: %v", f.From, from, err)
		}
		if _, err := (trust.Pinned{Size: 2, Root: root}).Witness(w.Relay.Log, f.Checkpoint, f.Proof); !errors.Is(err, trust.ErrProof) {
			t.Fatalf("control: %v", err)
		}
		s.Send(wire.Cosigned{Witness: trusttest.WitnessName(0), Size: 4})
	}
}
