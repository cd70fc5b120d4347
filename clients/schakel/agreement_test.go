package schakel_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/configs"
	"schakel/crypto/identity"
)

// A device that was given an agreement works by it only where the register names it:
// otherwise one administrator's file would be another protocol than the partners'.
func TestH12AgreementMustBeTheRegisters(t *testing.T) {
	m := schakeltest.New(t).Join("vt20/crisis", identity.RoleVeiligThuis)
	own := protocol.V1().Digest()
	other, err := protocol.V1().Amend([]byte(strings.ReplaceAll(string(configs.Agreement), strings.Repeat("0", 64), hex.EncodeToString(own[:]))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := schakel.New(schakel.Config{Store: m.Store(), Catalogue: other}); !errors.Is(err, schakel.ErrAgreement) {
		t.Errorf("an agreement that the register does not name: %v", err)
	}
	for name, c := range map[string]*protocol.Catalogue{"none given": nil, "the one it names": protocol.V1()} {
		if _, err := schakel.New(schakel.Config{Store: m.Store(), Catalogue: c}); err != nil {
			t.Errorf("control, %s: %v", name, err)
		}
	}
}
