package schakel_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// An organisation's key in other hands is replaced: what was made for it is the same
// after a crash, the old one counts until the root holders entered the other one, and
// then the desk governs with that and the thief with nothing.
func TestOrganisationKeyIsRenewed(t *testing.T) {
	c := schakeltest.New(t)
	m := c.Join("vt20/crisis", identity.RoleVeiligThuis)
	m.Start()
	ctx := testContext(t)
	stolen := orgKeyOf(t, m)
	var request []byte
	eventually(t, "the register is there", func() bool {
		var err error
		request, err = m.Node.RenewOrganisationKey(ctx)
		return err == nil
	})
	m.AddPerson("A. Nnie") // with the key of before
	m.Crash()
	m.Reopen()
	m.Start()
	again, err := m.Node.RenewOrganisationKey(ctx)
	if err != nil || !bytes.Equal(request, again) {
		t.Fatalf("after a crash it is another request: %v", err)
	}
	asked, err := trust.ParseAdmissionRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	c.Rekey(asked)
	eventually(t, "the device goes on with the other key", func() bool {
		return orgKeyOf(t, m) == asked.Org.Key && m.Node.SignsForTest(asked.Org.Key) // on disk first, then in memory
	})
	p := m.AddPerson("B. Ob")
	eventually(t, "what it signs counts", func() bool { return m.Node.HasPersonForTest(p.ID) })
	m.Stop()
	m.Reopen()
	m.Start()
	if got := orgKeyOf(t, m); got != asked.Org.Key || got == stolen {
		t.Errorf("after opening anew the key is %s", got)
	}
	next, err := m.Node.RenewOrganisationKey(ctx)
	if err != nil || bytes.Equal(next, request) {
		t.Errorf("a second renewal asks for the same key: %v", err)
	}
}

func orgKeyOf(t *testing.T, m *schakeltest.Member) (k identity.Key) {
	t.Helper()
	err := m.Store().View(testContext(t), func(tx *store.Tx) error {
		dev, err := tx.Device()
		copy(k[:], dev.Org.Public().(ed25519.PublicKey))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A further device has no key to renew, and says where it is.
func TestOnlyTheKeyRenewsItself(t *testing.T) {
	c := schakeltest.New(t)
	m := c.Join("vt20/crisis", identity.RoleVeiligThuis)
	m.Start()
	second := m.Sibling()
	if _, err := second.Node.RenewOrganisationKey(testContext(t)); !errors.Is(err, schakel.ErrNoOrgKey) {
		t.Errorf("a further device: %v", err)
	}
}

// Persons outlive the key that certified them: what they signed before counts, they go on
// signing after, and one whose entry was still waiting when the key was replaced is not lost.
// Control: that entry, as it was signed then, counts for nothing any more.
func TestPersonsOutliveTheOrganisationsKey(t *testing.T) {
	c := schakeltest.New(t)
	p := pair{Chain: c, from: c.Join("knooppunt/piket", identity.RoleKnooppunt), to: c.Join("vt20/crisis", identity.RoleVeiligThuis)}
	p.from.Start()
	p.to.Start()
	p.reachable(t)
	ctx := testContext(t)
	var sent []schakel.Sent
	for range 3 {
		s := p.send(t)
		p.delivered(t, s)
		sent = append(sent, s)
	}
	takes := func(s schakel.Sent, by schakel.Person) {
		t.Helper()
		if _, err := p.to.Node.Acknowledge(ctx, s.Hash, schakel.Acknowledgement{Person: by.Name, PIN: schakeltest.PIN}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.from.Node.Wait(ctx, s.Hash, schakel.StateAcknowledged); err != nil {
			t.Fatalf("%s is not believed: %v", by.Name, err)
		}
	}
	early := p.to.AddPerson("A. Vroeg")
	eventually(t, "the register has the first one", func() bool { return p.from.Node.HasPersonForTest(early.ID) })
	takes(sent[0], early)
	var request []byte
	eventually(t, "another key is asked for", func() bool {
		var err error
		request, err = p.to.Node.RenewOrganisationKey(ctx)
		return err == nil
	})
	p.stopRelay()
	waits := p.to.AddPerson("B. Wacht") // signed with the key of before, and the relay is not there
	p.to.Stop()
	c.StartRelay()
	asked, err := trust.ParseAdmissionRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	c.Rekey(asked)
	var lost []byte
	view(t, p.to, func(tx *store.Tx) (err error) {
		lost, err = tx.Setting("person-entry/" + waits.ID.String())
		return err
	})
	if _, err := c.Register().Check(lost); !errors.Is(err, trust.ErrUnauthorised) {
		t.Fatalf("control: what the old key signed still counts: %v", err)
	}
	p.to.Reopen()
	p.to.Start()
	eventually(t, "the register has the second one", func() bool {
		return p.from.Node.HasPersonForTest(waits.ID) && p.to.Node.HasPersonForTest(waits.ID)
	})
	takes(sent[1], waits)
	takes(sent[2], early)
	if s, err := p.from.Node.Trace(ctx, sent[0].Hash); err != nil || stateAt(s, p.to.Desk) != schakel.StateAcknowledged {
		t.Errorf("what was signed before is now %+v, %v", s, err)
	}
	if hasAlarm(t, p.to, schakel.AlarmOwn) {
		t.Error("an alarm about what was made here")
	}
}
