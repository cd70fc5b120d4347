package rota

import (
	"fmt"
	"time"
	_ "time/tzdata" // a machine without zone files must not page somebody else
)

// zone is that of every rota in the chain: Europe/Amsterdam.
var zone = func() *time.Location {
	l, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		panic(err) // it is linked in
	}
	return l
}()

// Zone is that in which a rota is written.
func Zone() *time.Location { return zone }

// Local is what a clock on the wall shows, to the minute, such as 2026-11-30T08:00.
type Local string

const localForm = "2006-01-02T15:04"

// Bounds of what is written on the wall.
const (
	firstYear = 2020
	lastYear  = 2099
)

// LocalOf is what the clock shows at t.
func LocalOf(t time.Time) Local { return Local(t.In(zone).Format(localForm)) }

// wall is the clock as a number to count with: in UTC every day has 24 hours.
func (l Local) wall() (time.Time, error) {
	w, err := time.Parse(localForm, string(l))
	if err != nil || w.Format(localForm) != string(l) || w.Year() < firstYear || w.Year() > lastYear {
		return time.Time{}, fmt.Errorf("%w: time %.30q: write it as 2026-11-30T08:00", ErrFormat, string(l))
	}
	return w, nil
}

// Instant returns when the clock shows l. In the night that summer time ends the clock
// shows an hour twice: the first counts. In the night that it begins it skips an hour:
// what would fall in it happens as the clock jumps.
func (l Local) Instant() (time.Time, error) {
	w, err := l.wall()
	if err != nil {
		return time.Time{}, err
	}
	return instant(w), nil
}

func instant(wall time.Time) time.Time {
	// The clock is changed at most once in two days.
	before, after := at(wall, wall.AddDate(0, 0, -1)), at(wall, wall.AddDate(0, 0, 1))
	shows := func(t time.Time) bool { return LocalOf(t) == Local(wall.Format(localForm)) }
	switch {
	case shows(before):
		return before
	case shows(after):
		return after
	}
	jump, _ := before.In(zone).ZoneBounds()
	return jump.UTC()
}

// at reads the wall by the offset that holds at about other.
func at(wall, other time.Time) time.Time {
	_, offset := other.In(zone).Zone()
	return wall.Add(-time.Duration(offset) * time.Second)
}

// Moment is an instant to the second, as a number of seconds since 1970. People read
// and write it with its offset, because a take-over in the night that summer time ends
// must be able to name the second 02:30.
type Moment uint64

// MomentOf leaves out what is less than a second.
func MomentOf(t time.Time) Moment { return Moment(max(t.Unix(), 0)) }

// Time is the instant.
func (m Moment) Time() time.Time { return time.Unix(int64(m), 0).UTC() }

// MarshalText writes it as 2026-10-25T02:30:00+01:00; zero is empty.
func (m Moment) MarshalText() ([]byte, error) {
	if m == 0 {
		return []byte{}, nil
	}
	return []byte(m.Time().In(zone).Format(time.RFC3339)), nil
}

// UnmarshalText reads a time with its offset.
func (m *Moment) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = 0
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(b))
	if err != nil || t.Year() < firstYear || t.Year() > lastYear || t.Nanosecond() != 0 {
		return fmt.Errorf("%w: time %.40q: write it as 2026-10-25T02:30:00+01:00", ErrFormat, string(b))
	}
	*m = MomentOf(t)
	return nil
}
