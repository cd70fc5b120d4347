package cli_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/configs"
)

// TestClientFileIsTrue holds configs/client.toml to the program: it parses, and
// shows every setting but the one that only recovery needs.
func TestClientFileIsTrue(t *testing.T) {
	p := newPlace(t)
	p.environ = append(p.environ[:1:1], "SCHAKEL_HOME=") // the file decides
	path := writeFile(t, filepath.Join(t.TempDir(), "client.toml"), string(configs.Client), 0o644)
	out, _ := p.must(cli.Done, "config", "show", "--origin", "--config", path)
	for line := range strings.Lines(out) {
		key := strings.Fields(line)[0]
		shown := regexp.MustCompile(`(?m)^` + key + ` = `).Match(configs.Client)
		if !shown && key != "passphrase-file" {
			t.Errorf("client.toml does not show %s", key)
		}
		if shown && key != "home" && !strings.Contains(line, "from file "+path) {
			t.Errorf("the file does not decide: %s", line)
		}
	}
}
