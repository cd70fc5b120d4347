package relay_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// putAll puts n envelopes and waits for all receipts.
func putAll(t testing.TB, s *relaytest.Session, from, to *relaytest.Device, n int) []envelope.ID {
	t.Helper()
	ids := make([]envelope.ID, n)
	for i := range ids {
		var raw []byte
		raw, ids[i] = from.Envelope(to)
		s.Send(wire.Put{Envelope: raw})
	}
	for got := 0; got < n; {
		got += len(relaytest.Expect[wire.Stored](s).Leaves)
	}
	return ids
}

func idOf(t testing.TB, d wire.Deliver) envelope.ID {
	t.Helper()
	e, err := envelope.Parse(d.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	return e.Header.ID
}

// collect takes n deliveries and checks that positions rise.
func collect(t testing.TB, s *relaytest.Session, n int) (ids []envelope.ID, last uint64) {
	t.Helper()
	for range n {
		d := relaytest.Expect[wire.Deliver](s)
		if d.Position <= last {
			t.Errorf("position %d after %d", d.Position, last)
		}
		last = d.Position
		ids = append(ids, idOf(t, d))
	}
	return ids, last
}

func same(a, b []envelope.ID) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func TestDeliverInOrderAndOnceAcknowledgedNeverAgain(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	want := putAll(t, vt.Login(), vt, pol, 300)
	s := pol.Login()
	s.Send(plenty)
	got, last := collect(t, s, 300)
	if !same(got, want) {
		t.Error("other order")
	}
	s.Send(wire.Ack{Position: last - 5})
	until(t, "acknowledged", func() bool { return cursor(t, w, pol) == queue.Position(last-5) })

	again := pol.Login()
	again.Send(plenty)
	if got, _ := collect(t, again, 5); !same(got, want[295:]) {
		t.Error("not the five that were not acknowledged")
	}
	if f, quiet := again.Quiet(50 * time.Millisecond); !quiet {
		t.Errorf("%T after the last", f)
	}
}

func cursor(t testing.TB, w *relaytest.World, d *relaytest.Device) queue.Position {
	t.Helper()
	c, err := w.Store.Cursor(context.Background(), d.Desk, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	return c.Position
}

// A device may acknowledge what an earlier session brought before it is brought again; in one
// message with its credit, wherever in that it stands.
func TestAcknowledgeFirstThenCredit(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	sender := vt.Login()
	for round := range 20 {
		want := putAll(t, sender, vt, pol, 4)
		s := pol.Login()
		s.Send(plenty)
		_, last := collect(t, s, 3)
		s.Close()
		s = pol.Login()
		frames := slices.Repeat([]wire.Frame{wire.Credit{Messages: 1, Bytes: 1 << 20}}, 50)
		s.Send(slices.Insert(frames, round*2, wire.Frame(wire.Ack{Position: last}))...)
		got := relaytest.Expect[wire.Deliver](s)
		if idOf(t, got) != want[3] {
			t.Fatalf("round %d: brought again what was acknowledged", round)
		}
		s.Send(wire.Ack{Position: got.Position})
		until(t, "acknowledged", func() bool { return cursor(t, w, pol) == queue.Position(got.Position) })
		s.Close()
	}
}

func TestCreditIsNeverExceeded(t *testing.T) {
	_, vt, pol := pair(t, relaytest.Config{})
	size := 0
	for range 10 {
		raw, _ := vt.Envelope(pol)
		size = len(raw)
	}
	putAll(t, vt.Login(), vt, pol, 10)
	s := pol.Login()
	if f, quiet := s.Quiet(50 * time.Millisecond); !quiet {
		t.Fatalf("%T without credit", f)
	}
	s.Send(wire.Credit{Messages: 3, Bytes: 1 << 20})
	collect(t, s, 3)
	if f, quiet := s.Quiet(50 * time.Millisecond); !quiet {
		t.Fatalf("%T beyond the messages given", f)
	}
	s.Send(wire.Credit{Messages: 100})
	collect(t, s, 7)
	putAll(t, vt.Login(), vt, pol, 3)
	collect(t, s, 3)

	// Now bytes run out: what is left of a mebibyte, less the thirteen.
	s.Close()
	s = pol.Login()
	s.Send(wire.Credit{Messages: 100, Bytes: uint32(2*size + size/2)})
	collect(t, s, 2)
	if f, quiet := s.Quiet(50 * time.Millisecond); !quiet {
		t.Fatalf("%T beyond the bytes given", f)
	}
	s.Send(wire.Credit{Bytes: uint32(size)})
	collect(t, s, 1)
}

// The recipient is connected and has credit: the ring brings the envelope.
func TestRing(t *testing.T) {
	_, vt, pol := pair(t, relaytest.Config{Limits: relay.Limits{Sweep: time.Hour}})
	s, sv := pol.Login(), vt.Login()
	s.Send(plenty)
	for range 20 {
		want := putAll(t, sv, vt, pol, 1)
		if got, _ := collect(t, s, 1); !same(got, want) {
			t.Fatal("another envelope")
		}
	}
}

func TestNewerSessionEvictsTheOlder(t *testing.T) {
	_, vt, pol := pair(t, relaytest.Config{})
	old := pol.Login()
	old.Send(plenty)
	fresh := pol.Login()
	fresh.Send(plenty)
	if code := old.ExpectClose(); code != wire.CloseEvicted {
		t.Errorf("closed with %v", code)
	}
	want := putAll(t, vt.Login(), vt, pol, 1)
	if got, _ := collect(t, fresh, 1); !same(got, want) {
		t.Error("the newer session does not get it")
	}
}

// D40: what a device says after it was revoked is not handled, though its session has not been
// ended yet. Control: what another one says after that is.
func TestD40NothingAfterTheRevocation(t *testing.T) {
	var w *relaytest.World
	var lost, pol *relaytest.Device
	var armed atomic.Bool
	w, lost, pol = pair(t, relaytest.Config{Tap: func(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if _, put := f.(wire.Put); put && from == wire.SideDevice && armed.Swap(false) {
			w.Revoke(lost) // between its arrival and its handling
		}
		return []wire.Frame{f}
	}})
	other := w.Enrol("vt20/nacht", identity.RoleVeiligThuis)
	s := lost.Login()
	putAll(t, s, lost, pol, 1)
	armed.Store(true)
	raw, _ := lost.Envelope(pol)
	s.Send(wire.Put{Envelope: raw})
	if code := s.ExpectClose(); code != wire.CloseRevoked {
		t.Errorf("closed with %v", code)
	}
	putAll(t, other.Login(), other, pol, 1)
	sp := pol.Login()
	sp.Send(plenty)
	for _, want := range []identity.DeviceID{lost.ID, other.ID} {
		e, err := envelope.Parse(relaytest.Expect[wire.Deliver](sp).Envelope)
		if err != nil || e.Header.Sealer != want {
			t.Errorf("delivered of %v, want of %v: %v", e.Header.Sealer, want, err)
		}
	}
}

// D40: revocation reaches a live session without waiting for anything.
func TestD40RevokedDeviceIsCutOff(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	other := w.Enrol("pol-mn/zeden", identity.RolePolitie)
	s, so := pol.Login(), other.Login()
	w.Revoke(pol)
	if code := s.ExpectClose(); code != wire.CloseRevoked {
		t.Errorf("closed with %v", code)
	}
	if adv := relaytest.Expect[wire.Advanced](so); adv.RegisterSize < w.Chain.Register().Size()-1 {
		t.Errorf("others hear of size %d", adv.RegisterSize)
	}
	if _, err := pol.TryLogin(); err == nil {
		t.Error("revoked device logs in again")
	} else if code, _ := wire.CloseCodeOf(err); code != wire.CloseLogin {
		t.Errorf("login of a revoked device answered %v", err)
	}
	until(t, "mailbox no longer waits for it", func() bool {
		c, err := w.Store.Cursor(context.Background(), pol.Desk, pol.ID)
		return err == nil && c.Dropped
	})
	if got := putAll(t, vt.Login(), vt, other, 1); len(got) != 1 {
		t.Error("control: the other device of the desk")
	}
}

func TestSessionEndsAfterTwelveHours(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Now().Unix())
	w, vt, _ := pair(t, relaytest.Config{
		Now: func() time.Time { return time.Unix(clock.Load(), 0) }, Limits: relay.Limits{Sweep: 50 * time.Millisecond},
	})
	_ = w
	s := vt.Login()
	if want := uint64(clock.Load() + 12*3600); s.Ready.Ends != want {
		t.Errorf("ends %d, want %d", s.Ready.Ends, want)
	}
	clock.Add(12*3600 - 1)
	if f, quiet := s.Quiet(200 * time.Millisecond); !quiet {
		t.Fatalf("%T a second before", f)
	}
	clock.Add(1)
	if code := s.ExpectClose(); code != wire.CloseEnded {
		t.Errorf("closed with %v", code)
	}
}

// D41 and row 79: verbs reach only the session's own mailbox, and say the same of
// what is foreign and what is not there.
func TestD41H06ForeignMailboxes(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	om := w.Enrol("om-mn/zsm", identity.RoleOM)
	colleague := w.Enrol("pol-mn/zeden", identity.RolePolitie)
	token := [32]byte{1, 2, 3}
	hash := sha256.Sum256(token[:])
	raw, id := vt.EnvelopeWith(func(h *envelope.Header) { h.Attended = hash[:] }, 1000, pol, colleague)
	if code := answer(t, w, vt.Login(), raw, id); code != wire.CodeOK {
		t.Fatal(code)
	}
	so := om.Login()
	so.Send(plenty, wire.Ack{Position: 1}) // om has no such position
	if code := so.ExpectClose(); code != wire.CloseFrame {
		t.Errorf("acknowledging what was never given: %v", code)
	}
	so = om.Login()
	for name, f := range map[string]wire.Attended{
		"foreign envelope, right token": {ID: id, Token: token},
		"unknown envelope":              {ID: envelope.ID{9}, Token: token},
	} {
		so.Send(f)
		if got := relaytest.Expect[wire.AttendedIs](so); got.Code != wire.CodeNotFound {
			t.Errorf("%s: %v", name, got.Code)
		}
	}
	// A device of the desk acknowledges for itself only.
	sp := pol.Login()
	sp.Send(plenty)
	_, last := collect(t, sp, 1)
	sp.Send(wire.Ack{Position: last})
	until(t, "acknowledged", func() bool { return cursor(t, w, pol) > 0 })
	if c := cursor(t, w, colleague); c != 0 {
		t.Errorf("the colleague's cursor moved to %d", c)
	}
	sc := colleague.Login()
	sc.Send(plenty)
	collect(t, sc, 1)

	sp.Send(wire.Attended{ID: id, Token: [32]byte{}})
	if got := relaytest.Expect[wire.AttendedIs](sp); got.Code != wire.CodeNotFound {
		t.Errorf("guessed token: %v", got.Code)
	}
	sp.Send(wire.Attended{ID: id, Token: token})
	if got := relaytest.Expect[wire.AttendedIs](sp); got.Code != wire.CodeOK {
		t.Errorf("control: %v", got.Code)
	}
}

// Only the listed devices of a desk get an envelope.
func TestOnlyListedDevices(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	other := w.Enrol("pol-mn/zeden", identity.RolePolitie)
	so := other.Login()
	so.Send(plenty)
	sv := vt.Login()
	putAll(t, sv, vt, pol, 3)
	want := putAll(t, sv, vt, other, 1)
	if got, _ := collect(t, so, 1); !same(got, want) {
		t.Error("an envelope for another device")
	}
}

func TestExpiryReachesTheSender(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Now().Unix())
	_, vt, pol := pair(t, relaytest.Config{
		Now: func() time.Time { return time.Unix(clock.Load(), 0) }, Limits: relay.Limits{Expire: 20 * time.Millisecond},
	})
	s := vt.Login()
	s.Send(plenty)
	ids := putAll(t, s, vt, pol, 2)
	clock.Add(3600 + 1)
	left := map[envelope.ID]bool{ids[0]: true, ids[1]: true}
	for range ids {
		n := relaytest.Expect[wire.Notice](s)
		if n.Kind != wire.NoticeExpired || !left[n.ID] || n.Position == 0 {
			t.Errorf("notice %+v", n)
		}
		delete(left, n.ID)
	}
	sp := pol.Login()
	sp.Send(plenty)
	if f, quiet := sp.Quiet(50 * time.Millisecond); !quiet {
		t.Errorf("expired envelope delivered: %T", f)
	}
}

