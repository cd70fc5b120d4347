//go:build linux

package system_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
)

// offices is the stage of real programs: a relay and a daemon for each desk. The line
// to the relay is tapped.
type offices struct {
	*watched
}

var _ stage = (*offices)(nil)

// openOffices founds a chain and lets ten desks join it. The relay is initialised and
// the desks are admitted by the command line; their stores are made here, because a
// passphrase and a PIN take a second each on purpose, and the ceremony has tests of its own.
func openOffices(t *testing.T) *offices {
	t.Helper()
	p := must[programs](t)(plain())
	dir := must[string](t)(os.MkdirTemp(workshop, "k"))
	e := enrolment{dir: dir, programs: p, address: must[string](t)(freeAddress())}
	if err := e.found(); err != nil {
		t.Fatal(err)
	}
	c := &chain{t: t, dir: dir, address: e.address, programs: p, desks: map[identity.DeskID]*device{}}
	c.relays = []*relayNode{c.newRelay("relay", e.address)}
	t.Cleanup(c.close)
	o := &offices{watched: newWatched(c)}
	for _, b := range bureaus {
		c.desks[b.desk] = &device{desk: b.desk, home: c.file("desks", string(b.desk.Org()))}
		if err := o.join(e, b.desk, b.role, b.oin, b.region); err != nil {
			t.Fatalf("%s: %v", b.desk, err)
		}
	}
	for _, b := range bureaus {
		c.startDesk(b.desk)
	}
	return o
}

// join makes a desk's store, has the root holders admit it, and enters its person.
func (o *offices) join(e enrolment, id identity.DeskID, role identity.Role, oin, region string) error {
	ctx, home := o.t.Context(), o.desks[id].home
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	st, err := store.Create(ctx, filepath.Join(home, "store"), store.CreateOptions{Keys: []vault.Way{
		vault.Passphrase{Phrase: "alles hier is fictief", WorkFactor: 4}, vault.KeyFile{Path: filepath.Join(home, "device.key")}}})
	if err != nil {
		return err
	}
	defer st.Close()
	request, err := schakel.Init(ctx, st, schakel.InitOptions{Org: id.Org(), OrgName: "Fictief " + string(id.Org()), OIN: oin, Desk: id,
		Role: role, Region: region, Telephone: "+31600000001"}, time.Now())
	if err != nil {
		return err
	}
	invitation, err := o.admit(e, home, request)
	if err != nil {
		return err
	}
	fingerprint, err := schakel.InvitationFingerprint(invitation)
	if err != nil {
		return err
	}
	if err := schakel.Join(ctx, st, invitation, fingerprint, time.Now); err != nil {
		return err
	}
	node, err := schakel.New(schakel.Config{Store: st, PINWork: 4})
	if err != nil {
		return err
	}
	_, err = node.AddPerson(ctx, schakel.Person{Name: signatory, Function: "piketdienst", Telephone: "+31600000007"}, pin)
	return err
}

