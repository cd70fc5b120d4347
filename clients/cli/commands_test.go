package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/clients/schakel"
	"schakel/crypto/trust"
)

func contains(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}

func TestSendGivesTheWholeDraft(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	body := writeFile(t, filepath.Join(t.TempDir(), "body"), "{\"a\": 1}\r\n\xff", 0o600)
	p.in = "123456\n"
	p.must(cli.Done, "send", "--class", "besluit", "--urgency", "spoed", "--to", "vt20/crisis", "--to", "om/officier", "--case", case1,
		"--answers", "4f", "--rests-on", "5f", "--rests-on", "6f", "--outcome", "aanvaard", "--person", "P. Iket", "--pin-file", "-", "--body", body)
	d := n.drafts[0]
	want := schakel.Draft{Class: "besluit", Urgency: "spoed", Case: case1, Answers: "4f", Outcome: "aanvaard", Person: "P. Iket", PIN: "123456"}
	if string(d.Body) != "{\"a\": 1}\r\n\xff" {
		t.Errorf("the body must go as it is: %q", d.Body)
	}
	if !slices.Equal(d.RestsOn, []string{"5f", "6f"}) || len(d.To) != 2 || d.To[1] != "om/officier" {
		t.Errorf("got %+v", d)
	}
	d.Body, d.To, d.RestsOn = nil, nil, nil
	if d.Class != want.Class || d.Urgency != want.Urgency || d.Case != want.Case || d.Answers != want.Answers ||
		d.Outcome != want.Outcome || d.Person != want.Person || d.PIN != want.PIN {
		t.Errorf("got %+v, want %+v", d, want)
	}
}

func TestBodyFromStandardInput(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	p.in = `{"b":2}`
	args := sendArgs(t)
	args[8] = "-"
	_, stderr := p.must(cli.Done, args...)
	if string(n.drafts[0].Body) != p.in {
		t.Errorf("got %q", n.drafts[0].Body)
	}
	if !contains(stderr, "telephone the desk as well") {
		t.Errorf("an acute message must remind of the call:\n%s", stderr)
	}
}

func TestBodyThatIsTooLarge(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	args := sendArgs(t)
	args[8] = writeFile(t, filepath.Join(t.TempDir(), "body"), strings.Repeat("x", 200<<10), 0o600)
	p.must(cli.Refused, args...)
	args[8] = filepath.Join(t.TempDir(), "none")
	p.must(cli.NotFound, args...)
}

// Who leaves hears whom that was not said to, and that it is longer than partners count.
func TestAwayTellsWhoLeaves(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	out, said := p.must(cli.Done, "away", "--until", "2099-05-18T08:30")
	if !contains(out, "away until", "18") || !contains(said, "politie-re03/oc", "07:30", "working day") {
		t.Errorf("%q, %q", out, said)
	}
	if _, said := p.must(cli.Done, "away", "--back"); said != "" {
		t.Errorf("control: %q", said)
	}
}

func TestPuttingAnAlarmAway(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	p.must(cli.Done, "alarms", "clear", "niet-bevestigd", "4f1c vt20/crisis")
	if !slices.Equal(n.cleared, []string{"niet-bevestigd 4f1c vt20/crisis"}) {
		t.Errorf("got %q", n.cleared)
	}
	p.must(cli.Usage, "alarms", "clear", "niet-bevestigd")
}

// Programs that watch a desk see by the exit code that somebody must act.
func TestAlarmsInTheExitCode(t *testing.T) {
	for name, c := range map[string]struct {
		node *scripted
		want int
	}{"an alarm": {&scripted{alarms: fullNode().alarms}, cli.Failed}, "control: none": {&scripted{}, cli.Done}} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.serve(c.node)
			p.must(c.want, "alarms", "--check")
			p.must(c.want, "alarms", "--check", "--json")
			p.must(cli.Done, "alarms")
		})
	}
}

