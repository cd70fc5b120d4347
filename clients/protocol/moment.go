package protocol

import (
	"fmt"
	"strings"
	"time"
)

// Moment is what a field for a day or an instant holds, as people read it: with its
// weekday, and an instant by the clock of zone, to the minute. Anything else is no moment,
// and is shown as it was written; so is every field of a class that the reader's agreement
// does not know, since only the form tells a moment from text that looks like one.
func (f Field) Moment(v string, zone *time.Location) (said Text, ok bool) {
	switch f.Kind {
	case KindDate:
		if t, err := time.Parse(time.DateOnly, v); err == nil {
			return Day(t), true
		}
	case KindInstant:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			t = t.In(zone)
			day := Day(t)
			return Text{day.NL + t.Format(", 15:04"), day.EN + t.Format(", 15:04")}, true
		}
	}
	return Text{}, false
}

// Day is a day with its weekday.
func Day(t time.Time) Text {
	w, m := Weekday(t.Weekday()), Month(t.Month())
	return Text{fmt.Sprintf("%s %d %s %d", w.NL, t.Day(), m.NL, t.Year()), fmt.Sprintf("%s %d %s %d", w.EN, t.Day(), m.EN, t.Year())}
}

// Weekday is the short name of a day of the week.
func Weekday(d time.Weekday) Text { return Text{weekdays[0][d], weekdays[1][d]} }

// Month is the short name of a month.
func Month(m time.Month) Text { return Text{months[0][m-1], months[1][m-1]} }

// The names in Dutch, and in English.
var (
	weekdays = [2][]string{strings.Fields("zo ma di wo do vr za"), strings.Fields("Sun Mon Tue Wed Thu Fri Sat")}
	months   = [2][]string{strings.Fields("jan feb mrt apr mei jun jul aug sep okt nov dec"), strings.Fields("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")}
)
