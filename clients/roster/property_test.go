package roster_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"schakel/clients/roster"
	"schakel/relay/rota"
)

// edit draws one edit. What it refuses must leave no roster behind; that is not counted.
func edit(t *rapid.T, r roster.Roster, n int) roster.Roster {
	who := rapid.SampledFrom([]rota.Contact{"p-1", "p-2", "p-3", "f-1"})
	a, b := who.Draw(t, "who"), who.Draw(t, "other")
	level := rapid.IntRange(0, 1).Draw(t, "level")
	from := now.Add(time.Duration(rapid.IntRange(0, 30*24*60).Draw(t, "from")) * time.Minute)
	to := from.Add(time.Duration(rapid.IntRange(1, 5*24*60).Draw(t, "minutes")) * time.Minute)
	d := decided(fmt.Sprintf("e%d", n), now.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "clock"))*time.Minute))
	var out roster.Roster
	var err error
	switch rapid.SampledFrom([]string{"override", "take", "swap", "exchange", "leave"}).Draw(t, "edit") {
	case "override":
		out, err = r.Override(d, a, level, from, to)
	case "take":
		out, err = r.TakeOver(d, a, level, time.Time{})
	case "swap":
		out, err = r.Swap(d, a, from, b, to)
	case "exchange":
		out, err = r.Exchange(d, a, b, from, to)
	case "leave":
		out, _, err = r.PersonLeaves(d, a, from)
	}
	if err != nil {
		return r
	}
	return out
}

// TestEditsKeepTheInvariants: whatever is edited, the roster can be used and encoded, at
// every moment a level has one contact or a reported gap, and the plan says the same for
// 14 days. Two devices that edit apart settle on one.
func TestEditsKeepTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := desk()
		for i := range rapid.IntRange(0, 4).Draw(t, "together") {
			start = edit(t, start, i)
		}
		one, two := edit(t, start, 10), edit(t, start, 11)
		for _, r := range []roster.Roster{start, one, two, roster.Settle(one, two), roster.Settle(two, one)} {
			holds(t, r)
		}
		if a, b := roster.Settle(one, two), roster.Settle(one, two, start, one); !reflect.DeepEqual(a, b) {
			t.Fatalf("settled on %+v and %+v", a, b)
		}
	})
}

func holds(t *rapid.T, r roster.Roster) {
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := roster.Parse(raw); err != nil || back.Check() != nil {
		t.Fatal(err)
	}
	p, _, err := r.Plan("vt20/crisis", 1, now)
	if err != nil {
		t.Fatal(err)
	}
	gaps := r.GapsAhead(now)
	for range 20 {
		at := now.Add(time.Duration(rapid.IntRange(0, 14*24*60-1).Draw(t, "minute")) * time.Minute)
		for level, called := range r.OnCall(at) {
			gap := false
			for _, g := range gaps {
				gap = gap || g.Level == level && !at.Before(g.From) && at.Before(g.To)
			}
			answer := r.Rota().At(at).Levels[level].Contact
			if gap != (answer == "") || len(called) == 0 || !gap && called[0] != answer {
				t.Fatalf("level %d at %s: %q, called %v, reported as gap %v", level, at, answer, called, gap)
			}
			if got := p.OnCall(at, level); !reflect.DeepEqual(got, called) {
				t.Fatalf("level %d at %s: the plan says %v, the roster %v", level, at, got, called)
			}
		}
	}
}
