// Package calendar counts days and working days as the partners of the chain count
// them: in Amsterdam, with the Dutch public holidays.
//
// # What a term means
//
// A term in hours or minutes is exact: PT4H is four hours on a clock that knows no
// summer time. A term in days or working days counts whole days of Amsterdam, as the
// Algemene termijnenwet counts them:
//
//   - The day on which the term begins does not count, however early it began.
//   - A term of n days ends when the n-th day after it ends: at 24:00, which is 0:00
//     of the day that follows.
//   - A term of n working days ends when the n-th working day after it ends. Between
//     them lie weekends and holidays that do not count.
//
// So 1WD from Friday 16:00, from Saturday noon and from Sunday 23:59 all end on Monday
// at 24:00; from Monday 0:00 it ends on Tuesday at 24:00. A later begin never gives an
// earlier end, and a day of summer time (23 or 25 hours) is one day.
//
// Who computes a term must compute it as every partner does, or two desks disagree on
// whether somebody is late. Therefore nothing here reads the zone of the machine, and
// which holidays count belongs to the agreement of the partners.
package calendar

import (
	"cmp"
	"slices"
	"time"
)

// Calendar knows which days are working days. It never changes; the zero Calendar is
// that of zero [Holidays].
type Calendar struct {
	holidays Holidays
}

// New returns the calendar with these holidays.
func New(h Holidays) Calendar {
	return Calendar{Holidays{GoodFriday: h.GoodFriday, Liberation: h.Liberation,
		Closed: slices.Clone(h.Closed), Worked: slices.Clone(h.Worked)}}
}

// Date is a day of the civil calendar, without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day that t is in Amsterdam.
func DateOf(t time.Time) Date {
	y, m, d := t.In(zone()).Date()
	return Date{y, m, d}
}

// Add returns the day n days later.
func (d Date) Add(n int) Date {
	y, m, day := d.noon().AddDate(0, 0, n).Date()
	return Date{y, m, day}
}

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return d.noon().Weekday() }

// Compare orders days by time.
func (d Date) Compare(other Date) int {
	return cmp.Or(cmp.Compare(d.Year, other.Year), cmp.Compare(d.Month, other.Month), cmp.Compare(d.Day, other.Day))
}

// String writes the day as 2006-01-02.
func (d Date) String() string { return d.noon().Format(time.DateOnly) }

// noon is an instant by which to calculate with days: no day lacks it.
func (d Date) noon() time.Time { return time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC) }

// begins is when the day begins in Amsterdam, where the clock never changes at midnight.
func (d Date) begins() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone()) }

// IsWorkingDay reports whether the term of a working day runs on d.
func (c Calendar) IsWorkingDay(d Date) bool {
	if w := d.Weekday(); w == time.Saturday || w == time.Sunday {
		return false
	}
	_, closed := c.Holiday(d)
	return !closed
}

// EndOfDay returns the end of the n-th day after the day of start, in Amsterdam. For
// n = 0 that is the end of the day of start itself.
func EndOfDay(start time.Time, n int) time.Time { return DateOf(start).Add(n + 1).begins() }

// EndOfWorkingDay returns the end of the n-th working day after the day of start. For
// n = 0 or less it is start: there is no term.
//
// It always ends: [Holidays.Validate] lets no year close more than ten further days.
func (c Calendar) EndOfWorkingDay(start time.Time, n int) time.Time {
	if n <= 0 {
		return start
	}
	day := DateOf(start)
	for left := n; left > 0; {
		day = day.Add(1)
		if c.IsWorkingDay(day) {
			left--
		}
	}
	return day.Add(1).begins()
}

// WorkingDaysBetween counts the working days after the day of from, up to and
// including the day of to; 0 when to is not later. A person reads it as "n working
// days left".
func (c Calendar) WorkingDaysBetween(from, to time.Time) (n int) {
	last := DateOf(to)
	for day := DateOf(from).Add(1); day.Compare(last) <= 0; day = day.Add(1) {
		if c.IsWorkingDay(day) {
			n++
		}
	}
	return n
}
