package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// repository is the folder of docker-compose.yml, from here.
const repository = "../.."

// composed is what we use of docker-compose.yml. Strict decoding would refuse what is
// left out here, so each key is looked at by a rule or is harmless.
type composed struct {
	Services map[string]*service
	Volumes  map[string]any
	Networks map[string]struct{ Internal bool }
	Secrets  map[string]struct{ File string }
}

type service struct {
	Image, User, Build, Restart string
	Command                     []string
	Environment                 map[string]string
	Secrets                     []secret
	Volumes, Ports, Tmpfs       []string
	ReadOnly                    bool     `yaml:"read_only"`
	CapDrop                     []string `yaml:"cap_drop"`
	SecurityOpt                 []string `yaml:"security_opt"`
	Networks                    yaml.Node
	HealthCheck                 struct{ Test []string }
	Deploy                      struct {
		Resources struct {
			Limits struct{ CPUs, Memory string }
		}
	}
}

// secret is named alone, or with the place where it is wanted.
type secret struct{ Source, Target string }

func (s *secret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.Source, s.Target = n.Value, "/run/secrets/"+n.Value
		return nil
	}
	type whole secret
	return n.Decode((*whole)(s))
}

func parseComposed(raw []byte) (c composed, err error) {
	err = yaml.Unmarshal(raw, &c)
	return c, err
}

var (
	pinned  = regexp.MustCompile(`(:[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9.]+)?|@sha256:[0-9a-f]{64})$`)
	nobody  = regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`)
	setting = regexp.MustCompile(`(?m)^ +--([a-z-]+) string`)
)

// confined: what every container here must give up and have.
func confined(c composed) (wrong []string) {
	for name, s := range c.Services {
		for what, held := range map[string]bool{
			"image is not pinned":        s.Build != "" || pinned.MatchString(s.Image),
			"user is root, or a name":    nobody.MatchString(s.User),
			"root can be written":        s.ReadOnly,
			"capabilities are not given": slices.Equal(s.CapDrop, []string{"ALL"}),
			"privileges can be gained":   slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
			"health is not checked":      len(s.HealthCheck.Test) > 1,
			"does not come back":         s.Restart == "unless-stopped",
			"takes all of the machine":   s.Deploy.Resources.Limits.CPUs != "" && s.Deploy.Resources.Limits.Memory != "",
			"is open to the world":       len(s.Ports) == 0 || name == "balancer",
		} {
			if !held {
				wrong = append(wrong, name+": "+what)
			}
		}
	}
	return wrong
}

// present: what is mounted is in the repository, is declared, or is made by the
// operator in ./secrets.
func present(c composed) (wrong []string) {
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			source, rest, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[source]; named {
				continue
			}
			_, err := os.Stat(filepath.Join(repository, source))
			if err != nil || !strings.HasSuffix(rest, ":ro") {
				wrong = append(wrong, fmt.Sprintf("%s: %s is neither a volume nor a file of ours, read only", name, v))
			}
		}
		for _, k := range s.Secrets {
			if file := c.Secrets[k.Source].File; !strings.HasPrefix(file, "./secrets/") {
				wrong = append(wrong, fmt.Sprintf("%s: secret %s is not in ./secrets: %q", name, k.Source, file))
			}
		}
	}
	if !c.Networks["back"].Internal {
		wrong = append(wrong, "the network of Redis is open")
	}
	return wrong
}

// known: what the relays are told is what the program understands, according to its
// own help.
func known(c composed, program string) (wrong []string) {
	help := func(command string) string {
		out, _ := exec.Command(program, command, "--help").CombinedOutput()
		return string(out)
	}
	var settings []string
	for _, m := range setting.FindAllStringSubmatch(help("serve"), -1) {
		settings = append(settings, m[1])
	}
	for _, name := range []string{"relay-1", "relay-2"} {
		s := c.Services[name]
		for variable := range s.Environment {
			flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, "SCHAKEL_RELAY_")), "_", "-")
			if !strings.HasPrefix(variable, "SCHAKEL_RELAY_") || !slices.Contains(settings, flag) {
				wrong = append(wrong, name+": no setting is called "+variable)
			}
		}
		check := s.HealthCheck.Test
		if len(check) != 3 || check[0] != "CMD" || check[1] != "/schakel-relay" {
			return append(wrong, name+": health is not checked by the program")
		}
		for _, command := range []string{s.Command[0], check[2]} {
			if !strings.Contains(help(command), "schakel-relay "+command) {
				wrong = append(wrong, name+": there is no command "+command)
			}
		}
	}
	return wrong
}

func wrongIn(t *testing.T, raw string, program string) []string {
	t.Helper()
	c, err := parseComposed([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(confined(c), present(c), known(c, program))
}

// TestCompose looks at docker-compose.yml without a container engine, and then at the
// same file with one thing wrong, which it must see.
func TestCompose(t *testing.T) {
	program := build(t, "../schakel-relay")
	raw, err := os.ReadFile(filepath.Join(repository, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrongIn(t, string(raw), program) {
		t.Error(w)
	}
	for right, crooked := range map[string]string{
		"redis:7.2.11": "redis:7", `user: "999:999"`: `user: "redis"`, "read_only: true": "read_only: false", "cap_drop: [ALL]": "cap_drop: [NET_RAW]",
		"no-new-privileges:true": "no-new-privileges:false", "restart: unless-stopped": `restart: "no"`, "memory: 5g": `memory: ""`,
		"networks: [back]": "ports: ['6379:6379']", "internal: true": "internal: false", "./configs/redis/redis.conf": "./configs/redis.conf",
		"redis.conf:ro": "redis.conf", "- relay-2:/var": "- relay-3:/var", "./secrets/relay/tls.key": "./tls.key", "SCHAKEL_RELAY_STORE": "SCHAKEL_RELAY_STORAGE",
		`command: ["serve"]`: `command: ["run"]`, `["CMD", "/schakel-relay", "check"]`: `["CMD", "curl", "localhost"]`,
	} {
		text := strings.Replace(string(raw), right, crooked, 1)
		if text == string(raw) || len(wrongIn(t, text, program)) == 0 {
			t.Errorf("nothing is wrong with %q in place of %q", crooked, right)
		}
	}
}
