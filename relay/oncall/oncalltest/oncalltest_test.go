package oncalltest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/oncall"
	"schakel/relay/oncall/oncalltest"
	"schakel/relay/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMemory: what simulations run on keeps the contract.
func TestMemory(t *testing.T) {
	oncalltest.Run(t, func(*testing.T) oncalltest.Config {
		waits := make(map[queue.Ref]bool)
		m := oncalltest.NewMemory(time.Now)
		m.Waits = func(r queue.Ref) bool { return waits[r] }
		return oncalltest.Config{
			Open: func() (oncall.Journal, func() error, error) { return m, func() error { return nil }, nil },
			Wait: func(r queue.Ref) error {
				waits[r] = true
				m.Arrive(queue.Unattended{Ref: r, Tier: envelope.TierAcute, Sealer: identity.DeviceID{1}})
				return nil
			},
			Attend: func(r queue.Ref) error { waits[r] = false; return nil },
		}
	})
}