func TestPersons(t *testing.T) {
	p, n := newPlace(t), &scripted{}
	p.serve(n)
	p.in = "123456\n"
	p.must(cli.Conflict, "person", "add", "--name", "P. Iket", "--phone", "+31600000007", "--pin-file", "-")
	p.must(cli.Usage, "person", "add", "--name", "N. Ieuw")
	out, _ := p.must(cli.Done, "person", "add", "--name", "N. Ieuw", "--phone", "+31600000007", "--pin-file", "-", "--json")
	if !contains(out, "schakel.person/1", "N. Ieuw") || strings.Contains(out, "123456") {
		t.Errorf("got:\n%s", out)
	}
	p.must(cli.Done, "person", "revoke", "p. iket", "--reason", "retired")
	if want := "person/07000000-0000-0000-0000-000000000000 retired"; !slices.Equal(n.cleared, []string{want}) {
		t.Errorf("got %q, want %q", n.cleared, want)
	}
}

func TestRevokeNeedsAReason(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{personErr: schakel.ErrNoOrgKey})
	if _, stderr := p.must(cli.Usage, "device", "revoke", id1, "--reason", "lsot"); !contains(stderr, `did you mean "lost"?`) {
		t.Error(stderr)
	}
	p.must(cli.Refused, "device", "revoke", id1, "--reason", "lost")
}

func TestExports(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	age, log := filepath.Join(t.TempDir(), "m.age"), filepath.Join(t.TempDir(), "log.txt")
	p.must(cli.Done, "export", "4f1c", "--to", "vt20/crisis", "--out", age)
	p.must(cli.Conflict, "export", "4f1c", "--to", "vt20/crisis", "--out", age)
	p.must(cli.Usage, "export", "4f1c", "--to", "vt20", "--out", age)
	p.must(cli.Usage, "export", "4f1c", "--to", "vt20/crisis")
	if st, err := os.Stat(age); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	p.must(cli.Done, "register", "export", "--out", log)
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := trust.ParseEntries(raw); err != nil || len(entries) != 2 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func TestDeviceCommandsCheckFirst(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	junk := writeFile(t, filepath.Join(t.TempDir(), "device.txt"), "junk", 0o600)
	p.must(cli.Unverified, "device", "vouch", junk, "--fingerprint", "1")
	p.must(cli.Usage, "device", "request", "--desk", "vt20")
	p.must(cli.Usage, "device", "test", "vt20")
	p.must(cli.Done, "device", "test", "vt20/crisis")
}

func TestEmptyInbox(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{listed: []schakel.Summary{}})
	if out, _ := p.must(cli.Done, "inbox"); out != "no messages\n" {
		t.Errorf("got %q", out)
	}
}

// TestStatesInTheInbox shows each state that a received message can be in.
func TestStatesInTheInbox(t *testing.T) {
	at := func(change func(*schakel.Summary)) schakel.Summary {
		s := inbound()
		change(&s)
		return s
	}
	p := newPlace(t)
	p.serve(&scripted{listed: []schakel.Summary{
		at(func(*schakel.Summary) {}),
		at(func(s *schakel.Summary) { s.AckDue = now().Add(-1) }),
		at(func(s *schakel.Summary) { s.Acknowledged = now() }),
		at(func(s *schakel.Summary) { s.AckDue = time.Time{} }),
		at(func(s *schakel.Summary) { s.AckDue = time.Time{}; s.Opened = now() }),
	}})
	out, _ := p.must(cli.Done, "inbox")
	for _, want := range []string{"acknowledge before 2026-11-24 09:14", "acknowledge: late since", "acknowledged", "unread", "opened"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestDemoNeedsTheRelay(t *testing.T) {
	p := newPlace(t)
	p.must(cli.NotFound, "demo", "--headless", "--relay-program", filepath.Join(t.TempDir(), "none"))
	p.must(cli.NotFound, "register", "publish", "--dir", t.TempDir(), "x")
}
