package protocol_test

import (
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
)

// A moment in a body reads as people say it, where the form says that it is one.
func TestMoment(t *testing.T) {
	day, instant, text := protocol.Field{Kind: protocol.KindDate}, protocol.Field{Kind: protocol.KindInstant}, protocol.Field{Kind: protocol.KindText}
	for _, x := range []struct {
		protocol.Field
		value, nl, en string
	}{
		{instant, "2026-11-24T15:00:00Z", "di 24 nov 2026, 16:00", "Tue 24 Nov 2026, 16:00"},
		{instant, "2026-07-01T15:00:00Z", "wo 1 jul 2026, 17:00", "Wed 1 Jul 2026, 17:00"},
		{instant, "2026-12-31T23:30:00.5Z", "vr 1 jan 2027, 00:30", "Fri 1 Jan 2027, 00:30"}, // another day, and another year
		{instant, "2026-11-24T15:00:00+03:00", "di 24 nov 2026, 13:00", "Tue 24 Nov 2026, 13:00"},
		{day, "2026-03-08", "zo 8 mrt 2026", "Sun 8 Mar 2026"},
	} {
		said, ok := x.Moment(x.value, calendar.Zone())
		if !ok || said != (protocol.Text{NL: x.nl, EN: x.en}) {
			t.Errorf("%s reads %q, %v", x.value, said, ok)
		}
	}
	for _, x := range []struct {
		protocol.Field
		value string
	}{{text, "2026-11-24T15:00:00Z"}, {instant, "2026-11-24"}, {instant, ""}, {day, "2026-02-30"}, {day, "2026-11-24T15:00:00Z"}, {instant, "2026-11-24T15:00:00Z; bel nu"}, {protocol.Field{}, "2026-11-24"}} {
		if said, ok := x.Moment(x.value, calendar.Zone()); ok {
			t.Errorf("%s %q reads as %q", x.Kind, x.value, said)
		}
	}
}

// FuzzMoment: whatever a partner writes, what is shown as a moment is that moment, to the
// minute, and nothing else of it comes along.
func FuzzMoment(f *testing.F) {
	f.Add("2026-11-24T15:00:00Z")
	f.Add("0000-01-01T00:00:00-23:59")
	f.Fuzz(func(t *testing.T, v string) {
		said, ok := protocol.Field{Kind: protocol.KindInstant}.Moment(v, time.UTC)
		if !ok {
			return
		}
		back, err := time.Parse("Mon 2 Jan 2006, 15:04", said.EN)
		want, wrong := time.Parse(time.RFC3339, v)
		if wrong != nil || want.UTC().Year() < 1000 || want.UTC().Year() > 9999 {
			return // a year that people do not write
		}
		if err != nil || !back.Equal(want.UTC().Truncate(time.Minute)) {
			t.Errorf("%q reads %q: %v %v", v, said.EN, back, err)
		}
	})
}
