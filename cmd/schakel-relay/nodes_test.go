package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"schakel/configs"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// proxies are the programs that may stand in front of relays, each with the file that
// is shipped for it and how it is started with that.
var proxies = map[string]struct {
	shipped []byte
	command func(folder, file string) (*exec.Cmd, error)
}{
	"nginx":   {configs.Nginx, nginx},
	"haproxy": {configs.HAProxy, func(_, file string) (*exec.Cmd, error) { return exec.Command("haproxy", "-db", "-f", file), nil }},
}

// streamModule is where Debian puts what nginx needs to pass TCP through.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// nginx makes the nginx.conf that the shipped file is to be included in.
func nginx(folder, file string) (*exec.Cmd, error) {
	conf := fmt.Sprintf("load_module %s;\ndaemon off;\npid %s;\nerror_log stderr;\nevents { }\ninclude %s;\n",
		streamModule, filepath.Join(folder, "nginx.pid"), file)
	main := filepath.Join(folder, "nginx.conf")
	return exec.Command("nginx", "-p", folder, "-e", "stderr", "-c", main), os.WriteFile(main, []byte(conf), 0o600)
}

// needProxies skips the test where a proxy is missing, and fails it instead when
// SCHAKEL_TEST_NEED_PROXIES is set.
func needProxies(t *testing.T) {
	t.Helper()
	_, noNginx := exec.LookPath("nginx")
	_, noHAProxy := exec.LookPath("haproxy")
	_, noStream := os.Stat(streamModule)
	const how = "apt-get install nginx-light libnginx-mod-stream haproxy"
	switch missing := errors.Join(noNginx, noHAProxy, noStream); {
	case missing == nil:
	case os.Getenv("SCHAKEL_TEST_NEED_PROXIES") != "":
		t.Fatalf("SCHAKEL_TEST_NEED_PROXIES is set: %v: %s", missing, how)
	default:
		t.Skipf("NOT TESTED: proxies: %v: %s", missing, how)
	}
}

// behind starts a proxy with a configuration in which addresses take the place of
// those for examples.
func behind(t *testing.T, command func(folder, file string) (*exec.Cmd, error), config []byte, addresses map[string]string) {
	t.Helper()
	folder := t.TempDir()
	for example, real := range addresses {
		if !bytes.Contains(config, []byte(example)) {
			t.Fatalf("%s is not in the configuration", example)
		}
		config = bytes.ReplaceAll(config, []byte(example), []byte(real))
	}
	file := filepath.Join(folder, "schakel-relay.conf")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := command(folder, file)
	if err != nil {
		t.Fatal(err)
	}
	var said output
	c.Stderr, c.Stdout = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
}

// cluster is two relays on one Redis behind one address.
type cluster struct {
	t      *testing.T
	front  string
	redis  *redistest.Server
	nodes  [2]*process
	world  *relaytest.World // by the address of the proxy
	chain  *trusttest.Chain
	direct [2]*relaytest.World // past the proxy
}

