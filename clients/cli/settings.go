package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"schakel/clients/release"
	"schakel/relay/page"
)

// key is one setting: its name in the file, as a flag, and (in capitals with
// underscores, behind SCHAKEL_) in the environment.
type key struct {
	name     string
	help     string
	fallback func(*app) string
	check    func(string) error
	running  bool // only the daemon reads it: a flag of `schakel run` alone
}

func keys() []key {
	return append(deviceKeys(), pageKeys()...)
}

// pageKeys are the settings of this device's own pager.
func pageKeys() []key {
	all := []key{{"pager", "whether the daemon pages who is on call: on or off", fixed("on"), oneOf("on", "off"), true}}
	all = append(all, key{"drill", "whether this desk organises a drill every month, and is to be reminded: off or monthly", fixed("off"), oneOf("off", "monthly"), true})
	for _, s := range page.Settings() {
		all = append(all, key{s.Name, s.Help, fixed(s.Fallback), anything, true})
	}
	return all
}

func deviceKeys() []key {
	return []key{
		{"home", "folder of this device: its store, its keys, its socket", (*app).defaultHome, anything, false},
		{"socket", "unix socket of the daemon", (*app).defaultSocket, anything, false},
		{"key-file", "key that opens the store; better on another disk", (*app).defaultKeyFile, anything, false},
		{"passphrase-file", "file with the store's recovery passphrase", fixed(""), anything, false},
		{"agreement", "agreement file of the chain, where partners added to the protocol", fixed(""), anything, false},
		{"lock-after", "light device: it locks itself when nobody used it for so long", fixed("10m"), between(time.Second, time.Hour), false},
		{"keep-for", "light device: how long a case stays in which nothing waits", fixed("168h"), between(time.Hour, 90*24*time.Hour), true},
		{"cooling-off", "how long a new device of a desk gets nothing, unless a person confirms it; 0s: not at all", fixed("24h"), between(0, 14*24*time.Hour), false},
		{"backup-within", "how old the latest backup may be before an alarm says so", fixed("192h"), between(24*time.Hour, 90*24*time.Hour), true},
		{"agreement-next", "agreement file of the next version, to read it and to write it to who speaks it", fixed(""), anything, false},
		{"web", "address of the web desk, such as 127.0.0.1:8477, or off", fixed(webOff), address, true},
		{"web-names", "names under which browsers ask for the web desk, beside localhost", fixed(""), anything, true},
		{"web-cert", "certificate of the web desk (PEM); needed when other machines can reach it", fixed(""), anything, true},
		{"web-key", "key of that certificate (PEM)", fixed(""), anything, true},
		{"web-theme", "style sheet of the organisation's own for the web desk", fixed(""), anything, true},
		{"oidc-issuer", "the organisation's own sign-in for the web desk: its issuer, such as https://login.example", fixed(""), anything, true},
		{"oidc-client", "name under which that sign-in knows this desk", fixed(""), anything, true},
		{"oidc-secret-file", "file with the secret that goes with that name, if there is one", fixed(""), anything, true},
		{"auto-lock", "how long the web desk stays open when nobody is there", fixed("10m"), between(time.Minute, 12*time.Hour), true},
		{"api", "address of the API for your own programs, such as 127.0.0.1:8478 or unix: and a path, or off", fixed(webOff), hereAddress("127.0.0.1:8478"), true},
		{"metrics", "address of the metrics for Prometheus, such as 127.0.0.1:9464 or unix: and a path, or off", fixed(webOff), hereAddress("127.0.0.1:9464"), true},
		{"webhook-targets", "networks that webhooks may go to over https, beside this machine", fixed(""), anything, true},
		{"color", "colours: auto, always or never", fixed("auto"), oneOf("auto", "always", "never"), false},
		{"release-key", "verifier key of who releases Schakel, to verify programs by", fixed(""), releaseKey, false},
		{"release-list", "signed list of the release that runs here, for `schakel doctor`", fixed(""), anything, false},
		{"wait", "how long a sending command waits for the relay", fixed("10s"), duration, false},
		{"log-level", "what the daemon logs: debug, info, warn or error", fixed("info"), oneOf("debug", "info", "warn", "error"), false},
		{"log-format", "how the daemon logs: text or json", fixed("text"), oneOf("text", "json"), false},
	}
}

// setting is a value and where it came from.
type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

type settings map[string]setting

func (s settings) get(name string) string { return s[name].Value }

// duration is for keys that passed its check.
func (s settings) duration(name string) time.Duration {
	d, _ := time.ParseDuration(s.get(name))
	return d
}

func (a *app) settingFlags(f *pflag.FlagSet) {
	f.String("config", "", "configuration file (default client.toml in the XDG and /etc/schakel folders)")
	f.BoolVar(&a.json, "json", false, "print one JSON document")
	keyFlags(f, false)
}

// keyFlags are the flags of the settings: of all commands, or of the daemon alone.
func keyFlags(f *pflag.FlagSet, running bool) {
	for _, k := range keys() {
		if k.running == running {
			f.String(k.name, "", k.help)
		}
	}
	if !running {
		_ = f.MarkHidden("release-key") // pinned once, in the file, as release-list is
		_ = f.MarkHidden("release-list")
		_ = f.MarkHidden("cooling-off") // the daemon's and any command's that sends; set once, in the file
		_ = f.MarkHidden("lock-after")  // `piket` goes by it, too; beside the other commands it would be noise
	}
}

