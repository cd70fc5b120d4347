//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// composition runs what docker-compose.yml says without a container engine: its
// commands, settings, users, files and health checks, as plain processes. The relays
// get a root of their own with nothing in it but the program and what is mounted.
// Networks are loopback, so that each address becomes another free one.
type composition struct {
	t         *testing.T
	composed  composed
	dir       string // a copy of what the operator has: ./secrets, ./configs, ./bin
	addresses *strings.Replacer
	front     string
	admin     map[string]string // of each relay: in containers both have the same
}

// TestComposed is a device's way through the balancer to a relay in an empty root.
func TestComposed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: docker-compose.yml as processes needs root, to be several users")
	}
	redistest.Need(t)
	needProxies(t)
	c := newComposition(t)
	chain, from, to := c.prepare()
	c.startRedis()
	c.healthy("redis")
	for _, name := range []string{"relay-1", "relay-2"} {
		c.startRelay(name, chain)
	}
	c.startBalancer()
	for _, name := range []string{"relay-1", "relay-2", "balancer"} {
		c.healthy(name)
	}
	w := relaytest.At(t, chain)
	w.URL = "wss://" + c.front
	epochs(t, w.Device(to), w)
	here, there := w.Device(from).Login(), w.Device(to).Login()
	there.Send(wire.Credit{Messages: 1, Bytes: 1 << 20})
	raw, _ := w.Device(from).Envelope(w.Device(to))
	here.Send(wire.Put{Envelope: raw})
	relaytest.Expect[wire.Stored](here)
	if got := relaytest.Expect[wire.Deliver](there); string(got.Envelope) != string(raw) {
		t.Error("it comes out otherwise")
	}
}

func newComposition(t *testing.T) *composition {
	t.Helper()
	parsed, err := parseComposed([]byte(read(t, "docker-compose.yml")))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "schakel-composed-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	front, redis := free(t), free(t)
	admin := map[string]string{"relay-1": free(t), "relay-2": free(t)}
	return &composition{t: t, composed: parsed, dir: dir, front: front, admin: admin, addresses: strings.NewReplacer(
		"192.0.2.10/8443", strings.Replace(front, ":", "/", 1), "192.0.2.10:8443", front, "redis:6379", redis,
		"192.0.2.11:8443", free(t), "192.0.2.12:8443", free(t), "redis-cli", "redis-cli -p "+port(redis))}
}

func port(address string) string { _, p, _ := net.SplitHostPort(address); return p }

var secretsBlock = regexp.MustCompile("(?s)## With containers.*?```sh\n(.*?)```")

// prepare does what docs/operations.md says to do once, word for word, and makes a
// register with two devices.
func (c *composition) prepare() (chain *trusttest.Chain, from, to trusttest.Device) {
	c.t.Helper()
	must := func(err error) {
		if err != nil {
			c.t.Helper()
			c.t.Fatal(err)
		}
	}
	block := secretsBlock.FindStringSubmatch(read(c.t, "docs/operations.md"))
	program, err := os.ReadFile(build(c.t, "../schakel-relay"))
	must(err)
	must(os.MkdirAll(c.file("bin"), 0o755))
	must(os.WriteFile(c.file("bin", "schakel-relay"), program, 0o755))
	must(os.CopyFS(c.file("configs"), os.DirFS(filepath.Join(repository, "configs"))))
	sh := exec.Command("sh", "-euc", block[1])
	sh.Dir = c.dir
	if said, err := sh.CombinedOutput(); err != nil {
		c.t.Fatalf("%v\n%s", err, said)
	}
	must(os.Chmod(c.dir, 0o755))
	must(os.Chmod(c.file("secrets"), 0o755))
	p := &process{t: c.t, data: c.file("secrets", "relay")}
	chain = trusttest.New(time.Now())
	chain.Relay = p.public()
	entry, err := chain.Relay.Sign(chain.Register().Next(chain.Relay.Subject()), chain.Quorum()...)
	must(err)
	chain.Add(entry)
	return chain, chain.Enrol("vt20/crisis", identity.RoleVeiligThuis), chain.Enrol("pol-mn/zeden", identity.RolePolitie)
}

func (c *composition) file(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// as makes a command of a service run as its user and no other group.
func (c *composition) as(name string, cmd *exec.Cmd) *exec.Cmd {
	user, group, _ := strings.Cut(c.composed.Services[name].User, ":")
	uid, _ := strconv.ParseUint(user, 10, 32)
	gid, _ := strconv.ParseUint(group, 10, 32)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, Pdeathsig: syscall.SIGKILL, Setpgid: true,
	}
	return cmd
}

func (c *composition) start(name string, cmd *exec.Cmd) {
	c.t.Helper()
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("%s said: %s", name, said.String())
		}
	})
}

