package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
)

func arrival(counter uint64) store.Arrival {
	return store.Arrival{Device: device(9), Desk: peer, Counter: counter, Envelope: envelopeID(counter),
		Digest: [32]byte{byte(counter), 1}, At: now.Add(time.Duration(counter) * time.Second)}
}

func fromStart(counter uint64) store.Arrival {
	a := arrival(counter)
	a.FromStart = true
	return a
}

func arrive(t *testing.T, tx *store.Tx, a store.Arrival, want store.Verdict) {
	t.Helper()
	got, err := tx.Arrived(a)
	if err != nil || got != want {
		t.Errorf("counter %d: verdict %d, %v; want %d", a.Counter, got, err, want)
	}
}

func TestArrivedVerdicts(t *testing.T) {
	s := newStore(t)
	other := fromStart(2)
	other.Digest[5] = 1
	resealed := fromStart(2)
	resealed.Envelope = envelopeID(99)
	update(t, s, func(tx *store.Tx) error {
		arrive(t, tx, fromStart(1), store.Fresh)
		arrive(t, tx, fromStart(2), store.Fresh)
		arrive(t, tx, fromStart(2), store.Replay)
		arrive(t, tx, other, store.Equivocation)
		arrive(t, tx, resealed, store.Equivocation)
		arrive(t, tx, fromStart(4), store.Fresh)
		arrive(t, tx, fromStart(4), store.Replay)
		arrive(t, tx, fromStart(3), store.Fresh)
		for _, counter := range []uint64{0, 1 << 60, 1<<64 - 1} { // a lie, and no error that stops the rest
			arrive(t, tx, fromStart(counter), store.Equivocation)
			if err := errors.Join(tx.MarkSuperseded(device(9), peer, counter, now), tx.Reached(device(9), peer, counter, now, true)); err != nil {
				t.Errorf("counter %d: %v", counter, err)
			}
		}
		return nil
	})
}

func TestForgottenArrivalIsReplay(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		for _, c := range []uint64{1, 2, 5} {
			arrive(t, tx, fromStart(c), store.Fresh)
		}
		n, err := tx.ForgetArrivals(now.Add(time.Hour))
		if err != nil || n != 2 {
			t.Errorf("forgot %d, %v; want the 2 contiguous ones", n, err)
		}
		arrive(t, tx, fromStart(2), store.Replay)
		arrive(t, tx, fromStart(3), store.Fresh)
		arrive(t, tx, fromStart(5), store.Replay)
		return nil
	})
}

func vectorOf(t *testing.T, tx *store.Tx, at time.Time) string {
	t.Helper()
	vs, err := tx.Received(peer, at)
	if err != nil || len(vs) != 1 {
		t.Fatalf("%v, %v", vs, err)
	}
	return fmt.Sprint(vs[0].Contiguous, vs[0].Beyond)
}

func gapsOf(t *testing.T, tx *store.Tx) string {
	t.Helper()
	gaps, err := tx.Gaps(device(9))
	if err != nil {
		t.Fatal(err)
	}
	var counters []uint64
	for _, g := range gaps {
		counters = append(counters, g.Counter)
	}
	return fmt.Sprint(counters)
}

func TestVectorAndGaps(t *testing.T) {
	late := now.Add(30 * 24 * time.Hour)
	for _, c := range []struct {
		name              string
		steps             func(*testing.T, *store.Tx)
		vector, muchLater string
		gaps              string
	}{
		{"in order", func(t *testing.T, tx *store.Tx) {
			arrive(t, tx, fromStart(1), store.Fresh)
			arrive(t, tx, fromStart(2), store.Fresh)
		}, "2 []", "2 []", "[]"},
		{"the first withheld is a gap, not history", func(t *testing.T, tx *store.Tx) {
			arrive(t, tx, fromStart(2), store.Fresh)
		}, "0 [2]", "0 [2]", "[1]"},
		{"history before this device is not confirmed until it cannot be under way", func(t *testing.T, tx *store.Tx) {
			arrive(t, tx, arrival(40), store.Fresh)
			arrive(t, tx, arrival(42), store.Fresh)
		}, "0 [40 42]", "40 [42]", "[41]"},
		{"older ones may still come", func(t *testing.T, tx *store.Tx) {
			arrive(t, tx, arrival(40), store.Fresh)
			arrive(t, tx, arrival(39), store.Fresh)
		}, "0 [39 40]", "40 []", "[]"},
		{"superseded is no gap", func(t *testing.T, tx *store.Tx) {
			arrive(t, tx, fromStart(1), store.Fresh)
			arrive(t, tx, fromStart(4), store.Fresh)
			if err := tx.MarkSuperseded(device(9), peer, 3, now); err != nil {
				t.Error(err)
			}
		}, "1 [3 4]", "1 [3 4]", "[2]"},
		{"superseded before anything came", func(t *testing.T, tx *store.Tx) {
			if err := tx.MarkSuperseded(device(9), peer, 1, now); err != nil {
				t.Error(err)
			}
			if g := gapsOf(t, tx); g != "[]" {
				t.Errorf("gaps %s", g)
			}
			arrive(t, tx, fromStart(2), store.Fresh)
		}, "2 []", "2 []", "[]"},
		{"silence at the end is a gap (B02)", func(t *testing.T, tx *store.Tx) {
			arrive(t, tx, fromStart(1), store.Fresh)
			if err := tx.Reached(device(9), peer, 3, now, true); err != nil {
				t.Error(err)
			}
		}, "1 []", "1 []", "[2 3]"},
		{"all withheld", func(t *testing.T, tx *store.Tx) {
			if err := tx.Reached(device(9), peer, 2, now, true); err != nil {
				t.Error(err)
			}
		}, "0 []", "0 []", "[1 2]"},
		{"reached before this device", func(t *testing.T, tx *store.Tx) {
			if err := tx.Reached(device(9), peer, 40, now, false); err != nil {
				t.Error(err)
			}
			arrive(t, tx, arrival(41), store.Fresh)
		}, "0 [41]", "41 []", "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			update(t, newStore(t), func(tx *store.Tx) error {
				c.steps(t, tx)
				if got := vectorOf(t, tx, now); got != c.vector {
					t.Errorf("vector %s, want %s", got, c.vector)
				}
				if got := vectorOf(t, tx, late); got != c.muchLater {
					t.Errorf("much later %s, want %s", got, c.muchLater)
				}
				if got := gapsOf(t, tx); got != c.gaps {
					t.Errorf("gaps %s, want %s", got, c.gaps)
				}
				return nil
			})
		})
	}
}

