package rota

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// Bounds of a rota.
const (
	MaxRules     = 128 // temporary ones counted
	MaxSchedules = 16  // temporary ones of a layer
	MaxTurns     = 32  // contacts that take turns in a rule
	MaxChanges   = 1024
	maxShift     = 35 * 24 * time.Hour
)

// Rule is a shift that comes back, by the clock on the wall: the first from From to To,
// and again as Repeat says. Its contacts take turns, one shift each.
type Rule struct {
	From     Local     `cbor:"1,keyasint" json:"from" toml:"from"`
	To       Local     `cbor:"2,keyasint" json:"to" toml:"to"`
	Repeat   string    `cbor:"3,keyasint" json:"repeat" toml:"repeat"` // such as FREQ=WEEKLY;BYDAY=MO,TU; empty: once
	Until    Local     `cbor:"4,keyasint" json:"until" toml:"until"`   // no shift begins then or later; empty: no end
	Contacts []Contact `cbor:"5,keyasint" json:"contacts" toml:"contacts"`
}

// What Repeat may say (RFC 5545, 3.3.10): every form of it comes back at least every
// 53rd month, so that nobody can write a rule that is searched for without end.
var (
	everyForm   = regexp.MustCompile(`^FREQ=(DAILY|WEEKLY|MONTHLY)(?:;INTERVAL=([1-9][0-9]?))?(?:;(BYDAY|BYMONTHDAY)=([-0-9A-Z,]+))?$`)
	weekdayForm = regexp.MustCompile(`^(MO|TU|WE|TH|FR|SA|SU)$`)
	nthDayForm  = regexp.MustCompile(`^-?[1-4](MO|TU|WE|TH|FR|SA|SU)$`)
)

const maxInterval = 53

// CheckRepeat refuses what a rota does not repeat by.
func CheckRepeat(s string) error {
	wrong := func(what string) error {
		return fmt.Errorf("%w: repeat %.60q: %s", ErrFormat, s, what)
	}
	if len(s) > 120 {
		return wrong("longer than 120 characters")
	}
	m := everyForm.FindStringSubmatch(s)
	if m == nil {
		return wrong("write FREQ=DAILY, FREQ=WEEKLY or FREQ=MONTHLY, then ;INTERVAL=2, then ;BYDAY=MO,TU or ;BYMONTHDAY=1")
	}
	if n, _ := strconv.Atoi(m[2]); n > maxInterval {
		return wrong("an interval of at most 53")
	}
	days := strings.Split(m[4], ",")
	for i, d := range days {
		var ok bool
		switch {
		case m[3] == "":
			continue
		case m[1] == "WEEKLY" && m[3] == "BYDAY":
			ok = weekdayForm.MatchString(d)
		case m[1] == "MONTHLY" && m[3] == "BYDAY":
			ok = nthDayForm.MatchString(d)
		case m[1] == "MONTHLY":
			n, err := strconv.Atoi(d)
			ok = err == nil && n >= 1 && n <= 28 && strconv.Itoa(n) == d
		}
		if !ok || slices.Contains(days[:i], d) {
			return wrong("by days of the week in a week, such as MO; in a month such as 1MO, -1FR, or a date from 1 to 28")
		}
	}
	return nil
}

// Check refuses a rule that cannot be read, never ends or names nobody.
func (r Rule) Check() error {
	from, err := r.From.wall()
	if err != nil {
		return err
	}
	to, err := r.To.wall()
	if err != nil {
		return err
	}
	if !from.Before(to) || to.Sub(from) > maxShift {
		return fmt.Errorf("%w: a shift from %s to %s: it ends after it begins, within %d days", ErrFormat, r.From, r.To, maxShift/(24*time.Hour))
	}
	if r.Until != "" {
		if _, err := r.Until.wall(); err != nil {
			return err
		}
	}
	if r.Repeat != "" {
		if err := CheckRepeat(r.Repeat); err != nil {
			return err
		}
	}
	if len(r.Contacts) == 0 || len(r.Contacts) > MaxTurns {
		return fmt.Errorf("%w: a rule with %d contacts: name 1 to %d that take turns", ErrFormat, len(r.Contacts), MaxTurns)
	}
	for _, c := range r.Contacts {
		if err := c.Check(); err != nil {
			return err
		}
	}
	return nil
}

// shifts gives yield the shifts of a checked rule that touch [from, to), the earliest
// first. They are counted from the first one of the rule, because turns are.
func (r Rule) shifts(from, to time.Time, yield func(Shift)) {
	if from.Year() > lastYear {
		return // a rule could be counted to the year 9999
	}
	first, _ := r.From.wall()
	end, _ := r.To.wall()
	length := end.Sub(first)
	last := to.In(zone).AddDate(0, 0, 1) // more than the clock is ever changed
	stop := time.Date(last.Year(), last.Month(), last.Day(), 23, 59, 0, 0, time.UTC)
	if r.Until != "" {
		if u, _ := r.Until.wall(); u.Before(stop) {
			stop = u
		}
	}
	next := r.occurrences(first)
	for n := 0; ; n++ {
		wall, ok := next()
		if !ok || !wall.Before(stop) {
			return
		}
		if wall.Add(length + 24*time.Hour).Before(from) {
			continue // counted, and over by any clock
		}
		s := Shift{From: instant(wall), To: instant(wall.Add(length)), Contact: r.Contacts[n%len(r.Contacts)]}
		if s.From.Before(to) && s.To.After(from) {
			yield(s)
		}
	}
}

// occurrences are the beginnings of the shifts of a rule, on the wall.
func (r Rule) occurrences(first time.Time) func() (time.Time, bool) {
	if r.Repeat == "" {
		once := true
		return func() (time.Time, bool) {
			ok := once
			once = false
			return first, ok
		}
	}
	option, err := rrule.StrToROption(r.Repeat)
	if err != nil {
		return func() (time.Time, bool) { return time.Time{}, false } // Check refused it
	}
	option.Dtstart = first
	rule, err := rrule.NewRRule(*option)
	if err != nil {
		return func() (time.Time, bool) { return time.Time{}, false }
	}
	return rule.Iterator()
}