func (o *offices) admit(e enrolment, home string, request []byte) ([]byte, error) {
	path, out := filepath.Join(home, "request.txt"), filepath.Join(home, "invitation.txt")
	if err := os.WriteFile(path, request, 0o600); err != nil {
		return nil, err
	}
	told, err := e.run(e.schakel, "register", "fingerprint", path)
	if err != nil {
		return nil, err
	}
	if _, err = e.run(e.schakel, "register", "admit", "--dir", e.file("root"), "--fingerprint", told, "--out", out, path); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func (o *offices) node(id identity.DeskID) desk.Node { return o.desks[id].client }

func (o *offices) now() time.Time { return time.Now() }

func (o *offices) move(time.Time) error {
	return errors.New("a program that runs takes no clock from anybody")
}

func (o *offices) leave(id identity.DeskID) {
	o.t.Helper()
	if err := o.desks[id].daemon.stop(); err != nil {
		o.t.Error(err)
	}
}

func (o *offices) comeBack(id identity.DeskID) { o.startDesk(id) }

func (o *offices) relay(up bool) {
	o.t.Helper()
	if up {
		o.startRelays()
	} else {
		o.killRelays()
	}
}

// modified runs f while the desk's device runs the client that asks no rule, with the
// same keys and the same store.
func (o *offices) modified(id identity.DeskID, deceit string, f func() error) error {
	modified, err := carelessClient()
	if err != nil {
		return err
	}
	o.leave(id)
	d := o.desks[id]
	d.daemon = start(o.t, o.file(string(id.Org())+".log"), "/usr/bin/env", "DECEIT="+deceit,
		modified.schakel, "--home", d.home, "run")
	if err := wait(func() error {
		s, err := d.client.Status(background())
		if err != nil {
			err = errors.Join(err, d.daemon.ended())
		}
		if err == nil && !s.Connected {
			err = fmt.Errorf("the modified client of %s is not connected", id)
		}
		return err
	}); err != nil {
		return err
	}
	defer func() { o.leave(id); o.comeBack(id) }()
	return f()
}

// sawNothing looks for what was said at the relay: in its folder, its log, its metrics,
// its memory, and on the line.
func (o *offices) sawNothing(t *testing.T) {
	var all []needle
	for _, secret := range []string{"Proefpersoon", "Voorbeeldstad", "fietslampje", signatory, "strafbaar-feit-melding", "achterlatingssignaal",
		"reisdocumentverzoek", "verificatieantwoord", "repatrieringsplan", "nu-niet-melden", "veiligContact"} {
		all = append(all, needles(secret, secret)...)
	}
	for _, ref := range o.allCases() {
		u := must[[16]byte](t)(identity.ParseUUID(ref))
		all = append(all, needles("a case", ref)...)
		all = append(all, needles("the bytes of a case", string(u[:]))...)
	}
	o.empty(o.search(all))
	t.Run("the search sees every place", o.sees)
}

// allCases are the cases of every desk.
func (o *offices) allCases() (refs []string) {
	for _, b := range bureaus {
		for _, k := range must[[]schakel.CaseSummary](o.t)(o.node(b.desk).Cases(o.t.Context(), schakel.Paging{})) {
			if !slices.Contains(refs, k.Case) {
				refs = append(refs, k.Case)
			}
		}
	}
	return refs
}

// clockwork is the stage on which time passes: nodes in this process.
type clockwork struct {
	t       *testing.T
	chain   *schakeltest.Chain
	members map[identity.DeskID]*schakeltest.Member
}

var _ stage = (*clockwork)(nil)

func openClock(t *testing.T) *clockwork {
	return &clockwork{t: t, members: map[identity.DeskID]*schakeltest.Member{}}
}

func (c *clockwork) node(id identity.DeskID) desk.Node {
	c.t.Helper()
	if c.chain == nil {
		c.t.Fatal("the first line says what the clock stands at")
	}
	return c.members[id].Node
}

func (c *clockwork) now() time.Time { return c.chain.Now() }

// move founds the chain at that time, and later lets the time until then go by.
func (c *clockwork) move(to time.Time) error {
	if c.chain != nil {
		c.chain.Pass(to.Sub(c.chain.Now()))
		return nil
	}
	c.chain = schakeltest.PrepareAt(c.t, to)
	c.chain.StartRelay()
	for _, b := range bureaus {
		m := c.chain.Join(b.desk, b.role)
		m.AddPerson(signatory)
		m.Start()
		c.members[b.desk] = m
	}
	return nil
}

func (c *clockwork) leave(id identity.DeskID) { c.members[id].Stop() }

func (c *clockwork) comeBack(id identity.DeskID) {
	c.members[id].Reopen()
	c.members[id].Start()
}

func (c *clockwork) relay(up bool) {
	if up {
		c.chain.StartRelay()
	} else {
		c.chain.StopRelay()
	}
}

// modified runs f with the honest client that there is.
func (c *clockwork) modified(_ identity.DeskID, _ string, f func() error) error { return f() }
