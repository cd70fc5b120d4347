package relay_test

import (
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/crypto/identity"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

var full = flag.Bool("full", false, "as many envelopes as the promises speak of")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plenty is more credit than any test here uses.
var plenty = wire.Credit{Messages: 1 << 20, Bytes: 1 << 30}

// pair is the world most tests need: a sender, and a recipient of another
// organisation whose role it may write to.
func pair(t testing.TB, c relaytest.Config) (w *relaytest.World, from, to *relaytest.Device) {
	w = relaytest.New(t, c)
	return w, w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
}

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(relaytest.Patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("not within time: ", what)
		}
	}
}
