package rota_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"schakel/crypto/envelope"
	"schakel/relay/ladder"
	"schakel/relay/rota"
)

var people = rapid.SampledFrom([]rota.Contact{"a", "b", "c", "d"})

// wall draws a time on the wall around the nights in which the clock changes.
func wall(t *rapid.T, label string) rota.Local {
	day := rapid.SampledFrom([]string{"2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25", "2027-03-28", "2028-02-29", "2026-06-01"}).Draw(t, label+" day")
	hour := rapid.SampledFrom([]string{"00:00", "02:00", "02:30", "03:00", "08:00", "20:00", "23:45"}).Draw(t, label+" hour")
	return rota.Local(day + "T" + hour)
}

func after(l rota.Local, d time.Duration) rota.Local {
	at, err := time.Parse("2006-01-02T15:04", string(l))
	if err != nil {
		panic(err)
	}
	return rota.Local(at.Add(d).Format("2006-01-02T15:04"))
}

func drawRule(t *rapid.T) rota.Rule {
	from := wall(t, "rule")
	length := rapid.SampledFrom([]time.Duration{time.Minute, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}).Draw(t, "length")
	r := rota.Rule{From: from, To: after(from, length), Contacts: rapid.SliceOfN(people, 1, 3).Draw(t, "turns"),
		Repeat: rapid.SampledFrom([]string{"", "FREQ=DAILY", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU", "FREQ=MONTHLY;BYDAY=-1SU"}).Draw(t, "repeat")}
	if rapid.Bool().Draw(t, "ends") {
		r.Until = after(from, rapid.SampledFrom([]time.Duration{0, 48 * time.Hour, 90 * 24 * time.Hour}).Draw(t, "until"))
	}
	return r
}

func drawChange(t *rapid.T, n, layers int) rota.Change {
	from, _ := wall(t, "change").Instant()
	c := rota.Change{ID: fmt.Sprintf("%03d", n), Decided: 1780000000, Kind: rota.Override, From: rota.MomentOf(from), Contact: people.Draw(t, "who"),
		Level: rapid.IntRange(0, layers-1).Draw(t, "level")}
	c.To = c.From + rota.Moment(rapid.IntRange(1, 14*24*60).Draw(t, "minutes")*60)
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 1:
		if o := people.Draw(t, "other"); o != c.Contact {
			c.Kind, c.Other = rota.Swap, o
		}
	case 2:
		c.Kind, c.Level, c.To = rota.Leave, rota.AllLevels, 0
	}
	return c
}

func drawRota(t *rapid.T) rota.Rota {
	r := rota.Rota{Fallback: []rota.Contact{"fallback"}}
	layers := rapid.IntRange(1, 3).Draw(t, "layers")
	for range layers {
		l := rota.Layer{}
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			l.Rules = append(l.Rules, drawRule(t))
		}
		for range rapid.IntRange(0, 2).Draw(t, "schedules") {
			from := wall(t, "schedule")
			l.Temporary = append(l.Temporary, rota.Schedule{From: from, Until: after(from, 5*24*time.Hour), Rules: []rota.Rule{drawRule(t)}})
		}
		r.Layers = append(r.Layers, l)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "changes") {
		r.Changes = append(r.Changes, drawChange(t, i, layers))
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r
}

// covers demands that shifts and gaps of a level lie one after the other, without a
// hole and without overlap.
func covers(t *rapid.T, r rota.Rota, level int, from, to time.Time) []rota.Shift {
	var all []rota.Shift
	for _, s := range r.Shifts(from, to) {
		if s.Level == level {
			all = append(all, s)
		}
	}
	for _, g := range r.Gaps(from, to) {
		if g.Level == level {
			all = append(all, rota.Shift{From: g.From, To: g.To, Level: level})
		}
	}
	slices.SortFunc(all, func(a, b rota.Shift) int { return a.From.Compare(b.From) })
	at := from
	for _, s := range all {
		if !s.From.Equal(at) || !s.From.Before(s.To) {
			t.Fatalf("level %d: %s to %s, after %s", level, s.From, s.To, at)
		}
		at = s.To
	}
	if !at.Equal(to) {
		t.Fatalf("level %d ends at %s and not at %s", level, at, to)
	}
	return all
}

// TestExactlyOneAnswer: at every minute a level has one contact or a reported gap; what
// At, Shifts and Gaps say is the same, whatever window they are asked for; and it is what
// a second, slower reading of the rules says.
func TestExactlyOneAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRota(t)
		from, _ := wall(t, "window").Instant()
		from = from.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(t, "before")) * time.Minute)
		to := from.Add(time.Duration(rapid.IntRange(1, 20*24*60).Draw(t, "minutes")) * time.Minute)
		for level := range r.Layers {
			for _, s := range covers(t, r, level, from, to) {
				for _, at := range []time.Time{s.From, s.To.Add(-time.Minute), s.From.Add(s.To.Sub(s.From) / 2).Truncate(time.Minute)} {
					if at.Before(s.From) {
						continue
					}
					if got := r.At(at).Levels[level].Contact; got != s.Contact {
						t.Fatalf("level %d at %s: At says %q, Shifts and Gaps say %q", level, at, got, s.Contact)
					}
					if got := slowly(r, level, at); got != s.Contact {
						t.Fatalf("level %d at %s: %q, and read slowly %q", level, at, s.Contact, got)
					}
				}
			}
		}
	})
}

