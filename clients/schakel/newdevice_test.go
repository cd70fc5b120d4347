package schakel_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// sealedFor is whom the envelopes of a device were sealed for, as the relay sees it.
type sealedFor struct {
	mu  sync.Mutex
	put []envelope.Header
}

func (s *sealedFor) tap(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	if p, ok := f.(wire.Put); ok && from == wire.SideDevice {
		if h, _, err := envelope.ParsePrefix(p.Envelope); err == nil {
			s.mu.Lock()
			s.put = append(s.put, h)
			s.mu.Unlock()
		}
	}
	return []wire.Frame{f}
}

// names counts the envelopes of one device that another could open.
func (s *sealedFor) names(by, for_ identity.DeviceID) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.put {
		if h.Sealer == by && slices.ContainsFunc(h.Targets, func(t envelope.Target) bool { return t.Device == for_ }) {
			n++
		}
	}
	return n
}

// cooling is a pair whose sender makes new devices wait, and an officer there.
func cooling(t *testing.T, wait time.Duration) (p pair, seen *sealedFor, by schakel.By) {
	t.Helper()
	seen = &sealedFor{}
	p = newPair(t, seen.tap)
	officer := p.from.AddPerson("Noor")
	p.from.Stop()
	p.from.CoolOff(wait)
	p.from.Start()
	p.delivered(t, p.send(t)) // a case: now somebody here looks after that desk
	return p, seen, schakel.By{Person: officer.Name, PIN: schakeltest.PIN}
}

func (p pair) newDevice(t *testing.T, id identity.DeviceID) (x schakel.NewDevice) {
	t.Helper()
	eventually(t, "the sender sees the new device", func() bool {
		all := deskOf(t, p.from, p.to.Desk).NewDevices
		i := slices.IndexFunc(all, func(n schakel.NewDevice) bool { return n.ID == id })
		if i >= 0 {
			x = all[i]
		}
		return i >= 0
	})
	return x
}

// An insider, or who stole the organisation's key, enters a device at a partner's desk:
// senders see it and are told whom to call, and for a day it gets nothing of what they
// send, whatever it asks the relay for. Then it is a device like others (C15).
func TestC15NewDeviceGetsNothingForADay(t *testing.T) {
	p, seen, _ := cooling(t, 24*time.Hour)
	ghost := p.to.Intruder()
	ghost.Start()
	from, g := p.from.Node.Device(), ghost.Node.Device()
	x := p.newDevice(t, g)
	if left := x.Waits.Sub(x.Since); left != 24*time.Hour || len(x.Fingerprint) != 47 || !x.Confirmed.IsZero() {
		t.Errorf("%+v", x)
	}
	eventually(t, "somebody is told", func() bool { return hasAlarm(t, p.from, schakel.AlarmNewDevice) })
	if st, err := p.from.Node.Status(testContext(t)); err != nil || st.NewDevices != 1 {
		t.Errorf("status says %d new devices, %v", st.NewDevices, err)
	}
	eventually(t, "the desk has keys of both", func() bool {
		_, err := p.from.Node.RegisterForTest().EpochFor(g, p.Now())
		return err == nil
	})
	for _, u := range []message.Urgency{message.Routine, message.Urgent, message.Routine} {
		p.delivered(t, p.sendAs(t, u))
	}
	p.Pass(23 * time.Hour)
	p.delivered(t, p.send(t))
	if n := seen.names(from, g); n != 0 {
		t.Fatalf("%d envelopes were sealed for it", n)
	}
	p.Pass(2 * time.Hour)
	p.delivered(t, p.send(t))
	eventually(t, "after a day it is a device like others", func() bool {
		return seen.names(from, g) > 0 && !hasAlarm(t, p.from, schakel.AlarmNewDevice)
	})
	if x := p.newDevice(t, g); !x.Waits.IsZero() {
		t.Errorf("still shown as new, and not as waiting: %+v", x)
	}
	p.Pass(14 * 24 * time.Hour)
	if all := deskOf(t, p.from, p.to.Desk).NewDevices; len(all) > 0 {
		t.Errorf("shown as new after two weeks: %+v", all)
	}
}

// Control: where nobody waits, the same device reads the next message.
func TestC15WithoutCoolingOff(t *testing.T) {
	p, seen, _ := cooling(t, -1)
	ghost := p.to.Intruder()
	ghost.Start()
	x := p.newDevice(t, ghost.Node.Device())
	if !x.Waits.IsZero() || hasAlarm(t, p.from, schakel.AlarmNewDevice) {
		t.Errorf("it waits: %+v", x)
	}
	eventually(t, "the ghost reads along", func() bool {
		p.send(t)
		return seen.names(p.from.Node.Device(), ghost.Node.Device()) > 0
	})
}

