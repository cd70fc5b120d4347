package relaytest_test

import (
	"testing"

	"schakel/crypto/identity"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

func TestWorldCarriesAnEnvelope(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{})
	a := w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	b := w.Enrol("pol-mn/zeden", identity.RolePolitie)
	sa, sb := a.Login(), b.Login()
	raw, id := a.Envelope(b)
	sa.Send(wire.Put{Envelope: raw})
	stored := relaytest.Expect[wire.Stored](sa)
	if !w.Promised(stored, raw) || stored.Leaves[0].ID != id {
		t.Error("no valid receipt")
	}
	sb.Send(wire.Credit{Messages: 1, Bytes: 1 << 20})
	if d := relaytest.Expect[wire.Deliver](sb); string(d.Envelope) != string(raw) {
		t.Error("other bytes delivered")
	}
}
