package rota_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/relay/rota"
)

// utc reads an instant, written in UTC so that no test computes with the zone that it tests.
func utc(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04Z", s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func moment(t testing.TB, s string) rota.Moment { return rota.MomentOf(utc(t, s)) }

// of is a rota of one layer of rules, with a fallback.
func of(rules ...rota.Rule) rota.Rota {
	return rota.Rota{Layers: []rota.Layer{{Rules: rules}}, Fallback: []rota.Contact{"fallback"}}
}

func rule(from, to, repeat string, contacts ...rota.Contact) rota.Rule {
	return rota.Rule{From: rota.Local(from), To: rota.Local(to), Repeat: repeat, Contacts: contacts}
}

// says writes shifts and gaps of a level as lines to compare.
func says(r rota.Rota, from, to time.Time) (out []string) {
	for _, s := range r.Shifts(from, to) {
		out = append(out, fmt.Sprintf("%s %s %d %s", s.From.Format("01-02T15:04Z"), s.To.Format("01-02T15:04Z"), s.Level, s.Contact))
	}
	for _, g := range r.Gaps(from, to) {
		out = append(out, fmt.Sprintf("%s %s %d -", g.From.Format("01-02T15:04Z"), g.To.Format("01-02T15:04Z"), g.Level))
	}
	slices.Sort(out)
	return out
}

// Nights run from 20:00 to 08:00 and days from 08:00 to 20:00 on the wall. The answers
// are computed by hand from the nights in which the clock changes.
var dayAndNight = of(
	rule("2026-01-01T08:00", "2026-01-01T20:00", "FREQ=DAILY", "day"),
	rule("2026-01-01T20:00", "2026-01-02T08:00", "FREQ=DAILY", "night"),
)

func TestNightsInWhichTheClockChanges(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		want     []string
	}{
		"begin of summer time 2026, night of 11 hours": {"2026-03-28T19:00Z", "2026-03-29T18:00Z", []string{
			"03-28T19:00Z 03-29T06:00Z 0 night", "03-29T06:00Z 03-29T18:00Z 0 day"}},
		"end of summer time 2026, night of 13 hours": {"2026-10-24T18:00Z", "2026-10-25T19:00Z", []string{
			"10-24T18:00Z 10-25T07:00Z 0 night", "10-25T07:00Z 10-25T19:00Z 0 day"}},
		"begin of summer time 2027": {"2027-03-27T19:00Z", "2027-03-28T18:00Z", []string{
			"03-27T19:00Z 03-28T06:00Z 0 night", "03-28T06:00Z 03-28T18:00Z 0 day"}},
		"end of summer time 2027": {"2027-10-30T18:00Z", "2027-10-31T19:00Z", []string{
			"10-30T18:00Z 10-31T07:00Z 0 night", "10-31T07:00Z 10-31T19:00Z 0 day"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := says(dayAndNight, utc(t, c.from), utc(t, c.to)); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestHoursThatAreTwiceOrNever: a rule that changes at 02:30.
func TestHoursThatAreTwiceOrNever(t *testing.T) {
	r := of(rule("2026-03-01T02:30", "2026-03-02T02:30", "FREQ=DAILY", "a", "b"))
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at   string
		want rota.Contact
	}{
		// 28 March is the 28th shift, of b. On the 29th 02:30 is never: the next begins as
		// the clock jumps from 02:00 to 03:00, at 01:00 UTC.
		"before the jump": {"2026-03-29T00:59Z", "b"},
		"at the jump":     {"2026-03-29T01:00Z", "a"},
		// 24 October is shift 238, of b. On the 25th 02:30 is at 00:30 and at 01:30 UTC:
		// the first counts.
		"before the first 02:30": {"2026-10-25T00:29Z", "b"},
		"the first 02:30":        {"2026-10-25T00:30Z", "a"},
		"the second 02:30":       {"2026-10-25T01:30Z", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.At(utc(t, c.at)).Levels[0].Contact; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestTurnsAndDates(t *testing.T) {
	weekly := of(rule("2026-01-05T08:00", "2026-01-12T08:00", "FREQ=WEEKLY", "a", "b", "c"))
	office := of(rule("2026-01-05T09:00", "2026-01-05T17:00", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "a"))
	leap := of(rule("2028-02-27T08:00", "2028-02-28T08:00", "FREQ=DAILY", "a", "b", "c"))
	noLeap := of(rule("2027-02-27T08:00", "2027-02-28T08:00", "FREQ=DAILY", "a", "b", "c"))
	first := of(rule("2026-01-05T08:00", "2026-01-06T08:00", "FREQ=MONTHLY;BYDAY=1MO", "a"))
	other := of(rule("2026-01-05T08:00", "2026-01-12T08:00", "FREQ=WEEKLY;INTERVAL=2", "a"))
	ends := rule("2026-01-05T08:00", "2026-01-12T08:00", "FREQ=WEEKLY", "a")
	ends.Until = "2026-01-19T08:00"
	once := of(rule("2026-12-24T08:00", "2026-12-27T08:00", "", "a"))
	for name, c := range map[string]struct {
		r    rota.Rota
		at   string
		want rota.Contact
	}{
		"before the first":             {weekly, "2026-01-05T06:59Z", ""},
		"the first week":               {weekly, "2026-01-05T07:00Z", "a"},
		"the week after 42 others":     {weekly, "2026-10-26T07:00Z", "a"},
		"one minute before it":         {weekly, "2026-10-26T06:59Z", "c"},
		"Friday afternoon in summer":   {office, "2026-07-03T14:59Z", "a"},
		"Friday evening in summer":     {office, "2026-07-03T15:00Z", ""},
		"Saturday":                     {office, "2026-07-04T10:00Z", ""},
		"28 February before leap day":  {leap, "2028-02-28T12:00Z", "b"},
		"leap day":                     {leap, "2028-02-29T12:00Z", "c"},
		"1 March after leap day":       {leap, "2028-03-01T12:00Z", "a"},
		"1 March without leap day":     {noLeap, "2027-03-01T12:00Z", "c"},
		"the first Monday of February": {first, "2026-02-02T12:00Z", "a"},
		"the second":                   {first, "2026-02-09T12:00Z", ""},
		"the other week":               {other, "2026-01-14T12:00Z", ""},
		"every other week":             {other, "2026-01-21T12:00Z", "a"},
		"before a rule ends":           {of(ends), "2026-01-19T06:59Z", "a"},
		"after it ended":               {of(ends), "2026-01-19T07:00Z", ""},
		"once, at Christmas":           {once, "2026-12-25T12:00Z", "a"},
		"and not the year after":       {once, "2027-12-25T12:00Z", ""},
		"after all time":               {weekly, "2101-01-01T12:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.r.Check(); err != nil {
				t.Fatal(err)
			}
			a := c.r.At(utc(t, c.at))
			if got := a.Levels[0].Contact; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if called := a.Contacts(0); c.want == "" && !slices.Equal(called, c.r.Fallback) {
				t.Errorf("on a gap %q is called", called)
			}
		})
	}
}

// changed is one week with a until Wednesday 08:00 and b after it, at level 0, and c as
// the backup, with changes.
func changed(changes ...rota.Change) rota.Rota {
	r := rota.Rota{Fallback: []rota.Contact{"fallback"}, Layers: []rota.Layer{
		{Rules: []rota.Rule{
			rule("2026-06-01T08:00", "2026-06-03T08:00", "", "a"), // 06:00Z in summer
			rule("2026-06-03T08:00", "2026-06-05T08:00", "", "b"),
		}},
		{Rules: []rota.Rule{rule("2026-06-01T08:00", "2026-06-05T08:00", "", "c")}},
	}}
	for i := range changes {
		changes[i].ID, changes[i].Decided = fmt.Sprintf("%02d", i), rota.Moment(1780000000+i)
	}
	r.Changes = changes
	return r
}

func TestChanges(t *testing.T) {
	put := func(level int, from, to string, c rota.Contact) rota.Change {
		return rota.Change{Kind: rota.Override, Level: level, From: moment(t, from), To: moment(t, to), Contact: c}
	}
	for name, c := range map[string]struct {
		r    rota.Rota
		want []string
	}{
		"none": {changed(), []string{"06-01T06:00Z 06-03T06:00Z 0 a", "06-01T06:00Z 06-05T06:00Z 1 c", "06-03T06:00Z 06-05T06:00Z 0 b"}},
		"a swap over midnight": {changed(rota.Change{Kind: rota.Swap, Level: 0, From: moment(t, "2026-06-02T20:00Z"), To: moment(t, "2026-06-03T10:00Z"), Contact: "a", Other: "b"}), []string{
			"06-01T06:00Z 06-02T20:00Z 0 a", "06-01T06:00Z 06-05T06:00Z 1 c", "06-02T20:00Z 06-03T06:00Z 0 b",
			"06-03T06:00Z 06-03T10:00Z 0 a", "06-03T10:00Z 06-05T06:00Z 0 b"}},
		"overlapping overrides: the one decided last": {changed(put(0, "2026-06-02T06:00Z", "2026-06-02T18:00Z", "d"), put(0, "2026-06-02T12:00Z", "2026-06-03T00:00Z", "e")), []string{
			"06-01T06:00Z 06-02T06:00Z 0 a", "06-01T06:00Z 06-05T06:00Z 1 c", "06-02T06:00Z 06-02T12:00Z 0 d",
			"06-02T12:00Z 06-03T00:00Z 0 e", "06-03T00:00Z 06-03T06:00Z 0 a", "06-03T06:00Z 06-05T06:00Z 0 b"}},
		"decided the other way around": {changed(put(0, "2026-06-02T12:00Z", "2026-06-03T00:00Z", "e"), put(0, "2026-06-02T06:00Z", "2026-06-02T18:00Z", "d")), []string{
			"06-01T06:00Z 06-02T06:00Z 0 a", "06-01T06:00Z 06-05T06:00Z 1 c", "06-02T06:00Z 06-02T18:00Z 0 d",
			"06-02T18:00Z 06-03T00:00Z 0 e", "06-03T00:00Z 06-03T06:00Z 0 a", "06-03T06:00Z 06-05T06:00Z 0 b"}},
		"a swap of what an override made": {changed(put(0, "2026-06-02T06:00Z", "2026-06-02T18:00Z", "d"),
			rota.Change{Kind: rota.Swap, Level: rota.AllLevels, From: moment(t, "2026-06-02T06:00Z"), To: moment(t, "2026-06-02T18:00Z"), Contact: "c", Other: "d"}), []string{
			"06-01T06:00Z 06-02T06:00Z 0 a", "06-01T06:00Z 06-02T06:00Z 1 c", "06-02T06:00Z 06-02T18:00Z 0 c", "06-02T06:00Z 06-02T18:00Z 1 d",
			"06-02T18:00Z 06-03T06:00Z 0 a", "06-02T18:00Z 06-05T06:00Z 1 c", "06-03T06:00Z 06-05T06:00Z 0 b"}},
		"a person leaving makes a gap": {changed(rota.Change{Kind: rota.Leave, Level: rota.AllLevels, From: moment(t, "2026-06-04T06:00Z"), Contact: "b"}), []string{
			"06-01T06:00Z 06-03T06:00Z 0 a", "06-01T06:00Z 06-05T06:00Z 1 c", "06-03T06:00Z 06-04T06:00Z 0 b", "06-04T06:00Z 06-05T06:00Z 0 -"}},
		"which an override fills": {changed(rota.Change{Kind: rota.Leave, Level: rota.AllLevels, From: moment(t, "2026-06-04T06:00Z"), Contact: "b"}, put(0, "2026-06-04T06:00Z", "2026-06-05T06:00Z", "a")), []string{
			"06-01T06:00Z 06-03T06:00Z 0 a", "06-01T06:00Z 06-05T06:00Z 1 c", "06-03T06:00Z 06-04T06:00Z 0 b", "06-04T06:00Z 06-05T06:00Z 0 a"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.r.Check(); err != nil {
				t.Fatal(err)
			}
			if got := says(c.r, utc(t, "2026-06-01T06:00Z"), utc(t, "2026-06-05T06:00Z")); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestTemporarySchedules(t *testing.T) {
	r := of(rule("2026-01-05T08:00", "2026-01-12T08:00", "FREQ=WEEKLY", "a"))
	r.Layers[0].Temporary = []rota.Schedule{
		{From: "2026-07-01T08:00", Until: "2026-08-01T08:00", Rules: []rota.Rule{rule("2026-07-01T08:00", "2026-07-02T08:00", "FREQ=DAILY;INTERVAL=2", "b")}},
		{From: "2026-07-10T08:00", Until: "2026-07-11T08:00", Rules: []rota.Rule{rule("2026-07-01T00:00", "2026-07-02T00:00", "FREQ=DAILY", "c")}},
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	want := []string{ // b has the odd days of July, and nobody the even ones; the later schedule counts on the 10th
		"07-01T06:00Z 07-02T06:00Z 0 b", "07-02T06:00Z 07-03T06:00Z 0 -"}
	if got := says(r, utc(t, "2026-07-01T06:00Z"), utc(t, "2026-07-03T06:00Z")); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want = []string{"07-09T06:00Z 07-10T06:00Z 0 b", "07-10T06:00Z 07-10T22:00Z 0 c", "07-10T22:00Z 07-11T06:00Z 0 c", "07-11T06:00Z 07-12T06:00Z 0 b"}
	if got := says(r, utc(t, "2026-07-09T06:00Z"), utc(t, "2026-07-12T06:00Z")); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want = []string{"06-30T06:00Z 07-01T06:00Z 0 a", "07-31T06:00Z 08-01T06:00Z 0 b", "08-01T06:00Z 08-02T06:00Z 0 a"}
	got := append(says(r, utc(t, "2026-06-30T06:00Z"), utc(t, "2026-07-01T06:00Z")), says(r, utc(t, "2026-07-31T06:00Z"), utc(t, "2026-08-02T06:00Z"))...)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCheckRefuses(t *testing.T) {
	good := func() rota.Rota { return of(rule("2026-01-05T08:00", "2026-01-12T08:00", "FREQ=WEEKLY", "a")) }
	if err := good().Check(); err != nil {
		t.Fatal("control:", err)
	}
	override := rota.Change{ID: "1", Kind: rota.Override, From: 1780000000, To: 1780003600, Contact: "a"}
	for name, c := range map[string]struct {
		change func(*rota.Rota)
		want   error
	}{
		"no fallback":            {func(r *rota.Rota) { r.Fallback = nil }, rota.ErrNoFallback},
		"a fallback twice":       {func(r *rota.Rota) { r.Fallback = []rota.Contact{"a", "a"} }, rota.ErrFormat},
		"nine in the fallback":   {func(r *rota.Rota) { r.Fallback = strangers(9) }, rota.ErrTooLarge},
		"no layers":              {func(r *rota.Rota) { r.Layers = nil }, rota.ErrFormat},
		"five layers":            {func(r *rota.Rota) { r.Layers = make([]rota.Layer, 5) }, rota.ErrFormat},
		"a shift of no length":   {func(r *rota.Rota) { r.Layers[0].Rules[0].To = "2026-01-05T08:00" }, rota.ErrFormat},
		"a shift of two months":  {func(r *rota.Rota) { r.Layers[0].Rules[0].To = "2026-03-05T08:00" }, rota.ErrFormat},
		"a time with seconds":    {func(r *rota.Rota) { r.Layers[0].Rules[0].From = "2026-01-05T08:00:00" }, rota.ErrFormat},
		"30 February":            {func(r *rota.Rota) { r.Layers[0].Rules[0].From = "2026-02-30T08:00" }, rota.ErrFormat},
		"nobody":                 {func(r *rota.Rota) { r.Layers[0].Rules[0].Contacts = nil }, rota.ErrFormat},
		"33 take turns":          {func(r *rota.Rota) { r.Layers[0].Rules[0].Contacts = strangers(33) }, rota.ErrFormat},
		"a contact in capitals":  {func(r *rota.Rota) { r.Layers[0].Rules[0].Contacts = []rota.Contact{"Jansen"} }, rota.ErrFormat},
		"every second":           {func(r *rota.Rota) { r.Layers[0].Rules[0].Repeat = "FREQ=SECONDLY" }, rota.ErrFormat},
		"30 February every year": {func(r *rota.Rota) { r.Layers[0].Rules[0].Repeat = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30" }, rota.ErrFormat},
		"the 31st":               {func(r *rota.Rota) { r.Layers[0].Rules[0].Repeat = "FREQ=MONTHLY;BYMONTHDAY=31" }, rota.ErrFormat},
		"the fifth Monday":       {func(r *rota.Rota) { r.Layers[0].Rules[0].Repeat = "FREQ=MONTHLY;BYDAY=5MO" }, rota.ErrFormat},
		"Monday twice":           {func(r *rota.Rota) { r.Layers[0].Rules[0].Repeat = "FREQ=WEEKLY;BYDAY=MO,MO" }, rota.ErrFormat},
		"an interval of 54":      {func(r *rota.Rota) { r.Layers[0].Rules[0].Repeat = "FREQ=WEEKLY;INTERVAL=54" }, rota.ErrFormat},
		"a rule of megabytes":    {func(r *rota.Rota) { r.Layers[0].Rules[0].Repeat = "FREQ=WEEKLY;BYDAY=" + strings.Repeat("MO,", 1<<19) }, rota.ErrFormat},
		"129 rules": {func(r *rota.Rota) {
			r.Layers[0].Rules = slices.Repeat(r.Layers[0].Rules, 129)
		}, rota.ErrTooLarge},
		"a schedule backwards": {func(r *rota.Rota) {
			r.Layers[0].Temporary = []rota.Schedule{{From: "2026-02-01T00:00", Until: "2026-01-01T00:00"}}
		}, rota.ErrFormat},
		"an override backwards": {func(r *rota.Rota) { o := override; o.From, o.To = o.To, o.From; r.Changes = []rota.Change{o} }, rota.ErrFormat},
		"at every level":        {func(r *rota.Rota) { o := override; o.Level = rota.AllLevels; r.Changes = []rota.Change{o} }, rota.ErrFormat},
		"at a level not there":  {func(r *rota.Rota) { o := override; o.Level = 1; r.Changes = []rota.Change{o} }, rota.ErrFormat},
		"of no kind":            {func(r *rota.Rota) { o := override; o.Kind = "holiday"; r.Changes = []rota.Change{o} }, rota.ErrFormat},
		"a swap with oneself":   {func(r *rota.Rota) { o := override; o.Kind, o.Other = rota.Swap, "a"; r.Changes = []rota.Change{o} }, rota.ErrFormat},
		"the same change twice": {func(r *rota.Rota) { r.Changes = []rota.Change{override, override} }, rota.ErrFormat},
		"1025 changes":          {func(r *rota.Rota) { r.Changes = slices.Repeat([]rota.Change{override}, 1025) }, rota.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			c.change(&r)
			if err := r.Check(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func strangers(n int) (out []rota.Contact) {
	for i := range n {
		out = append(out, rota.Contact(fmt.Sprintf("c%d", i)))
	}
	return out
}

func TestMoment(t *testing.T) {
	for text, want := range map[string]string{
		"2026-10-25T02:30:00+02:00": "2026-10-25T00:30Z",
		"2026-10-25T02:30:00+01:00": "2026-10-25T01:30Z",
	} {
		var m rota.Moment
		if err := m.UnmarshalText([]byte(text)); err != nil || m != moment(t, want) {
			t.Errorf("%s: %s, %v", text, m.Time(), err)
		}
		if back, err := m.MarshalText(); err != nil || string(back) != text {
			t.Errorf("%s comes back as %s, %v", text, back, err)
		}
	}
	for _, bad := range []string{"2026-10-25T02:30", "gisteren", "1969-01-01T00:00:00Z", "2026-10-25T02:30:00.5Z"} {
		var m rota.Moment
		if err := m.UnmarshalText([]byte(bad)); !errors.Is(err, rota.ErrFormat) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