// Several hundred KB of answers must not pile up for a device that does not read.
func TestReaderWaitsForASlowDevice(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{Limits: relay.Limits{InFlightOps: 1}})
	s := vt.Login()
	_ = w
	var frames []wire.Frame
	for range 200 {
		raw, _ := vt.Envelope(pol)
		frames = append(frames, wire.Put{Envelope: raw})
	}
	s.Send(frames...)
	for got := 0; got < 200; {
		got += len(relaytest.Expect[wire.Stored](s).Leaves)
	}
}

func TestLargestEnvelopePasses(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	small, _ := vt.EnvelopeWith(func(*envelope.Header) {}, 1000, pol)
	head := len(small) - 1000
	raw, id := vt.EnvelopeWith(func(*envelope.Header) {}, envelope.MaxSize-head-4, pol)
	if code := answer(t, w, vt.Login(), raw, id); code != wire.CodeOK {
		t.Fatalf("%d bytes: %v", len(raw), code)
	}
	s := pol.Login()
	s.Send(plenty)
	if d := relaytest.Expect[wire.Deliver](s); len(d.Envelope) != len(raw) {
		t.Errorf("%d bytes of %d", len(d.Envelope), len(raw))
	}
}

func TestStoreEpochAndClockInReady(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{})
	state, err := w.Store.State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := vt.Login()
	if s.Ready.StoreEpoch != state.Epoch || s.Ready.RegisterSize != w.Chain.Register().Size() {
		t.Errorf("%+v", s.Ready)
	}
	if d := time.Since(time.Unix(int64(s.Ready.Now), 0)); d < 0 || d > time.Minute {
		t.Errorf("relay's clock %v off", d)
	}
}

