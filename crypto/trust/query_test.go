package trust_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

func (w *world) revoke(s trust.Subject) uint64 {
	b := trust.Revoke{Of: s, Reason: trust.ReasonCompromised, Effective: now.Add(-time.Hour)}
	w.Add(w.ok(b.Sign(w.next(b), trust.ByRoot(w.Holders[0]), trust.ByRoot(w.Holders[1]))))
	return w.Register().Size() - 1
}

// TestRevocationReachesDown: what is revoked, and all below it, is inactive from
// the revocation's index on, and was active before, for good.
func TestRevocationReachesDown(t *testing.T) {
	for _, s := range []trust.Subject{"org/vt20", "desk/vt20/crisis", ""} {
		w := newWorld(t)
		if s == "" {
			s = w.vt.Subject()
		}
		before := w.Register().Size()
		index := w.revoke(s)
		reg := w.Register()
		d, ok := reg.Device(w.vt.ID)
		if !ok || d.Revoked != index || d.Active() || d.UsableAt(now) {
			t.Errorf("%s: device %+v", s, d.Standing)
		}
		if d, ok := reg.DeviceAt(w.vt.ID, before); !ok || d.Revoked != 0 || !d.UsableAt(now) {
			t.Errorf("%s: device before: %+v", s, d.Standing)
		}
		if got := reg.DevicesOf("vt20/crisis"); len(got) != 0 {
			t.Errorf("%s: desk still lists %v", s, got)
		}
		if d, ok := reg.Device(w.pol.ID); !ok || !d.UsableAt(now) {
			t.Errorf("%s: control: another organisation's device: %+v", s, d.Standing)
		}
		epochs := w.vt.Epochs(17, 1, now)
		if _, err := reg.Check(w.ok(epochs.Sign(reg.Next(epochs.Subject()), w.vt.Sign))); !errors.Is(err, trust.ErrRevoked) {
			t.Errorf("%s: epochs of a revoked device: %v", s, err)
		}
		person, _ := reg.Person(w.vt.Person.ID)
		if reached := person.Revoked == index; reached != (s != w.vt.Subject()) {
			t.Errorf("%s: person %+v", s, person.Standing)
		}
		again := trust.Revoke{Of: s, Reason: trust.ReasonLost, Effective: now}
		if _, err := reg.Check(w.ok(again.Sign(reg.Next(s), trust.ByRoot(w.Holders[0]), trust.ByRoot(w.Holders[1])))); !errors.Is(err, trust.ErrRevoked) {
			t.Errorf("%s: revoked twice: %v", s, err)
		}
	}
}

// TestRevokedForGood: no entry brings a revoked subject back.
func TestRevokedForGood(t *testing.T) {
	org := trusttest.OrgKey("vt20")
	for _, again := range []func(w *world) (trust.Subject, []byte){
		func(w *world) (trust.Subject, []byte) {
			return w.vt.Subject(), w.ok(w.vt.Device.Sign(w.next(w.vt.Device), org, w.vt.Sign, w.vt.Login))
		},
		func(w *world) (trust.Subject, []byte) {
			return w.vt.Person.Subject(), w.ok(w.vt.Person.Sign(w.next(w.vt.Person), org, w.vt.PersonKey))
		},
		func(w *world) (trust.Subject, []byte) {
			d, _ := w.Register().Desk("vt20/crisis")
			return d.Subject(), w.ok(d.Desk.Sign(w.next(d.Desk), org, w.Quorum()...))
		},
		func(w *world) (trust.Subject, []byte) {
			o := trusttest.Org("vt20")
			return o.Subject(), w.ok(o.Sign(w.next(o), w.Quorum()...))
		},
		func(w *world) (trust.Subject, []byte) {
			return w.Relay.Subject(), w.ok(w.Relay.Sign(w.next(w.Relay), w.Quorum()...))
		},
	} {
		w := newWorld(t)
		s, entry := again(w)
		if _, err := w.Register().Check(entry); err != nil {
			t.Errorf("control: %v", err)
		}
		w.revoke(s)
		_, entry = again(w)
		if _, err := w.Register().Check(entry); !errors.Is(err, trust.ErrRevoked) {
			t.Errorf("%s came back: %v", s, err)
		}
		if _, ok := w.Register().Relay(); ok == (s == w.Relay.Subject()) {
			t.Errorf("%s revoked: relay %v", s, ok)
		}
	}
}

