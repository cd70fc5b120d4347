package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// process is the real program on a data folder.
type process struct {
	t             *testing.T
	program, data string
	listen, admin string
	wrap          []string // what starts the program, such as a shell with limits
	running       *exec.Cmd
	log           output
}

// output is what a process says, readable while it runs.
type output struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

func (p *process) command(args ...string) *exec.Cmd {
	line := append(append(slices.Clone(p.wrap), p.program), append(args, "--data", p.data, "--admin", p.admin)...)
	c := exec.Command(line[0], line[1:]...)
	c.Env = []string{"SCHAKEL_RELAY_CONFIG=" + filepath.Join(p.data, "..", "relay.toml")}
	return c
}

func (p *process) must(args ...string) {
	p.t.Helper()
	if out, err := p.command(args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// start starts the relay and returns when it is ready.
func (p *process) start() (took time.Duration) {
	p.t.Helper()
	p.running = p.command("serve")
	p.running.Stderr = &p.log
	began := time.Now()
	if err := p.running.Start(); err != nil {
		p.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for time.Since(began) < relaytest.Patience {
		resp, err := client.Get("http://" + p.admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(began)
			}
		}
		<-time.After(5 * time.Millisecond)
	}
	p.t.Fatal("not ready:\n", p.log.String())
	return 0
}

// stop sends a signal and returns the exit code, -1 for death by the signal.
func (p *process) stop(s os.Signal) int {
	p.t.Helper()
	_ = p.running.Process.Signal(s)
	_ = p.running.Wait()
	return p.running.ProcessState.ExitCode()
}

// free finds a port below those that Linux gives to connections: a relay that is killed and
// started again must not find that some connection of this machine has got its port meanwhile.
func free(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// newProcess makes a relay with two devices in its register, not yet started.
func newProcess(t *testing.T) (p *process, from, to *relaytest.Device, w *relaytest.World) {
	t.Helper()
	p = &process{t: t, program: build(t, "../schakel-relay"), data: filepath.Join(t.TempDir(), "data"), listen: free(t), admin: free(t)}
	t.Cleanup(func() {
		if p.running != nil {
			p.stop(syscall.SIGKILL)
		}
	})
	if err := os.WriteFile(filepath.Join(p.data, "..", "relay.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("init", "--listen", p.listen, "--id", trusttest.RelayID)
	chain := trusttest.New(time.Now())
	chain.Relay = p.public()
	entry, err := chain.Relay.Sign(chain.Register().Next(chain.Relay.Subject()), chain.Quorum()...)
	if err != nil {
		t.Fatal(err)
	}
	chain.Add(entry)
	w = relaytest.At(t, chain)
	sender, recipient := chain.Enrol("vt20/crisis", identity.RoleVeiligThuis), chain.Enrol("pol-mn/zeden", identity.RolePolitie)
	from, to = w.Device(sender), w.Device(recipient)
	p.importAll(chain)
	return p, from, to, w
}

// importAll takes in what the root holders sign by file, and what devices sign
// through a log opened by the test: recipients come with epochs only.
func (p *process) importAll(chain *trusttest.Chain) {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "genesis.txt")
	writeEntries(p.t, path, chain)
	p.must("register", "import", path)
}

// writeEntries writes the file that root holders hand to a relay.
func writeEntries(t *testing.T, path string, chain *trusttest.Chain) {
	t.Helper()
	var entries [][]byte
	for _, e := range chain.Entries() {
		if chain.RecipientsOf(e) == nil {
			entries = append(entries, e)
		}
	}
	if err := os.WriteFile(path, trust.FormatEntries("test", entries), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *process) public() trust.Relay {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.data, "relay.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	var f struct {
		ID, URL, SPKI, Log string
		Receipt            identity.Key
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		p.t.Fatal(err)
	}
	pin, err := base64.StdEncoding.DecodeString(f.SPKI)
	if err != nil {
		p.t.Fatal(err)
	}
	log, err := trust.ParseLogKey(f.Log)
	if err != nil {
		p.t.Fatal(err)
	}
	return trust.Relay{ID: f.ID, URL: f.URL, TLS: trust.Hash(pin), Receipt: f.Receipt, Log: log}
}

// epochs publishes the epochs that a file cannot carry, as a device does.
func epochs(t *testing.T, d *relaytest.Device, w *relaytest.World) {
	t.Helper()
	s := d.Login()
	for _, e := range w.Entries() {
		b, err := trust.ParseEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		if epoch, ok := b.Body.(trust.Epochs); !ok || epoch.Device != d.ID {
			continue
		}
		code := wire.CodeUnavailable
		// A relay that shares its register waits until it knows all of it.
		for began := time.Now(); code == wire.CodeUnavailable && time.Since(began) < time.Minute; {
			s.Send(wire.Append{Entry: e, Recipients: w.RecipientsOf(e)})
			if code = relaytest.Expect[wire.Appended](s).Code; code == wire.CodeUnavailable {
				<-time.After(100 * time.Millisecond)
			}
		}
		if code != wire.CodeOK {
			t.Fatal(code)
		}
	}
	s.Close()
}

func TestSignalsAndSecondProcess(t *testing.T) {
	p, from, _, _ := newProcess(t)
	p.start()
	second := p.command("serve")
	if out, err := second.CombinedOutput(); second.ProcessState.ExitCode() != 6 {
		t.Errorf("a second process: %v\n%s", err, out)
	}
	if out, err := p.command("check").CombinedOutput(); err != nil || !strings.Contains(string(out), "ready") {
		t.Errorf("check: %v\n%s", err, out)
	}
	s := from.Login()
	_ = p.running.Process.Signal(syscall.SIGTERM)
	relaytest.Expect[wire.GoAway](s)
	if code := s.ExpectClose(); code != wire.CloseRestart {
		t.Errorf("closed with %v", code)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("drained with exit code %d:\n%s", code, p.log.String())
	}
}