// newCluster makes and starts two relays. The first gets the genesis, and both the
// keys that init made for one.
func newCluster(t *testing.T) (c *cluster, from, to *relaytest.Device) {
	t.Helper()
	redistest.Need(t)
	server, err := redistest.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	c = &cluster{t: t, front: free(t), redis: server}
	program := build(t, "../schakel-relay")
	for i := range c.nodes {
		c.nodes[i] = &process{t: t, program: program, data: filepath.Join(t.TempDir(), "data"), listen: free(t), admin: free(t)}
		c.configure(c.nodes[i], server)
	}
	first, second := c.nodes[0], c.nodes[1]
	first.must("init", "--listen", c.front, "--id", trusttest.RelayID)
	c.chain = trusttest.New(time.Now())
	c.chain.Relay = first.public()
	entry, err := c.chain.Relay.Sign(c.chain.Register().Next(c.chain.Relay.Subject()), c.chain.Quorum()...)
	if err != nil {
		t.Fatal(err)
	}
	c.chain.Add(entry)
	if err := os.CopyFS(second.data, os.DirFS(first.data)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"tls.key", "receipt.key", "log.key"} {
		if err := os.Chmod(filepath.Join(second.data, key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.world = relaytest.At(t, c.chain)
	from = c.world.Device(c.chain.Enrol("vt20/crisis", identity.RoleVeiligThuis))
	to = c.world.Device(c.chain.Enrol("pol-mn/zeden", identity.RolePolitie))
	first.importAll(c.chain)
	for i, p := range c.nodes {
		p.start()
		t.Cleanup(func() { p.stop(syscall.SIGKILL) })
		c.direct[i] = relaytest.At(t, c.chain)
		c.direct[i].URL = "wss://" + p.listen
	}
	return c, from, to
}

func (c *cluster) configure(p *process, server *redistest.Server) {
	c.t.Helper()
	password, err := server.Config().Password()
	if err != nil {
		c.t.Fatal(err)
	}
	file := filepath.Join(p.data, "..", "password")
	toml := fmt.Sprintf("listen = %q\nstore = \"redis\"\nredis-address = %q\nredis-password-file = %q\nredis-admin-password-file = %q\n",
		p.listen, server.Address, file, file)
	err = errors.Join(os.WriteFile(file, []byte(password), 0o600),
		os.WriteFile(filepath.Join(p.data, "..", "relay.toml"), []byte(toml), 0o600))
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) addresses() map[string]string {
	return map[string]string{
		"192.0.2.10:8443": c.front, "192.0.2.11:8443": c.nodes[0].listen, "192.0.2.12:8443": c.nodes[1].listen,
	}
}

// sessions is how many devices each node has.
func (c *cluster) sessions() [2]string {
	return [2]string{c.nodes[0].metric("schakel_relay_sessions"), c.nodes[1].metric("schakel_relay_sessions")}
}

// TestBehindAProxy has two relays behind each proxy, with the shipped configuration.
func TestBehindAProxy(t *testing.T) {
	needProxies(t)
	for name, proxy := range proxies {
		t.Run(name, func(t *testing.T) {
			c, from, to := newCluster(t)
			behind(t, proxy.command, proxy.shipped, c.addresses())
			c.reachable(from)
			c.twoNodes(from, to)
			c.imports()
			c.rolling(from, to)
		})
	}
}

func (c *cluster) reachable(d *relaytest.Device) {
	c.t.Helper()
	eventually(c.t, "a device gets in through the proxy", func() bool {
		conn, err := enter(c.t.Context(), c.world, d.Device)
		if err == nil {
			_ = conn.CloseNow()
		}
		return err == nil
	})
	eventually(c.t, "it is gone", func() bool { return c.sessions() == [2]string{"0", "0"} })
}

// twoNodes: what stands or happens at one node is at the other at once.
func (c *cluster) twoNodes(from, to *relaytest.Device) {
	t := c.t
	t.Helper()
	epochs(t, to, c.world)
	eventually(t, "it is gone", func() bool { return c.sessions() == [2]string{"0", "0"} })
	here, there := from.Login(), to.Login()
	eventually(t, "each is at a node of its own", func() bool {
		apart := within(2*time.Second, func() bool { return c.sessions() == [2]string{"1", "1"} })
		if !apart { // to the proxy a connection of before may not have been gone
			there.Close()
			there = to.Login()
		}
		return apart
	})
	there.Send(wire.Credit{Messages: 1 << 20, Bytes: 1 << 30})
	raw, _ := from.Envelope(to)
	here.Send(wire.Put{Envelope: raw})
	relaytest.Expect[wire.Stored](here)
	if got := relaytest.Expect[wire.Deliver](there); string(got.Envelope) != string(raw) {
		t.Error("the other node delivers other bytes")
	} else {
		there.Send(wire.Ack{Position: got.Position})
	}
	for _, node := range c.direct { // the newer session is here, then there
		next := to.Device
		newer := node.Device(next).Login()
		if code := there.ExpectClose(); code != wire.CloseEvicted {
			t.Errorf("the older session ended with %v", code)
		}
		there = newer
	}
	here.Close()
	there.Close()
	for i, p := range c.nodes {
		out, err := p.command("check").CombinedOutput()
		want := fmt.Sprintf("%s entries here, %[1]s shared", p.metric("schakel_relay_register_entries"))
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("check at node %d: %v: want %q\n%s", i, err, want, out)
		}
	}
}

// imports takes in entries on one machine, whose relay is stopped. They are at the
// other, which runs, at once.
func (c *cluster) imports() {
	c.t.Helper()
	size, err := strconv.Atoi(c.nodes[0].metric("schakel_relay_register_entries"))
	before := c.chain.Size()
	if err != nil {
		c.t.Fatal(err)
	}
	c.chain.AddDesk("om-mn/officier", identity.RoleOM)
	want := strconv.Itoa(size + int(c.chain.Size()-before))
	if code := c.nodes[1].stop(syscall.SIGTERM); code != 0 {
		c.t.Errorf("drained with exit code %d", code)
	}
	c.nodes[1].importAll(c.chain)
	eventually(c.t, "the other relay has it", func() bool {
		return c.nodes[0].metric("schakel_relay_register_entries") == want
	})
	c.nodes[1].start()
}

// rolling restarts one node after the other while devices send and receive. What was
// promised arrives, once, and the devices were told nothing.
func (c *cluster) rolling(from, to *relaytest.Device) {
	t := c.t
	t.Helper()
	stop := make(chan struct{})
	s := &sends{device: from, to: to, promised: map[envelope.ID]bool{}}
	r := &receives{device: to, got: map[envelope.ID]int{}}
	var devices sync.WaitGroup
	var sending sync.WaitGroup
	sending.Go(func() { s.run(t, c.world, stop) })
	ended := make(chan struct{})
	devices.Go(func() { r.run(t, c.world, ended) })
	for i, p := range c.nodes {
		before, got := s.count(), r.count()
		eventually(t, "envelopes go and arrive", func() bool { return s.count() > before+20 && r.count() > got+20 })
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("node %d drained with exit code %d:\n%s", i, code, p.log.String())
		}
		p.start()
	}
	before := s.count()
	eventually(t, "it goes on", func() bool { return s.count() > before+20 })
	close(stop)
	sending.Wait()
	eventually(t, "all that was promised arrives", func() bool { return r.has(s.promised) })
	close(ended)
	devices.Wait()
	t.Logf("%d promised, %d delivered, %d of them again; the sender logged in %d times, the recipient %d",
		len(s.promised), len(r.got), r.again, s.logins, r.logins)
	if s.logins < 2 && r.logins < 2 {
		t.Error("no device was at a node that was restarted")
	}
}

// sends is a device that offers again what has no receipt, wherever it gets in.
type sends struct {
	device, to *relaytest.Device
	logins     int

	mu       sync.Mutex // guards promised
	promised map[envelope.ID]bool
}

func (s *sends) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.promised)
}

