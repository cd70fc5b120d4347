package schakel_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// A desk that said that it is away is not missed before it said it would be back, and is
// afterwards; what it does not receive alarms its sender all the same. Control: a desk that
// said nothing is missed after two hours (B11 of TestEvilRelay).
func TestAway(t *testing.T) {
	t.Parallel()
	p, ctx := newPair(t, nil), testContext(t)
	p.delivered(t, p.send(t))
	for _, until := range []time.Time{p.Now(), p.Now().Add(15 * 24 * time.Hour)} {
		if _, err := p.to.Node.Away(ctx, until); !errors.Is(err, schakel.ErrAbsence) {
			t.Errorf("away until %v: %v", until, err)
		}
	}
	back := p.Now().Add(10 * time.Hour)
	if a, err := p.to.Node.Away(ctx, back); err != nil || len(a.Untold) > 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err := p.to.Node.Absent(ctx); err != nil || a.Until.Unix() != back.Unix() {
		t.Errorf("it says that it is away until %v, %v", a.Until, err)
	}
	p.to.Stop()
	sent := p.send(t)
	if _, err := p.from.Node.Wait(ctx, sent.Hash, schakel.StateAtRelay); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		p.Pass(time.Hour)
		alarmed(t, p.from, schakel.AlarmUndelivered)
	}
	if hasAlarm(t, p.from, schakel.AlarmSilence) {
		t.Error("missed while it is away")
	}
	p.Pass(5 * time.Hour)
	if a := alarmed(t, p.from, schakel.AlarmSilence); a.Since.Before(back) {
		t.Errorf("missed at %v, before it said that it is back, at %v", a.Since, back)
	}
	p.to.Start()
	p.delivered(t, sent)
	if a, err := p.to.Node.Away(ctx, time.Time{}); err != nil || !a.Until.IsZero() {
		t.Errorf("back: %+v, %v", a, err)
	}
	eventually(t, "nobody misses it any more", func() bool { return !hasAlarm(t, p.from, schakel.AlarmSilence) })
}

// Who switches the machine off says nothing again: a desk of which the relay does not have the
// statement was not told, though it left this device. Control: once the relay takes it, nobody
// is named.
func TestAwayNamesWhoWasNotTold(t *testing.T) {
	t.Parallel()
	d := newDishonest(t)
	d.delivered(t, d.send(t))
	leaving := d.to.Node.Device()
	d.op.Do(func(p schakeltest.Passing) []wire.Frame {
		if _, put := p.Frame.(wire.Put); put && p.Device == leaving {
			return nil
		}
		return p.On()
	})
	back := d.Now().Add(10 * time.Hour)
	if a, err := d.to.Node.Away(testContext(t), back); err != nil || !slices.Contains(a.Untold, d.from.Desk) {
		t.Errorf("the relay has nothing, and all are said to be told: %+v, %v", a, err)
	}
	d.op.Do(nil)
	if a, err := d.to.Node.Away(testContext(t), back); err != nil || len(a.Untold) > 0 {
		t.Errorf("not told: %v, %v", a.Untold, err)
	}
}

// A desk that is closed on a working day said that it is away, and what it does not get in time
// is told to its sender all the same: only what the partners agreed on moves a term. Where they
// closed the bridge day after Ascension, nobody is alarmed the whole long weekend.
func TestClosedOnAWorkingDay(t *testing.T) {
	for name, c := range map[string]struct {
		agreed *protocol.Catalogue
		late   bool
	}{
		"as agreed":     {closedOn(t, bridge, protocol.V1()), false},
		"a working day": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := func(day, hour int) time.Time { return time.Date(2026, time.May, day, hour, 0, 0, 0, calendar.Zone()) }
			chain := schakeltest.PrepareUnder(t, on(13, 18), c.agreed)
			chain.StartRelay()
			p := pair{Chain: chain, from: chain.Join("vt20/crisis", identity.RoleVeiligThuis), to: chain.Join("knooppunt/piket", identity.RoleKnooppunt)}
			p.from.Start()
			p.to.Start()
			p.reachable(t)
			p.delivered(t, p.sendAs(t, message.Routine))
			back := on(18, 8)
			a, err := p.to.Node.Away(testContext(t), back)
			if err != nil || len(a.Untold) > 0 {
				t.Fatalf("%+v, %v", a, err)
			}
			if a.Late.IsZero() == c.late || c.late && !a.Late.Equal(on(16, 0)) {
				t.Errorf("whoever leaves hears that what comes is late at %v", a.Late)
			}
			p.to.Stop()
			p.Pass(on(14, 12).Sub(p.Now()))
			sent := p.sendAs(t, message.Routine)
			if _, err := p.from.Node.Wait(testContext(t), sent.Hash, schakel.StateAtRelay); err != nil {
				t.Fatal(err)
			}
			for p.Now().Before(on(18, 3)) {
				p.Pass(5 * time.Hour)
				if err := p.from.Node.KeepWatchForTest(testContext(t)); err != nil {
					t.Fatal(err)
				}
				late := c.late && p.Now().After(on(16, 0).Add(2*time.Minute))
				for _, a := range alarms(t, p.from, schakel.AlarmUndelivered) {
					if a.Since.Before(on(16, 0)) || !late {
						t.Errorf("alarmed at %v", a.Since)
					}
				}
				if late && !hasAlarm(t, p.from, schakel.AlarmUndelivered) {
					t.Errorf("it is not told at %v", p.Now())
				}
			}
			if hasAlarm(t, p.from, schakel.AlarmSilence) {
				t.Error("missed while it is away")
			}
		})
	}
}
