package cli_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/configs"
	"schakel/relay/rota"
)

// rotaOf is the rota of the example, as the scripted node has it.
func rotaOf() schakel.Rota {
	s, err := roster.ParseSheet(configs.Rota)
	if err != nil {
		panic(err)
	}
	raw, err := s.Encode()
	if err != nil {
		panic(err)
	}
	if s.Roster, err = roster.Parse(raw); err != nil { // as a daemon has it
		panic(err)
	}
	return schakel.Rota{Revision: "6f1d0c00", By: "P. Iket", At: now(), Roster: s.Roster,
		Gaps:      []schakel.RotaGap{{Level: 1, From: now().Add(24 * time.Hour), To: now().Add(48 * time.Hour)}},
		Contested: true, Also: []string{"B. Ob\x1b[2J"}, Warnings: []roster.Warning{{Kind: roster.WarnPersonal, Contact: "p-4q1"}, {Kind: roster.WarnUnreachable, Contact: "p-7k2"}}}
}

func (n *scripted) OnCall(_ context.Context, at time.Time) (schakel.OnCall, error) {
	n.did = append(n.did, "on call "+at.UTC().Format(time.RFC3339))
	return schakel.OnCall{At: now(), Levels: []schakel.Duty{{Contact: "p-7k2", Name: "P. Iket\x1b[2J", Telephone: "+31600000011", Until: now().Add(time.Hour)}, {Level: 1, Until: now().Add(time.Hour)}},
		Fallback: []schakel.Duty{{Contact: "f-1", Name: "telefoon van het piket", Telephone: "+31600000010"}}}, n.rotaErr
}

func (n *scripted) Rota(context.Context) (schakel.Rota, error) { return rotaOf(), n.rotaErr }

func (n *scripted) SetRota(_ context.Context, s roster.Sheet, by schakel.By) (schakel.Rota, error) {
	n.did = append(n.did, "set "+s.Revision+" "+s.People[0].Name+" by "+by.Person+" "+by.PIN)
	return rotaOf(), cmp.Or(n.rotaErr, n.setErr)
}

func (n *scripted) ChangeRota(_ context.Context, c schakel.RotaChange, by schakel.By) (schakel.Rota, error) {
	utc := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format("01-02T15:04Z")
	}
	n.did = append(n.did, strings.Join([]string{string(c.Kind), c.Who, c.Other, string(rune('0' + c.Level)), utc(c.From), utc(c.To), utc(c.Back), by.Person, by.PIN}, " "))
	return rotaOf(), n.rotaErr
}

func (n *scripted) ImportCalendar(_ context.Context, file []byte, by schakel.By) (schakel.Rota, roster.Import, error) {
	n.did = append(n.did, "import "+string(file)+" by "+by.Person)
	report := roster.Import{Shifts: 2, Rules: 1}
	if strings.Contains(string(file), "strange") {
		report.Skipped = []roster.Skipped{{Event: "uitje\x1b[2J", Reason: "no contact or person of this desk is named by it"}}
	}
	return rotaOf(), report, n.rotaErr
}

func (n *scripted) Calendar(_ context.Context, w schakel.CalendarWish) ([]byte, error) {
	n.did = append(n.did, "calendar "+w.Who)
	return []byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"), n.rotaErr
}

