package roster_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/roster"
	"schakel/relay/rota"
)

// bare is the desk without rules: what an import makes of it is all there is.
func bare() roster.Roster {
	r := desk()
	for i := range r.Layers {
		r.Layers[i].Rules = []rota.Rule{}
	}
	return r
}

// TestCalendarRoundTrip: 12 months go out, come in on a desk without rules, and say the same.
func TestCalendarRoundTrip(t *testing.T) {
	r := desk()
	for _, names := range []bool{false, true} {
		file, err := r.Export(roster.Calendar{Desk: "vt20/crisis", Now: now, Names: names})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(file), "\r\n ", "")
		if n := strings.Count(text, "TRANSP:TRANSPARENT"); n != strings.Count(text, "BEGIN:VEVENT") || n < 100 {
			t.Errorf("%d events are transparent", n)
		}
		if strings.Contains(text, "Iket") != names || strings.Contains(text, "316000000") || strings.Contains(text, "ntfy") {
			t.Errorf("names %v:\n%.900s", names, text)
		}
		in, report, err := bare().Import(decided("a", now), file)
		if err != nil || len(report.Skipped) > 0 || report.Shifts < 100 {
			t.Fatalf("%+v, %v", report, err)
		}
		for at := now; at.Before(now.AddDate(1, 0, -1)); at = at.Add(5 * time.Hour) {
			if got, want := in.OnCall(at), r.OnCall(at); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %v, want %v", at, got, want)
			}
		}
		twice, report, err := in.Import(decided("b", now), file)
		if err != nil || len(twice.Changes) != len(in.Changes) || report.Shifts < 100 {
			t.Errorf("the same calendar again: %d changes, %v", len(twice.Changes), err)
		}
	}
	one, err := r.Export(roster.Calendar{Desk: "vt20/crisis", Now: now, Contact: "p-2"})
	if err != nil || strings.Contains(string(one), "X-SCHAKEL-CONTACT;VALUE=TEXT:p-1") || !strings.Contains(string(one), "X-SCHAKEL-CONTACT;VALUE=TEXT:p-2") {
		t.Errorf("of one person: %v\n%.600s", err, one)
	}
	if _, err := r.Export(roster.Calendar{Now: now, Contact: "f-1"}); !errors.Is(err, roster.ErrNoShift) {
		t.Errorf("of the fallback: %v", err)
	}
}

func calendar(events ...string) []byte {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n")
	for i, e := range events {
		fmt.Fprintf(&b, "BEGIN:VEVENT\nUID:e%d\n%s\nEND:VEVENT\n", i, e)
	}
	return []byte(b.String() + "END:VCALENDAR\n")
}