// TestSuspension can be taken back, and older sizes keep their answer.
func TestSuspension(t *testing.T) {
	w := newWorld(t)
	o := trusttest.Org("vt20")
	o.Status = trust.OrgSuspended
	w.Add(w.ok(o.Sign(w.next(o), w.Quorum()...)))
	suspended := w.Register().Size()
	if d, _ := w.Register().Device(w.vt.ID); d.Active() || d.Revoked != 0 {
		t.Errorf("device of a suspended organisation: %+v", d.Standing)
	}
	if _, err := w.Register().Check(w.freshDevice()); !errors.Is(err, trust.ErrRevoked) {
		t.Errorf("suspended organisation enrols a device: %v", err)
	}
	o.Status = trust.OrgActive
	w.Add(w.ok(o.Sign(w.next(o), w.Quorum()...)))
	reg := w.Register()
	for size, want := range map[uint64]bool{suspended - 1: true, suspended: false, reg.Size(): true} {
		if d, ok := reg.DeviceAt(w.vt.ID, size); !ok || d.Active() != want {
			t.Errorf("at size %d: %+v", size, d.Standing)
		}
	}
}

// TestAt: every earlier size answers as it did then.
func TestAt(t *testing.T) {
	w := newWorld(t)
	desk, _ := w.Register().Desk("vt20/crisis")
	desk.Phone = "+31600000077"
	w.Add(w.ok(desk.Desk.Sign(w.next(desk.Desk), trusttest.OrgKey("vt20"))))
	w.revoke(w.vt.Person.Subject())
	w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	reg, entries := w.Register(), w.Entries()
	for size := 1; size <= len(entries); size++ {
		then, err := trust.Replay(entries[:size], w.Fingerprint())
		if err != nil {
			t.Fatal(err)
		}
		at := uint64(size)
		o1, ok1 := reg.OrgAt("vt20", at)
		o2, ok2 := then.Org("vt20")
		if o1 != o2 || ok1 != ok2 {
			t.Errorf("size %d: organisation %v, was %v", size, o1, o2)
		}
		k1, ok1 := reg.DeskAt("vt20/crisis", at)
		k2, ok2 := then.Desk("vt20/crisis")
		if k1 != k2 || ok1 != ok2 {
			t.Errorf("size %d: desk %v, was %v", size, k1, k2)
		}
		d1, ok1 := reg.DeviceAt(w.vt.ID, at)
		d2, ok2 := then.Device(w.vt.ID)
		if d1 != d2 || ok1 != ok2 {
			t.Errorf("size %d: device %v, was %v", size, d1, d2)
		}
		p1, ok1 := reg.PersonAt(w.vt.Person.ID, at)
		p2, ok2 := then.Person(w.vt.Person.ID)
		if p1 != p2 || ok1 != ok2 {
			t.Errorf("size %d: person %v, was %v", size, p1, p2)
		}
		if root, ok := reg.RootAt(at); !ok || root != then.Root() {
			t.Errorf("size %d: another root", size)
		}
	}
	if _, ok := reg.RootAt(reg.Size() + 1); ok {
		t.Error("a root of the future")
	}
}

// TestC02C03Epochs: nothing covers what is over (C02), and of two that cover a time the one
// logged last is taken (C03).
func TestC02C03Epochs(t *testing.T) {
	w := newWorld(t)
	day := 24 * time.Hour
	// Epochs 1 to 16 cover 16 days from now; 20 and 21 cover days 3 and 4 again.
	later := w.vt.Epochs(20, 2, now.Add(3*day))
	w.Add(w.ok(later.Sign(w.next(later), w.vt.Sign)))
	reg := w.Register()
	for at, want := range map[time.Duration]uint64{
		0: 1, day - 1: 1, day: 2, 3*day - 1: 3, 3 * day: 20, 5*day - 1: 21, 5 * day: 6, 16*day - 1: 16,
	} {
		if ref, err := reg.EpochFor(w.vt.ID, now.Add(at)); err != nil || ref.Number != want {
			t.Errorf("after %v: epoch %d, %v, want %d", at, ref.Number, err, want)
		} else if now.Add(at).Before(ref.From) || !now.Add(at).Before(ref.Until) {
			t.Errorf("after %v: epoch %+v does not cover it", at, ref)
		}
	}
	for _, at := range []time.Duration{-1, 16 * day, 1e18} {
		if ref, err := reg.EpochFor(w.vt.ID, now.Add(at)); !errors.Is(err, trust.ErrNoEpoch) {
			t.Errorf("after %v: %+v, %v", at, ref, err)
		}
	}
	if _, err := reg.EpochFor(w.fresh.ID, now); !errors.Is(err, trust.ErrNoEpoch) {
		t.Errorf("unknown device: %v", err)
	}
	for number, want := range map[uint64]bool{0: false, 1: true, 16: true, 17: false, 19: false, 20: true, 21: true, 22: false, 1 << 60: false} {
		ref, ok := reg.Epoch(w.vt.ID, number)
		if ok != want || ok && ref.Number != number {
			t.Errorf("epoch %d: %+v, %v", number, ref, ok)
		}
	}
	if h, ok := reg.EpochHash(w.vt.ID, 21); !ok || h != later.Hashes[1] {
		t.Error("hash of epoch 21")
	}
	if last, ok := reg.LastEpoch(w.vt.ID); !ok || last != later.Refs()[1] {
		t.Errorf("last: %+v", last)
	}
	if _, ok := reg.LastEpoch(w.fresh.ID); ok {
		t.Error("last epoch of an unknown device")
	}
}

