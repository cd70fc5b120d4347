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
