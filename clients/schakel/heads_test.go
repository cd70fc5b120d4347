package schakel_test

import (
	"slices"
	"testing"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Messages of one case are linked: each delivery names what it follows, and both
// ends see the newest message as the one head of their conversation.
func TestConversationHasOneHead(t *testing.T) {
	p := newPair(t, nil)
	first := p.send(t)
	p.delivered(t, first)
	second, err := p.from.Node.Send(testContext(t), schakel.Draft{
		Class: "adviesvraag", Urgency: message.Urgent, To: []identity.DeskID{p.to.Desk}, Case: first.Case, Body: example(t, "adviesvraag"),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.delivered(t, second)
	for _, end := range []struct {
		m    *schakeltest.Member
		with identity.DeskID
	}{{p.from, p.to.Desk}, {p.to, p.from.Desk}} {
		if got := heads(t, end.m, end.with, first.Case); !slices.Equal(got, []string{second.Hash}) {
			t.Errorf("%s has the heads %v, want only the second message", end.m.Desk, got)
		}
	}
}

func heads(t *testing.T, m *schakeltest.Member, with identity.DeskID, ref string) (out []string) {
	t.Helper()
	u, err := identity.ParseUUID(ref)
	if err != nil {
		t.Fatal(err)
	}
	err = m.Store().View(t.Context(), func(tx *store.Tx) error {
		hs, err := tx.Heads(with, message.CaseRef(u))
		for _, h := range hs {
			out = append(out, h.String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
