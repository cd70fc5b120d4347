package schakel_test

import (
	"errors"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// An exercise is one at every desk and in every answer, though only its first message
// was asked to be; and it does not get into a real case.
func TestExercise(t *testing.T) {
	chain := schakeltest.New(t)
	vt, knooppunt := chain.Join("vt20/crisis", identity.RoleVeiligThuis), chain.Join("knooppunt/piket", identity.RoleKnooppunt)
	vt.Start()
	knooppunt.Start()
	ask := schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, To: []identity.DeskID{knooppunt.Desk}, Body: example(t, "adviesvraag")}
	send := func(m *schakeltest.Member, d schakel.Draft) (sent schakel.Sent) {
		t.Helper()
		eventually(t, "it can be sent", func() bool {
			var err error
			sent, err = m.Node.Send(testContext(t), d)
			return err == nil
		})
		return sent
	}
	drill := ask
	drill.Exercise = true
	began, real := send(vt, drill), send(vt, ask)
	for _, c := range []struct {
		sent schakel.Sent
		want bool
	}{{began, true}, {real, false}} {
		if _, err := vt.Node.Wait(testContext(t), c.sent.Hash, schakel.StateDelivered); err != nil {
			t.Fatal(err)
		}
		if l, err := knooppunt.Node.Read(testContext(t), c.sent.Hash); err != nil || l.Exercise != c.want {
			t.Errorf("an exercise: %v, want %v (%v)", l.Exercise, c.want, err)
		}
	}
	answer := schakel.Draft{Class: "advies", Urgency: message.Urgent, To: []identity.DeskID{vt.Desk}, Body: example(t, "advies"), Answers: began.Hash}
	answered := send(knooppunt, answer)
	if s, err := knooppunt.Node.Trace(testContext(t), answered.Hash); err != nil || !s.Exercise || !answered.Exercise || real.Exercise {
		t.Errorf("the answer to an exercise is real: %v", err)
	}
	mixed := ask
	mixed.Case, mixed.Exercise = real.Case, true
	_, err := vt.Node.Send(testContext(t), mixed)
	var refusal *protocol.Refusal
	if !errors.As(err, &refusal) || refusal.Rule != protocol.RuleExercise {
		t.Errorf("an exercise begins in a real case: %v", err)
	}
}
