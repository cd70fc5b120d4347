package calendar_test

import (
	"errors"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the reference to compare with, where this machine has no zone files

	"pgregory.net/rapid"

	"schakel/clients/protocol/calendar"
)

func at(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04:05", s, calendar.Zone())
	if err != nil {
		panic(err)
	}
	return t
}

func date(s string) calendar.Date {
	d, err := calendar.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

// Computed by hand, with a paper calendar of 2026 and 2027 beside it.
func TestEndOfWorkingDay(t *testing.T) {
	custom := calendar.New(calendar.Holidays{})
	law := calendar.New(calendar.Holidays{GoodFriday: true, Liberation: calendar.LiberationAlways})
	for _, c := range []struct {
		name  string
		days  calendar.Calendar
		start string
		n     int
		end   string
	}{
		{"an ordinary Tuesday", custom, "2026-11-24 09:00:00", 1, "2026-11-26 00:00:00"},
		{"five days over a weekend", custom, "2026-11-24 09:00:00", 5, "2026-12-02 00:00:00"},
		{"Friday afternoon", custom, "2026-11-27 16:00:00", 1, "2026-12-01 00:00:00"},
		{"Saturday noon", custom, "2026-11-28 12:00:00", 1, "2026-12-01 00:00:00"},
		{"Sunday last minute", custom, "2026-11-29 23:59:59", 1, "2026-12-01 00:00:00"},
		{"Monday first minute", custom, "2026-11-30 00:00:00", 1, "2026-12-02 00:00:00"},
		{"Christmas 2026: Friday and Saturday", custom, "2026-12-24 10:00:00", 1, "2026-12-29 00:00:00"},
		{"over the year end", custom, "2026-12-30 10:00:00", 5, "2027-01-08 00:00:00"}, // 31, 4, 5, 6, 7; 1 January is a Friday
		{"Christmas 2027: a weekend", custom, "2027-12-24 10:00:00", 1, "2027-12-28 00:00:00"},
		{"before Easter 2026", custom, "2026-04-02 10:00:00", 2, "2026-04-08 00:00:00"}, // Good Friday works, Easter Monday rests
		{"before Easter 2026, by law", law, "2026-04-02 10:00:00", 2, "2026-04-09 00:00:00"},
		{"Easter 2027 with summer time that night", custom, "2027-03-26 10:00:00", 1, "2027-03-31 00:00:00"},
		{"King's Day 2026, a Monday", custom, "2026-04-24 10:00:00", 1, "2026-04-29 00:00:00"},
		{"5 May 2026 works", custom, "2026-05-04 10:00:00", 1, "2026-05-06 00:00:00"},
		{"5 May 2026 rests by law", law, "2026-05-04 10:00:00", 1, "2026-05-07 00:00:00"},
		{"5 May 2025, a lustrum", custom, "2025-05-02 10:00:00", 1, "2025-05-07 00:00:00"},
		{"Ascension 2026, 14 May", custom, "2026-05-13 10:00:00", 1, "2026-05-16 00:00:00"},
		{"Whit Monday 2026, 25 May", custom, "2026-05-22 10:00:00", 1, "2026-05-27 00:00:00"},
		{"summer time begins 29 March 2026", custom, "2026-03-27 10:00:00", 1, "2026-03-31 00:00:00"},
		{"summer time ends 25 October 2026", custom, "2026-10-23 10:00:00", 1, "2026-10-27 00:00:00"},
		{"in the hour that is missing", custom, "2026-03-29 03:00:00", 1, "2026-03-31 00:00:00"},
		{"leap day 2028, a Tuesday", custom, "2028-02-28 10:00:00", 1, "2028-03-01 00:00:00"},
		{"no leap day 2027", custom, "2027-02-26 10:00:00", 1, "2027-03-02 00:00:00"},
		{"no term", custom, "2026-11-28 12:00:00", 0, "2026-11-28 12:00:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.days.EndOfWorkingDay(at(c.start), c.n); !got.Equal(at(c.end)) {
				t.Errorf("%d working days from %s end %s, want %s", c.n, c.start, got.In(calendar.Zone()), c.end)
			}
		})
	}
}

// Control: a calendar without holidays gives another end, so the table can fail.
func TestHolidaysMatter(t *testing.T) {
	christmas := []calendar.Date{date("2026-12-25"), date("2026-12-26")}
	works := calendar.New(calendar.Holidays{Worked: christmas})
	if got := works.EndOfWorkingDay(at("2026-12-24 10:00:00"), 1); !got.Equal(at("2026-12-26 00:00:00")) {
		t.Errorf("who works at Christmas is not late until %s", got)
	}
	closed := calendar.New(calendar.Holidays{Closed: []calendar.Date{date("2026-05-15")}})
	if got := closed.EndOfWorkingDay(at("2026-05-13 10:00:00"), 1); !got.Equal(at("2026-05-19 00:00:00")) {
		t.Errorf("who closes on the Friday after Ascension is late at %s", got)
	}
}

