package roster_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/roster"
	"schakel/crypto/envelope"
	"schakel/relay/ladder"
	"schakel/relay/rota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is Friday 4 December 2026, 17:00 in the Netherlands.
var now = time.Date(2026, 12, 4, 16, 0, 0, 0, time.UTC)

func decided(id string, at time.Time) roster.Decision {
	return roster.Decision{ID: id, By: "P. Iket", At: at}
}

const (
	iket  = "019ab2c0-6004-7b00-8a00-000000000001"
	wacht = "019ab2c0-6004-7b00-8a00-000000000002"
)

// desk is the roster of these tests: p-1 and p-2 take turns by the week, p-3 is the
// backup, and the telephone of the desk is the fallback.
func desk() roster.Roster {
	return roster.Roster{Version: 1, Fallback: []rota.Contact{"f-1"},
		People: []roster.Person{
			{Contact: "f-1", Name: "telefoon van het piket", Phone: "+31600000010", Points: []roster.Point{{Channel: "webhook", Target: "https://piket.example/hook", Relay: true}}},
			{Contact: "p-1", Person: iket, Name: "P. Iket", Phone: "+31600000011", Points: []roster.Point{
				{Channel: "ntfy", Target: "https://ntfy.example/een", Relay: true, Personal: true}, {Channel: "smtp", Target: "iket@example.org"}}},
			{Contact: "p-2", Person: wacht, Name: "W. Acht", Phone: "+31600000012", Points: []roster.Point{{Channel: "ntfy", Target: "https://ntfy.example/twee", Relay: true}}},
			{Contact: "p-3", Name: "achterwacht", Points: []roster.Point{}},
		},
		Layers: []rota.Layer{
			{Rules: []rota.Rule{{From: "2026-11-30T08:00", To: "2026-12-07T08:00", Repeat: "FREQ=WEEKLY", Contacts: []rota.Contact{"p-1", "p-2"}}}, Temporary: []rota.Schedule{}},
			{Rules: []rota.Rule{{From: "2026-11-30T08:00", To: "2026-12-07T08:00", Repeat: "FREQ=WEEKLY", Contacts: []rota.Contact{"p-3"}}}, Temporary: []rota.Schedule{}},
		},
		Ladders: []roster.Ladder{{Urgency: "acuut", Steps: []roster.Step{{Level: 0}, {After: 180, Level: 1}}, Alarm: 600, Acknowledgers: 2}},
		Changes: []rota.Change{},
	}
}

func TestRoundTrip(t *testing.T) {
	raw, err := desk().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := roster.Parse(raw)
	if err != nil || !reflect.DeepEqual(got, desk()) {
		t.Fatalf("comes back as %+v, %v", got, err)
	}
	sheet, err := roster.Sheet{Revision: "abc", Roster: desk()}.Text()
	if err != nil {
		t.Fatal(err)
	}
	back, err := roster.ParseSheet(sheet)
	if err != nil || back.Revision != "abc" {
		t.Fatalf("%v\n%s", err, sheet)
	}
	if again, err := back.Encode(); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("the sheet says something else: %v\n%s", err, sheet)
	}
}

