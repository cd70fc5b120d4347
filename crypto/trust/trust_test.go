package trust_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// TestAdvance follows a register from its genesis to a first device.
func TestAdvance(t *testing.T) {
	c := trusttest.New(now)
	d := c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	reg, err := trust.New(c.Genesis(), c.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	reg, pinned, err := trust.Advance(reg, reg.Pin(), c.Update(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := pinned.Matches(c.Register()); err != nil {
		t.Error(err)
	}
	if got, ok := reg.Device(d.ID); !ok || !got.UsableAt(now) || got.Device != d.Device {
		t.Errorf("device: %+v", got)
	}
	if ref, err := reg.EpochFor(d.ID, now.Add(25*time.Hour)); err != nil || ref.Number != 2 {
		t.Errorf("epoch: %+v, %v", ref, err)
	}
}