// configure fills the settings: flag, environment, file, default, in that order.
func (a *app) configure(flags *pflag.FlagSet) error {
	s := settings{}
	for _, layer := range []func(settings, *pflag.FlagSet) error{a.fromFiles, a.fromEnviron, fromFlags} {
		if err := layer(s, flags); err != nil {
			return err
		}
	}
	a.settings = s
	for _, k := range keys() { // in order: the socket's default rests on the home
		if _, given := s[k.name]; !given {
			s[k.name] = setting{k.name, k.fallback(a), "default"}
		}
		if err := k.check(s.get(k.name)); err != nil {
			return fmt.Errorf("%w: %s from %s: %w", errConfig, k.name, s[k.name].Origin, err)
		}
	}
	a.paint = a.wantsColour(s.get("color"), a.Out)
	return nil
}

func fromFlags(s settings, flags *pflag.FlagSet) error {
	for _, k := range keys() {
		if f := flags.Lookup(k.name); f != nil && f.Changed {
			s[k.name] = setting{k.name, f.Value.String(), "flag --" + k.name}
		}
	}
	return nil
}

const envPrefix = "SCHAKEL_"

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// fromEnviron refuses a SCHAKEL_ variable that nothing reads: a misspelt one would
// otherwise silently leave the default. Those of the relay are not ours.
func (a *app) fromEnviron(s settings, _ *pflag.FlagSet) error {
	known := map[string]string{envName("config"): "config"}
	for _, k := range keys() {
		known[envName(k.name)] = k.name
	}
	for _, entry := range a.Environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, envPrefix+"RELAY_") {
			continue
		}
		k, ok := known[name]
		if !ok {
			return fmt.Errorf("%w: environment variable %s is not known%s", errConfig, name,
				didYouMean(name, slices.Sorted(maps.Keys(known))))
		}
		s[k] = setting{k, value, "environment " + name}
	}
	return nil
}

// fromFiles reads the machine's file and then the user's, which goes before it; or
// only the one that is named.
func (a *app) fromFiles(s settings, flags *pflag.FlagSet) error {
	named, _ := flags.GetString("config")
	if named == "" {
		named = a.env(envName("config"))
	}
	if named != "" {
		return readSettings(s, named)
	}
	for _, path := range []string{"/etc/schakel/client.toml", filepath.Join(a.xdg("XDG_CONFIG_HOME", ".config"), "schakel", "client.toml")} {
		if err := readSettings(s, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func readSettings(s settings, path string) error {
	k := koanf.New("\x00") // no delimiter: keys are flat
	if err := k.Load(file.Provider(path), toml.Parser()); err != nil {
		return fmt.Errorf("%w: %s: %w", errConfig, path, err)
	}
	var known []string
	for _, k := range keys() {
		known = append(known, k.name)
	}
	for name, value := range k.Raw() {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%w: %s: key %q is not known%s", errConfig, path, name, didYouMean(name, known))
		}
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%w: %s: %s must be a text in quotes", errConfig, path, name)
		}
		s[name] = setting{name, text, "file " + path}
	}
	return nil
}

func (a *app) env(name string) string {
	for _, entry := range slices.Backward(a.Environ) {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			return v
		}
	}
	return ""
}

// xdg returns a folder of the XDG base directory specification. A relative path in
// the variable is invalid by that specification, and ignored.
func (a *app) xdg(variable, fallback string) string {
	if v := a.env(variable); filepath.IsAbs(v) {
		return v
	}
	return filepath.Join(a.env("HOME"), fallback)
}

// defaultHome is /var/lib/schakel for a service account without a home of its own.
func (a *app) defaultHome() string {
	if h := a.env("HOME"); h == "" || h == "/" || h == "/nonexistent" {
		return "/var/lib/schakel"
	}
	return filepath.Join(a.xdg("XDG_DATA_HOME", ".local/share"), "schakel")
}

func (a *app) defaultKeyFile() string { return filepath.Join(a.settings.get("home"), "device.key") }

// defaultSocket lies in the device's folder, or, where that path is too long for a
// socket (unix(7)), in the runtime folder or the home under a name made from it.
func (a *app) defaultSocket() string {
	home, err := filepath.Abs(a.settings.get("home"))
	if err != nil {
		home = a.settings.get("home")
	}
	if path := filepath.Join(home, "desk.sock"); len(path) < 100 {
		return path
	}
	folder := a.xdg("XDG_RUNTIME_DIR", "") // never the temporary folder: anybody could be there first
	name := sha256.Sum256([]byte(home))
	return filepath.Join(folder, ".schakel-"+hex.EncodeToString(name[:8])+".sock")
}

func fixed(v string) func(*app) string { return func(*app) string { return v } }

func anything(string) error { return nil }

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if slices.Contains(values, v) {
			return nil
		}
		return fmt.Errorf("%q is not one of %s%s", v, strings.Join(values, ", "), didYouMean(v, values))
	}
}

func between(least, most time.Duration) func(string) error {
	return func(v string) error {
		if d, err := time.ParseDuration(v); err != nil || d < least || d > most {
			return fmt.Errorf("%q is no duration from %s to %s", v, least, most)
		}
		return nil
	}
}

func releaseKey(v string) error {
	if v == "" {
		return nil
	}
	return release.CheckKey(v)
}

// address is where the web desk listens, or off.
func address(v string) error {
	if v == webOff {
		return nil
	}
	if _, _, err := net.SplitHostPort(v); err != nil {
		return fmt.Errorf("%q is no address such as 127.0.0.1:8477, and not off", v)
	}
	return nil
}

func duration(v string) error {
	if d, err := time.ParseDuration(v); err != nil || d < 0 {
		return fmt.Errorf("%q is no duration such as 10s or 2m", v)
	}
	return nil
}
