package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"schakel/relay/wire"
)

// key is one setting: its name in the file, as a flag, and (in capitals with
// underscores, behind SCHAKEL_RELAY_) in the environment.
type key struct {
	name     string
	fallback string
	help     string
	check    func(string) error
}

// keys lists every setting. configs/relay.toml shows them all, and a test holds
// the two together.
func keys() []key {
	return []key{
		{"data", "/var/lib/schakel-relay", "data folder: keys, register, mailboxes", anything},
		{"listen", "", "address for devices (default: that of relay.json)", address},
		{"admin", "127.0.0.1:9443", "loopback address for health and metrics, or off", adminAddress},
		{"tls-cert", "", "certificate in PEM (default: tls.crt in the data folder)", anything},
		{"tls-key", "", "its key in PEM (default: tls.key in the data folder)", anything},
		{"log-level", "info", "debug, info, warn or error; debug names desks and envelope ids", level},
		{"log-format", "json", "json or text", oneOf("json", "text")},
		{"store", "bolt", "where mailboxes are: bolt (a file in the data folder) or redis", oneOf("bolt", "redis")},
		{"redis-address", "127.0.0.1:6379", "host:port or socket of Redis; several, with commas: of its sentinels or of nodes of a cluster", anything},
		{"redis-master", "", "the name by which sentinels know the primary; redis-address is then theirs", anything},
		{"redis-cluster", "no", "yes: Redis is a cluster", oneOf("no", "yes")},
		{"redis-replicas", "0", "replicas that must have an envelope before it is acknowledged", replicas},
		{"redis-user", "schakel-relay", "its user", anything},
		{"redis-password-file", "", "file with the user's password, read at each connection", anything},
		{"redis-admin-password-file", "", "file with the password of schakel-admin, to load the functions; empty: an operator does", anything},
		{"redis-ca", "", "certificates in PEM that Redis is believed by; empty: no TLS, for this machine or a tunnel", anything},
		{"allow-volatile", "no", "yes: take a Redis that may forget what it answered; demonstrations only", oneOf("no", "yes")},
		{"min-free", "256MiB", "disk space below which envelopes are refused", size},
		{"desk-envelopes", "100000", "envelopes in the mailbox of one desk", count},
		{"desk-bytes", "2GiB", "their bytes", size},
		{"org-envelopes", "200000", "waiting envelopes sealed by one organisation", count},
		{"org-bytes", "4GiB", "their bytes", size},
		{"blob-store", "folder", "where sealed attachments are: folder, s3 (several relays share it), or off", oneOf("folder", "s3", "off")},
		{"blob-folder", "", "their folder (default: blobs in the data folder); several relays may share one", anything},
		{"blob-max", "2GiB", "bytes of one", blobSize},
		{"blob-org-bytes", "20GiB", "bytes of all that one organisation has uploaded", size},
		{"blob-uploads", "16", "uploads of one device that are not complete", count},
		{"s3-endpoint", "", "https://host:port of a server that speaks S3", anything},
		{"s3-region", "us-east-1", "its region", anything},
		{"s3-bucket", "", "a bucket for attachments alone", anything},
		{"s3-key", "", "the name of the access key", anything},
		{"s3-secret-file", "", "file with its secret", anything},
		{"s3-ca", "", "certificates in PEM that the server is believed by; empty: those of the system", anything},
		{"max-sessions", "20000", "live sessions", count},
		{"max-pending", "2048", "connections that have not logged in", count},
		{"max-pending-per-host", "1024", "of those, from one address", count},
		{"puts-per-second", "5000", "envelopes per device and second", count},
		{"entries-per-minute", "600", "register entries posted without a login, from everybody", count},
		{"oncall-operator", "", "who is called where a desk cannot be: points such as ntfy=https://ntfy.example/topic, with spaces between", points},
		{"oncall-allow", "", "networks of our own that contact points may lie in, such as 10.1.2.0/24, with spaces between", networks},
		{"oncall-ca", "", "certificates in PEM that contact points are believed by; empty: those of the system", anything},
		{"oncall-hook", "", "program that points of the channel exec run; in oncall-operator only", anything},
		{"mail-server", "", "host:port by which pages go as e-mail; empty: none do", anything},
		{"mail-security", "starttls", "starttls, tls, or none for a server on this machine", oneOf("starttls", "tls", "none")},
		{"mail-from", "", "sender of those e-mails", anything},
		{"mail-user", "", "user at that server; empty: no login", anything},
		{"mail-password-file", "", "file with that user's password, read at each page", anything},
		{"drain", "30s", "longest drain after SIGTERM", duration},
	}
}