func TestImportReports(t *testing.T) {
	const day = "DTSTART;TZID=Europe/Amsterdam:20261224T180000\nDTEND;TZID=Europe/Amsterdam:20261225T080000\n"
	out, report, err := bare().Import(decided("a", now), calendar(
		day+"SUMMARY:P. Iket",
		"DTSTART:20261226T070000Z\nDURATION:PT13H\nSUMMARY:Piket: W. Acht",
		"DTSTART;VALUE=DATE:20261231\nDTEND;VALUE=DATE:20270101\nX-SCHAKEL-CONTACT:p-3\nX-SCHAKEL-LEVEL:1\nSUMMARY:oud en nieuw",
		"DTSTART;TZID=Europe/Amsterdam:20270104T080000\nDTEND;TZID=Europe/Amsterdam:20270111T080000\nRRULE:FREQ=WEEKLY;WKST=MO;INTERVAL=2;UNTIL=20270301T070000Z\nSUMMARY:p-1",
		day+"SUMMARY:W. Acht",
		day+"SUMMARY:teamuitje",
		"DTSTART;TZID=America/New_York:20261224T180000\nDTEND:20261225T080000Z\nSUMMARY:p-1",
		"DTSTART;TZID=../../etc/passwd:20261224T180000\nDTEND:20261225T080000Z\nSUMMARY:p-1",
		"DTSTART:20261224T180000Z\nSUMMARY:p-1",
		day+"RRULE:FREQ=SECONDLY\nSUMMARY:p-1",
		day+"RRULE:FREQ=WEEKLY;COUNT=3\nSUMMARY:p-1",
		day+"EXDATE:20261231T180000Z\nRRULE:FREQ=WEEKLY\nSUMMARY:p-1",
		"DTSTART:20261224T180000Z\nDTEND:20261225T080000Z\nRRULE:FREQ=WEEKLY\nSUMMARY:p-1",
		day+"STATUS:CANCELLED\nSUMMARY:p-1",
		day+"X-SCHAKEL-LEVEL:7\nSUMMARY:p-1",
		"DTSTART:20261225T080000Z\nDTEND:20261224T180000Z\nSUMMARY:p-1",
	))
	if err != nil {
		t.Fatal(err)
	}
	if report.Shifts != 3 || report.Rules != 1 || len(report.Skipped) != 12 {
		t.Errorf("%+v", report)
	}
	for _, s := range report.Skipped {
		if s.Event == "" || s.Reason == "" {
			t.Errorf("skipped without saying why: %+v", s)
		}
	}
	want := rota.Rule{From: "2027-01-04T08:00", To: "2027-01-11T08:00", Repeat: "FREQ=WEEKLY;INTERVAL=2", Until: "2027-03-01T08:01", Contacts: []rota.Contact{"p-1"}}
	if got := out.Layers[0].Rules; len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("rules %+v", got)
	}
	for at, want := range map[string]rota.Contact{
		"2026-12-24T17:00:00Z": "p-1", "2026-12-25T07:00:00Z": "f-1", "2026-12-26T07:00:00Z": "p-2", "2027-01-05T12:00:00Z": "p-1",
		"2027-01-13T12:00:00Z": "f-1", "2027-03-01T12:00:00Z": "p-1", "2027-03-15T12:00:00Z": "f-1",
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.OnCall(when)[0]; !slices.Equal(got, []rota.Contact{want}) {
			t.Errorf("%s: %v, want %s", at, got, want)
		}
	}
	midnight := time.Date(2026, 12, 30, 23, 0, 0, 0, time.UTC)
	if got := out.OnCall(midnight)[1][0]; got != "p-3" {
		t.Errorf("a whole day begins at midnight: %s", got)
	}
}

// TestHostileCalendars: each is refused soon, and none ends the program.
func TestHostileCalendars(t *testing.T) {
	for name, file := range map[string][]byte{
		"nothing":                   nil,
		"no calendar":               []byte("hallo"),
		"no events":                 []byte("BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n"),
		"too large":                 make([]byte, roster.MaxCalendar+1),
		"too many events":           calendar(slices.Repeat([]string{"SUMMARY:p-1"}, 2001)...),
		"too deep":                  []byte(strings.Repeat("BEGIN:VEVENT\n", 1000)),
		"a summary without end":     calendar("SUMMARY:" + strings.Repeat("a", 1<<18)),
		"a parameter without end":   calendar("DTSTART;X=" + strings.Repeat("a", 1<<18) + ":20261224T180000Z"),
		"folded without end":        calendar("SUMMARY:" + strings.Repeat("a\n ", 1<<16)),
		"a parameter cut short":     []byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;X=\"a:b\"\nEND:VEVENT\nEND:VCALENDAR\n"),
		"a quote within":            []byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;X=\"a:b\"c:d\nEND:VEVENT\nEND:VCALENDAR\n"),
		"a calendar that goes on":   []byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n"),
		"an event outside of a one": []byte("BEGIN:VEVENT\nUID:1\nEND:VEVENT\n"),
	} {
		if r, report, err := desk().Import(decided("a", now), file); !errors.Is(err, roster.ErrFormat) || report.Shifts != 0 || len(r.Changes) != 0 {
			t.Errorf("%s: %v, %+v", name, err, report)
		}
	}
}

// FuzzImport: whatever comes in, what comes out is a roster that can be used, and every
// event is either taken or named.
func FuzzImport(f *testing.F) {
	out, err := desk().Export(roster.Calendar{Desk: "vt20/crisis", Now: now.AddDate(0, 11, 0), Names: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(out[:4000])
	f.Add(calendar("DTSTART;TZID=Europe/Amsterdam:20270104T080000\nDTEND;TZID=Europe/Amsterdam:20270111T080000\nRRULE:FREQ=MONTHLY;BYDAY=1MO\nSUMMARY:p-1"))
	f.Add([]byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;X=\"a:b\"\nEND:VEVENT\nEND:VCALENDAR\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, report, err := desk().Import(decided("a", now), file)
		if err != nil {
			return
		}
		if _, err := r.Encode(); err != nil {
			t.Fatal(err)
		}
		if report.Shifts+report.Rules+len(report.Skipped) == 0 {
			t.Fatal("a calendar of no events was accepted")
		}
	})
}
