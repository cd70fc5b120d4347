package relay_test

import (
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// answer puts an envelope and returns the code, CodeOK for a receipt that verifies.
func answer(t *testing.T, w *relaytest.World, s *relaytest.Session, raw []byte, id envelope.ID) wire.Code {
	t.Helper()
	s.Send(wire.Put{Envelope: raw})
	for {
		f, err := s.Next()
		if err != nil {
			t.Fatalf("connection ended: %v", err)
		}
		switch f := f.(type) {
		case wire.Stored:
			if !w.Promised(f, raw) {
				t.Error("receipt does not verify")
			}
			return wire.CodeOK
		case wire.Refused:
			if f.ID != id && f.ID != (envelope.ID{}) {
				t.Errorf("refused %v, put %v", f.ID, id)
			}
			return f.Code
		}
	}
}

func TestAcceptPath(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	colleague := w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	buza := w.Enrol("buza/consulair", identity.RoleBuza)
	lec := w.Enrol("pol-mn/lec-egg", identity.RoleLecEgg)
	raad := w.Enrol("raad-mn/team", identity.RoleRaad)
	opvang := w.Enrol("opvang-mn/huis", identity.RoleOpvang)
	lost := w.Enrol("pol-mn/zeden", identity.RolePolitie)
	w.Revoke(lost)
	now := uint64(time.Now().Unix())

	type change = func(*envelope.Header)
	for _, c := range []struct {
		name   string
		from   *relaytest.Device
		to     []*relaytest.Device
		change change
		want   wire.Code
	}{
		{"control", vt, []*relaytest.Device{pol}, nil, wire.CodeOK},
		{"control: own desk", vt, []*relaytest.Device{colleague}, nil, wire.CodeOK},
		{"control: other desk of the organisation", lec, []*relaytest.Device{pol}, nil, wire.CodeOK},
		{"sealed by another device", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Sealer = colleague.ID }, wire.CodeSealer},
		{"expired", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Created, h.Expires = now-100, now }, wire.CodeExpired},
		{"from the future", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Created, h.Expires = now+3600, now+7200 }, wire.CodeExpired},
		{"control: clock a little ahead", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Created = now + 60 }, wire.CodeOK},
		{"forbidden lane", vt, []*relaytest.Device{buza}, nil, wire.CodeLane},
		{"forbidden lane back", buza, []*relaytest.Device{pol}, nil, wire.CodeLane},
		{"control: routine on a quiet lane", raad, []*relaytest.Device{opvang}, nil, wire.CodeOK},
		{"acute on a quiet lane", raad, []*relaytest.Device{opvang}, func(h *envelope.Header) { h.Tier = envelope.TierAcute }, wire.CodeTier},
		{"unknown desk", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Desk = "pol-mn/nergens" }, wire.CodeDesk},
		{"device of another desk", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Desk = lec.Desk }, wire.CodeDevice},
		{"unknown device", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Targets[0].Device = identity.DeviceID{7} }, wire.CodeDevice},
		{"revoked device", vt, []*relaytest.Device{lost}, nil, wire.CodeDevice},
		{"revoked device beside an active one", vt, []*relaytest.Device{pol, lost}, nil, wire.CodeDevice},
		{"unpublished epoch", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Targets[0].Epoch = 17 }, wire.CodeEpoch},
		{"epoch of next week", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Targets[0].Epoch = 8 }, wire.CodeEpoch},
		{"control: a life of seven days", vt, []*relaytest.Device{pol}, func(h *envelope.Header) { h.Expires = h.Created + envelope.MaxLife }, wire.CodeOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*envelope.Header) {}
			}
			raw, id := c.from.EnvelopeWith(c.change, 1000, c.to...)
			if got := answer(t, w, c.from.Login(), raw, id); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// The order of the checks shows in which refusal comes when several apply.
func TestAcceptOrder(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{})
	buza := w.Enrol("buza/consulair", identity.RoleBuza)
	s := vt.Login()
	wrong := []func(*envelope.Header){
		func(h *envelope.Header) { h.Targets[0].Epoch = 99 },
		func(h *envelope.Header) { h.Targets[0].Device = identity.DeviceID{9} },
		func(*envelope.Header) {}, // the lane to buza is forbidden anyway
		func(h *envelope.Header) { h.Created, h.Expires = 1000, 2000 },
		func(h *envelope.Header) { h.Sealer = buza.ID },
	}
	want := []wire.Code{wire.CodeLane, wire.CodeLane, wire.CodeLane, wire.CodeExpired, wire.CodeSealer}
	for n := range wrong {
		raw, id := vt.EnvelopeWith(func(h *envelope.Header) {
			for _, f := range wrong[:n+1] {
				f(h)
			}
		}, 1000, buza)
		if got := answer(t, w, s, raw, id); got != want[n] {
			t.Errorf("%d faults: %v, want %v", n+1, got, want[n])
		}
	}
}