// A dishonest relay changes one byte on the way: the hook that attack tests use.
func TestTap(t *testing.T) {
	tap := func(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
		if d, ok := f.(wire.Deliver); ok && from == wire.SideRelay {
			changed := append([]byte(nil), d.Envelope...)
			changed[len(changed)-1] ^= 1
			return []wire.Frame{wire.Deliver{Position: d.Position, Envelope: changed}, f}
		}
		if _, ok := f.(wire.Ack); ok && from == wire.SideDevice {
			return nil
		}
		return []wire.Frame{f}
	}
	w, vt, pol := pair(t, relaytest.Config{Tap: tap})
	raw, id := vt.Envelope(pol)
	answer(t, w, vt.Login(), raw, id)
	s := pol.Login()
	s.Send(plenty)
	first, second := relaytest.Expect[wire.Deliver](s), relaytest.Expect[wire.Deliver](s)
	if string(first.Envelope) == string(raw) || string(second.Envelope) != string(raw) {
		t.Error("the tap did not do its work")
	}
	s.Send(wire.Ack{Position: second.Position})
	s.Send(wire.WantKeys{Tag: 1}) // an answer after the ack was swallowed
	relaytest.Expect[wire.KeysAre](s)
	if c := cursor(t, w, pol); c != 0 {
		t.Errorf("cursor at %d", c)
	}
}
