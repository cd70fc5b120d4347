package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/clients/schakel"
)

type finding struct{ Name, Result, Evidence, Remedy string }

// doctor runs the doctor over a node and returns its findings by name.
func doctor(t *testing.T, n *scripted) (map[string]finding, int) {
	t.Helper()
	return doctorAt(t, n, "")
}

// doctorAt runs it where client.toml says more.
func doctorAt(t *testing.T, n *scripted, settings string) (map[string]finding, int) {
	t.Helper()
	p := newPlace(t)
	if settings != "" {
		p.configFile(settings)
	}
	p.serve(n)
	out, stderr, code := p.run("doctor", "--json", "--wait", "50ms")
	var d struct{ Checks []finding }
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr)
	}
	found := map[string]finding{}
	for _, c := range d.Checks {
		if c.Evidence == "" || (c.Result == "warn" || c.Result == "fail") && c.Remedy == "" {
			t.Errorf("%s: a check has evidence, and a remedy when something is wrong: %+v", c.Name, c)
		}
		found[c.Name] = c
	}
	return found, code
}

// TestDoctorFindsEachIllness makes one thing wrong at a time.
func TestDoctorFindsEachIllness(t *testing.T) {
	old := schakel.Summary{Created: now().Add(-5 * time.Hour), Recipients: []schakel.Recipient{{State: schakel.StateAtRelay}}}
	for name, test := range map[string]struct {
		node   scripted
		check  string
		result string
		code   int
	}{
		"well":           {scripted{}, "relay", "ok", cli.Done},
		"no relay":       {scripted{status: func(s *schakel.Status) { s.Connected, s.LastError = false, "refused" }}, "relay", "fail", cli.Failed},
		"no relay yet":   {scripted{status: func(s *schakel.Status) { s.Connected = false }}, "clock", "skip", cli.Failed},
		"clock behind":   {scripted{status: func(s *schakel.Status) { s.ClockAhead = time.Hour }}, "clock", "warn", cli.Done},
		"clock ahead":    {scripted{status: func(s *schakel.Status) { s.ClockAhead = -time.Hour }}, "clock", "warn", cli.Done},
		"no register":    {scripted{status: func(s *schakel.Status) { s.RegisterSize = 0 }}, "register", "fail", cli.Failed},
		"skipped entry":  {scripted{status: func(s *schakel.Status) { s.RegisterSkipped = 1 }}, "register", "warn", cli.Done},
		"fresh":          {scripted{}, "freshness", "ok", cli.Done},
		"ageing":         {scripted{status: func(s *schakel.Status) { s.RegisterAge.State = schakel.Ageing }}, "freshness", "warn", cli.Done},
		"stale":          {scripted{status: func(s *schakel.Status) { s.RegisterAge.State = schakel.Stale }}, "freshness", "fail", cli.Failed},
		"unwitnessed":    {scripted{status: func(s *schakel.Status) { s.RegisterAge.State = schakel.Unwitnessed }}, "freshness", "warn", cli.Done},
		"root good":      {scripted{}, "root", "ok", cli.Done},
		"root late":      {scripted{status: func(s *schakel.Status) { s.RegisterAge.RootExpires = now().AddDate(0, 0, 59) }}, "root", "warn", cli.Done},
		"root expired":   {scripted{status: func(s *schakel.Status) { s.RegisterAge.RootExpired = true }}, "root", "fail", cli.Failed},
		"clock set back": {scripted{status: func(s *schakel.Status) { s.ClockBehind = time.Hour }}, "clock", "warn", cli.Done},
		"keys gone":      {scripted{status: func(s *schakel.Status) { s.KeysUntil = now() }}, "keys", "fail", cli.Failed},
		"keys short":     {scripted{status: func(s *schakel.Status) { s.KeysUntil = now().Add(48 * time.Hour) }}, "keys", "warn", cli.Done},
		"outbox old":     {scripted{listed: []schakel.Summary{old}}, "outbox", "warn", cli.Done},
		"alarm":          {scripted{alarms: fullNode().alarms}, "alarms", "warn", cli.Done},
		"quarantine":     {scripted{status: func(s *schakel.Status) { s.Quarantined = 2 }}, "arrivals", "warn", cli.Done},
		"no rota":        {scripted{}, "rota", "warn", cli.Done},
		"a gap":          {scripted{status: func(s *schakel.Status) { s.Rota = schakel.RotaStatus{Known: true, Gaps: 2, Gap: now()} }}, "rota", "fail", cli.Failed},
		"two at once":    {scripted{status: func(s *schakel.Status) { s.Rota = schakel.RotaStatus{Known: true, Contested: true} }}, "rota", "warn", cli.Done},
		"a good rota":    {scripted{status: func(s *schakel.Status) { s.Rota = schakel.RotaStatus{Known: true, AtRelay: now()} }}, "rota", "ok", cli.Done},
		"a plan refused": {scripted{status: func(s *schakel.Status) { s.Rota = schakel.RotaStatus{Known: true, Refused: "conflict"} }}, "plan", "fail", cli.Failed},
		"a plan to come": {scripted{status: func(s *schakel.Status) { s.Rota = schakel.RotaStatus{Known: true} }}, "plan", "warn", cli.Done},
		"a plan there":   {scripted{status: func(s *schakel.Status) { s.Rota = schakel.RotaStatus{Known: true, AtRelay: now()} }}, "plan", "ok", cli.Done},
		"daemon answers": {scripted{}, "daemon", "ok", cli.Done},
		"no backup yet":  {scripted{}, "backup", "warn", cli.Done},
		"a late backup":  {scripted{safety: schakel.Safety{Backup: now().AddDate(0, 0, -9), Messages: 3, BackupLate: true}}, "backup", "fail", cli.Failed},
		"a backup":       {scripted{safety: schakel.Safety{Backup: now().AddDate(0, 0, -9), Messages: 3}}, "backup", "ok", cli.Done},
		"of a light one": {scripted{status: func(s *schakel.Status) { s.Light = true }}, "backup", "skip", cli.Done},
		"phrase untried": {scripted{}, "recovery", "warn", cli.Done},
		"tried long ago": {scripted{safety: schakel.Safety{Recovery: now().AddDate(0, 0, -201)}}, "recovery", "warn", cli.Done},
		"tried":          {scripted{safety: schakel.Safety{Recovery: now().AddDate(0, 0, -199)}}, "recovery", "ok", cli.Done},
		"no phrase":      {scripted{status: func(s *schakel.Status) { s.Light = true }}, "recovery", "skip", cli.Done},
	} {
		t.Run(name, func(t *testing.T) {
			found, code := doctor(t, &test.node)
			if found[test.check].Result != test.result || code != test.code {
				t.Errorf("%s: %+v, exit code %d; want %s, %d", test.check, found[test.check], code, test.result, test.code)
			}
		})
	}
}