// own makes a folder that belongs to a service's user.
func (c *composition) own(name string, parts ...string) string {
	c.t.Helper()
	dir := c.file(parts...)
	user, _, _ := strings.Cut(c.composed.Services[name].User, ":")
	uid, _ := strconv.Atoi(user)
	if err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o755), os.Mkdir(dir, 0o700)); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chown(dir, uid, uid); err != nil {
		c.t.Fatal(err)
	}
	return dir
}

// startRedis gives the shipped configuration the places of this test.
func (c *composition) startRedis() {
	c.t.Helper()
	places := strings.NewReplacer("/var/lib/schakel-redis", c.own("redis", "redis"), "/etc/schakel/users.acl", c.file("secrets", "users.acl"),
		"port 6379", "port "+port(c.addresses.Replace("redis:6379")))
	conf := c.file("redis.conf")
	if err := os.WriteFile(conf, []byte(places.Replace(read(c.t, "configs/redis/redis.conf"))), 0o644); err != nil {
		c.t.Fatal(err)
	}
	words := c.composed.Services["redis"].Command
	for i, w := range words {
		words[i] = strings.Replace(w, "/etc/schakel/redis.conf", conf, 1)
	}
	c.start("redis", c.as("redis", exec.Command(words[0], words[1:]...)))
}

// relay is a command of a relay in a root of its own.
func (c *composition) relay(name string, args ...string) *exec.Cmd {
	cmd := c.as(name, &exec.Cmd{Path: "/schakel-relay", Args: append([]string{"schakel-relay"}, args...), Dir: "/"})
	cmd.SysProcAttr.Chroot = c.file(name)
	cmd.Env = []string{"SCHAKEL_RELAY_ADMIN=" + c.admin[name]}
	for variable, value := range c.composed.Services[name].Environment {
		if variable == "SCHAKEL_RELAY_LISTEN" {
			value = c.addresses.Replace(map[string]string{"relay-1": "192.0.2.11:8443", "relay-2": "192.0.2.12:8443"}[name])
		}
		cmd.Env = append(cmd.Env, variable+"="+c.addresses.Replace(value))
	}
	return cmd
}

// startRelay makes the root as the image and the mounts do, and imports the register
// into the first.
func (c *composition) startRelay(name string, chain *trusttest.Chain) {
	c.t.Helper()
	s := c.composed.Services[name]
	c.own(name, name, "var/lib/schakel-relay") // as Dockerfile gives it to the volume
	c.own(name, name, "var/lib/schakel-blobs")
	for _, place := range s.Tmpfs {
		place, _, _ = strings.Cut(place, ":")
		c.own(name, name, place)
	}
	mounts := map[string]string{c.file("bin", "schakel-relay"): "/schakel-relay"}
	for _, k := range s.Secrets {
		mounts[filepath.Join(c.dir, c.composed.Secrets[k.Source].File)] = k.Target
	}
	for from, to := range mounts {
		if err := os.MkdirAll(filepath.Dir(c.file(name, to)), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if said, err := exec.Command("cp", "-a", from, c.file(name, to)).CombinedOutput(); err != nil {
			c.t.Fatalf("%v: %s", err, said)
		}
	}
	if name == "relay-1" {
		entries := c.file(name, "genesis.txt")
		writeEntries(c.t, entries, chain)
		if said, err := c.relay(name, "register", "import", "/genesis.txt").CombinedOutput(); err != nil {
			c.t.Fatalf("%v\n%s", err, said)
		}
	}
	c.start(name, c.relay(name, s.Command...))
}

func (c *composition) startBalancer() {
	c.t.Helper()
	const mounted = "/usr/local/etc/haproxy/haproxy.cfg"
	conf := c.file("haproxy.cfg")
	if err := os.WriteFile(conf, []byte(c.addresses.Replace(read(c.t, "configs/haproxy/schakel-relay.cfg"))), 0o644); err != nil {
		c.t.Fatal(err)
	}
	words := c.composed.Services["balancer"].Command
	for i, w := range words {
		words[i] = strings.Replace(w, mounted, conf, 1)
	}
	c.start("balancer", c.as("balancer", exec.Command(words[0], words[1:]...)))
}

// healthy waits until a service's health check says yes.
func (c *composition) healthy(name string) {
	c.t.Helper()
	test := c.composed.Services[name].HealthCheck.Test
	var said []byte
	defer func() {
		if c.t.Failed() {
			c.t.Logf("%s: health: %s", name, said)
		}
	}()
	eventually(c.t, name+" is healthy", func() bool {
		words := append([]string{}, test[1:]...)
		for i, w := range words {
			words[i] = c.addresses.Replace(w)
		}
		if test[0] == "CMD-SHELL" {
			words = []string{"sh", "-c", words[0]}
		}
		var cmd *exec.Cmd
		if strings.HasPrefix(name, "relay-") {
			cmd = c.relay(name, words[1:]...)
		} else {
			cmd = c.as(name, exec.Command(words[0], words[1:]...))
		}
		var err error
		said, err = cmd.CombinedOutput()
		if err != nil {
			said = append(said, fmt.Sprint(err)...)
		}
		return err == nil
	})
}