func TestSheetRefuses(t *testing.T) {
	good, err := roster.Sheet{Roster: desk()}.Text()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"an unknown key": {"fallback =", "falback =", "falback"},
		"no TOML":        {"[[person]]", "[[person", "line"},
		"a sloppy wait":  {"'3m'", "'3 minuten'", "90s, 5m or 4h"},
		"a stranger":     {"fallback = ['f-1']", "fallback = ['f-2']", "f-2"},
	} {
		bad := strings.Replace(string(good), c.from, c.to, 1)
		if bad == string(good) {
			t.Fatalf("%s: %q does not stand in\n%s", name, c.from, good)
		}
		if _, err := roster.ParseSheet([]byte(bad)); !errors.Is(err, roster.ErrFormat) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*roster.Roster)
		want   error
	}{
		"version 2":              {func(r *roster.Roster) { r.Version = 2 }, roster.ErrFormat},
		"no fallback":            {func(r *roster.Roster) { r.Fallback = nil }, rota.ErrNoFallback},
		"a stranger on call":     {func(r *roster.Roster) { r.Layers[0].Rules[0].Contacts[0] = "p-9" }, roster.ErrFormat},
		"a contact twice":        {func(r *roster.Roster) { r.People[1].Contact = "f-1" }, roster.ErrFormat},
		"a name twice":           {func(r *roster.Roster) { r.People[3].Name = "w. acht" }, roster.ErrFormat},
		"a person twice":         {func(r *roster.Roster) { r.People[1].Person = wacht }, roster.ErrFormat},
		"a contact with a name":  {func(r *roster.Roster) { r.People[1].Contact = "p-iket" }, roster.ErrTelling},
		"no name":                {func(r *roster.Roster) { r.People[1].Name = "" }, roster.ErrFormat},
		"a name of escapes":      {func(r *roster.Roster) { r.People[1].Name = "\x1b[2J" }, roster.ErrFormat},
		"a program to run":       {func(r *roster.Roster) { r.People[1].Points[0].Channel = "exec" }, roster.ErrFormat},
		"nine ways to reach":     {func(r *roster.Roster) { r.People[1].Points = make([]roster.Point, 9) }, roster.ErrFormat},
		"a looser ladder":        {func(r *roster.Roster) { r.Ladders[0].Alarm = 3600 }, ladder.ErrLooser},
		"a level that is not":    {func(r *roster.Roster) { r.Ladders[0].Steps[1].Level = 2 }, roster.ErrFormat},
		"of an unknown urgency":  {func(r *roster.Roster) { r.Ladders[0].Urgency = "haast" }, roster.ErrFormat},
		"a ladder twice":         {func(r *roster.Roster) { r.Ladders = append(r.Ladders, r.Ladders[0]) }, roster.ErrFormat},
		"a wait past all bounds": {func(r *roster.Roster) { r.Ladders[0].Repeat = 1 << 60 }, roster.ErrFormat},
	} {
		r := desk()
		c.change(&r)
		if _, err := r.Encode(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	r := desk()
	if got := r.OnCall(now); !reflect.DeepEqual(got, [][]rota.Contact{{"p-1"}, {"p-3"}}) {
		t.Errorf("on call: %v", got)
	}
	if got := r.OnCall(now.AddDate(-1, 0, 0)); !reflect.DeepEqual(got, [][]rota.Contact{{"f-1"}, {"f-1"}}) {
		t.Errorf("before the rota begins: %v", got)
	}
	if l := r.Ladder(envelope.TierAcute); l.Alarm != 10*time.Minute || l.Acknowledgers != 2 || l.Steps[1].After != 3*time.Minute {
		t.Errorf("acute: %+v", l)
	}
	if l := r.Ladder(envelope.TierRoutine); !reflect.DeepEqual(l, ladder.Floor(envelope.TierRoutine)) {
		t.Errorf("routine: %+v", l)
	}
	for _, who := range []string{"p-1", iket, "p. iket"} {
		if c, err := r.Find(who); err != nil || c != "p-1" {
			t.Errorf("%s: %s, %v", who, c, err)
		}
	}
	if _, err := r.Find(""); !errors.Is(err, roster.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	if got := len(r.Points("p-1")); got != 2 {
		t.Errorf("%d points", got)
	}
}

// TestPlan: what leaves the desk has no names, no numbers, and only the contact points
// that are marked for the relay; and it says what the roster says, for 14 days.
func TestPlan(t *testing.T) {
	r := desk()
	r, err := r.Override(decided("1", now), "p-2", 0, now.Add(time.Hour), now.Add(20*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p, warnings, err := r.Plan("vt20/crisis", 9, now)
	if err != nil {
		t.Fatal(err)
	}
	want := []roster.Warning{{Kind: roster.WarnPersonal, Contact: "p-1"}, {Kind: roster.WarnUnreachable, Contact: "p-3"}}
	if !reflect.DeepEqual(warnings, want) {
		t.Errorf("warnings %+v", warnings)
	}
	if l := p.Ladders[0].Ladder; l.Acknowledgers != 0 || l.Alarm != 10*time.Minute {
		t.Errorf("the relay is asked for %+v, where it knows no persons", l)
	}
	raw, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"Iket", "Acht", "achterwacht", "telefoon", "316000000", "iket@example.org", iket[:8]} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("the plan tells the relay %q", secret)
		}
	}
	if !bytes.Contains(raw, []byte("https://ntfy.example/een")) {
		t.Error("control: the plan lacks the point that is for the relay")
	}
	for at := p.From; at.Before(p.Until); at = at.Add(7 * time.Minute) {
		for level, want := range r.OnCall(at) {
			if got := p.OnCall(at, level); !slices.Equal(got, want) {
				t.Fatalf("%s, level %d: the plan says %v, the roster %v", at, level, got, want)
			}
		}
	}
}

func TestEdits(t *testing.T) {
	r := desk()
	monday := time.Date(2026, 12, 7, 7, 0, 0, 0, time.UTC) // 08:00: p-2's week begins
	r, err := r.TakeOver(decided("a", now), "p-2", 0, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Changes[0]; c.From.Time() != now || c.To.Time() != now.Add(24*time.Hour) {
		t.Errorf("taking over without an end lasts until %s", c.To.Time())
	}
	if r, err = r.TakeOver(decided("b", now.Add(time.Hour)), "p-1", 0, now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := r.OnCall(now.Add(90 * time.Minute))[0]; got[0] != "p-1" {
		t.Errorf("the decision taken last does not count: %v", got)
	}
	if r, err = r.Swap(decided("c", now.Add(2*time.Hour)), "p-2", monday, "p-1", monday.AddDate(0, 0, 7)); err != nil {
		t.Fatal(err)
	}
	if a, b := r.OnCall(monday.Add(time.Hour))[0][0], r.OnCall(monday.AddDate(0, 0, 8))[0][0]; a != "p-1" || b != "p-2" {
		t.Errorf("after the swap %s and %s", a, b)
	}
	if r, err = r.Exchange(decided("d", now.Add(3*time.Hour)), "p-1", "p-3", monday, monday.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if got := r.OnCall(monday.Add(time.Hour)); got[0][0] != "p-3" || got[1][0] != "p-1" {
		t.Errorf("after the exchange %v", got)
	}
	if _, err := r.Swap(decided("e", now), "f-1", now, "p-1", now); !errors.Is(err, roster.ErrNoShift) {
		t.Errorf("giving away no shift: %v", err)
	}
	if _, err := r.TakeOver(decided("f", now), "p-1", 2, time.Time{}); !errors.Is(err, roster.ErrFormat) {
		t.Errorf("a level that is not: %v", err)
	}
	late, err := r.Override(decided("g", now.AddDate(0, 3, 0)), "p-1", 0, now.AddDate(0, 3, 0), now.AddDate(0, 3, 1))
	if err != nil || len(late.Changes) != 1 {
		t.Errorf("changes of three months ago are kept: %d, %v", len(late.Changes), err)
	}
	if len(desk().Changes) != 0 || len(r.Changes) < 4 {
		t.Error("an edit changed what it was given")
	}
}

// TestSlowClock: a device whose clock runs behind decides in sight of what it knows, and
// that decision counts.
func TestSlowClock(t *testing.T) {
	r, err := desk().TakeOver(decided("a", now), "p-2", 0, now.Add(4*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Override(decided("b", now.Add(-time.Hour)), "p-3", 0, now, now.Add(4*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := r.OnCall(now.Add(time.Hour))[0][0]; got != "p-3" {
		t.Errorf("on call is %s", got)
	}
}

func TestPersonLeaves(t *testing.T) {
	r := desk()
	r.Fallback = []rota.Contact{"f-1", "p-2"}
	from := time.Date(2026, 12, 10, 0, 0, 0, 0, time.UTC)
	out, gaps, err := r.PersonLeaves(decided("a", now), "p-2", from)
	if err != nil {
		t.Fatal(err)
	}
	want := rota.Gap{From: from, To: time.Date(2026, 12, 14, 7, 0, 0, 0, time.UTC)}
	if len(gaps) != 7 || gaps[0] != want {
		t.Errorf("%d gaps, the first %+v", len(gaps), gaps)
	}
	if ahead := out.GapsAhead(now); len(ahead) != 1 || ahead[0] != want {
		t.Errorf("in 14 days: %+v", ahead)
	}
	before := time.Date(2026, 12, 8, 0, 0, 0, 0, time.UTC) // in the last week of who leaves
	if p, _ := out.Person("p-2"); out.OnCall(before)[0][0] != "p-2" || len(out.Points("p-2")) != 1 || p.Phone == "" {
		t.Errorf("on call until then, and not to be reached: %+v", p)
	}
	plan, _, err := out.Plan("vt20/crisis", 1, before)
	if err != nil || !slices.ContainsFunc(plan.Points, func(p rota.Point) bool { return p.Contact == "p-2" }) {
		t.Errorf("the relay cannot page who is on call: %+v, %v", plan.Points, err)
	}
	for _, after := range []struct{ leaves, decides time.Time }{{from, from}, {now, now}} {
		left, _, err := r.PersonLeaves(decided("a", now), "p-2", after.leaves)
		if err == nil {
			left, err = left.TakeOver(decided("b", after.decides), "p-3", 0, after.decides.Add(time.Hour))
		}
		if p, _ := left.Person("p-2"); err != nil || len(p.Points) > 0 || p.Phone != "" {
			t.Errorf("still to be reached: %+v, %v", p, err)
		}
	}
	if gone, _, err := r.PersonLeaves(decided("a", now), "p-2", now); err != nil || len(gone.Points("p-2")) > 0 || len(r.Points("p-2")) != 1 {
		t.Errorf("who leaves at once is still to be reached, %v", err)
	}
	if slices.Contains(out.Fallback, "p-2") || slices.Contains(out.Everyone(from), "p-2") || !slices.Contains(r.Everyone(from), "p-2") {
		t.Error("still called when everyone is")
	}
	if got := out.OnCall(time.Date(2026, 12, 22, 0, 0, 0, 0, time.UTC))[0][0]; got != "f-1" {
		t.Errorf("in a week of who left %s is called", got)
	}
	if got := out.OnCall(time.Date(2026, 12, 15, 0, 0, 0, 0, time.UTC))[0][0]; got != "p-1" {
		t.Errorf("the week of another went to %s", got)
	}
	r.Fallback = []rota.Contact{"p-2"}
	if _, _, err := r.PersonLeaves(decided("a", now), "p-2", from); !errors.Is(err, rota.ErrNoFallback) {
		t.Errorf("the last of the fallback leaves: %v", err)
	}
}

// TestLongName: a name that a change has no room for is cut between letters: no device
// reads a roster that holds half a letter.
func TestLongName(t *testing.T) {
	d := decided("a", now)
	d.By = strings.Repeat("a", 79) + "\u00e9"
	r, err := desk().TakeOver(d, "p-2", 0, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := roster.Parse(raw); err != nil || got.Changes[0].By != strings.Repeat("a", 79) {
		t.Errorf("%v, by %q", err, r.Changes[0].By)
	}
}

// TestSettle: two devices that wrote at the same time come to the same roster, in
// whatever order; nobody's taking over is lost.
func TestSettle(t *testing.T) {
	start := desk()
	taken, err := start.TakeOver(decided("a", now), "p-2", 0, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	tidied := desk()
	tidied.Layers[1].Rules[0].Contacts = []rota.Contact{"p-1"}
	if got := roster.Settle(tidied, taken); got.OnCall(now)[0][0] != "p-2" || got.OnCall(now)[1][0] != "p-1" {
		t.Errorf("settled on %v", got.OnCall(now))
	}
	other, err := start.TakeOver(decided("b", now.Add(time.Minute)), "p-3", 0, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ab, ba := roster.Settle(other, taken), roster.Settle(other, taken, taken)
	if !reflect.DeepEqual(ab, ba) || ab.OnCall(now.Add(2 * time.Minute))[0][0] != "p-3" || len(ab.Changes) != 2 {
		t.Errorf("settled on %+v and %+v", ab.Changes, ba.Changes)
	}
	without := desk()
	without.People, without.Layers[0].Rules[0].Contacts = slices.Delete(without.People, 2, 3), []rota.Contact{"p-1"}
	if got := roster.Settle(without, taken); len(got.Changes) != 0 || got.Check() != nil {
		t.Errorf("a change of somebody unknown: %+v", got.Changes)
	}
}

// FuzzParse: there is one encoding of each roster, and none without somebody to call.
func FuzzParse(f *testing.F) {
	raw, err := desk().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	left, _, err := desk().PersonLeaves(decided("a", now), "p-2", now)
	if err != nil {
		f.Fatal(err)
	}
	if raw, err = left.Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := roster.Parse(raw)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%x comes back as %x, %v", raw, again, err)
		}
		for _, cs := range r.OnCall(now) {
			if len(cs) == 0 {
				t.Fatal("nobody to call")
			}
		}
	})
}

// FuzzParseSheet: what is read from a sheet is written to one that reads the same.
func FuzzParseSheet(f *testing.F) {
	text, err := roster.Sheet{Revision: "x", Roster: desk()}.Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := roster.ParseSheet(text)
		if err != nil {
			return
		}
		written, err := s.Text()
		if err != nil {
			t.Fatal(err)
		}
		back, err := roster.ParseSheet(written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		a, errA := s.Encode()
		b, errB := back.Encode()
		if !bytes.Equal(a, b) || (errA == nil) != (errB == nil) {
			t.Fatalf("%v, %v: %x and %x", errA, errB, a, b)
		}
	})
}
