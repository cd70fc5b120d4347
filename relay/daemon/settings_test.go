package daemon_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"schakel/relay/daemon"
	"schakel/relay/wire"
)

func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "relay.toml")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("drain = \"10s\"\nmax-sessions = 10\ndata = \"/from/file\"\n")
	s, err := daemon.Configure([]string{"--config", path, "--drain", "30s"},
		[]string{"SCHAKEL_RELAY_DRAIN=20s", "SCHAKEL_RELAY_MAX_SESSIONS=20", "SCHAKEL_HOME=/not/ours"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"drain": "30s", "max-sessions": "20", "data": "/from/file", "min-free": "256MiB"} {
		if s[name] != want {
			t.Errorf("%s is %q, want %q", name, s[name], want)
		}
	}
	if _, err := daemon.Configure(nil, []string{"SCHAKEL_RELAY_CONFIG=" + path}); err != nil {
		t.Errorf("file named in the environment: %v", err)
	}
}

func TestRefusedSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "relay.toml")
	for content, want := range map[string]string{
		"drian = \"30s\"":             `did you mean "drain"`,
		"[limits]\ndrain = \"1\"":     "not known",
		"drain = 30":                  "not a duration",
		"drain = [\"30s\"]":           "must be a text",
		"drain = \"0s\"":              "not a duration",
		"min-free = \"1TB\"":          "not a size",
		"min-free = \"-1\"":           "not a size",
		"max-sessions = 0":            "not a number",
		"log-level = \"loud\"":        "debug, info, warn, error",
		"log-format = \"xml\"":        "json, text",
		"listen = \"8443\"":           "not an address",
		"admin = \"0.0.0.0:9\"":       "loopback",
		"admin = \"example:9\"":       "loopback",
		"data = ":                     "relay.toml",
		"redis-replicas = \"-1\"":     "from 0 to 16",
		"redis-address = \"a:1,b:1\"": "set redis-master when they are sentinels",
		"redis-cluster = \"yes\"\nredis-master = \"schakel\"": "leave redis-master empty",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.Configure([]string{"--config", path}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	if _, err := daemon.Configure(nil, []string{"SCHAKEL_RELAY_DRIAN=1s"}); err == nil || !strings.Contains(err.Error(), `did you mean "drain"`) {
		t.Errorf("environment: %v", err)
	}
	if _, err := daemon.Configure([]string{"--config", path + ".none"}, nil); err == nil {
		t.Error("a file that is named and not there")
	}
}

// configs/relay.toml shows every setting with its default.
func TestShippedConfiguration(t *testing.T) {
	s, err := daemon.Configure([]string{"--config", "../../configs/relay.toml"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("../../configs/relay.toml")
	if err != nil {
		t.Fatal(err)
	}
	for name, fallback := range daemon.Keys() {
		if s[name] != fallback {
			t.Errorf("%s is %q in the file, default is %q", name, s[name], fallback)
		}
		if !strings.Contains(string(raw), "\n"+name+" = ") {
			t.Errorf("%s is not in the file", name)
		}
	}
}

// The unit starts a command that exists, gives it a folder and time to drain, and
// keeps to what a hardened service may.
func TestShippedUnit(t *testing.T) {
	raw, err := os.ReadFile("../../configs/schakel-relay.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string]string{}
	for _, line := range strings.Split(string(raw), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			unit[name] = value
		}
	}
	for name, want := range map[string]string{
		"ExecStart": "/usr/bin/schakel-relay serve --config /etc/schakel/relay.toml", "StateDirectory": "schakel-relay",
		"KillSignal": "SIGTERM", "TimeoutStopSec": "40s", "RestartPreventExitStatus": "10",
		"WatchdogSec": "60s", "NotifyAccess": "main", "Restart": "on-failure", "StartLimitIntervalSec": "0",
	} {
		if unit[name] != want {
			t.Errorf("%s=%q, want %q", name, unit[name], want)
		}
	}
	for _, name := range []string{"NoNewPrivileges", "PrivateDevices", "PrivateTmp", "PrivateUsers", "ProtectClock", "ProtectControlGroups",
		"ProtectHome", "ProtectKernelModules", "ProtectKernelTunables", "RestrictNamespaces", "RestrictSUIDSGID", "MemoryDenyWriteExecute"} {
		if unit[name] != "yes" {
			t.Errorf("%s=%q", name, unit[name])
		}
	}
	if names := slices.Collect(maps.Keys(unit)); !slices.Contains(names, "SystemCallFilter") || unit["CapabilityBoundingSet"] != "" {
		t.Error("system calls or capabilities are open")
	}
}

// A renewed certificate is taken over when it is for the key that devices pin, and
// only then.
func TestCertificateIsRenewed(t *testing.T) {
	h := admitted(t)
	other := admitted(t)
	get, err := daemon.Certificates(h.data)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		t.Helper()
		c, err := get()
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if wire.Pin(leaf) != h.Relay.TLS {
			t.Error("a certificate for another key is served")
		}
		return leaf.SerialNumber.String()
	}
	first := serial()
	if err := os.Remove(filepath.Join(h.data, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	if serial() != first {
		t.Error("no file, and another certificate")
	}
	h.run(daemon.Done, "init")
	second := serial()
	if second == first {
		t.Error("the renewed certificate is not taken over")
	}
	for name, change := range unfitCertificates {
		writeCertificate(t, h.data, change)
		if serial() != second {
			t.Errorf("a certificate that is %s is taken over", name)
		}
	}
	writeCertificate(t, h.data, func(*x509.Certificate) {}) // control
	fit := serial()
	if fit == second {
		t.Error("a certificate of the test's own is not taken over")
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		b, err := os.ReadFile(filepath.Join(other.data, name))
		if err = errors.Join(err, os.WriteFile(filepath.Join(h.data, name), b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if serial() != fit {
		t.Error("a certificate for another key is taken over")
	}
}

var unfitCertificates = map[string]func(*x509.Certificate){
	"expired":          func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
	"not yet valid":    func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
	"not for a server": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
}

// written counts the certificates that tests wrote: each has a serial and a time of its own.
var written atomic.Int64

// writeCertificate puts a certificate for the relay's own key in place of the one there.
func writeCertificate(t *testing.T, data string, change func(*x509.Certificate)) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(data, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	n := written.Add(1)
	template := &x509.Certificate{SerialNumber: big.NewInt(n), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.(crypto.Signer).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, "tls.crt")
	changed := time.Now().Add(time.Duration(n) * time.Second)
	err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	if err = errors.Join(err, os.Chtimes(path, changed, changed)); err != nil {
		t.Fatal(err)
	}
}
