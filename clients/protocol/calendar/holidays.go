package calendar

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrHolidays is wrapped by every refusal of holidays.
var ErrHolidays = errors.New("holidays refused")

// Liberation says in which years 5 May counts as a holiday.
type Liberation string

// The customs of 5 May. The zero value is LiberationLustrum.
const (
	LiberationNever   Liberation = "never"
	LiberationLustrum Liberation = "lustrum" // 2025, 2030, …
	LiberationAlways  Liberation = "always"
)

// Holidays says which days the partners do not count, beside weekends and the days on
// which all of the Netherlands is closed (New Year, Easter, King's Day, Ascension,
// Whitsun, Christmas).
//
// Partners differ on two days. The Algemene termijnenwet counts Good Friday and every
// 5 May as holidays; most offices work on both, and rest on 5 May every fifth year. The
// zero value takes the custom of the offices, because it errs to the safe side: a day
// that is counted though it was free warns a day early, and nobody a day late.
type Holidays struct {
	GoodFriday bool
	Liberation Liberation
	Closed     []Date // further days that do not count
	Worked     []Date // holidays that count all the same
}

// maxClosed is how many further days may be closed in one year. A year that is closed
// whole would make every term endless, and so nobody late.
const maxClosed = 10

// Validate refuses holidays that would stop the clock: an unknown custom, a year with
// more than ten further closed days, a day that is closed and worked at once.
func (h Holidays) Validate() error {
	if !slices.Contains([]Liberation{"", LiberationNever, LiberationLustrum, LiberationAlways}, h.Liberation) {
		return fmt.Errorf("%w: liberation day %.20q: write never, lustrum or always", ErrHolidays, h.Liberation)
	}
	years := map[int]int{}
	for _, d := range h.Closed {
		if years[d.Year]++; years[d.Year] > maxClosed {
			return fmt.Errorf("%w: more than %d further days are closed in %d; a term would hardly end", ErrHolidays, maxClosed, d.Year)
		}
		if slices.Contains(h.Worked, d) {
			return fmt.Errorf("%w: %s is both closed and worked", ErrHolidays, d)
		}
	}
	return nil
}

// ParseDate reads a day written as 2006-01-02.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2199 {
		return Date{}, fmt.Errorf("%w: day %.20q: write 2026-12-25", ErrHolidays, s)
	}
	y, m, d := t.Date()
	return Date{y, m, d}, nil
}

// Names of holidays, as people call them.
const (
	NewYear      = "Nieuwjaarsdag"
	GoodFriday   = "Goede Vrijdag"
	EasterSunday = "Eerste Paasdag"
	EasterMonday = "Tweede Paasdag"
	KingsDay     = "Koningsdag"
	Liberated    = "Bevrijdingsdag"
	Ascension    = "Hemelvaartsdag"
	WhitSunday   = "Eerste Pinksterdag"
	WhitMonday   = "Tweede Pinksterdag"
	Christmas    = "Eerste Kerstdag"
	BoxingDay    = "Tweede Kerstdag"
	ClosedDay    = "Sluitingsdag"
)

// Holiday returns the name of the holiday that d is, and false when it is none.
func (c Calendar) Holiday(d Date) (name string, ok bool) {
	if slices.Contains(c.holidays.Worked, d) {
		return "", false
	}
	if name := c.fixed(d); name != "" {
		return name, true
	}
	if name := c.movable(d); name != "" {
		return name, true
	}
	if slices.Contains(c.holidays.Closed, d) {
		return ClosedDay, true
	}
	return "", false
}

// fixed is the holidays that stand on a date.
func (c Calendar) fixed(d Date) string {
	switch {
	case d.Month == time.January && d.Day == 1:
		return NewYear
	case d == kingsDay(d.Year):
		return KingsDay
	case d.Month == time.May && d.Day == 5 && c.liberation(d.Year):
		return Liberated
	case d.Month == time.December && d.Day == 25:
		return Christmas
	case d.Month == time.December && d.Day == 26:
		return BoxingDay
	}
	return ""
}

// movable is the holidays that go with Easter.
func (c Calendar) movable(d Date) string {
	easter := easter(d.Year)
	switch d {
	case easter.Add(-2):
		if c.holidays.GoodFriday {
			return GoodFriday
		}
	case easter:
		return EasterSunday
	case easter.Add(1):
		return EasterMonday
	case easter.Add(39):
		return Ascension
	case easter.Add(49):
		return WhitSunday
	case easter.Add(50):
		return WhitMonday
	}
	return ""
}

func (c Calendar) liberation(year int) bool {
	switch c.holidays.Liberation {
	case LiberationNever:
		return false
	case LiberationAlways:
		return true
	}
	return year%5 == 0
}

// kingsDay is 27 April, and the Saturday before it where that is a Sunday.
func kingsDay(year int) Date {
	d := Date{year, time.April, 27}
	if d.Weekday() == time.Sunday {
		return d.Add(-1)
	}
	return d
}

// easter is the Sunday after the first full moon of spring, by the rule of the
// Gregorian calendar: the age of the moon follows from the year's place in a cycle of
// 19 (golden), corrected for the leap days and the moon days that the centuries lose.
func easter(year int) Date {
	golden := year % 19
	century := year / 100
	leapsLost := century - century/4
	moonDrift := (8*century + 13) / 25
	// Days from 21 March to the full moon. The last two terms keep two moons of one
	// cycle from falling together, and all of them before 19 April.
	moon := (leapsLost - moonDrift + 19*golden + 15) % 30
	if moon == 29 || moon == 28 && golden > 10 {
		moon--
	}
	full := Date{year, time.March, 21 + moon}.Add(0)
	return full.Add(7 - int(full.Weekday()))
}
