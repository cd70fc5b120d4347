package schakel_test

import (
	"testing"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
)

// A modified client asks the relay for other attention than its message deserves:
// both ends check, so the recipient does not take it.
func TestH09TierThatDoesNotFit(t *testing.T) {
	e := newEvil(t)
	for name, tier := range map[string]envelope.Tier{"too loud": envelope.TierAcute, "too soft": envelope.TierNone} {
		t.Run(name, func(t *testing.T) {
			s := e.signed(t, e.draft(t, e.knooppunt.Desk), nil)
			e.sealed(t, tier, e.message(s))
			e.honest(t) // same desks, same class, the tier of its urgency
			if e.shown(t, s) {
				t.Error("it was shown")
			}
		})
	}
	t.Run("a test that pages", func(t *testing.T) {
		before := e.rejected(t)
		e.sealed(t, envelope.TierAcute, delivery.Delivery{Kind: delivery.KindTest, Content: []byte("test")})
		eventually(t, "it is counted as refused", func() bool { return e.rejected(t) > before })
	})
}

func (e *evil) sealed(t *testing.T, tier envelope.Tier, d delivery.Delivery) {
	t.Helper()
	eventually(t, "the delivery can be sealed", func() bool {
		return e.vt.Node.PutForTest(testContext(t), e.knooppunt.Desk, tier, d) == nil
	})
}

func (e *evil) rejected(t *testing.T) int {
	t.Helper()
	s, err := e.knooppunt.Node.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return s.Rejected
}
