package daemon_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/daemon"
)

// house is a data folder and the chain whose relay it is.
type house struct {
	t    *testing.T
	data string
	*trusttest.Chain
}

// run runs one command in the data folder and wants its exit code.
func (h *house) run(want int, args ...string) (out, err string) {
	h.t.Helper()
	var o, e bytes.Buffer
	args = append(args, "--data", h.data, "--admin", "off", "--config", h.empty())
	if code := daemon.Main(context.Background(), args, daemon.Std{Out: &o, Err: &e, Now: time.Now}); code != want {
		h.t.Errorf("%v ended with %d, want %d: %s", args, code, want, e.String())
	}
	return o.String(), e.String()
}

// empty is a configuration file of nothing, so that no file of this machine counts.
func (h *house) empty() string {
	path := filepath.Join(h.data, "..", "empty.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func newHouse(t *testing.T) *house {
	return &house{t: t, data: filepath.Join(t.TempDir(), "data"), Chain: trusttest.New(time.Now())}
}

// admitted is a house whose relay the root holders have entered.
func admitted(t *testing.T, more ...string) *house {
	t.Helper()
	h := newHouse(t)
	h.run(daemon.Done, append([]string{"init", "--listen", "127.0.0.1:1"}, more...)...)
	h.enter()
	h.run(daemon.Done, "register", "import", h.entriesFile())
	return h
}

// enter signs relay.json into the chain.
func (h *house) enter() {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.data, "relay.json"))
	if err != nil {
		h.t.Fatal(err)
	}
	var f struct {
		ID, URL, SPKI, Log string
		Receipt            identity.Key
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		h.t.Fatal(err)
	}
	pin, err := base64.StdEncoding.DecodeString(f.SPKI)
	if err != nil {
		h.t.Fatal(err)
	}
	log, err := trust.ParseLogKey(f.Log)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Relay = trust.Relay{ID: f.ID, URL: f.URL, TLS: trust.Hash(pin), Receipt: f.Receipt, Log: log}
	entry, err := h.Relay.Sign(h.Register().Next(h.Relay.Subject()), h.Quorum()...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Add(entry)
}

func (h *house) entriesFile() string {
	path := filepath.Join(h.t.TempDir(), "genesis.txt")
	if err := os.WriteFile(path, trust.FormatEntries("test", h.Entries()), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func TestInitKeepsWhatIsThere(t *testing.T) {
	h := newHouse(t)
	h.run(daemon.Usage, "init") // no address
	_, said := h.run(daemon.Done, "init", "--listen", "127.0.0.1:8443", "--id", "relay-7")
	if strings.Count(said, "made: ") != 1 { // the keys were made by the first, refused run
		t.Errorf("first: %s", said)
	}
	before := map[string]string{}
	for _, name := range []string{"tls.key", "tls.crt", "receipt.key", "log.key", "relay.json"} {
		stat, err := os.Stat(filepath.Join(h.data, name))
		if err != nil {
			t.Fatal(err)
		}
		if private := strings.HasSuffix(name, ".key"); private && stat.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, stat.Mode())
		}
		b, _ := os.ReadFile(filepath.Join(h.data, name))
		before[name] = string(b)
	}
	_, said = h.run(daemon.Done, "init", "--id", "relay-7")
	if strings.Count(said, "kept: ") != 5 || strings.Contains(said, "made: ") {
		t.Errorf("again: %s", said)
	}
	for name, was := range before {
		if b, _ := os.ReadFile(filepath.Join(h.data, name)); string(b) != was {
			t.Errorf("%s changed", name)
		}
	}
	_, said = h.run(daemon.Done, "init", "--id", "relay-7", "--url", "wss://relay.example:443")
	if !strings.Contains(said, "something else than before") {
		t.Errorf("another address: %s", said)
	}
	for _, bad := range []string{"https://relay.example:443", "wss://relay.example", "wss://relay.example:1/x"} {
		h.run(daemon.Usage, "init", "--url", bad)
	}
	h.run(daemon.Usage, "init", "--id", "Relay 1", "--url", "wss://relay.example:443")
}

func TestKeyThatOthersMayRead(t *testing.T) {
	h := admitted(t)
	if err := os.Chmod(filepath.Join(h.data, "receipt.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, said := h.run(daemon.BadConfig, "serve"); !strings.Contains(said, "chmod 600") {
		t.Errorf("%s", said)
	}
}

func TestImport(t *testing.T) {
	h := newHouse(t)
	h.run(daemon.Done, "init", "--listen", "127.0.0.1:1")
	h.run(daemon.NotFound, "register", "import", "nowhere.txt")
	h.run(daemon.NotFound, "register", "list")
	noise := filepath.Join(t.TempDir(), "noise")
	_ = os.WriteFile(noise, []byte("hello\n"), 0o600)
	h.run(daemon.Conflict, "register", "import", noise)

	_, said := h.run(daemon.Done, "register", "import", h.entriesFile())
	if !strings.Contains(said, "another TLS key") { // the chain's own relay is not this one
		t.Errorf("%s", said)
	}
	h.run(daemon.BadConfig, "serve")
	h.enter()
	out, said := h.run(daemon.Done, "register", "import", h.entriesFile())
	if !strings.Contains(said, "1 new entries of 3") || strings.TrimSpace(out) != "3" || strings.Contains(said, "note") {
		t.Errorf("%q %q", out, said)
	}
	out, _ = h.run(daemon.Done, "register", "list")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[2], "2\trelay\trelay/relay-1\t2") {
		t.Errorf("%q", out)
	}
	// A file with one entry that does not count changes nothing.
	d := h.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	forged, err := d.Device.Sign(h.Register().Next(d.Device.Subject()), trusttest.NewKey("somebody"), d.Sign, d.Login)
	if err != nil {
		t.Fatal(err)
	}
	mixed := filepath.Join(t.TempDir(), "mixed")
	_ = os.WriteFile(mixed, trust.FormatEntries("test", append(h.Entries()[:4], forged)), 0o600)
	h.run(daemon.Conflict, "register", "import", mixed)
	if out, _ := h.run(daemon.Done, "register", "list"); strings.Count(out, "\n") != 3 {
		t.Errorf("half of a file was taken in: %q", out)
	}
}

