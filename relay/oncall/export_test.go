package oncall

import (
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/page"
	"schakel/relay/queue"
)

// Row parses a row and encodes it again.
func Row(ref queue.Ref, b []byte) ([]byte, error) {
	t, err := parseRow(ref, b)
	if err != nil {
		return nil, err
	}
	return t.row(ref), nil
}

// NewRow is the row of a timer that has begun so many rungs.
func NewRow(ref queue.Ref, rungs int) []byte {
	var t timer
	t.Rungs, t.Since, t.Last = rungs, moment(1000), moment(2000)
	return t.row(ref)
}

// Budget is how the pages of desks are bounded, by a clock of the test's, and how many
// budgets are remembered.
func Budget(elapsed func() time.Duration) (take func(identity.DeskID, page.Point, envelope.Tier) bool, remembered func() int) {
	c := newCaps(elapsed)
	return c.take, func() int { return len(c.spent) }
}

// Budgets counts what is remembered of what desks spent.
func Budgets(l *Loop) int {
	l.caps.mu.Lock()
	defer l.caps.mu.Unlock()
	return len(l.caps.spent)
}

// Uncapped makes all budgets whole before each page: the control of the tests.
func (l *Loop) Uncapped() {
	later := time.Duration(0)
	l.caps.elapsed = func() time.Duration {
		later += time.Hour
		return later
	}
}