// A person who telephoned ends the wait, with a PIN and the number, and that survives a
// restart; the wrong PIN, no number and another device do not.
func TestConfirmNewDevice(t *testing.T) {
	p, seen, by := cooling(t, 24*time.Hour)
	second := p.to.Sibling()
	second.Start()
	ctx, node, id := testContext(t), p.from.Node, second.Node.Device()
	p.newDevice(t, id)
	for what, try := range map[string]struct {
		id     identity.DeviceID
		called string
		by     schakel.By
		want   error
	}{
		"a wrong PIN":    {id, "+31600000001", schakel.By{Person: by.Person, PIN: "000000"}, schakel.ErrPIN},
		"nobody":         {id, "+31600000001", schakel.By{}, schakel.ErrPersonNeeded},
		"no number":      {id, "", by, schakel.ErrNotCalled},
		"another device": {p.to.Node.Device(), "+31600000001", by, schakel.ErrNotNew},
	} {
		if err := node.ConfirmDevice(ctx, p.to.Desk, try.id, try.called, try.by); !errors.Is(err, try.want) {
			t.Errorf("%s: %v, want %v", what, err, try.want)
		}
	}
	if err := node.ConfirmDevice(ctx, p.from.Desk, id, "+31600000001", by); !errors.Is(err, schakel.ErrNotNew) {
		t.Errorf("a device of another desk: %v", err)
	}
	if seen.names(node.Device(), id) > 0 {
		t.Fatal("it got something before")
	}
	if err := node.ConfirmDevice(ctx, p.to.Desk, id, "+31600000001", by); err != nil {
		t.Fatal(err)
	}
	p.from.Stop()
	p.from.Reopen()
	p.from.Start()
	sealsTo(t, p.from, p.to.Desk, 2) // its keys come after it
	p.delivered(t, p.send(t))
	eventually(t, "what is sent now is for both", func() bool { return seen.names(node.Device(), id) > 0 })
	if x := p.newDevice(t, id); !x.Waits.IsZero() || x.By != by.Person || x.Called != "+31600000001" || x.Confirmed.IsZero() {
		t.Errorf("%+v", x)
	}
	log, err := p.from.Node.Log(ctx, "")
	if err != nil || !slices.ContainsFunc(log.Lines, func(l schakel.LogLine) bool {
		return l.Action == "device-confirmed" && l.Subject == id.String()+" +31600000001" && l.Person != ""
	}) {
		t.Errorf("the access log does not say who called whom: %v", err)
	}
	if hasAlarm(t, p.from, schakel.AlarmNewDevice) {
		t.Error("the alarm stays")
	}
}

// Where a desk's only device is gone and a new one took its place, nothing goes there by
// itself, or a stolen key would only have to end the old one first; but nothing waits in
// silence either: who sends is told to telephone, what was on its way alarms, and both go
// as soon as a person confirmed.
func TestSuccessorOfTheLastDevice(t *testing.T) {
	p, seen, by := cooling(t, 24*time.Hour)
	ctx, old := testContext(t), p.to.Node.Device()
	second := p.to.Sibling()
	id := second.Node.Device()
	p.newDevice(t, id)
	p.to.Stop()
	waiting := p.send(t)
	p.RevokeDevice(old)
	second.Start()
	eventually(t, "what was on its way waits, and somebody is told", func() bool {
		alarms, err := p.from.Node.Alarms(ctx)
		return err == nil && slices.ContainsFunc(alarms, func(a schakel.Alarm) bool {
			return a.Kind == schakel.AlarmNewDevice && a.Subject == string(p.to.Desk)
		})
	})
	draft := schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, To: []identity.DeskID{p.to.Desk}, Body: example(t, "adviesvraag")}
	if _, err := p.from.Node.Send(ctx, draft); !errors.Is(err, schakel.ErrCoolingOff) {
		t.Errorf("a message to a new device alone: %v", err)
	}
	if d := deskOf(t, p.from, p.to.Desk); d.Reachable {
		t.Error("shown as reachable")
	}
	if err := p.from.Node.ConfirmDevice(ctx, p.to.Desk, id, "+31600000001", by); err != nil {
		t.Fatal(err)
	}
	p.delivered(t, waiting)
	if sent, err := p.from.Node.Send(ctx, draft); err != nil {
		t.Error(err)
	} else {
		p.delivered(t, sent)
	}
	eventually(t, "nobody is told any more", func() bool { return !hasAlarm(t, p.from, schakel.AlarmNewDevice) })
	if seen.names(p.from.Node.Device(), id) < 2 {
		t.Error("not sealed to the successor")
	}
}

// Within a desk: the device that vouched tells a new one everything at once, and the others
// follow it; an intruder that nobody vouched for is told nothing by any of them.
func TestNewDeviceOfOneDesk(t *testing.T) {
	seen := &sealedFor{}
	chain := schakeltest.Prepare(t)
	chain.Tap = seen.tap
	chain.StartRelay()
	first := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	second := first.Sibling()
	third := first.Sibling()
	all := []*schakeltest.Member{first, second, third}
	for _, m := range all {
		m.CoolOff(24 * time.Hour)
		m.Start()
	}
	officer := first.AddPerson("Noor")
	eventually(t, "all have the person", func() bool {
		for _, m := range all {
			if ps, err := m.Node.Persons(testContext(t)); err != nil || len(ps) != 1 {
				return false
			}
		}
		return true
	})
	eventually(t, "the second tells the third", func() bool { return seen.names(second.Node.Device(), third.Node.Device()) > 0 })
	ghost := first.Intruder()
	ghost.Start()
	g := ghost.Node.Device()
	eventually(t, "all know that it has keys, and are told to look", func() bool {
		for _, m := range all {
			if _, err := m.Node.RegisterForTest().EpochFor(g, chain.Now()); err != nil || !hasAlarm(t, m, schakel.AlarmNewDevice) {
				return false
			}
		}
		return true
	})
	if _, err := third.Node.SaveDraft(testContext(t), "", "", schakel.Draft{Class: "adviesvraag", Urgency: message.Routine, Body: example(t, "adviesvraag")},
		schakel.By{Person: officer.Name, PIN: schakeltest.PIN}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "colleagues hear of what one writes", func() bool {
		ds, err := second.Node.Drafts(testContext(t), "")
		return err == nil && len(ds) == 1
	})
	for _, m := range all {
		if n := seen.names(m.Node.Device(), g); n > 0 {
			t.Errorf("%d records for the intruder", n)
		}
	}
}
