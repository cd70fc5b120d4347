package schakel_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/evidence"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// branches are three honest partners and a relay that shows one of them, the knooppunt,
// another branch of the register than the others. Both go on growing, and each has the
// cosignatures that a quorum that is too small asks for.
type branches struct {
	*evil
	*schakeltest.Divided
}

func newBranches(t *testing.T) *branches {
	t.Helper()
	chain := schakeltest.Prepare(t)
	op := schakeltest.Deceive(chain)
	chain.StartRelay()
	b := &branches{evil: evilOn(t, chain)}
	b.Divided = chain.Divide(op, b.knooppunt.Node.Device())
	b.grow(t, 1, 1)
	return b
}

// grow makes both branches longer, and waits until those who are shown them have them.
func (b *branches) grow(t *testing.T, log, other int) {
	t.Helper()
	b.GrowOther(other)
	b.Divided.Grow(log)
	size, otherSize := b.Sizes()
	eventually(t, "each has the branch that it is shown", func() bool {
		return b.vt.Node.RegisterForTest().Size() == size && b.knooppunt.Node.RegisterForTest().Size() == otherSize
	})
}

// foundBy is what a desk found of the log, as `register evidence verify` shows it to somebody
// who has the file and the fingerprint alone.
func (b *branches) foundBy(t *testing.T, m *schakeltest.Member) {
	t.Helper()
	eventually(t, string(m.Desk)+" alarms", func() bool { return hasAlarm(t, m, schakel.AlarmRegister) })
	asked := &evil{Chain: b.Chain, knooppunt: m}
	f := asked.found(t, evidence.KindFork)
	if !f.Proven || !slices.Equal(f.Against, []trust.Subject{"relay/relay-test"}) {
		t.Errorf("%s found %+v", m.Desk, f)
	}
}

func (b *branches) stops(t *testing.T, from *schakeltest.Member, to ...identity.DeskID) {
	t.Helper()
	for _, desk := range to {
		d := b.draft(t, desk)
		eventually(t, "nothing goes from "+string(from.Desk), func() bool {
			_, err := from.Node.Send(testContext(t), d)
			return errors.Is(err, schakel.ErrForked)
		})
	}
}

// TestC08TwoLiveBranches: partners find a relay out that shows them two registers, as soon as
// one of them says anything to the other, though both branches are cosigned and grow on.
func TestC08TwoLiveBranches(t *testing.T) {
	t.Parallel()
	t.Run("C08 of one length", func(t *testing.T) {
		b := newBranches(t)
		for _, m := range []*schakeltest.Member{b.vt, b.knooppunt} {
			if hasAlarm(t, m, schakel.AlarmRegister) || hasAlarm(t, m, schakel.AlarmView) {
				t.Fatal("control: an alarm before anybody said anything: what follows shows nothing")
			}
		}
		b.tell(t, b.vt, b.knooppunt)
		b.foundBy(t, b.vt)
		b.foundBy(t, b.knooppunt)
		b.stops(t, b.vt, b.knooppunt.Desk, b.police.Desk)
		b.stops(t, b.knooppunt, b.vt.Desk, b.police.Desk)
	})
	t.Run("C08 the sender's is the longer", func(t *testing.T) {
		b := newBranches(t)
		b.grow(t, 4, 1)
		b.tell(t, b.vt, b.knooppunt)
		b.within(t)
	})
	t.Run("C08 the sender's is the shorter", func(t *testing.T) {
		b := newBranches(t)
		b.grow(t, 1, 4)
		b.tell(t, b.vt, b.knooppunt)
		b.within(t)
	})
	t.Run("C08 the longer grows away from the shorter", func(t *testing.T) {
		b := newBranches(t)
		b.tell(t, b.vt, b.knooppunt)
		for range 3 {
			b.GrowOther(1)
			b.Divided.Grow(3)
			b.Pass(3 * time.Minute)
		}
		b.within(t)
	})
}

// tell has one desk say something to another.
func (b *branches) tell(t *testing.T, from, to *schakeltest.Member) {
	t.Helper()
	if _, err := from.Node.Send(testContext(t), b.draft(t, to.Desk)); err != nil {
		t.Fatal(err)
	}
}

// within demands that both find the log out by the time that docs/register.md gives: ten
// minutes, in which neither says anything more.
func (b *branches) within(t *testing.T) {
	t.Helper()
	eventually(t, "what was said is there, and waits or alarms", func() bool {
		waits := 0
		for _, m := range []*schakeltest.Member{b.vt, b.knooppunt} {
			err := m.Store().View(testContext(t), func(tx *store.Tx) error {
				n, _, err := tx.WeighKept(store.ShelfAhead, nil)
				waits += n
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return waits > 0 || hasAlarm(t, b.knooppunt, schakel.AlarmView)
	})
	b.Pass(11 * time.Minute)
	b.foundBy(t, b.knooppunt)
	b.foundBy(t, b.vt)
}
