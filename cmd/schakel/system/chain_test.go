//go:build linux

package system_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"schakel/clients/desk"
	"schakel/crypto/identity"
	"schakel/relay/queue/redisqueue/redistest"
)

// The desks of every chain here. The first is written to by the others, except the
// ministry and the shelter, between which no lane is.
const (
	piket  identity.DeskID = "knooppunt/piket"
	doctor identity.DeskID = "arts/praktijk"
	safe   identity.DeskID = "vt20/crisis"
	police identity.DeskID = "politie-mn/oc"
	om     identity.DeskID = "om-mn/officier"
	buza   identity.DeskID = "buza/consulair"
)

// members are how they enrol.
var members = []struct {
	desk identity.DeskID
	role identity.Role
	oin  string
}{
	{piket, identity.RoleKnooppunt, "00000099000000001000"},
	{doctor, identity.RoleSignaleerder, "00000099000000009000"},
	{safe, identity.RoleVeiligThuis, "00000099000000020000"},
	{police, identity.RolePolitie, "00000099000000003000"},
	{om, identity.RoleOM, "00000099000000004000"},
	{buza, identity.RoleBuza, "00000099000000005000"},
}

const (
	officer = "Fictieve Piketdienst" // the person of desk safe
	pin     = "123456"
)

// chain is its relays and its desks, each a folder, and a process while it runs.
type chain struct {
	t       testing.TB
	dir     string
	address string // of the relay, as the register says
	programs
	relays  []*relayNode      // one, or several behind a line
	redis   *redistest.Server // where the mailboxes are, nil when in a file of the relay
	redisAt string            // its address as relays see it, where that is another
	desks   map[identity.DeskID]*device

	relayFlags, deskFlags []string // beyond the usual ones
}

// device is one desk's only device.
type device struct {
	desk    identity.DeskID
	home    string
	client  *desk.Client
	daemon  *process
	network *network // where the daemon runs, nil where this test does
}

// template is the folder of a chain that has enrolled and never run a message, and
// the address of its relay.
var template = sync.OnceValues(enrol)

// newChain returns a copy of the template, with nothing running.
func newChain(t testing.TB) *chain {
	t.Helper()
	p := must[programs](t)(honest())
	address := must[string](t)(template())
	dir := must[string](t)(os.MkdirTemp(workshop, "c"))
	must[[]byte](t)(exec.Command("cp", "-a", filepath.Join(workshop, "template")+"/.", dir).CombinedOutput())
	c := &chain{t: t, dir: dir, address: address, programs: p, desks: map[identity.DeskID]*device{}}
	c.relays = []*relayNode{c.newRelay("relay", address)}
	for _, m := range members {
		c.desks[m.desk] = &device{desk: m.desk, home: c.file("desks", string(m.desk.Org()))}
	}
	t.Cleanup(c.close)
	return c
}

func (c *chain) file(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// kept is where a history goes: with -artifacts it is there after the test.
func (c *chain) kept(name string) string { return filepath.Join(c.t.ArtifactDir(), name) }

// close ends what still runs, in any order, and looks for data races in all logs.
func (c *chain) close() {
	for _, d := range c.desks {
		d.kill()
	}
	c.killRelays()
	logs, _ := filepath.Glob(c.file("*.log"))
	for _, path := range logs {
		b, _ := os.ReadFile(path)
		for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
			if i := strings.Index(string(b), bad); i >= 0 {
				c.t.Errorf("%s: %s", filepath.Base(path), b[i:min(len(b), i+4000)])
			}
		}
	}
	if c.t.Failed() {
		for _, r := range c.relays {
			c.t.Logf("the last words of %s: %s", r.name, tail(r.logged))
		}
	}
	_ = os.RemoveAll(c.dir)
}

// startDesk starts a desk's daemon and waits until it answers.
func (c *chain) startDesk(id identity.DeskID) *device {
	c.t.Helper()
	d := c.desks[id]
	log := c.file(string(id.Org()) + ".log")
	program, args := d.network.within(c.schakel, append([]string{"--home", d.home, "--log-level", "debug", "run"}, c.deskFlags...)...)
	d.daemon = start(c.t, log, program, args...)
	eventually(c.t, "the daemon of "+string(id)+" answers", patience, func() bool {
		client, err := desk.Dial(context.Background(), filepath.Join(d.home, "desk.sock"))
		if err == nil && d.client == nil {
			d.client = client // for the test's whole life: others use it while the daemon restarts
		} else if err == nil {
			_ = client.Close()
		} else if err := d.daemon.ended(); err != nil {
			c.t.Fatal(err)
		}
		return err == nil
	})
	return d
}

func (d *device) kill() {
	d.daemon.kill()
	if d.client != nil {
		_ = d.client.Close()
	}
}

// knows waits until a desk can seal to another.
func (c *chain) knows(from, to identity.DeskID) {
	c.t.Helper()
	eventually(c.t, string(from)+" knows "+string(to), patience, func() bool {
		desks, err := c.desks[from].client.Directory(context.Background())
		for _, d := range desks {
			if err == nil && d.ID == to && d.Reachable {
				return true
			}
		}
		return false
	})
}
