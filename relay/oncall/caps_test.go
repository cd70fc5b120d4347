package oncall_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/page"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// plan publishes a plan in which one contact of a desk has points.
func (o *office) plan(desk identity.DeskID, targets ...string) {
	o.t.Helper()
	now := time.Now().Truncate(time.Second)
	p := rota.Plan{Desk: desk, Serial: 9, From: now.Add(-time.Hour), Until: now.Add(14 * 24 * time.Hour), Fallback: []rota.Contact{"f"}}
	slices.Sort(targets)
	for _, target := range targets {
		p.Points = append(p.Points, rota.Point{Contact: "f", Channel: page.NTFY, Target: target})
	}
	raw, err := p.Encode()
	if err == nil {
		_, err = o.loop.Publish(o.t.Context(), desk, raw)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// flood has 64 points at one domain called for an acute envelope every few seconds, for
// ten minutes, and returns how many pages that domain got and how many the victims' own.
func flood(t *testing.T, prepare func(*oncall.Loop)) (flooded, own int, left int) {
	synctest.Test(t, func(t *testing.T) {
		const shared = "https://ntfy.example/piket"
		o := open(t)
		prepare(o.loop)
		var targets []string
		for n := range rota.MaxPoints {
			targets = append(targets, fmt.Sprintf("https://host-%02d.ntfy.example/x", n))
		}
		targets[63] = shared // and one that belongs to another
		o.plan("kwaad/desk", targets...)
		o.plan("vt20/crisis", shared)
		began := time.Now()
		for n := byte(1); time.Since(began) < 10*time.Minute; n++ {
			o.put(n, "kwaad/desk", envelope.TierAcute)
			<-time.After(4 * time.Second)
		}
		flooded = len(o.after(0))
		waits := o.put(255, "vt20/crisis", envelope.TierAcute)
		for _, target := range o.after(time.Second) {
			if target == shared {
				own++
			}
		}
		o.attend(waits)
		<-time.After(time.Second)
		left = oncall.Budgets(o.loop)
		o.end()
	})
	return flooded, own, left
}

// TestFloodThroughARelay: a desk cannot have a relay flood somebody's servers, and keeps
// nobody else from being called there.
func TestFloodThroughARelay(t *testing.T) {
	flooded, own, left := flood(t, func(*oncall.Loop) {})
	if most := 128 + 600*2 + 10; flooded > most || flooded < 1000 {
		t.Errorf("%d pages in ten minutes, at most %d", flooded, most)
	}
	if own == 0 {
		t.Error("who is called at the same point in earnest was kept from it")
	}
	if left > 1000 {
		t.Errorf("%d budgets are remembered", left)
	}
	t.Logf("%d pages in ten minutes", flooded)
	if control, _, _ := flood(t, (*oncall.Loop).Uncapped); control < 5*flooded {
		t.Errorf("without budgets %d pages: the test tests nothing", control)
	}
}

// TestCappedIsSaid: what goes over the budget is in the desk's log, and the operator is
// called instead.
func TestCappedIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		const target = "https://ntfy.example/one"
		o.plan("pol-mn/ander", target)
		for n := range byte(6) { // six contacts of other desks that share the point
			o.plan(identity.DeskID(fmt.Sprintf("pol-mn/d%d", n)), target)
		}
		for n := range byte(90) {
			if n%5 == 0 {
				o.put(n+100, "pol-mn/ander", envelope.TierAcute)
			}
			o.put(n+1, identity.DeskID(fmt.Sprintf("pol-mn/d%d", n%6)), envelope.TierAcute)
			<-time.After(time.Second)
		}
		if called := o.after(0); !slices.Contains(called, "operator") {
			t.Errorf("called %q and not the operator", called)
		}
		pages, _, err := o.loop.Pages(t.Context(), "pol-mn/ander", 0)
		capped := slices.IndexFunc(pages, func(p wire.Paged) bool { return p.Outcome == string(page.Capped) })
		if err != nil || capped < 0 {
			t.Errorf("the log: %+v, %v", pages, err)
		}
		o.end()
	})
}

// TestBudgets: what is less urgent leaves a part to what is acute, organisations and
// domains have budgets of their own, and they fill again.
func TestBudgets(t *testing.T) {
	clock := time.Duration(0)
	take, _ := oncall.Budget(func() time.Duration { return clock })
	all := func(desk identity.DeskID, tier envelope.Tier, target string) (n int) {
		for n < 1000 && take(desk, page.Point{Channel: page.NTFY, Target: strings.ReplaceAll(target, "*", fmt.Sprint(n))}, tier) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		what   string
		desk   identity.DeskID
		tier   envelope.Tier
		target string // * is another each time
		want   int
		pass   time.Duration // before
	}{
		{"routine at one point", "a/1", envelope.TierRoutine, "https://one.example/x", 4, 0},
		{"urgent has more", "a/1", envelope.TierUrgent, "https://one.example/x", 2, 0},
		{"acute all that is left", "a/1", envelope.TierAcute, "https://one.example/x", 2, 0},
		{"in other letters", "a/1", envelope.TierAcute, "https://ONE.example/x", 0, 0},
		{"another desk of the organisation", "a/2", envelope.TierAcute, "https://one.example/x", 0, 0},
		{"another organisation", "b/1", envelope.TierAcute, "https://one.example/x", 8, 0},
		{"four seconds later", "a/2", envelope.TierAcute, "https://one.example/x", 1, 4 * time.Second},
		{"all of a desk", "c/1", envelope.TierAcute, "https://x.host-*.example/x", 128, 0},
		{"what the desk may a minute later", "c/1", envelope.TierAcute, "https://y.host-*.example/x", 120, time.Minute},
		{"the domain, first desk", "d/1", envelope.TierAcute, "https://*.victim.example/x", 128, 0},
		{"the domain, second desk", "d/2", envelope.TierAcute, "https://*.victim.example/y", 128, 0},
		{"the domain, third desk", "d/3", envelope.TierAcute, "https://*.victim.example/z", 0, 0},
		{"another domain", "d/3", envelope.TierAcute, "https://*.other.example/z", 128, 0},
		{"the domain for others", "e/1", envelope.TierAcute, "https://*.victim.example/x", 128, 0},
	} {
		clock += c.pass
		if got := all(c.desk, c.tier, c.target); got != c.want {
			t.Errorf("%s: %d pages, want %d", c.what, got, c.want)
		}
	}
}

// TestRefusedIsNotRemembered: a desk that has spent its budget, and an organisation that
// has spent that of a domain, cannot have a relay remember one more for each point that
// they name, of which there is no end.
func TestRefusedIsNotRemembered(t *testing.T) {
	take, remembered := oncall.Budget(func() time.Duration { return 0 })
	ask := func(desk identity.DeskID, target string, times int) (taken int) {
		for n := range times {
			if take(desk, page.Point{Channel: page.NTFY, Target: fmt.Sprintf(target, n)}, envelope.TierAcute) {
				taken++
			}
		}
		return taken
	}
	const most = 1 + 128*2 // the desk, and a point and a domain of each page that went out
	if n := ask("a/1", "https://host-%d.example/x", 5000); n != 128 || remembered() > most {
		t.Errorf("%d pages of a desk, and %d budgets are remembered", n, remembered())
	}
	before := remembered()
	for desk := range 3 { // two of them spend what the domain has
		ask(identity.DeskID(fmt.Sprintf("b/%d", desk)), "https://x-%d.victim.example/x", 5000)
	}
	if n := remembered() - before; n > 3+1+256 {
		t.Errorf("%d budgets are remembered for a domain that had 256 pages", n)
	}
}
