package schakel_test

import (
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// Fault 82: the key of the recipient changes, as it does at midnight, while messages are
// written, sealed, at the relay and on their way. What was sealed to the old key opens; what
// is sealed afterwards is sealed to the new one.
func TestKeyChangesDuringSends(t *testing.T) {
	t.Parallel()
	midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(48 * time.Hour)
	chain := schakeltest.PrepareAt(t, midnight.Add(-30*time.Minute))
	op := schakeltest.Deceive(chain)
	chain.StartRelay()
	p := pair{Chain: chain, from: chain.Join("vt20/crisis", identity.RoleVeiligThuis), to: chain.Join("knooppunt/piket", identity.RoleKnooppunt)}
	p.from.Start()
	p.to.Start()
	p.reachable(t)

	op.Do(func(f schakeltest.Passing) []wire.Frame {
		if f.Mail() && f.Device == p.to.Node.Device() {
			return op.Hold(f) // it arrives after midnight
		}
		return f.On()
	})
	const some = 20
	sent := p.sendMany(t, some)
	eventually(t, "some are at the relay", func() bool { return len(epochsOf(op, p.to)) >= some/2 })
	p.Pass(midnight.Add(time.Minute).Sub(p.Now())) // the last ones may not even be sealed yet
	sent = append(sent, p.sendMany(t, some)...)
	eventually(t, "everything is at the relay", func() bool { return statusOf(t, p.from).NotAtRelay == 0 })
	op.LetGo()
	sent = append(sent, p.sendMany(t, some)...) // what was held goes out before

	for _, s := range sent {
		p.delivered(t, s)
	}
	if got := len(p.inbox(t)); got != len(sent) {
		t.Errorf("%d of %d messages opened", got, len(sent))
	}
	epochs := epochsOf(op, p.to)
	if first := epochs[:some/2]; slices.Min(first) != slices.Max(first) {
		t.Errorf("sealed to %v before midnight", first)
	}
	if last := epochs[len(epochs)-some:]; slices.Min(last) != epochs[0]+1 || slices.Max(last) != epochs[0]+1 {
		t.Errorf("sealed to %v after midnight; %d is over", last, epochs[0])
	}
}

func (p pair) sendMany(t *testing.T, n int) (sent []schakel.Sent) {
	for range n {
		sent = append(sent, p.send(t))
	}
	return sent
}

// epochsOf is to which key of a device each envelope that passed was sealed, in order.
func epochsOf(op *schakeltest.Operator, m *schakeltest.Member) (epochs []uint64) {
	for _, f := range op.Seen() {
		if _, is := f.Frame.(wire.Put); !is {
			continue
		}
		for _, target := range f.Header.Targets {
			if target.Device == m.Node.Device() {
				epochs = append(epochs, target.Epoch)
			}
		}
	}
	return epochs
}
