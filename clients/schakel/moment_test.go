package schakel_test

import (
	"slices"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// However fast a device speaks, every desk shows what it said in the order in which it
// said it: its identifiers count milliseconds, and never the same one twice.
func TestADeviceIsHeardInItsOrder(t *testing.T) {
	chain := schakeltest.New(t)
	vt, police := chain.Join("vt20/crisis", identity.RoleVeiligThuis), chain.Join("politie-mn/meldkamer", identity.RolePolitie)
	vt.Start()
	police.Start()
	eventually(t, "they know each other", func() bool {
		desks, err := vt.Node.Directory(testContext(t))
		return err == nil && len(desks) == 1 && desks[0].Reachable
	})
	kase := ""
	var said []string
	for range 12 {
		sent, err := vt.Node.Send(testContext(t), schakel.Draft{Class: "informatieverzoek", Urgency: message.Urgent, Case: kase,
			To: []identity.DeskID{police.Desk}, Body: example(t, "informatieverzoek")})
		if err != nil {
			t.Fatal(err)
		}
		kase, said = sent.Case, append(said, sent.Hash)
	}
	eventually(t, "all is in its order at the other end", func() bool {
		o, err := police.Node.Overview(testContext(t), kase)
		var shown []string
		for _, m := range o.Messages {
			shown = append(shown, m.Hash.String())
		}
		return err == nil && slices.Equal(shown, said)
	})
}
