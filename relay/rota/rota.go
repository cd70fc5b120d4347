// Package rota says who is on call at any moment.
//
// A [Rota] holds layers of weekly rules, temporary schedules that stand in for them,
// and what people decided since: overrides, swaps, who took over, who left. One
// resolver answers for all who ask, the pager, the desk, the command line and the
// calendar alike: [Rota.At], [Rota.Shifts] and [Rota.Gaps]. A [Plan] is what a desk
// publishes of it to the relay: two weeks, with opaque contacts.
//
// Rules speak of the clock on the wall. A shift from 08:00 to 08:00 lasts 25 hours in
// the night that summer time ends and 23 in the night that it begins.
package rota

import (
	"errors"
	"fmt"
	"time"
)

// The decisions that a caller can take.
var (
	ErrFormat     = errors.New("malformed rota")
	ErrNoFallback = errors.New("a rota without a fallback: name at least one contact that is reached when nobody is on call")
	ErrTooLarge   = errors.New("rota too large")
)

// Contact names who can be reached, opaquely: the relay sees it, and only the desk
// knows whose it is.
type Contact string

const maxContact = 40

// Check refuses all but 1 to 40 of a-z, 0-9 and hyphen.
func (c Contact) Check() error {
	ok := len(c) > 0 && len(c) <= maxContact
	for i := 0; ok && i < len(c); i++ {
		b := c[i]
		ok = b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-'
	}
	if !ok {
		return fmt.Errorf("%w: contact %.60q: use 1 to %d of a-z, 0-9 and hyphens", ErrFormat, string(c), maxContact)
	}
	return nil
}

// Shift is one contact on call at one level, from From up to To. Level 0 is who is
// called first, 1 the backup, and so on.
type Shift struct {
	From, To time.Time
	Level    int
	Contact  Contact
}

// Gap is a stretch in which nobody has a level, so that the fallback is called.
type Gap struct {
	From, To time.Time
	Level    int
}
