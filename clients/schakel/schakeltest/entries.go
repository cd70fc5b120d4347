package schakeltest

import (
	"context"
	"fmt"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Revoke ends a desk by the root's word. The relay must run.
func (c *Chain) Revoke(desk identity.DeskID) {
	c.t.Helper()
	s := trust.Desk{ID: desk}.Subject()
	entry, err := trust.Revoke{Of: s, Reason: trust.ReasonRetired, Effective: c.Now()}.Sign(c.register.Register().Next(s), trust.ByRoot(c.root))
	ok(c.t, err)
	c.append(entry)
}

// RevokeDevice ends a device by the root's word. The relay must run.
func (c *Chain) RevokeDevice(id identity.DeviceID) {
	c.t.Helper()
	s := trust.Device{ID: id}.Subject()
	entry, err := trust.Revoke{Of: s, Reason: trust.ReasonLost, Effective: c.Now()}.Sign(c.register.Register().Next(s), trust.ByRoot(c.root))
	ok(c.t, err)
	c.append(entry)
}

// RevokePerson ends a person by the root's word: elsewhere, as the desk where that person
// works sees it. It waits until the register knows the person. The relay must run.
func (c *Chain) RevokePerson(id identity.PersonID) {
	c.t.Helper()
	s := trust.Person{ID: id}.Subject()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, known := c.register.Register().Person(id); known {
			break
		}
		if time.Now().After(end) {
			c.t.Fatal("the register does not know the person")
		}
	}
	entry, err := trust.Revoke{Of: s, Reason: trust.ReasonCompromised, Effective: c.Now()}.Sign(c.register.Register().Next(s), trust.ByRoot(c.root))
	ok(c.t, err)
	c.append(entry)
}

// Grow enters n organisations that do nothing, for registers of more than one
// piece. The relay must run.
func (c *Chain) Grow(n int) {
	c.t.Helper()
	for i := range n {
		org := trust.Org{ID: identity.OrgID(fmt.Sprintf("org-%d", i)), Name: "Test", OIN: "00000099000000000000",
			Key: newSigner(c.t).Public(), Status: trust.OrgActive}
		entry, err := org.Sign(trust.First(), c.root)
		ok(c.t, err)
		c.append(entry)
	}
}

// ReplaceKey gives an organisation another key by the root's word, as root holders do
// when the old one is lost, or when somebody deceived them. The relay must run.
func (c *Chain) ReplaceKey(id identity.OrgID) {
	c.t.Helper()
	reg := c.register.Register()
	state, known := reg.Org(id)
	if !known {
		c.t.Fatalf("no organisation %s", id)
	}
	org := state.Org
	org.Key = newSigner(c.t).Public()
	entry, err := org.Sign(reg.Next(org.Subject()), c.root)
	ok(c.t, err)
	c.append(entry)
}

// Rekey gives an organisation the key of its own request, as root holders do.
func (c *Chain) Rekey(request trust.AdmissionRequest) {
	c.t.Helper()
	entry, err := request.Rekey(c.register.Register(), c.root)
	ok(c.t, err)
	c.append(entry)
}

func (c *Chain) append(entry []byte) {
	c.t.Helper()
	_, err := c.register.Append(context.Background(), entry, nil, c.Now())
	ok(c.t, err)
}

// Demand has the root name witnesses, of whom quorum must cosign. The relay must run.
func (c *Chain) Demand(quorum int, witnesses ...trust.VKey) {
	c.t.Helper()
	reg := c.register.Register()
	root := reg.Authority()
	root.Version, root.Quorum, root.Witnesses = root.Version+1, quorum, witnesses
	entry, err := root.Sign(reg.Next(root.Subject()), c.root)
	ok(c.t, err)
	c.append(entry)
}

// Checkpoint signs whatever size and root with the log's key, as a dishonest operator can.
func (c *Chain) Checkpoint(size uint64, root trust.Hash) []byte {
	c.t.Helper()
	note, err := trust.SignCheckpoint("schakel.example/relay-test", size, root, c.log)
	ok(c.t, err)
	return note
}

// Register is the relay's register. The relay must run.
func (c *Chain) Register() *trust.Register { return c.register.Register() }

// Witness makes the device a witness. It must not be running.
func (m *Member) Witness(name string) trust.VKey {
	m.chain.t.Helper()
	v, err := schakel.MakeWitness(context.Background(), m.store, name)
	ok(m.chain.t, err)
	m.open()
	return v
}

// Ahead is the register as it will be once grow was called, and nothing else grew it.
func (c *Chain) Ahead() (size uint64, root trust.Hash, grow func()) {
	c.t.Helper()
	reg := c.register.Register().Clone()
	org := trust.Org{ID: "org-ahead", Name: "Test", OIN: "00000099000000000000", Key: newSigner(c.t).Public(), Status: trust.OrgActive}
	entry, err := org.Sign(reg.Next(org.Subject()), c.root)
	ok(c.t, err)
	ok(c.t, reg.Apply(entry))
	return reg.Size(), reg.Root(), func() { c.t.Helper(); c.append(entry) }
}

// Append hands an entry to the relay, as anybody can. The relay must run.
func (c *Chain) Append(entry []byte) {
	c.t.Helper()
	c.append(entry)
}