func TestDoctorLooksAtFiles(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	p.must(cli.Done, "doctor")
	key := writeFile(t, filepath.Join(p.home, "device.key"), "k", 0o600)
	if out, _ := p.must(cli.Done, "doctor"); !contains(out, "warn  key file") {
		t.Errorf("a key beside the store:\n%s", out)
	}
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	if out, _ := p.must(cli.Failed, "doctor"); !contains(out, "fail  permissions") {
		t.Errorf("a key that others read:\n%s", out)
	}
}

func TestDoctorLooksAtTheDisk(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	for _, test := range []struct {
		free   uint64
		err    error
		result string
		code   int
	}{
		{2e9, nil, "ok    disk: 2000 MB", cli.Done},
		{999e6, nil, "warn  disk: 999 MB", cli.Done},
		{99e6, nil, "fail  disk: 99 MB", cli.Failed},
		{0, syscall.EIO, "warn  disk: input/output error", cli.Done},
		{0, syscall.ENOENT, "skip  disk: there is no store", cli.Done},
	} {
		p.free = func(string) (uint64, error) { return test.free, test.err }
		if out, _ := p.must(test.code, "doctor"); !contains(out, test.result) {
			t.Errorf("want %q:\n%s", test.result, out)
		}
	}
}

func TestDoctorWithoutADevice(t *testing.T) {
	out, _ := newPlace(t).must(cli.Failed, "doctor")
	if !contains(out, "fail  store", "schakel init", "skip  relay") {
		t.Errorf("got:\n%s", out)
	}
}