func TestDevicesOf(t *testing.T) {
	w := newWorld(t)
	var ids []identity.DeviceID
	for range 5 {
		ids = append(ids, w.Enrol("vt20/crisis", identity.RoleVeiligThuis).ID)
	}
	reg := w.Register()
	got := reg.DevicesOf("vt20/crisis")
	if len(got) != 6 || !slices.IsSortedFunc(got, func(a, b trust.DeviceState) int { return slices.Compare(a.ID[:], b.ID[:]) }) {
		t.Fatalf("devices: %v", got)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(got, func(d trust.DeviceState) bool { return d.ID == id }) {
			t.Errorf("%s is missing", id)
		}
	}
	if got := reg.DevicesOf("nobody/here"); len(got) != 0 {
		t.Errorf("devices of no desk: %v", got)
	}
	if want := []identity.DeskID{"politie-mn/zeden", "vt20/crisis"}; !slices.Equal(reg.Desks(), want) {
		t.Errorf("desks: %v", reg.Desks())
	}
	if w.vt.Device.ValidAt(w.vt.Until) || !w.vt.Device.ValidAt(w.vt.From) || w.vt.Device.ValidAt(w.vt.From.Add(-1)) {
		t.Error("validity is from its start to before its end")
	}
}

// TestClone: what is applied to a clone does not show in the original, in either
// direction, for every kind.
func TestClone(t *testing.T) {
	w := newWorld(t)
	reg := w.Register()
	root, size := reg.Root(), reg.Size()
	a, b := reg.Clone(), reg.Clone()
	if err := a.Apply(w.freshDevice()); err != nil {
		t.Fatal(err)
	}
	other := trusttest.NewDevice("other", "vt20/crisis", now)
	if err := b.Apply(w.ok(other.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), other.Sign, other.Login))); err != nil {
		t.Fatal(err)
	}
	a.Apply(nil)
	if reg.Root() != root || reg.Size() != size || len(reg.Skipped(0)) != 0 {
		t.Error("the original changed")
	}
	if _, ok := a.Device(other.ID); ok || len(a.DevicesOf("vt20/crisis")) != 2 {
		t.Error("one clone shows in the other")
	}
	if _, ok := b.Device(w.fresh.ID); ok || len(b.Skipped(0)) != 0 {
		t.Error("one clone shows in the other")
	}
	if _, err := b.Check(w.freshDevice()); err != nil {
		t.Errorf("the clone's keys are taken by the other's: %v", err)
	}
}

// TestRotatedRoot: after a rotation only the new holders count.
func TestRotatedRoot(t *testing.T) {
	w := newWorld(t)
	new0, new1 := trusttest.NewKey("new 0"), trusttest.NewKey("new 1")
	w.Add(w.newRoot(2, 2, w.Holders[0], w.Holders[1], new0, new1))
	o := trusttest.Org("om")
	if _, err := w.Register().Check(w.ok(o.Sign(trust.First(), w.Quorum()...))); !errors.Is(err, trust.ErrUnauthorised) {
		t.Errorf("the old holders still count: %v", err)
	}
	if _, err := w.Register().Check(w.ok(o.Sign(trust.First(), new0, w.Holders[2]))); err != nil {
		t.Errorf("control: the new holders: %v", err)
	}
	if got := w.Register().Authority(); got.Version != 2 || got.Threshold != 2 {
		t.Errorf("authority: %+v", got)
	}
}
