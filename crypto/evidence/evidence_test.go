package evidence_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"schakel/crypto/delivery"
	"schakel/crypto/evidence"
	"schakel/crypto/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each kind proves what it says against whoever signed; its twin, of which one thing is
// honest, proves nothing.
func TestKinds(t *testing.T) {
	w := newWorld()
	relay, device := w.chain.Relay.Subject(), w.device.Subject()
	for name, c := range map[string]struct {
		file, twin evidence.File
		against    []trust.Subject
	}{
		"C08 fork": {w.fork(w.shared + 1), w.fork(w.shared), []trust.Subject{relay}},
		"C08 view": {w.view(w.shared+1, w.branch), w.view(w.shared+1, w.chain), []trust.Subject{relay, device}},
		"F08":      {w.counters(7, 7), w.counters(7, 8), []trust.Subject{device}},
		"H02":      {w.identifiers('a', 'a'), w.identifiers('a', 'b'), []trust.Subject{device}},
		"C14":      {w.ghost("politie-mn"), w.ghost("vt20"), []trust.Subject{relay}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := verified(t, w, c.file)
			if err != nil || !found.Proven || !slices.Equal(found.Against, c.against) || len(found.Facts) == 0 {
				t.Errorf("%+v, %v", found, err)
			}
			if found, err := verified(t, w, c.twin); !errors.Is(err, evidence.ErrFalse) {
				t.Errorf("the twin is taken for %+v, %v", found, err)
			}
		})
	}
}

// What cannot be settled by signatures is said to be a question.
func TestUnsettled(t *testing.T) {
	w := newWorld()
	longer := w.branch.Clone()
	longer.Enrol("om/piket", "om")
	fork := w.fork(w.shared)
	fork.Checkpoints[1] = longer.Checkpoint(longer.Size(), longer.Register().Root())
	fork.Size, fork.Roots, fork.Proofs = 0, nil, nil
	ahead := w.file(evidence.KindView)
	ahead.Checkpoints = [][]byte{note(w.chain)}
	ahead.Deliveries = []delivery.Evidence{w.sealed(1, delivery.Delivery{Kind: delivery.KindTest, Content: []byte("x"),
		Register: delivery.RegisterView{Size: longer.Size(), Root: longer.Register().Root()}})}
	for name, f := range map[string]evidence.File{"no proof between two sizes": fork, "F16 a size that nobody proved": ahead} {
		if found, err := verified(t, w, f); err != nil || found.Proven {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	// Controls: what could have been shown and was not is no evidence.
	fork.Checkpoints[1] = w.branch.Checkpoint(w.chain.Size(), w.branch.Register().Root())
	ahead.Deliveries[0] = w.view(w.shared, w.branch).Deliveries[0]
	for name, f := range map[string]evidence.File{"one size": fork, "a size that is covered": ahead} {
		if found, err := verified(t, w, f); !errors.Is(err, evidence.ErrFalse) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

// A bit changed anywhere but in the moment that its maker states, and a file shows nothing
// any more, or is none.
func TestDoctored(t *testing.T) {
	w := newWorld()
	for name, f := range map[string]evidence.File{
		"fork": w.fork(w.shared + 1), "view": w.view(w.shared+1, w.branch), "counter": w.counters(7, 7),
		"identifier": w.identifiers('a', 'a'), "entry": w.ghost("politie-mn"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := f.Encode()
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(raw); i += 41 { // every bit takes minutes
				changed := bytes.Clone(raw)
				changed[i] ^= 1 << (i % 8)
				read, err := evidence.Parse(changed)
				if err != nil {
					continue
				}
				if read.Raised != f.Raised {
					read.Raised = f.Raised
					if again, err := read.Encode(); err == nil && bytes.Equal(again, raw) {
						continue
					}
				}
				if found, err := read.Verify(w.chain.Fingerprint()); err == nil {
					t.Fatalf("byte %d changed, and it shows %+v", i, found)
				}
			}
			if _, err := f.Verify(newOther().Fingerprint()); !errors.Is(err, trust.ErrGenesis) {
				t.Errorf("with the fingerprint of another register: %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	w := newWorld()
	for _, seed := range []evidence.File{w.fork(w.shared + 1), w.view(w.shared+1, w.branch), w.counters(7, 7), w.identifiers('a', 'a'), w.ghost("politie-mn")} {
		raw, err := seed.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		read, err := evidence.Parse(raw)
		if err != nil {
			return
		}
		again, err := read.Encode()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another spelling was accepted: %v", err)
		}
		read.Verify(w.chain.Fingerprint()) //nolint:errcheck // must return
	})
}
