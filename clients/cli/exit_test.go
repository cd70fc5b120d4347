package cli_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
)

func sendArgs(t *testing.T, more ...string) []string {
	body := writeFile(t, filepath.Join(t.TempDir(), "body.json"), `{"a":1}`, 0o600)
	return append([]string{"send", "--class", "melding", "--urgency", "acuut", "--to", "knooppunt/piket", "--body", body}, more...)
}

func TestExitCodesOverTheSocket(t *testing.T) {
	tests := map[string]struct {
		err  error
		want int
		says string
	}{
		"done":             {nil, cli.Done, ""},
		"unknown desk":     {schakel.ErrUnknownDesk, cli.NotFound, "schakel desks"},
		"lane":             {schakel.ErrLane, cli.Refused, "knooppunt only"},
		"rule":             {refusal(), cli.Refused, "at /veiligContact: is missing"},
		"person needed":    {schakel.ErrPersonNeeded, cli.Refused, "--person"},
		"ambiguous answer": {schakel.ErrAmbiguous, cli.Conflict, "more characters"},
		"no answer":        {schakel.ErrNotFound, cli.NotFound, "schakel inbox"},
		"register":         {schakel.ErrRegister, cli.Unverified, "root holders"},
		"no key":           {schakel.ErrNoEpoch, cli.Failed, "telephone"},
		"something else":   {fmt.Errorf("the disk fell out"), cli.Failed, "the disk fell out"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.serve(&scripted{sendErr: test.err})
			_, stderr := p.must(test.want, sendArgs(t)...)
			if !strings.Contains(stderr, test.says) {
				t.Errorf("stderr lacks %q:\n%s", test.says, stderr)
			}
		})
	}
}

func TestExitCodesWithoutADaemon(t *testing.T) {
	tests := map[string]struct {
		err  error
		want int
	}{
		"store in use":     {store.ErrInUse, cli.Locked},
		"wrong passphrase": {vault.ErrPassphrase, cli.Locked},
		"tampered store":   {store.ErrTampered, cli.Unverified},
		"rolled back":      {store.ErrRolledBack, cli.Unverified},
		"unreachable":      {schakel.ErrUnreachable, cli.NoRelay},
		"fingerprint":      {schakel.ErrFingerprint, cli.Unverified},
		"wrong pin":        {schakel.ErrPIN, cli.Refused},
		"locked":           {desk.ErrLocked, cli.Locked},
		"admitted no more": {schakel.ErrRefused, cli.Locked},
		"a second way in":  {vault.ErrAttended, cli.Locked},
		"light device":     {schakel.ErrLight, cli.Refused},
		"does not lock":    {desk.ErrNoLock, cli.Refused},
	}
	for name, test := range tests {
		if got := cli.Exit(fmt.Errorf("failed to open: %w", test.err)); got != test.want {
			t.Errorf("%s: exit code %d, want %d", name, got, test.want)
		}
	}
}

func TestUsageMistakes(t *testing.T) {
	p := newPlace(t)
	body := writeFile(t, filepath.Join(t.TempDir(), "b"), "{}", 0o600)
	for says, args := range map[string][]string{
		`did you mean "status"?`:       {"statsu"},
		"unknown flag: --clas":         {"send", "--clas", "melding"},
		"--class is missing":           {"send", "--urgency", "acuut"},
		`did you mean "melding"?`:      {"send", "--class", "meldign", "--urgency", "acuut", "--to", "a/b", "--body", body},
		"is not one of acuut":          {"send", "--class", "melding", "--urgency", "haast", "--to", "a/b", "--body", body},
		"write it as organisation":     {"send", "--class", "melding", "--urgency", "acuut", "--to", "vt20", "--body", body},
		"takes MESSAGE":                {"read"},
		"--person is missing":          {"ack", "4f1c"},
		`did you mean "veilig-thuis"?`: {"init", "--org", "a", "--name", "A", "--oin", "1", "--desk", "a/b", "--role", "veiligthuis", "--phone", "1"},
		"at most 1000":                 {"inbox", "--limit", "5000"},
		"--fingerprint is missing":     {"join", body},
	} {
		if _, stderr := p.must(cli.Usage, args...); !strings.Contains(stderr, says) {
			t.Errorf("schakel %s: stderr lacks %q:\n%s", strings.Join(args, " "), says, stderr)
		}
	}
}

func TestQueuedHere(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{waitErr: context.DeadlineExceeded})
	out, stderr := p.must(cli.Queued, sendArgs(t, "--wait", "50ms")...)
	if strings.TrimSpace(out) != hash1 || !strings.Contains(stderr, "safely queued here") {
		t.Errorf("stdout %q, stderr %q", out, stderr)
	}
	p.must(cli.Queued, sendArgs(t, "--no-wait")...)
}

func TestWaitTellsPartlyFromAll(t *testing.T) {
	refused := schakel.Recipient{Desk: "a/b", State: schakel.StateRejected, Rule: "R09"}
	delivered := schakel.Recipient{Desk: "c/d", State: schakel.StateDelivered}
	atRelay := schakel.Recipient{Desk: "c/d", State: schakel.StateAtRelay}
	prepared := schakel.Recipient{Desk: "c/d", State: schakel.StatePrepared}
	for name, test := range map[string]struct {
		recipients []schakel.Recipient
		late       error
		want       int
	}{
		"all":         {[]schakel.Recipient{delivered}, nil, cli.Done},
		"some refuse": {[]schakel.Recipient{refused, delivered}, nil, cli.Partly},
		"all refuse":  {[]schakel.Recipient{refused}, nil, cli.Refused},
		"not further": {[]schakel.Recipient{atRelay}, context.DeadlineExceeded, cli.Failed},
		"still here":  {[]schakel.Recipient{prepared}, context.DeadlineExceeded, cli.Queued},
	} {
		p := newPlace(t)
		p.serve(&scripted{recipients: test.recipients, waitErr: test.late})
		if _, stderr, code := p.run("wait", "4f1c", "--timeout", "50ms"); code != test.want {
			t.Errorf("%s: exit code %d, want %d\n%s", name, code, test.want, stderr)
		}
	}
}

func TestInterrupted(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{waitErr: context.DeadlineExceeded})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	std := cli.Stdio{In: strings.NewReader(""), Out: t.Output(), Err: t.Output(), Now: now, Environ: []string{"SCHAKEL_HOME=" + p.home}}
	if code := cli.Main(ctx, []string{"wait", "4f1c"}, std); code != cli.Interrupted {
		t.Errorf("exit code %d, want %d", code, cli.Interrupted)
	}
}

func TestSuggestions(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{sendErr: schakel.ErrUnknownDesk, personErr: schakel.ErrUnknownPerson})
	args := sendArgs(t)
	args[6] = "knoopunt/piket"
	if _, stderr := p.must(cli.NotFound, args...); !strings.Contains(stderr, "did you mean knooppunt/piket") {
		t.Errorf("no suggestion of a desk:\n%s", stderr)
	}
	p.in = "123456\n"
	if _, stderr := p.must(cli.NotFound, "ack", "4f1c", "--person", "P. Iker", "--pin-file", "-"); !strings.Contains(stderr, `did you mean "P. Iket"`) {
		t.Errorf("no suggestion of a person:\n%s", stderr)
	}
}