func TestHolidaysByName(t *testing.T) {
	law := calendar.New(calendar.Holidays{GoodFriday: true, Liberation: calendar.LiberationAlways})
	for _, c := range []struct{ day, name string }{
		{"2026-01-01", calendar.NewYear}, {"2026-04-03", calendar.GoodFriday}, {"2026-04-05", calendar.EasterSunday},
		{"2026-04-06", calendar.EasterMonday}, {"2026-04-27", calendar.KingsDay}, {"2026-05-05", calendar.Liberated},
		{"2026-05-14", calendar.Ascension}, {"2026-05-24", calendar.WhitSunday}, {"2026-05-25", calendar.WhitMonday},
		{"2026-12-25", calendar.Christmas}, {"2026-12-26", calendar.BoxingDay},
		// 27 April 2025 and 2031 are Sundays: the day before.
		{"2025-04-26", calendar.KingsDay}, {"2025-04-27", ""}, {"2031-04-26", calendar.KingsDay},
		{"2027-03-28", calendar.EasterSunday}, {"2027-05-06", calendar.Ascension}, {"2027-05-17", calendar.WhitMonday},
		{"2026-04-30", ""}, {"2026-12-24", ""}, {"2026-12-31", ""}, {"2027-03-29", calendar.EasterMonday},
	} {
		if got, ok := law.Holiday(date(c.day)); got != c.name || ok != (c.name != "") {
			t.Errorf("%s is %q, want %q", c.day, got, c.name)
		}
	}
	custom := calendar.New(calendar.Holidays{})
	for _, day := range []string{"2026-04-03", "2026-05-05"} {
		if name, ok := custom.Holiday(date(day)); ok {
			t.Errorf("%s is %s by custom", day, name)
		}
	}
	never := calendar.New(calendar.Holidays{Liberation: calendar.LiberationNever})
	if _, ok := never.Holiday(date("2025-05-05")); ok {
		t.Error("never is not never")
	}
}

// The dates of Easter that the churches publish, with the earliest and the latest that
// there are.
func TestEaster(t *testing.T) {
	c := calendar.New(calendar.Holidays{})
	for _, day := range []string{"2000-04-23", "2008-03-23", "2011-04-24", "2016-03-27", "2019-04-21", "2020-04-12", "2024-03-31",
		"2025-04-20", "2026-04-05", "2027-03-28", "2028-04-16", "2029-04-01", "2030-04-21", "2038-04-25", "2049-04-18", "2076-04-19", "2100-03-28"} {
		if name, _ := c.Holiday(date(day)); name != calendar.EasterSunday {
			t.Errorf("%s is %q", day, name)
		}
	}
}

// The same Sundays by another route: the method of Meeus, Jones and Butcher.
func TestEasterByAnotherRoute(t *testing.T) {
	calc := calendar.New(calendar.Holidays{})
	for y := 2000; y < 2200; y++ {
		a, b, c := y%19, y/100, y%100
		h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
		l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
		m := (a + 11*h + 22*l) / 451
		n := h + l - 7*m + 114
		day := calendar.Date{Year: y, Month: time.Month(n / 31), Day: n%31 + 1}
		if name, _ := calc.Holiday(day); name != calendar.EasterSunday {
			t.Errorf("%s is %q", day, name)
		}
	}
}

// The zone is that of the world's table, every hour of sixty years.
func TestZoneIsAmsterdam(t *testing.T) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)
	for u := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC); u.Before(end); u = u.Add(time.Hour) {
		name, offset := u.In(calendar.Zone()).Zone()
		if n, o := u.In(amsterdam).Zone(); n != name || o != offset {
			t.Fatalf("%s: %s %d, want %s %d", u, name, offset, n, o)
		}
	}
}

func TestEndOfDay(t *testing.T) {
	for _, c := range []struct {
		start string
		n     int
		end   string
	}{
		{"2026-11-27 16:00:00", 7, "2026-12-05 00:00:00"},
		{"2026-10-24 23:59:59", 1, "2026-10-26 00:00:00"}, // a day of 25 hours
		{"2026-03-28 00:00:00", 1, "2026-03-30 00:00:00"}, // a day of 23 hours
		{"2028-02-28 10:00:00", 1, "2028-03-01 00:00:00"},
		{"2026-11-27 16:00:00", 0, "2026-11-28 00:00:00"},
	} {
		if got := calendar.EndOfDay(at(c.start), c.n); !got.Equal(at(c.end)) {
			t.Errorf("%d days from %s end %s, want %s", c.n, c.start, got, c.end)
		}
	}
}

