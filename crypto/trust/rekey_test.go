package trust_test

import (
	"errors"
	"testing"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// An organisation whose key was stolen gets another by the root's word: what the old one
// signs counts no more, and what stands stays. Nothing else is given away by it.
func TestRekey(t *testing.T) {
	w := newWorld(t)
	key := trusttest.NewKey("org vt20, renewed")
	desk, _ := w.Register().Desk("vt20/crisis")
	asks := func(k trusttest.Key, change func(*trust.AdmissionRequest)) trust.AdmissionRequest {
		org := trusttest.Org("vt20")
		org.Key = k.Public()
		a := trust.AdmissionRequest{Org: org, Desk: desk.Desk}
		change(&a)
		raw, err := a.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		a, err = trust.ParseAdmissionRequest(raw)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	as := func(*trust.AdmissionRequest) {}
	for name, a := range map[string]trust.AdmissionRequest{
		"the key that it has": asks(trusttest.OrgKey("vt20"), as),
		"another OIN":         asks(key, func(a *trust.AdmissionRequest) { a.Org.OIN = "00000099999999999999" }),
		"a desk that is not":  asks(key, func(a *trust.AdmissionRequest) { a.Desk.ID = "vt20/ghost" }),
		"an organisation that is not": asks(key, func(a *trust.AdmissionRequest) {
			a.Org.ID, a.Desk.ID = "ghost", "ghost/one"
		}),
	} {
		if _, err := a.Rekey(w.Register(), w.Quorum()...); !errors.Is(err, trust.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := asks(key, func(a *trust.AdmissionRequest) { a.Org.Name = "Somebody else" })
	if _, err := w.Register().Check(w.ok(a.Rekey(w.Register(), w.Holders[0]))); !errors.Is(err, trust.ErrUnauthorised) {
		t.Errorf("one holder of two: %v", err)
	}
	w.Add(w.ok(a.Rekey(w.Register(), w.Quorum()...)))
	reg := w.Register()
	if org, _ := reg.Org("vt20"); org.Key != key.Public() || org.Name != trusttest.Org("vt20").Name {
		t.Errorf("the organisation is now %+v", org)
	}
	if _, err := reg.Check(w.freshDevice()); !errors.Is(err, trust.ErrUnauthorised) {
		t.Errorf("a device by the stolen key: %v", err)
	}
	if _, err := reg.Check(w.ok(w.fresh.Device.Sign(trust.First(), key, w.fresh.Sign, w.fresh.Login))); err != nil {
		t.Errorf("control: a device by the other key: %v", err)
	}
	if d, ok := reg.Device(w.vt.ID); !ok || !d.Active() {
		t.Error("a device of before is gone")
	}
	r := trust.Revoke{Of: trust.Org{ID: identity.OrgID("vt20")}.Subject(), Reason: trust.ReasonLost, Effective: now}
	w.Add(w.ok(r.Sign(w.next(r), trust.ByRoot(w.Holders[0]), trust.ByRoot(w.Holders[1]))))
	if _, err := asks(trusttest.NewKey("a third"), as).Rekey(w.Register(), w.Quorum()...); !errors.Is(err, trust.ErrRequest) {
		t.Errorf("an organisation that was ended: %v", err)
	}
}
