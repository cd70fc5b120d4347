package simulation_test

import (
	"crypto/sha256"
	"flag"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	seeds = flag.Int("seeds", 50, "how many simulations")
	first = flag.Uint64("seed", 1, "the seed of the first; the others follow it")
	twice = flag.Int("twice", 6, "how many seeds are played twice")
)

// play plays one seed.
func play(t *testing.T, seed uint64, wrong mistake) (w *world, n tally, told [sha256.Size]byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, wrong)
		w.run()
		n = w.judge()
		told = w.told()
	})
	return w, n, told
}

// TestSimulation plays many seeds, and finds nothing wrong.
func TestSimulation(t *testing.T) {
	began := time.Now()
	var sum tally
	for i := range *seeds {
		seed := *first + uint64(i)
		w, n, _ := play(t, seed, mistake{})
		if sum.add(n); len(w.faults) == 0 {
			continue
		}
		t.Logf("replay with: go test ./relay/simulation -run 'TestSimulation$' -v -args -seeds=1 -seed=%d", seed)
		w.recount(t)
		for _, f := range w.faults[:min(10, len(w.faults))] {
			t.Errorf("seed %d: %s", seed, f)
		}
	}
	t.Logf("%d seeds from %d: %v simulated in %v", *seeds, *first, sum.simulated.Round(time.Second), time.Since(began).Round(time.Millisecond))
	t.Logf("%d envelopes, %d stored, %d deliveries and %d again, %d expired or were refused for that, %d attended, %d pages, %d killed relays",
		sum.letters, sum.stored, sum.delivered, sum.again, sum.expired, sum.attended, sum.pages, sum.deaths)
	if each := *seeds; sum.stored < 10*each || sum.again == 0 && each >= 20 || sum.deaths < each/2 || sum.pages < each {
		t.Error("too little happened to say anything")
	}
}

// TestSeedThatFound plays the seed in which a device still waited for the answer to a ping
// when its connection had long been closed.
func TestSeedThatFound(t *testing.T) {
	if w, _, _ := play(t, 204959, mistake{}); len(w.faults) > 0 {
		t.Error(w.faults)
	}
}

// recount prints what the nemesis did, where there is something to explain.
func (w *world) recount(t *testing.T) {
	t.Helper()
	for _, e := range w.history {
		if e.who < 0 {
			t.Log(e.at, e.what)
		}
	}
}

// TestSameSeedSameHistory: what a seed decides is the same each time, and what everybody
// sees then is the same to the nanosecond, but for the rare seed in which it matters which
// of those goroutines the runtime lets run first that wake at one instant.
func TestSameSeedSameHistory(t *testing.T) {
	same := 0
	for seed := range uint64(*twice) {
		a, _, once := play(t, 500+seed, mistake{})
		b, _, again := play(t, 500+seed, mistake{})
		if !reflect.DeepEqual(curse(a.luck(1), len(a.devices), troubled), curse(b.luck(1), len(b.devices), troubled)) {
			t.Errorf("seed %d: the nemesis is not the same", 500+seed)
		}
		for i, d := range a.devices {
			if !slices.EqualFunc(d.outbox, b.devices[i].outbox, func(x, y *letter) bool { return slices.Equal(x.raw, y.raw) && x.made.Equal(y.made) }) {
				t.Errorf("seed %d: device %d sends something else", 500+seed, i)
			}
		}
		if once == again {
			same++
		}
	}
	t.Logf("%d of %d seeds gave the same history twice", same, *twice)
	if 3*same < 2*(*twice) {
		t.Errorf("only %d of %d seeds gave the same history twice", same, *twice)
	}
	_, _, one := play(t, 500, mistake{})
	if _, _, other := play(t, 501, mistake{}); one == other {
		t.Error("control: two seeds gave the same history")
	}
}

// TestEverySessionHasItsTurn: whatever a sweep looks for, it finds it in each session
// within its time, however many there are.
func TestEverySessionHasItsTurn(t *testing.T) {
	const sweep = 5 * time.Second // as relay.Limits says
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, mistake{})
		end := w.people()
		for range 5 {
			<-time.After(20 * time.Second)
			since := time.Since(w.began)
			w.suspended.Store(true)
			<-time.After(sweep + sweep/5 + time.Second)
			w.suspended.Store(false)
			w.mu.Lock()
			seen := slices.Clone(w.history)
			w.mu.Unlock()
			for _, d := range w.devices {
				if !slices.ContainsFunc(seen, func(e event) bool { return e.who == d.number && e.what == ended && e.at > since }) {
					t.Errorf("the session of device %d was not looked at from %v to %v", d.number, since, time.Since(w.began))
				}
			}
		}
		end()
	})
}