func TestValidate(t *testing.T) {
	many := make([]calendar.Date, 11)
	for i := range many {
		many[i] = date("2026-06-01").Add(i)
	}
	for name, h := range map[string]calendar.Holidays{
		"unknown custom":    {Liberation: "sometimes"},
		"the clock stopped": {Closed: many},
		"both":              {Closed: many[:1], Worked: many[:1]},
	} {
		if err := h.Validate(); !errors.Is(err, calendar.ErrHolidays) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (calendar.Holidays{Closed: many[:10], Worked: many[10:]}).Validate(); err != nil {
		t.Errorf("control: ten closed days are refused: %v", err)
	}
	for _, s := range []string{"", "2026-13-01", "2026-02-30", "26-12-2026", "1999-12-31", "2200-01-01", "2026-12-25T00:00:00Z"} {
		if _, err := calendar.ParseDate(s); !errors.Is(err, calendar.ErrHolidays) {
			t.Errorf("%q is a day: %v", s, err)
		}
	}
}

func anyTime(t *rapid.T, name string) time.Time {
	from, to := at("2000-01-01 00:00:00").Unix(), at("2100-01-01 00:00:00").Unix()
	return time.Unix(rapid.Int64Range(from, to).Draw(t, name), 0)
}

func anyHolidays(t *rapid.T) calendar.Holidays {
	h := calendar.Holidays{GoodFriday: rapid.Bool().Draw(t, "good friday"),
		Liberation: rapid.SampledFrom([]calendar.Liberation{"", "never", "lustrum", "always"}).Draw(t, "liberation")}
	for range rapid.IntRange(0, 10).Draw(t, "closed") {
		h.Closed = append(h.Closed, calendar.DateOf(anyTime(t, "closed day")))
	}
	return h
}

// A term ends at midnight after a working day, counts exactly its days, does not depend
// on the zone of its begin, and a later begin or a longer term never ends earlier.
func TestTermsAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := calendar.New(anyHolidays(t))
		start, n := anyTime(t, "start"), rapid.IntRange(1, 60).Draw(t, "n")
		end := c.EndOfWorkingDay(start, n)
		if h, m, s := end.In(calendar.Zone()).Clock(); h+m+s != 0 {
			t.Fatalf("ends at %02d:%02d:%02d", h, m, s)
		}
		last := calendar.DateOf(end).Add(-1)
		if !c.IsWorkingDay(last) {
			t.Fatalf("ends with %s, which is no working day", last)
		}
		if got := c.WorkingDaysBetween(start, end.Add(-time.Second)); got != n {
			t.Fatalf("%d working days until the end, want %d", got, n)
		}
		if abroad := time.FixedZone("XA", 5*3600+1800); !c.EndOfWorkingDay(start.In(abroad), n).Equal(end) {
			t.Fatal("who is abroad counts otherwise")
		}
		later := start.Add(time.Duration(rapid.Int64Range(0, 1e7).Draw(t, "later")) * time.Second)
		if c.EndOfWorkingDay(later, n).Before(end) || !end.Before(c.EndOfWorkingDay(start, n+1)) {
			t.Fatal("later, or longer, and yet an earlier end")
		}
		if plain := calendar.EndOfDay(start, n); end.Before(plain) {
			t.Fatalf("%d working days end before %d days", n, n)
		}
	})
}

// Fewer holidays never end a term later: who is unsure leaves one out, and warns early.
func TestFewerHolidaysAreNeverLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		more := anyHolidays(t)
		fewer := more
		fewer.GoodFriday, fewer.Liberation, fewer.Closed = false, calendar.LiberationNever, more.Closed[:len(more.Closed)/2]
		start, n := anyTime(t, "start"), rapid.IntRange(1, 30).Draw(t, "n")
		if calendar.New(more).EndOfWorkingDay(start, n).Before(calendar.New(fewer).EndOfWorkingDay(start, n)) {
			t.Fatal("a term with more holidays ends earlier")
		}
	})
}

// The calendar keeps no slice of its maker.
func TestNewCopies(t *testing.T) {
	h := calendar.Holidays{Closed: []calendar.Date{date("2026-06-01")}}
	c := calendar.New(h)
	h.Closed[0] = date("2026-06-02")
	if c.IsWorkingDay(date("2026-06-01")) || !c.IsWorkingDay(date("2026-06-02")) {
		t.Error("the calendar changed after it was made")
	}
}

// Dates sort by time.
func TestCompare(t *testing.T) {
	days := []calendar.Date{date("2027-01-01"), date("2026-12-31"), date("2026-02-01"), date("2026-02-02")}
	slices.SortFunc(days, calendar.Date.Compare)
	if days[0] != date("2026-02-01") || days[1] != date("2026-02-02") || days[3] != date("2027-01-01") {
		t.Errorf("sorted as %v", days)
	}
}
