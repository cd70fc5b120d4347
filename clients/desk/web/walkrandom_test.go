package web_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// steps are what somebody at a desk could do now, or what could befall it. What is likelier
// stands there more often.
func (w *walk) steps(desk int) (out map[string]func()) {
	d, p := w.truth.desks[desk], w.places[desk]
	out = map[string]func(){"crash": func() { w.crash(desk) }}
	if w.truth.online {
		out["lose the connection"] = func() { w.connect(false) }
	} else {
		out["find the connection"] = func() { w.connect(true) }
	}
	sheet, isSheet := pick(w.rand, slices.Sorted(maps.Keys(d.sheets)))
	draft, isDraft := pick(w.rand, slices.Sorted(maps.Keys(d.drafts)))
	if d.session != "open" && isSheet && p.tabs[sheet].Values != nil {
		out["write outside"] = func() { w.writeOutside(desk, sheet) }
	}
	switch d.session {
	case "none":
		out["sign in"] = func() { w.signIn(desk) }
	case "locked":
		out["unlock"] = func() { w.unlock(desk, false) }
		if w.wrong[desk] < 3 {
			out["unlock with a wrong PIN"] = func() { w.unlock(desk, true) }
		}
	case "open":
		out["lock"] = func() { w.lock(desk) }
		out["reload"] = func() { p.Reload() }
		if len(d.sheets) < 4 {
			out["write"] = func() { w.write(desk, "/compose/"+walkClass) }
		}
		w.stepsWith(out, desk, sheet, isSheet, draft, isDraft)
	}
	return out
}

func (w *walk) stepsWith(out map[string]func(), desk int, sheet string, isSheet bool, draft string, isDraft bool) {
	if isSheet {
		out["write on"] = func() { w.write(desk, sheet) }
		out["send"] = func() { w.send(desk, sheet, false) }
		if w.slips[desk] < 4 { // the fifth locks: see TestGuessingAtForms
			out["send with a wrong PIN"] = func() { w.send(desk, sheet, true) }
		}
		out["share"] = func() { w.share(desk, sheet) }
		out["throw away"] = func() { w.drop(desk, sheet) }
	}
	if isDraft {
		out["throw a draft away"] = func() { w.drop(desk, draft) }
		if len(w.truth.desks[desk].sheets) < 4 {
			out["take a draft up"] = func() { w.takeUp(desk, draft) }
		}
	}
	if m, is := pick(w.rand, w.truth.waiting(desk)); is {
		out["read"] = func() { w.read(desk, m.path) }
		out["acknowledge"] = func() { w.acknowledge(desk, m.path, false) }
		if w.slips[desk] < 4 {
			out["acknowledge with a wrong PIN"] = func() { w.acknowledge(desk, m.path, true) }
		}
	}
}

func pick[T any](r *rand.Rand, of []T) (one T, is bool) {
	if len(of) == 0 {
		return one, false
	}
	return of[r.IntN(len(of))], true
}

// often is how much likelier a step is than others.
var often = map[string]int{"write": 3, "write on": 2, "send": 6, "share": 3, "take a draft up": 3, "acknowledge": 5, "sign in": 8, "unlock": 4,
	"find the connection": 3, "write outside": 3}

// step does one thing at one of the desks. Between what somebody did and a crash nothing is
// waited for.
func (w *walk) step() {
	desk := w.rand.IntN(2)
	steps := w.steps(desk)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		for range max(1, often[name]) {
			names = append(names, name)
		}
	}
	name, _ := pick(w.rand, names)
	w.done = append(w.done, fmt.Sprintf("%s at %d", name, desk))
	steps[name]()
	if w.rand.IntN(3) > 0 {
		w.settle(w.rand.IntN(4) == 0)
	}
}

// TestRandomWalks: two desks, and whatever people do with their pages, in browsers without
// scripts: write, share, take up, send, read, acknowledge, lock, unlock, reload, mistype;
// while the connection comes and goes and programs are killed. What the pages show, their
// counts, states and texts, is what a small model says, and in the end nothing sent and no
// draft is lost. -args -walks=100 -steps=60 for more, -args -walks=1 -seed=N to repeat one.
// The seeds follow each other from -seed, so that a change is never refused for a walk that
// somebody else's change was spared; make walks begins elsewhere each time.
func TestRandomWalks(t *testing.T) {
	for i := range *walks {
		seed := *walkSeed + uint64(i)
		t.Run(fmt.Sprintf("walk %d", i+1), func(t *testing.T) {
			t.Logf("repeat with -args -walks=1 -steps=%d -seed=%d", *walkSteps, seed)
			w := newWalk(t, seed)
			for desk := range w.places {
				w.signIn(desk)
			}
			for range *walkSteps {
				w.step()
			}
			if !w.truth.online {
				w.connect(true)
			}
			for desk, d := range w.truth.desks {
				switch d.session {
				case "none":
					w.signIn(desk)
				case "locked":
					w.unlock(desk, false)
				}
			}
			w.settle(true)
			t.Logf("%s: %d messages, %d and %d texts being written", strings.Join(w.done, ", "), len(w.truth.sent), len(w.truth.desks[0].sheets)+len(w.truth.desks[0].drafts),
				len(w.truth.desks[1].sheets)+len(w.truth.desks[1].drafts))
		})
	}
}