const envPrefix = "SCHAKEL_RELAY_"

// settings are the values by name, every one checked.
type settings map[string]string

func settingFlags(f *pflag.FlagSet) {
	f.String("config", "", "configuration file (default /etc/schakel/relay.toml where it exists)")
	for _, k := range keys() {
		help := k.help
		if k.fallback != "" {
			help += " (default " + k.fallback + ")"
		}
		f.String(k.name, "", help)
	}
}

// configure fills the settings: flag, environment, file, default, in that order.
func (a *app) configure(flags *pflag.FlagSet) error {
	environ, err := fromEnviron(a.Environ)
	if err != nil {
		return err
	}
	path, _ := flags.GetString("config")
	if path == "" {
		path = environ["config"]
	}
	fromFile, err := readFile(path)
	if err != nil {
		return err
	}
	a.settings = make(settings)
	for _, k := range keys() {
		value := k.fallback
		for _, layer := range []settings{fromFile, environ} {
			if v, ok := layer[k.name]; ok {
				value = v
			}
		}
		if f := flags.Lookup(k.name); f != nil && f.Changed {
			value = f.Value.String()
		}
		if err := k.check(value); err != nil {
			return fmt.Errorf("%w: %s: %w", errConfig, k.name, err)
		}
		a.settings[k.name] = value
	}
	return a.settings.together()
}

// together refuses settings that do not go together.
func (s settings) together() error {
	cluster, master := s["redis-cluster"] == "yes", s["redis-master"]
	switch {
	case cluster && master != "":
		return fmt.Errorf("%w: redis-cluster is yes and redis-master is set: a cluster has no sentinels, leave redis-master empty", errConfig)
	case !cluster && master == "" && strings.Contains(s["redis-address"], ","):
		return fmt.Errorf("%w: redis-address names several: set redis-master when they are sentinels, or redis-cluster to yes", errConfig)
	}
	if s["blob-store"] == "s3" {
		for _, name := range []string{"s3-endpoint", "s3-bucket", "s3-key", "s3-secret-file"} {
			if s[name] == "" {
				return fmt.Errorf("%w: blob-store is s3 and %s is not set", errConfig, name)
			}
		}
	}
	return nil
}

// fromEnviron refuses a variable of ours that nothing reads: a misspelt one would
// silently leave the default.
func fromEnviron(environ []string) (settings, error) {
	s := make(settings)
	for _, entry := range environ {
		variable, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(variable, envPrefix) {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(variable[len(envPrefix):], "_", "-"))
		if name != "config" && !known(name) {
			return nil, fmt.Errorf("%w: environment variable %s is not known%s", errConfig, variable, didYouMean(name))
		}
		s[name] = value
	}
	return s, nil
}

const defaultFile = "/etc/schakel/relay.toml"

func readFile(path string) (settings, error) {
	s := make(settings)
	named := path != ""
	if !named {
		path = defaultFile
	}
	k := koanf.New("\x00") // no delimiter: keys are flat
	err := k.Load(file.Provider(path), toml.Parser())
	if errors.Is(err, fs.ErrNotExist) && !named {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errConfig, path, err)
	}
	for name, value := range k.Raw() {
		if !known(name) {
			return nil, fmt.Errorf("%w: %s: key %q is not known%s", errConfig, path, name, didYouMean(name))
		}
		switch value.(type) {
		case string, int64, bool:
			s[name] = fmt.Sprint(value)
		default:
			return nil, fmt.Errorf("%w: %s: %s must be a text or a number", errConfig, path, name)
		}
	}
	return s, nil
}