// TestOnCall gives each command that changes the rota, and holds what reaches the node.
// now() is in winter: 18:00 in the Netherlands is 17:00Z.
func TestOnCall(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	pin := writeFile(t, t.TempDir()+"/pin", "123456\n", 0o600)
	ann := []string{"--person", "A. Nnie", "--pin-file", pin}
	for _, c := range []struct{ args, did string }{
		{"oncall take", "take   0 - - - A. Nnie 123456"},
		{"oncall take --level 1 --until 2026-12-24T18:00 --who B.Ob", "take B.Ob  1 - 12-24T17:00Z - A. Nnie 123456"},
		{"oncall take --until 2026-10-25T02:30:00+01:00", "take   0 - 10-25T01:30Z - A. Nnie 123456"},
		{"oncall swap a b --on 2026-12-24 --for 2026-12-31", "swap a b 0 12-24T11:00Z - 12-31T11:00Z A. Nnie 123456"},
		{"oncall swap a b --from 2026-12-24 --to 2026-12-27", "exchange a b 0 12-23T23:00Z 12-26T23:00Z - A. Nnie 123456"},
		{"oncall rota override a --from 2026-12-25T08:00 --to 2026-12-26T08:00", "override a  0 12-25T07:00Z 12-26T07:00Z - A. Nnie 123456"},
		{"oncall rota leave a --from 2027-01-01", "leave a  0 12-31T23:00Z - - A. Nnie 123456"},
	} {
		p.must(cli.Done, append(strings.Fields(c.args), ann...)...)
		if n.last() != c.did {
			t.Errorf("%s: %q, want %q", c.args, n.last(), c.did)
		}
	}
	for _, wrong := range []string{"oncall take --until morgen", "oncall swap a b", "oncall swap a b --on 2026-12-24 --to 2026-12-31", "oncall swap a",
		"oncall rota override a --from 2026-12-25", "oncall rota edit", "oncall rota export --names", "oncall now --at gisteren", "oncall now --desk piket"} {
		p.must(cli.Usage, append(strings.Fields(wrong), ann...)...)
	}
	p.must(cli.Usage, "oncall", "take")
	out, _ := p.must(cli.Done, "oncall", "now", "--at", "2026-12-24T18:00")
	if n.last() != "on call 2026-12-24T17:00:00Z" || strings.Contains(out, "\x1b[2J") || !contains(out, "nobody", "+31600000010") {
		t.Errorf("now: %q\n%s", n.last(), out)
	}
	if out, errs := p.must(cli.Done, "oncall", "now", "--desk", "knooppunt/piket"); !contains(out, "+31600000006") || !contains(errs, "telephone") {
		t.Errorf("another desk: %s %s", out, errs)
	}
	p.must(cli.NotFound, "oncall", "now", "--desk", "vt99/nergens")
}

// TestTimeOfDay: 08:00 is the next one on the clock, also when that is tomorrow.
func TestTimeOfDay(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	pin := writeFile(t, t.TempDir()+"/pin", "123456\n", 0o600)
	local := now().In(rota.Zone())
	for _, d := range []time.Duration{-time.Hour, time.Hour} {
		want := local.Add(d)
		if d < 0 {
			want = local.AddDate(0, 0, 1).Add(d)
		}
		p.must(cli.Done, "oncall", "take", "--until", local.Add(d).Format("15:04"), "--person", "A. Nnie", "--pin-file", pin)
		if !strings.Contains(n.last(), want.UTC().Format("01-02T15:04Z")) {
			t.Errorf("%s: %q, want %s", local.Add(d).Format("15:04"), n.last(), want.UTC())
		}
	}
}

func TestRotaFiles(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	dir := t.TempDir()
	pin := writeFile(t, dir+"/pin", "123456\n", 0o600)
	ann := func(args ...string) []string { return append(args, "--person", "A. Nnie", "--pin-file", pin) }
	sheet := filepath.Join(dir, "rota.toml")
	p.must(cli.Done, "oncall", "rota", "export", "--out", sheet)
	p.must(cli.Conflict, "oncall", "rota", "export", "--out", sheet)
	p.must(cli.Done, ann("oncall", "rota", "import", sheet)...)
	if n.last() != "set 6f1d0c00 telefoon van het piket by A. Nnie 123456" {
		t.Errorf("import: %q", n.last())
	}
	strange := writeFile(t, dir+"/strange.ics", "strange", 0o600)
	out, _ := p.must(cli.Partly, ann("oncall", "rota", "import", strange)...)
	if !contains(out, "not understood", "uitje") || strings.Contains(out, "\x1b[2J") {
		t.Errorf("a calendar that is not understood: %s", out)
	}
	p.must(cli.Done, ann("oncall", "rota", "import", "--ical", writeFile(t, dir+"/fine", "fine", 0o600))...)
	p.must(cli.BadConfig, ann("oncall", "rota", "import", writeFile(t, dir+"/bad.toml", "fallback = []\n", 0o600))...)
	if out, _ = p.must(cli.Done, "oncall", "rota", "export", "--ical", "--who", "P. Iket"); !strings.HasPrefix(out, "BEGIN:VCALENDAR\n") || n.last() != "calendar P. Iket" {
		t.Errorf("calendar: %q", out)
	}
	for err, code := range map[error]int{schakel.ErrNoRota: cli.NotFound, schakel.ErrRotaChanged: cli.Conflict, roster.ErrUnknown: cli.NotFound,
		roster.ErrNoShift: cli.NotFound, roster.ErrTelling: cli.Refused, roster.ErrFormat: cli.BadConfig} {
		n.rotaErr = err
		p.must(code, ann("oncall", "rota", "import", sheet)...)
		p.must(code, ann("oncall", "take")...)
	}
}

