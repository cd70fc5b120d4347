package oncall_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/oncall"
	"schakel/relay/page"
)

// takeOver has another node take the timers, once those of the loop have run out, and
// keep them.
func (o *office) takeOver() {
	o.mu.Lock()
	o.taken = true
	o.mu.Unlock()
	if l := o.keep(); !l.Held {
		o.t.Errorf("nobody takes over: %+v", l)
	}
}

// keep is what the other node bids.
func (o *office) keep() oncall.Lease {
	l, err := o.Memory.Hold(context.Background(), oncall.Bid{Node: "another", Span: 3 * time.Second, Wall: time.Now()})
	if err != nil {
		o.t.Error(err)
	}
	return l
}

// Write implements oncall.Journal: one that is slow has its rows, and answers too late.
func (o *office) Write(ctx context.Context, term uint64, changes []oncall.Change) ([]oncall.Outcome, error) {
	outcomes, err := o.Memory.Write(ctx, term, changes)
	o.mu.Lock()
	slow := o.slow
	o.slow = false
	o.mu.Unlock()
	if slow {
		<-time.After(4 * time.Second)
		o.takeOver()
	}
	return outcomes, err
}

// TestUnsureAndLost: who finds that its lease has run out pages nobody, and once another
// has it, nothing waits here any more.
func TestUnsureAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.mu.Lock()
		o.slow = true
		o.mu.Unlock()
		o.put(1, police, envelope.TierAcute)
		o.expect("nobody", time.Minute)
		if owner, waiting := o.metric("owner"), o.metric("waiting"); owner != 0 || waiting != 0 {
			t.Errorf("who lost the timers has %v, for %v that wait", owner, waiting)
		}
		o.end()
	})
}

// TestLostWithAPageOnItsWay: the desk reads of a page whose sender has lost the timers
// meanwhile.
func TestLostWithAPageOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		set := func(ringing, away bool) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.ringing, o.away = ringing, away
		}
		set(true, false)
		o.put(1, police, envelope.TierAcute)
		o.expect("who is on call", time.Second, first)
		set(false, true)
		<-time.After(4 * time.Second)
		o.takeOver()
		set(false, false)
		<-time.After(10 * time.Second)
		pages, _, err := o.loop.Pages(t.Context(), police, 0)
		if err != nil || len(pages) != 1 || pages[0].Outcome != string(page.Sent) {
			t.Errorf("the log: %+v, %v", pages, err)
		}
		o.end()
	})
}