func TestServeRefusals(t *testing.T) {
	h := newHouse(t)
	if _, said := h.run(daemon.BadConfig, "serve"); !strings.Contains(said, "schakel-relay init") {
		t.Errorf("before init: %s", said)
	}
	h.run(daemon.Done, "init", "--listen", "127.0.0.1:1")
	if _, said := h.run(daemon.BadConfig, "serve"); !strings.Contains(said, "register import") {
		t.Errorf("before import: %s", said)
	}
}

func TestPartners(t *testing.T) {
	h := admitted(t)
	h.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
	h.AddDesk("vt20/team", identity.RoleVeiligThuis)
	h.AddDesk("pol-mn/zeden", identity.RolePolitie)
	h.run(daemon.Done, "register", "import", h.entriesFile())
	out, _ := h.run(daemon.Done, "partner", "list")
	if !strings.Contains(out, "vt20\t2 desks\t0 devices\tactive\n") || !strings.Contains(out, "pol-mn\t1 desks") {
		t.Errorf("%q", out)
	}
	h.run(daemon.Done, "partner", "suspend", "vt20")
	h.run(daemon.NotFound, "partner", "suspend", "vt21")
	h.run(daemon.Usage, "partner", "suspend", "VT20")
	out, _ = h.run(daemon.Done, "partner", "list", "--json")
	var doc struct {
		Schema   string
		Partners []struct {
			Org       string
			Suspended bool
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Schema == "" || len(doc.Partners) != 2 {
		t.Fatalf("%v %q", err, out)
	}
	for _, p := range doc.Partners {
		if p.Suspended != (p.Org == "vt20") {
			t.Errorf("%+v", p)
		}
	}
	if _, said := h.run(daemon.Done, "partner", "suspend", "vt20"); !strings.Contains(said, "kept") {
		t.Errorf("%s", said)
	}
	h.run(daemon.Done, "partner", "resume", "vt20")
	if out, _ := h.run(daemon.Done, "partner", "list"); strings.Contains(out, "suspended") {
		t.Errorf("%q", out)
	}
}

func TestCheck(t *testing.T) {
	h := admitted(t)
	if out, _ := h.run(daemon.Done, "check"); strings.Contains(out, "FAIL") || !strings.Contains(out, "names this relay") {
		t.Errorf("%s", out)
	}
	if out, _ := h.run(daemon.Done, "check", "--format", "nagios"); out != "SCHAKEL-RELAY OK\n" {
		t.Errorf("%q", out)
	}
	if err := os.Remove(filepath.Join(h.data, "log.key")); err != nil {
		t.Fatal(err)
	}
	if out, _ := h.run(daemon.Failed, "check"); !strings.Contains(out, "FAIL  keys") {
		t.Errorf("%s", out)
	}
	if out, _ := h.run(daemon.Critical, "check", "--format", "nagios"); !strings.HasPrefix(out, "SCHAKEL-RELAY CRITICAL: keys") {
		t.Errorf("%q", out)
	}
	h.run(daemon.Usage, "check", "--format", "xml")
}

func TestUnknownCommands(t *testing.T) {
	h := newHouse(t)
	if _, said := h.run(daemon.Usage, "serv"); !strings.Contains(said, `did you mean "serve"`) {
		t.Errorf("%s", said)
	}
	h.run(daemon.Usage, "register", "imprt")
	h.run(daemon.Usage, "serve", "now")
	h.run(daemon.Usage, "serve", "--no-such-flag")
}

// Every command of docs/operations.md works, in its order. Only serve is left to
// the tests of the real program.
func TestPageCommands(t *testing.T) {
	raw, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	h, backup := newHouse(t), filepath.Join(t.TempDir(), "backup")
	ran := 0
	for _, line := range strings.Split(string(raw), "\n") {
		if !strings.HasPrefix(line, "schakel-relay ") {
			continue
		}
		args := strings.Fields(strings.ReplaceAll(line, "--data /var/lib/schakel-relay", ""))[1:]
		switch args[0] {
		case "serve":
			continue
		case "register":
			h.enter()
			h.AddDesk("vt20/crisis", identity.RoleVeiligThuis)
			args[len(args)-1] = h.entriesFile()
		case "oncall":
			j := h.timers()
			if err := errors.Join(j.Publish(t.Context(), "vt20/crisis", 1, []byte("a plan")), j.Close()); err != nil {
				t.Fatal(err)
			}
		case "backup":
			args[len(args)-1] = backup
		case "restore":
			args[len(args)-1] = backup
			h = h.elsewhere()
		}
		h.run(daemon.Done, args...)
		ran++
	}
	if ran < 5 {
		t.Errorf("%d commands on the page", ran)
	}
}
