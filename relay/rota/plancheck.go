package rota

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// Check refuses a plan that could leave the relay with nobody to call, or with more
// than it will keep.
func (p Plan) Check() error {
	if _, err := identity.ParseDeskID(string(p.Desk)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if !whole(p.From) || !whole(p.Until) || !p.From.Before(p.Until) || p.Until.Sub(p.From) > MaxReach {
		return fmt.Errorf("%w: a plan from %s until %s: at most %s", ErrFormat, p.From.UTC(), p.Until.UTC(), MaxReach)
	}
	if len(p.Shifts) > MaxShifts || len(p.Points) > MaxPoints {
		return fmt.Errorf("%w: %d shifts and %d contact points, at most %d and %d", ErrTooLarge, len(p.Shifts), len(p.Points), MaxShifts, MaxPoints)
	}
	if err := CheckFallback(p.Fallback); err != nil {
		return err
	}
	for _, check := range []func() error{p.checkShifts, p.checkLadders, p.checkPoints} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// CheckFallback demands 1 to 8 different contacts: a page must always have somewhere to go.
func CheckFallback(cs []Contact) error {
	if len(cs) == 0 {
		return ErrNoFallback
	}
	if len(cs) > MaxFallback {
		return fmt.Errorf("%w: a fallback of %d contacts, at most %d", ErrTooLarge, len(cs), MaxFallback)
	}
	for i, c := range cs {
		if err := c.Check(); err != nil {
			return err
		}
		if slices.Contains(cs[:i], c) {
			return fmt.Errorf("%w: %s is in the fallback twice", ErrFormat, c)
		}
	}
	return nil
}

// whole refuses what the wire cannot carry.
func whole(t time.Time) bool {
	return t.Nanosecond() == 0 && t.Unix() >= 0 && uint64(t.Unix()) <= envelope.MaxTime
}

func (p Plan) checkShifts() error {
	for i, s := range p.Shifts {
		if err := s.Contact.Check(); err != nil {
			return err
		}
		if s.Level < 0 || s.Level >= MaxLevels {
			return fmt.Errorf("%w: level %d, at most %d", ErrFormat, s.Level, MaxLevels-1)
		}
		if !whole(s.From) || !whole(s.To) || !s.From.Before(s.To) || s.From.Before(p.From) || s.To.After(p.Until) {
			return fmt.Errorf("%w: a shift from %s to %s in a plan from %s until %s", ErrFormat, s.From.UTC(), s.To.UTC(), p.From.UTC(), p.Until.UTC())
		}
		if i == 0 {
			continue
		}
		before := p.Shifts[i-1]
		if before.Level > s.Level || before.Level == s.Level && before.To.After(s.From) {
			return fmt.Errorf("%w: shifts overlap or are not sorted at %s", ErrFormat, s.From.UTC())
		}
	}
	return nil
}

func (p Plan) checkLadders() error {
	for i, l := range p.Ladders {
		if err := l.check(); err != nil {
			return err
		}
		if i > 0 && p.Ladders[i-1].Tier >= l.Tier {
			return fmt.Errorf("%w: ladders are not sorted by tier", ErrFormat)
		}
	}
	return nil
}

func (l Tightening) check() error {
	if l.Tier < envelope.TierRoutine || l.Tier > envelope.TierAcute {
		return fmt.Errorf("%w: a ladder for tier %d", ErrFormat, l.Tier)
	}
	if err := l.Ladder.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if l.Ladder.Acknowledgers != 0 {
		return fmt.Errorf("%w: a ladder that asks a relay for %d acknowledgers; the desk itself holds the attended token back until they have signed", ErrFormat, l.Ladder.Acknowledgers)
	}
	waits := []time.Duration{l.Ladder.Repeat, l.Ladder.Alarm}
	for _, s := range l.Ladder.Steps {
		waits = append(waits, s.After)
	}
	if slices.ContainsFunc(waits, func(d time.Duration) bool { return d%time.Second != 0 }) {
		return fmt.Errorf("%w: a wait in a ladder is not of whole seconds", ErrFormat)
	}
	return nil
}

func (p Plan) checkPoints() error {
	for i, pt := range p.Points {
		if err := pt.Check(); err != nil {
			return err
		}
		if i > 0 && ComparePoints(p.Points[i-1], pt) >= 0 {
			return fmt.Errorf("%w: contact points are not sorted, or one stands there twice", ErrFormat)
		}
	}
	return nil
}

// ComparePoints is the order of points in a plan.
func ComparePoints(a, b Point) int {
	return cmp.Or(cmp.Compare(a.Contact, b.Contact), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Target, b.Target))
}

// Check bounds a point. What its target means is for the channel to judge. exec is
// refused: which programs run on a relay is decided there and not by a partner.
func (pt Point) Check() error {
	if err := pt.Contact.Check(); err != nil {
		return err
	}
	lower := func(r rune) bool { return r < 'a' || r > 'z' }
	if pt.Channel == "" || len(pt.Channel) > maxChannel || strings.ContainsFunc(pt.Channel, lower) || pt.Channel == "exec" {
		return fmt.Errorf("%w: channel %.40q", ErrFormat, pt.Channel)
	}
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if pt.Target == "" || len(pt.Target) > MaxTarget || !utf8.ValidString(pt.Target) || strings.ContainsFunc(pt.Target, unprintable) {
		return fmt.Errorf("%w: the target of a contact point has %d bytes, at most %d, or cannot be printed", ErrFormat, len(pt.Target), MaxTarget)
	}
	return nil
}