func TestMalformedEnvelopes(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	s := vt.Login()
	good, id := vt.Envelope(pol)
	for name, raw := range map[string][]byte{
		"empty":     {},
		"magic":     append([]byte("SKE2"), good[4:]...),
		"truncated": good[:len(good)-1],
		"appended":  append(append([]byte(nil), good...), 0),
		"header":    append(append([]byte(nil), good[:20]...), make([]byte, len(good)-20)...),
	} {
		if got := answer(t, w, s, raw, id); got != wire.CodeMalformed {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := answer(t, w, s, good, id); got != wire.CodeOK {
		t.Error("control:", got)
	}
}

func TestDuplicateAndConflict(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	s := vt.Login()
	raw, id := vt.Envelope(pol)
	s.Send(wire.Put{Envelope: raw})
	first := relaytest.Expect[wire.Stored](s)
	s.Send(wire.Put{Envelope: raw})
	second := relaytest.Expect[wire.Stored](s)
	if first.Leaves[0].Salt != second.Leaves[0].Salt || !w.Promised(second, raw) {
		t.Error("the same envelope got another leaf")
	}
	other := append([]byte(nil), raw...)
	other[len(other)-1] ^= 1
	if got := answer(t, w, s, other, id); got != wire.CodeConflict {
		t.Error("other bytes under the id:", got)
	}
	sp := pol.Login()
	sp.Send(plenty)
	if d := relaytest.Expect[wire.Deliver](sp); string(d.Envelope) != string(raw) {
		t.Error("not the first bytes delivered")
	}
	if f, quiet := sp.Quiet(50 * time.Millisecond); !quiet {
		t.Errorf("delivered twice: %T", f)
	}
}

func TestQuotaRateAndFull(t *testing.T) {
	t.Run("F22 mailbox", func(t *testing.T) {
		w, vt, pol := pair(t, relaytest.Config{Quota: queue.Quota{DeskRecords: 2}})
		s := vt.Login()
		for _, want := range []wire.Code{wire.CodeOK, wire.CodeOK, wire.CodeQuota} {
			raw, id := vt.Envelope(pol)
			if got := answer(t, w, s, raw, id); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
	})
	t.Run("F22 rate", func(t *testing.T) {
		var clock atomic.Int64
		clock.Store(time.Now().Unix())
		now := func() time.Time { return time.Unix(clock.Load(), 0) }
		w, vt, pol := pair(t, relaytest.Config{Limits: relay.Limits{PutsPerSecond: 1}, Now: now})
		s := vt.Login()
		put := func(want wire.Code) {
			t.Helper()
			raw, id := vt.Envelope(pol)
			if got := answer(t, w, s, raw, id); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		put(wire.CodeOK)
		put(wire.CodeOK)
		put(wire.CodeRate)
		s = vt.Login() // a new session does not get a new allowance
		put(wire.CodeRate)
		clock.Add(1)
		put(wire.CodeOK)
	})
}

// A desk that has been revoked takes nothing, and its devices send nothing.
func TestRevokedDesk(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	s, sp := vt.Login(), pol.Login()
	raw, id := vt.Envelope(pol)
	if got := answer(t, w, s, raw, id); got != wire.CodeOK {
		t.Fatal("control:", got)
	}
	b := trust.Revoke{Of: trust.Subject("desk/" + pol.Desk), Reason: trust.ReasonRetired, Effective: time.Now()}
	entry, err := b.Sign(w.Chain.Register().Next(b.Of), trust.ByOrg(trusttest.OrgKey("pol-mn")))
	if err != nil {
		t.Fatal(err)
	}
	w.Append(entry, nil)
	if code := sp.ExpectClose(); code != wire.CloseRevoked {
		t.Errorf("session of the revoked desk closed with %v", code)
	}
	raw, id = vt.Envelope(pol)
	if got := answer(t, w, s, raw, id); got != wire.CodeDesk {
		t.Error(got)
	}
}
