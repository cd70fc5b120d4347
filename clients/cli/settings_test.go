package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"schakel/clients/cli"
)

func (p *place) configFile(content string) string {
	dir := strings.TrimPrefix(p.environ[1], "XDG_CONFIG_HOME=")
	return writeFile(p.t, filepath.Join(dir, "schakel", "client.toml"), content, 0o600)
}

func (p *place) shown(key string, args ...string) string {
	out, _ := p.must(cli.Done, append([]string{"config", "show", "--origin"}, args...)...)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); f[0] == key {
			return strings.Join(f[1:], " ")
		}
	}
	p.t.Fatalf("no setting %s in\n%s", key, out)
	return ""
}

func TestPrecedence(t *testing.T) {
	p := newPlace(t)
	if got := p.shown("wait"); got != "10s from default" {
		t.Errorf("default: %s", got)
	}
	path := p.configFile(`wait = "1s"`)
	if got := p.shown("wait"); got != "1s from file "+path {
		t.Errorf("file: %s", got)
	}
	p.environ = append(p.environ, "SCHAKEL_WAIT=2s")
	if got := p.shown("wait"); got != "2s from environment SCHAKEL_WAIT" {
		t.Errorf("environment: %s", got)
	}
	if got := p.shown("wait", "--wait", "3s"); got != "3s from flag --wait" {
		t.Errorf("flag: %s", got)
	}
}

func TestBadConfiguration(t *testing.T) {
	for content, says := range map[string]string{
		`hme = "/x"`:        `key "hme" is not known; did you mean "home"?`,
		`wait = 5`:          "must be a text in quotes",
		`wait = "soon"`:     "no duration",
		`wait = "-1s"`:      "no duration",
		`lock-after = "0s"`: "no duration from 1s to 1h",
		`lock-after = "2h"`: "no duration from 1s to 1h",
		`keep-for = "5m"`:   "no duration from 1h",
		`color = "alwyas"`:  `did you mean "always"?`,
		`wait = `:           "client.toml",
		"[relay]\nurl='x'":  `key "relay" is not known`,
		`passphrase = "hu"`: `key "passphrase" is not known`,
	} {
		p := newPlace(t)
		p.configFile(content)
		if _, stderr := p.must(cli.BadConfig, "config", "show"); !strings.Contains(stderr, says) {
			t.Errorf("%s: stderr lacks %q:\n%s", content, says, stderr)
		}
	}
}

func TestUnknownVariableIsRefused(t *testing.T) {
	p := newPlace(t)
	p.environ = append(p.environ, "SCHAKEL_HMOE=/x")
	if _, stderr := p.must(cli.BadConfig, "config", "show"); !strings.Contains(stderr, `did you mean "SCHAKEL_HOME"?`) {
		t.Error(stderr)
	}
	p.environ[2] = "SCHAKEL_RELAY_LISTEN=:1"
	p.must(cli.Done, "config", "show")
}

func TestNamedFileMustExist(t *testing.T) {
	newPlace(t).must(cli.BadConfig, "config", "show", "--config", "/nonexistent/client.toml")
}

func TestLongHomeGetsAShortSocket(t *testing.T) {
	p := newPlace(t)
	p.home = filepath.Join(p.home, strings.Repeat("long/", 30))
	if socket := strings.Fields(p.shown("socket"))[0]; len(socket) > 107 {
		t.Errorf("socket path of %d bytes", len(socket))
	}
}

func TestSecretsStaySecret(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	open := writeFile(t, filepath.Join(t.TempDir(), "pin"), "123456\n", 0o644)
	if _, stderr := p.must(cli.Refused, "ack", "4f1c", "--person", "P. Iket", "--pin-file", open); !strings.Contains(stderr, "chmod 600") {
		t.Errorf("a PIN file that others read must be refused:\n%s", stderr)
	}
	if _, stderr := p.must(cli.Usage, "ack", "4f1c", "--person", "P. Iket"); !strings.Contains(stderr, "no secret given") {
		t.Error(stderr)
	}
	if _, stderr := p.must(cli.Usage, "ack", "4f1c", "--person", "P. Iket", "--pin", "123456"); strings.Contains(stderr, "123456") {
		t.Error("there must be no flag for a secret")
	}
	p.in = strings.Repeat("1", 5000)
	p.must(cli.Usage, "ack", "4f1c", "--person", "P. Iket", "--pin-file", "-")
}

func TestSecretSources(t *testing.T) {
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "schakel-pin"), []byte("654321\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args, environ []string
		in, want      string
	}{
		"standard input": {[]string{"--pin-file", "-"}, nil, "123456\n", "123456"},
		"file":           {[]string{"--pin-file", writeFile(t, filepath.Join(t.TempDir(), "pin"), "246810\n", 0o600)}, nil, "", "246810"},
		"systemd":        {nil, []string{"CREDENTIALS_DIRECTORY=" + credentials}, "", "654321"},
	} {
		p, node := newPlace(t), &scripted{}
		p.serve(node)
		p.in, p.environ = test.in, append(p.environ, test.environ...)
		p.must(cli.Done, append([]string{"ack", "4f1c", "--person", "P. Iket"}, test.args...)...)
		if got := node.acks[0].PIN; got != test.want {
			t.Errorf("%s: PIN %q, want %q", name, got, test.want)
		}
	}
}

// A flag of a command that is called as a setting is taken for it. Those of the ceremony are
// the same file: the agreement that a root names.
func TestNoFlagHidesASetting(t *testing.T) {
	if hiding := cli.HidingFlags(); !slices.Equal(hiding, []string{"schakel register init --agreement", "schakel register root draft --agreement"}) {
		t.Errorf("%q", hiding)
	}
}