func known(name string) bool {
	return slices.ContainsFunc(keys(), func(k key) bool { return k.name == name })
}

// didYouMean asks cobra, which knows how to find names near to what was typed, but
// not which is nearest: so it is asked for the nearest first.
func didYouMean(typed string) string {
	var names cobra.Command
	for _, k := range keys() {
		names.AddCommand(&cobra.Command{Use: k.name, Run: func(*cobra.Command, []string) {}})
	}
	for distance := 1; distance <= 3; distance++ {
		names.SuggestionsMinimumDistance = distance
		if near := names.SuggestionsFor(typed); len(near) > 0 {
			return fmt.Sprintf("; did you mean %q?", near[0])
		}
	}
	return ""
}

func anything(string) error { return nil }

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("%q is not one of %s", v, strings.Join(values, ", "))
		}
		return nil
	}
}

func level(v string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(v)); err != nil {
		return fmt.Errorf("%q is not one of debug, info, warn, error", v)
	}
	return nil
}

func address(v string) error {
	if v == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(v); err != nil {
		return fmt.Errorf("%q is not an address such as 0.0.0.0:8443", v)
	}
	return nil
}

// adminAddress keeps health and metrics off the network: they are for this machine.
func adminAddress(v string) error {
	if v == "off" {
		return nil
	}
	host, _, err := net.SplitHostPort(v)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not a loopback address such as 127.0.0.1:9443, nor off", v)
	}
	return nil
}

func duration(v string) error {
	if d, err := time.ParseDuration(v); err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration such as 30s", v)
	}
	return nil
}

func count(v string) error {
	if n, err := strconv.ParseInt(v, 10, 32); err != nil || n < 1 {
		return fmt.Errorf("%q is not a number of 1 or more", v)
	}
	return nil
}

func replicas(v string) error {
	if n, err := strconv.ParseInt(v, 10, 32); err != nil || n < 0 || n > 16 {
		return fmt.Errorf("%q is not a number from 0 to 16", v)
	}
	return nil
}

func size(v string) error {
	_, err := parseSize(v)
	return err
}

func blobSize(v string) error {
	n, err := parseSize(v)
	if err == nil && n > wire.MaxBlob {
		err = fmt.Errorf("%q is more than %d GiB", v, int64(wire.MaxBlob)>>30)
	}
	return err
}

// parseSize reads 4096, 64KiB, 256MiB, 2GiB.
func parseSize(v string) (int64, error) {
	digits := strings.TrimRight(v, "KMGiB")
	n, err := strconv.ParseInt(digits, 10, 32)
	shift, ok := map[string]uint{"": 0, "KiB": 10, "MiB": 20, "GiB": 30}[v[len(digits):]]
	if err != nil || n < 1 || !ok {
		return 0, fmt.Errorf("%q is not a size such as 256MiB", v)
	}
	return n << shift, nil
}

// The getters are for values that passed their check.

func (s settings) count(name string) int {
	n, _ := strconv.Atoi(s[name])
	return n
}

func (s settings) size(name string) int64 {
	n, _ := parseSize(s[name])
	return n
}

func (s settings) duration(name string) time.Duration {
	d, _ := time.ParseDuration(s[name])
	return d
}

func (s settings) path(name string) string { return filepath.Join(s["data"], name) }

func (s settings) logger(std Std) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(s["log-level"]))
	o := &slog.HandlerOptions{Level: l}
	if s["log-format"] == "text" {
		return slog.New(slog.NewTextHandler(std.Err, o))
	}
	return slog.New(slog.NewJSONHandler(std.Err, o))
}

// exists reports whether a file of the data folder is there.
func (s settings) exists(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}
