package schakel_test

import (
	"bytes"
	"testing"

	"schakel/clients/casefile"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// What was said today stands in an anchor tomorrow, at both desks, and the file of the
// case proves it on a machine without network. Control: before that day is over nothing
// is proved, and a doctored proof is a fault.
func TestMessagesAreAnchored(t *testing.T) {
	c := newTaken(t)
	ctx := testContext(t)
	export := func() casefile.Report {
		raw, err := exported(ctx, c.police, c.ref, schakel.By{})
		if err != nil {
			t.Fatal(err)
		}
		r := casefile.Verify(raw, casefile.Options{Genesis: c.Fingerprint()})
		if !r.Sound {
			t.Fatalf("not genuine: %+v", r.Faults)
		}
		return r
	}
	anchor := func() {
		if err := c.police.Node.KeepAnchorsForTest(ctx); err != nil {
			t.Fatal(err)
		}
	}
	fixed := func(r casefile.Report) (n int) {
		for _, m := range r.Messages {
			if m.Fixed != nil {
				n++
			}
		}
		return n
	}
	anchor()
	if got := fixed(export()); got != 0 {
		t.Fatalf("control: %d messages are anchored on the day itself", got)
	}
	c.Pass(day)
	eventually(t, "everything said yesterday is anchored", func() bool {
		anchor()
		r := export()
		return len(r.Messages) > 0 && fixed(r) == len(r.Messages)
	})
	r := export()
	for _, m := range r.Messages {
		if m.Fixed.Entry >= m.Fixed.Size || m.Fixed.Size > r.RegisterSize || m.Fixed.By.Standing != casefile.StandingActive || !m.Fixed.At.IsZero() {
			t.Errorf("%s: %+v in a register of %d without witnesses", m.Class, m.Fixed, r.RegisterSize)
		}
	}
	before := c.police.Node.AnchorsForTest()
	for range 3 {
		anchor()
	}
	if after := c.police.Node.AnchorsForTest(); after != before {
		t.Errorf("nothing was said, and %d anchors became %d", before, after)
	}
}

// An anchor that was signed and never came into the register comes there later as it was
// signed, also after a crash: of one day there are no two stories.
func TestAnchorSurvivesACrash(t *testing.T) {
	c := newTaken(t)
	ctx := testContext(t)
	c.StopRelay()
	c.Pass(day)
	if err := c.police.Node.KeepAnchorsForTest(ctx); err != nil {
		t.Fatal(err)
	}
	first, err := c.police.Node.AnchoringForTest(ctx)
	if err != nil || len(first) == 0 {
		t.Fatalf("nothing on its way: %v", err)
	}
	c.police.Crash()
	c.police.Reopen()
	again, err := c.police.Node.AnchoringForTest(ctx)
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("after the crash it is another one: %v", err)
	}
	c.StartRelay()
	c.police.Start()
	eventually(t, "it stands in the register", func() bool {
		if err := c.police.Node.KeepAnchorsForTest(ctx); err != nil {
			t.Fatal(err)
		}
		left, err := c.police.Node.AnchoringForTest(ctx)
		return err == nil && len(left) == 0
	})
}

// A clock that was set back gives no day twice: the anchor takes the next that is free.
func TestAnchorAfterAClockSetBack(t *testing.T) {
	c := newTaken(t)
	ctx := testContext(t)
	anchors := func(n int) func() bool {
		return func() bool {
			if err := c.police.Node.KeepAnchorsForTest(ctx); err != nil {
				t.Fatal(err)
			}
			return c.police.Node.AnchorsForTest() == n
		}
	}
	c.Pass(3 * day)
	eventually(t, "the first", anchors(1))
	c.police.MoveClock(-2 * day)
	eventually(t, "something is said", func() bool {
		_, err := c.police.Node.Send(ctx, schakel.Draft{Class: "informatieverzoek", Urgency: message.Routine, Case: c.ref,
			To: []identity.DeskID{c.knooppunt.Desk}, Body: example(t, "informatieverzoek")})
		if err != nil && rule(err) != "" {
			t.Fatal(err)
		}
		return err == nil
	})
	if !anchors(1)() {
		t.Fatal("control: its day is not over by this clock")
	}
	c.police.MoveClock(0) // a relay lets nobody in whose clock is a day behind
	eventually(t, "a second one, of a later day", anchors(2))
}