// TestEveryMinute asks each minute of the week in which summer time ends.
func TestEveryMinute(t *testing.T) {
	r := of(rule("2026-10-10T08:00", "2026-10-10T20:00", "FREQ=DAILY", "day"), rule("2026-10-10T20:00", "2026-10-11T08:00", "FREQ=DAILY", "night"))
	r.Changes = []rota.Change{{ID: "1", Kind: rota.Swap, From: moment(t, "2026-10-24T20:00Z"), To: moment(t, "2026-10-25T12:00Z"), Contact: "day", Other: "night"},
		{ID: "2", Kind: rota.Leave, Level: rota.AllLevels, From: moment(t, "2026-10-28T12:00Z"), Contact: "night"}}
	from, to := utc(t, "2026-10-22T22:00Z"), utc(t, "2026-10-29T23:00Z")
	shifts, gaps := r.Shifts(from, to), r.Gaps(from, to)
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		var said []rota.Contact
		for _, s := range shifts {
			if !at.Before(s.From) && at.Before(s.To) {
				said = append(said, s.Contact)
			}
		}
		for _, g := range gaps {
			if !at.Before(g.From) && at.Before(g.To) {
				said = append(said, "")
			}
		}
		if got := r.At(at).Levels[0].Contact; len(said) != 1 || said[0] != got {
			t.Fatalf("%s: %q, and At says %q", at, said, got)
		}
	}
}

// slowly reads a rota backwards: the last thing that speaks of a moment counts. It knows
// nothing of strips, and finds occurrences by looking at every day.
func slowly(r rota.Rota, level int, at time.Time) rota.Contact {
	who := byRules(r.Layers[level].Rules, at)
	for _, s := range r.Layers[level].Temporary {
		from, _ := s.From.Instant()
		until, _ := s.Until.Instant()
		if !at.Before(from) && at.Before(until) {
			who = byRules(s.Rules, at)
		}
	}
	for _, c := range r.Changes {
		if c.Level != level && c.Level != rota.AllLevels || at.Before(c.From.Time()) || c.To != 0 && !at.Before(c.To.Time()) {
			continue
		}
		switch {
		case c.Kind == rota.Override:
			who = c.Contact
		case c.Kind == rota.Leave && who == c.Contact:
			who = ""
		case c.Kind == rota.Swap && who == c.Contact:
			who = c.Other
		case c.Kind == rota.Swap && who == c.Other:
			who = c.Contact
		}
	}
	return who
}

func byRules(rules []rota.Rule, at time.Time) (who rota.Contact) {
	for _, r := range rules {
		first, _ := time.Parse("2006-01-02T15:04", string(r.From))
		end, _ := time.Parse("2006-01-02T15:04", string(r.To))
		turn := 0
		for day := first; !day.After(at.AddDate(0, 0, 2)); day = day.AddDate(0, 0, 1) {
			if !falls(r.Repeat, first, day) || r.Until != "" && rota.Local(day.Format("2006-01-02T15:04")) >= r.Until {
				continue
			}
			from, _ := rota.Local(day.Format("2006-01-02T15:04")).Instant()
			to, _ := rota.Local(day.Add(end.Sub(first)).Format("2006-01-02T15:04")).Instant()
			if !at.Before(from) && at.Before(to) {
				who = r.Contacts[turn%len(r.Contacts)]
			}
			turn++
		}
	}
	return who
}

// falls reads the few forms of Repeat that these tests draw.
func falls(repeat string, first, day time.Time) bool {
	days := int(day.Sub(first).Hours() / 24)
	switch repeat {
	case "":
		return days == 0
	case "FREQ=DAILY":
		return true
	case "FREQ=DAILY;INTERVAL=3":
		return days%3 == 0
	case "FREQ=WEEKLY":
		return days%7 == 0
	case "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU":
		monday := func(t time.Time) int { return int(t.Unix()/86400+3) / 7 } // the epoch was a Thursday
		return (day.Weekday() == time.Saturday || day.Weekday() == time.Sunday) && (monday(day)-monday(first))%2 == 0
	case "FREQ=MONTHLY;BYDAY=-1SU":
		return day.Weekday() == time.Sunday && day.AddDate(0, 0, 7).Month() != day.Month()
	}
	panic(repeat)
}

// TestWallsKeepTheirOrder: whatever the clock does, later on the wall is not earlier.
func TestWallsKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := wall(t, "wall")
		a, _ := start.Instant()
		b, _ := after(start, time.Duration(rapid.IntRange(0, 3000).Draw(t, "minutes"))*time.Minute).Instant()
		if b.Before(a) {
			t.Fatalf("%s after %s", b, a)
		}
	})
}

func plan() rota.Plan {
	from := time.Date(2026, 10, 20, 6, 0, 0, 0, time.UTC)
	return rota.Plan{Desk: "vt20/crisis", Serial: 7, From: from, Until: from.Add(14 * 24 * time.Hour), Fallback: []rota.Contact{"fallback"},
		Shifts: []rota.Shift{{From: from, To: from.Add(time.Hour), Level: 0, Contact: "a"}, {From: from, To: from.Add(2 * time.Hour), Level: 1, Contact: "b"}},
		Ladders: []rota.Tightening{{Tier: envelope.TierAcute, Ladder: ladder.Ladder{
			Steps: []ladder.Step{{After: 0, Level: 0}, {After: 3 * time.Minute, Level: ladder.Everyone}}, Alarm: 10 * time.Minute}}},
		Points: []rota.Point{{Contact: "a", Channel: "ntfy", Target: "https://ntfy.example/piket"}, {Contact: "fallback", Channel: "webhook", Target: "https://desk.example/hook"}}}
}
