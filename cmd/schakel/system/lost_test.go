//go:build linux

package system_test

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/custody"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// Fault 5: the relay stands still for a while, and then goes on as if nothing had
// happened, with sessions whose other ends have long gone.
func TestRelayFrozen(t *testing.T) {
	still := 5 * time.Second
	if *full {
		still = 30 * time.Second
	}
	l := newChain(t).newLoad()
	l.begin()
	l.rage(1, 0)
	_ = l.relays[0].cmd.Process.Signal(syscall.SIGSTOP)
	<-time.After(still)
	before := l.accepted()
	_ = l.relays[0].cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, "the senders go on", patience, func() bool { return l.accepted() > before+20/slower })
	l.stop()
	n, wrong := l.settle(patience)
	l.report(n, wrong)
	l.stated(patience)
}

// deaf is a relay whose receipts get lost.
type deaf struct {
	mu    sync.Mutex // guards what follows
	lose  bool
	lost  []custody.Leaf
	given []custody.Leaf
}

func (d *deaf) tap(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	stored, ok := f.(wire.Stored)
	if !ok || from != wire.SideRelay {
		return []wire.Frame{f}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lose {
		d.lost = append(d.lost, stored.Leaves...)
		return nil
	}
	d.given = append(d.given, stored.Leaves...)
	return []wire.Frame{f}
}

// again returns which lost leaves were given later: the same envelope under the
// same salt.
func (d *deaf) again() (lost, again int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lost {
		if slices.ContainsFunc(d.given, func(g custody.Leaf) bool { return g.ID == l.ID && g.Salt == l.Salt }) {
			again++
		}
	}
	return len(d.lost), again
}

// Fault 57: envelopes are stored and the receipts get lost. The sender offers the
// same envelopes again, gets receipts over the same salted leaves, and the
// recipient's application has each message once.
func TestReceiptsLost(t *testing.T) {
	d := &deaf{}
	chain := schakeltest.Prepare(t)
	chain.Tap = d.tap
	chain.StartRelay()
	from, to := chain.Join(safe, identity.RoleVeiligThuis), chain.Join(piket, identity.RoleKnooppunt)
	from.Start()
	to.Start()
	eventually(t, "the desks know each other", patience, func() bool {
		there, err := from.Node.Directory(t.Context())
		return err == nil && len(there) == 1 && there[0].Reachable
	})
	to.Stop() // its statements would confirm what no receipt has
	d.mu.Lock()
	d.lose = true
	d.mu.Unlock()
	const count = 20
	for n := range count {
		must[schakel.Sent](t)(from.Node.Send(t.Context(), schakel.Draft{Class: "adviesvraag", Urgency: message.Routine,
			To: []identity.DeskID{piket}, Body: must[[]byte](t)(numbered(safe, n+1))}))
	}
	eventually(t, "all are stored", patience, func() bool { lost, _ := d.again(); return lost >= count })
	if st := must[schakel.Status](t)(from.Node.Status(t.Context())); st.NotAtRelay != count {
		t.Errorf("the sender believes that %d of %d are at the relay without a receipt", count-st.NotAtRelay, count)
	}
	d.mu.Lock()
	d.lose = false
	d.mu.Unlock()
	chain.StopRelay()
	chain.StartRelay()
	eventually(t, "every receipt is there", patience, func() bool {
		st, err := from.Node.Status(t.Context())
		return err == nil && st.NotAtRelay == 0
	})
	if lost, again := d.again(); again != lost || lost < count {
		t.Errorf("%d receipts lost, %d given again over the same leaf", lost, again)
	}
	to.Reopen()
	to.Start()
	eventually(t, "the sender knows that all have arrived", patience, func() bool {
		st, err := from.Node.Status(t.Context())
		return err == nil && st.Outbox == 0
	})
	if all := must[[]schakel.Summary](t)(to.Node.List(t.Context(), schakel.Filter{})); len(all) != count {
		t.Errorf("%d messages, want %d", len(all), count)
	}
}
