package schakel_test

import (
	"errors"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
)

// A device that was given an agreement works by it only where the register names it:
// otherwise one administrator's file would be another protocol than the partners'.
func TestAgreementMustBeTheRegisters(t *testing.T) {
	m := schakeltest.New(t).Join("vt20/crisis", identity.RoleVeiligThuis)
	if _, err := schakel.New(schakel.Config{Store: m.Store(), Catalogue: protocol.V1()}); !errors.Is(err, schakel.ErrAgreement) {
		t.Errorf("an agreement that the register does not name: %v", err)
	}
	if _, err := schakel.New(schakel.Config{Store: m.Store()}); err != nil {
		t.Errorf("control: %v", err)
	}
}