// A device cannot silence another of its desk by claiming to supersede what it
// sends: what then comes is fresh.
func TestSupersededStillArrives(t *testing.T) {
	update(t, newStore(t), func(tx *store.Tx) error {
		if err := tx.MarkSuperseded(device(9), peer, 5, now); err != nil {
			return err
		}
		arrive(t, tx, fromStart(5), store.Fresh)
		arrive(t, tx, fromStart(5), store.Replay)
		return nil
	})
}

// A device that is new to its peer states what arrives, however much that is within the days
// in which it cannot tell its history from a gap: of what does not fit, the newest.
func TestMoreThanFitsBeyondAGap(t *testing.T) {
	const first, last = 500, 500 + 2*delivery.MaxMissing
	update(t, newStore(t), func(tx *store.Tx) error {
		for n := uint64(first); n <= last; n++ {
			arrive(t, tx, arrival(n), store.Fresh)
			if said, err := tx.Received(peer, now); err != nil || len(said) != 1 || !store.Covers(said[0], n) || store.Covers(said[0], first-1) {
				t.Fatalf("%d arrived, and what is stated is %+v, %v", n, said, err)
			}
		}
		late, err := tx.Received(peer, now.Add(9*24*time.Hour))
		if err != nil || late[0].Contiguous != last || len(late[0].Beyond) > 0 {
			t.Errorf("after the history: %+v, %v", late, err)
		}
		return nil
	})
}

// TestGapBounds: a hostile counter costs no memory, here or in the statement.
func TestGapBounds(t *testing.T) {
	update(t, newStore(t), func(tx *store.Tx) error {
		arrive(t, tx, fromStart(1<<47), store.Fresh)
		if gaps, err := tx.Gaps(device(9)); err != nil || len(gaps) != delivery.MaxMissing {
			t.Errorf("%d gaps, %v", len(gaps), err)
		}
		return nil
	})
}

// Any order of arrivals, replays, marks and forgetting gives the vector that a
// plain set gives, and every vector is one that the other end accepts.
func TestVectorAgainstSet(t *testing.T) {
	s := newStore(t)
	var run byte
	rapid.Check(t, func(rt *rapid.T) {
		run++
		from, desk := device(run), identity.DeskID(fmt.Sprintf("vt20/run-%d", run))
		counters := rapid.SliceOfN(rapid.Uint64Range(1, 30), 0, 60).Draw(rt, "counters")
		marks := rapid.SliceOfN(rapid.Uint64Range(1, 30), 0, 10).Draw(rt, "superseded")
		model := map[uint64]bool{}
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			for i, c := range counters {
				a := fromStart(c)
				a.Device, a.Desk = from, desk
				if _, err := tx.Arrived(a); err != nil {
					return err
				}
				model[c] = true
				if i < len(marks) {
					if err := tx.MarkSuperseded(from, desk, marks[i], now); err != nil {
						return err
					}
					model[marks[i]] = true
				}
			}
			return compareVector(rt, tx, from, desk, model)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func compareVector(rt *rapid.T, tx *store.Tx, from identity.DeviceID, desk identity.DeskID, model map[uint64]bool) error {
	want := []delivery.Received{}
	if len(model) > 0 {
		want = append(want, delivery.Received{Device: from, Beyond: []uint64{}})
		for model[want[0].Contiguous+1] {
			want[0].Contiguous++
		}
		for c := want[0].Contiguous + 1; c <= 30; c++ {
			if model[c] {
				want[0].Beyond = append(want[0].Beyond, c)
			}
		}
	}
	got, err := tx.Received(desk, now)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(got, want) {
		rt.Errorf("vector %v, want %v", got, want)
	}
	_, err = delivery.Encode(delivery.Statement{Version: 1, From: desk, To: peer, Number: 1, Peers: got})
	return err
}