func (s *sends) run(t *testing.T, w *relaytest.World, stop chan struct{}) {
	var raw []byte
	var id envelope.ID
	for {
		conn, err := enter(t.Context(), w, s.device.Device)
		if err != nil {
			if over(stop) {
				return
			}
			continue
		}
		s.logins++
		for {
			if raw == nil {
				if over(stop) {
					_ = conn.CloseNow()
					return
				}
				raw, id = s.device.Envelope(s.to)
			}
			if !promised(t.Context(), conn, raw, id) {
				break // offered again at the next connection
			}
			s.mu.Lock()
			s.promised[id] = true
			s.mu.Unlock()
			raw = nil
		}
		_ = conn.CloseNow()
	}
}

// over reports whether c is closed, after a moment.
func over(c chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-time.After(5 * time.Millisecond):
		return false
	}
}

// receives is a device that keeps what it gets before it acknowledges, and so
// recognises what comes again.
type receives struct {
	device *relaytest.Device
	logins int

	mu    sync.Mutex // guards what follows
	got   map[envelope.ID]int
	again int
}

func (r *receives) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func (r *receives) has(all map[envelope.ID]bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range all {
		if r.got[id] == 0 {
			return false
		}
	}
	return true
}

func (r *receives) run(t *testing.T, w *relaytest.World, ended chan struct{}) {
	for !over(ended) {
		conn, err := enter(t.Context(), w, r.device.Device)
		if err != nil {
			continue
		}
		r.logins++
		hung := make(chan struct{})
		go func() { // what ends the test ends the connection
			defer close(hung)
			for !over(ended) && conn.Write(t.Context(), wire.Credit{Messages: 1, Bytes: 1 << 16}) == nil {
			}
			_ = conn.CloseNow()
		}()
		for err == nil {
			var frames []wire.Frame
			if frames, err = conn.ReadFrames(t.Context()); err == nil {
				err = r.take(t, conn, frames)
			}
		}
		_ = conn.CloseNow()
		<-hung
	}
}

func (r *receives) take(t *testing.T, conn *wire.Conn, frames []wire.Frame) error {
	for _, f := range frames {
		d, ok := f.(wire.Deliver)
		if !ok {
			continue
		}
		e, err := envelope.Parse(d.Envelope)
		if err != nil {
			return err
		}
		r.mu.Lock()
		if r.got[e.Header.ID]++; r.got[e.Header.ID] > 1 {
			r.again++
		}
		r.mu.Unlock()
		if err := conn.Write(t.Context(), wire.Ack{Position: d.Position}); err != nil {
			return err
		}
	}
	return nil
}

// TestProxyThatEndsTLSIsRefused is the control: a proxy that has even the relay's own
// key and speaks TLS with both sides cannot carry a login.
func TestProxyThatEndsTLSIsRefused(t *testing.T) {
	needProxies(t)
	p, from, _, w := newProcess(t)
	p.start()
	from.Login().Close() // past the proxy it gets in
	front := free(t)
	behind(t, nginx, []byte(fmt.Sprintf(`stream { server { listen FRONT ssl; ssl_protocols TLSv1.3; ssl_certificate %s; ssl_certificate_key %s;
		proxy_pass RELAY; proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_timeout 90s; } }`,
		filepath.Join(p.data, "tls.crt"), filepath.Join(p.data, "tls.key"))), map[string]string{"FRONT": front, "RELAY": p.listen})
	w.URL = "wss://" + front
	var conn *wire.Conn
	eventually(t, "the proxy is there", func() bool {
		var err error
		conn, err = wire.Dial(t.Context(), w.URL, w.TLS())
		return err == nil
	})
	s := relaytest.Attend(t, conn)
	s.Send(from.Token(relaytest.Expect[wire.Challenge](s), conn.Binding()))
	if code := s.ExpectClose(); code != wire.CloseLogin {
		t.Errorf("a login through a proxy that ends TLS: %v", code)
	}
	eventually(t, "the binding is the reason", func() bool { return p.metric(`schakel_relay_logins_total{result="binding"}`) == "1" })
}