// TestEditor edits with a program that stands in for an editor.
func TestEditor(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	dir := t.TempDir()
	pin := writeFile(t, dir+"/pin", "123456\n", 0o600)
	environ := p.environ
	edit := func(code int, script string) string {
		editor := writeFile(t, filepath.Join(t.TempDir(), "editor"), "#!/bin/sh\n"+script+"\n", 0o700)
		p.environ = append(slices.Clone(environ), "EDITOR="+editor)
		_, errs := p.must(code, "oncall", "rota", "edit", "--person", "A. Nnie", "--pin-file", pin)
		return errs
	}
	edit(cli.Done, `sed -i "s/telefoon van het piket/mobiel van het piket/" "$1"`)
	if n.last() != "set 6f1d0c00 mobiel van het piket by A. Nnie 123456" {
		t.Errorf("edit: %q", n.last())
	}
	did := len(n.did)
	edit(cli.Failed, "exit 1")
	if errs := edit(cli.BadConfig, `echo "what = 1" > "$1"`); !strings.Contains(errs, "rota-") || len(n.did) != did {
		t.Errorf("a sheet that cannot be used: %s", errs)
	}
	kept, err := filepath.Glob(filepath.Join(p.home, "rota-*.toml"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
	if st, err := os.Stat(kept[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v", err)
	}
	n.setErr = schakel.ErrRotaChanged
	errs := edit(cli.Conflict, `sed -i "s/telefoon van het piket/mobiel van het piket/" "$1"`)
	path := regexp.MustCompile(`kept in (\S+\.toml)`).FindStringSubmatch(errs)
	if path == nil {
		t.Fatalf("a sheet that came too late is not named: %s", errs)
	}
	if text, err := os.ReadFile(path[1]); err != nil || !strings.Contains(string(text), "mobiel van het piket") {
		t.Errorf("a sheet that came too late is lost: %v", err)
	}
}

// TestExampleRota holds configs/rota.toml to the program: it parses, says what its
// comments say, and shows every key.
func TestExampleRota(t *testing.T) {
	s, err := roster.ParseSheet(configs.Rota)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"fallback", "[[person]]", "contact", "person =", "name", "phone", "[[person.point]]", "channel", "target", "relay", "personal",
		"[[layer]]", "[[layer.rule]]", "from", "to", "repeat", "until", "contacts", "[[layer.temporary]]", "[[layer.temporary.rule]]", "[[ladder]]", "urgency",
		"[[ladder.step]]", "after", "level", "alarm", "acknowledgers"} {
		if !strings.Contains(string(configs.Rota), key) {
			t.Errorf("the example does not show %s", key)
		}
	}
	monday, err := rota.Local("2026-12-07T08:00").Instant()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.OnCall(monday); got[0][0] != "p-4q1" || got[1][0] != "p-9c3" {
		t.Errorf("on Monday %v", got)
	}
	if gaps := s.GapsAhead(monday); len(gaps) > 0 {
		t.Errorf("the example has gaps: %v", gaps)
	}
}
