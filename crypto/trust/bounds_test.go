package trust_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// bounded is one body per kind, signed by whoever must; a row changes one field.
type bounded struct {
	org    trust.Org
	relay  trust.Relay
	desk   trust.Desk
	device trust.Device
	person trust.Person
	epochs trust.Epochs
	revoke trust.Revoke
	root   trust.Root
}

func (w *world) bodies() bounded {
	desk, _ := w.Register().Desk("vt20/crisis")
	return bounded{trusttest.Org("om"), w.Relay, desk.Desk, w.fresh.Device, w.fresh.Person, w.vt.Epochs(17, 3, now),
		trust.Revoke{Of: w.vt.Subject(), Reason: trust.ReasonLost, Effective: now}, w.Root(2, 2, w.Holders...)}
}

// sign signs them all, whatever they say, and returns the errors that are left.
func (w *world) sign(b bounded) (refused []error) {
	org := trusttest.OrgKey("vt20")
	for _, sign := range []func() ([]byte, error){
		func() ([]byte, error) { return b.org.Sign(trust.First(), w.Quorum()...) },
		func() ([]byte, error) { return b.relay.Sign(trust.First(), w.Quorum()...) },
		func() ([]byte, error) { return b.desk.Sign(trust.First(), org) },
		func() ([]byte, error) { return b.device.Sign(trust.First(), org, w.fresh.Sign, w.fresh.Login) },
		func() ([]byte, error) { return b.person.Sign(trust.First(), org, w.fresh.PersonKey) },
		func() ([]byte, error) { return b.epochs.Sign(trust.First(), w.vt.Sign) },
		func() ([]byte, error) { return b.revoke.Sign(trust.First(), trust.ByOrg(org)) },
		func() ([]byte, error) { return b.root.Sign(trust.First(), w.Quorum()...) },
	} {
		if _, err := sign(); err != nil {
			refused = append(refused, err)
		}
	}
	return refused
}

// TestBounds: nobody can make an entry that others would refuse to read.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	if refused := w.sign(w.bodies()); len(refused) != 0 {
		t.Fatalf("control: %v", refused)
	}
	long := strings.Repeat("x", 81)
	for what, change := range map[string]func(b *bounded){
		"org id":              func(b *bounded) { b.org.ID = "OM" },
		"org name":            func(b *bounded) { b.org.Name = long },
		"OIN short":           func(b *bounded) { b.org.OIN = "00000099" },
		"OIN letters":         func(b *bounded) { b.org.OIN = "0000009900000000000x" },
		"org status":          func(b *bounded) { b.org.Status = "asleep" },
		"org key":             func(b *bounded) { b.org.Key = identity.Key{} },
		"relay id":            func(b *bounded) { b.relay.ID = "relay/1" },
		"relay url http":      func(b *bounded) { b.relay.URL = "https://relay.example" },
		"relay url empty":     func(b *bounded) { b.relay.URL = "wss://" },
		"relay url space":     func(b *bounded) { b.relay.URL = "wss://relay example" },
		"relay without log":   func(b *bounded) { b.relay.Log = trust.VKey{} },
		"relay one key twice": func(b *bounded) { b.relay.Receipt = b.relay.Log.Key },
		"desk id":             func(b *bounded) { b.desk.ID = "vt20" },
		"desk role":           func(b *bounded) { b.desk.Role = "minister" },
		"desk name":           func(b *bounded) { b.desk.Name = "" },
		"desk region":         func(b *bounded) { b.desk.Region = "XA 1" },
		"telephone":           func(b *bounded) { b.desk.Phone = "0600000001" },
		"telephone short":     func(b *bounded) { b.desk.Phone = "+316" },
		"telephone letters":   func(b *bounded) { b.desk.Phone = "+31BELONSNU" },
		"device id":           func(b *bounded) { b.device.ID = identity.DeviceID{} },
		"device desk":         func(b *bounded) { b.device.Desk = "x" },
		"device type":         func(b *bounded) { b.device.Type = "toaster" },
		"device never valid":  func(b *bounded) { b.device.Until = b.device.From },
		"device without key":  func(b *bounded) { b.device.LoginKey = identity.Key{} },
		"person id":           func(b *bounded) { b.person.ID = identity.PersonID{} },
		"person desk":         func(b *bounded) { b.person.Desk = "x" },
		"person never valid":  func(b *bounded) { b.person.Until = b.person.From.Add(-1) },
		"person without key":  func(b *bounded) { b.person.Key = identity.Key{} },
		"epochs of nobody":    func(b *bounded) { b.epochs.Device = identity.DeviceID{} },
		"epoch 0":             func(b *bounded) { b.epochs.First = 0 },
		"epoch enormous":      func(b *bounded) { b.epochs.First = 1 << 63 },
		"epoch of a minute":   func(b *bounded) { b.epochs.Length = time.Minute },
		"epoch of a month":    func(b *bounded) { b.epochs.Length = 30 * 24 * time.Hour },
		"no epochs":           func(b *bounded) { b.epochs.Hashes = nil },
		"17 epochs":           func(b *bounded) { b.epochs = w.vt.Epochs(17, 17, now) },
		"one epoch key twice": func(b *bounded) { b.epochs.Hashes = slices.Repeat(b.epochs.Hashes[:1], 2) },
		"reason":              func(b *bounded) { b.revoke.Reason = "because" },
		"revoked epoch":       func(b *bounded) { b.revoke.Of = "epoch/" + w.vt.Subject()[len("device/"):] },
		"revoked relay":       func(b *bounded) { b.revoke.Of = "relay/A" },
		"revoked desk":        func(b *bounded) { b.revoke.Of = "desk/a" },
		"revoked device":      func(b *bounded) { b.revoke.Of = "device/1" },
		"revoked person":      func(b *bounded) { b.revoke.Of = "person/1" },
		"version 0":           func(b *bounded) { b.root.Version = 0 },
		"threshold 0":         func(b *bounded) { b.root.Threshold = 0 },
		"threshold above all": func(b *bounded) { b.root.Threshold = 4 },
		"no holders":          func(b *bounded) { b.root.Keys = nil },
		"17 holders":          func(b *bounded) { b.root.Keys = slices.Repeat(b.root.Keys[:1], 17) },
		"a holder twice":      func(b *bounded) { b.root.Keys[1] = b.root.Keys[0] },
		"quorum of nobody":    func(b *bounded) { b.root.Quorum = 1 },
		"quorum below 0":      func(b *bounded) { b.root.Quorum = -1 },
		"ends at once":        func(b *bounded) { b.root.Expires = b.root.Issued },
		"two years":           func(b *bounded) { b.root.Expires = b.root.Issued.AddDate(2, 0, 0) },
	} {
		b := w.bodies()
		change(&b)
		if refused := w.sign(b); len(refused) != 1 || !errors.Is(refused[0], trust.ErrSkipped) {
			t.Errorf("%s: %v", what, refused)
		}
	}
}

func TestUsableAt(t *testing.T) {
	w := newWorld(t)
	p, ok := w.Register().Person(w.vt.Person.ID)
	if !ok || !p.UsableAt(p.From) || p.UsableAt(p.Until) || p.UsableAt(p.From.Add(-time.Second)) {
		t.Errorf("person: %+v", p)
	}
	w.revoke(p.Subject())
	if p, _ := w.Register().Person(p.ID); p.UsableAt(p.From) {
		t.Error("a revoked person is usable")
	}
}
