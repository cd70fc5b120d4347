//go:build linux

package system_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// chain is one relay and its desks, each a folder, and a process while it runs.
type chain struct {
	t       testing.TB
	dir     string
	address string // of the relay, as the register says
	programs
	relay *process
	redis *redistest.Server // where the mailboxes are, nil when in a file of the relay
	desks map[identity.DeskID]*device
}

// device is one desk's only device.
type device struct {
	desk   identity.DeskID
	home   string
	client *desk.Client
	daemon *process
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
	for _, m := range members {
		c.desks[m.desk] = &device{desk: m.desk, home: c.file("desks", string(m.desk.Org()))}
	}
	t.Cleanup(c.close)
	return c
}

func (c *chain) file(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// close ends what still runs, in any order, and looks for data races in all logs.
func (c *chain) close() {
	for _, d := range c.desks {
		d.kill()
	}
	c.relay.kill()
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
		c.t.Logf("the relay's last words: %s", tail(c.file("relay.log")))
	}
	_ = os.RemoveAll(c.dir)
}

// startRelay starts the relay and waits until it listens. While it was away, its port
// was free for anybody's connection to somewhere else: then it is started again.
func (c *chain) startRelay(more ...string) {
	c.t.Helper()
	args := append([]string{"serve", "--data", c.file("relay"), "--admin", "off", "--log-level", "debug"}, c.storeFlags()...)
	var err error
	for range 50 {
		c.relay = start(c.t, c.file("relay.log"), c.programs.relay, append(args, more...)...)
		if err = listening(c.relay, c.address); err == nil {
			return
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	c.t.Fatal(err)
}

func listens(t testing.TB, p *process, address string) {
	t.Helper()
	if err := listening(p, address); err != nil {
		t.Fatal(err)
	}
}

// listening waits until somebody listens, or says why the process will not.
func listening(p *process, address string) (err error) {
	there := within(patience, 10*time.Millisecond, func() bool {
		conn, failed := net.Dial("tcp", address)
		if failed == nil {
			return conn.Close() == nil
		}
		err = p.ended()
		return err != nil
	})
	if !there {
		return fmt.Errorf("%s does not listen within %s", p.log, patience)
	}
	return err
}

// startDesk starts a desk's daemon and waits until it answers.
func (c *chain) startDesk(id identity.DeskID) *device {
	c.t.Helper()
	d := c.desks[id]
	log := c.file(string(id.Org()) + ".log")
	d.daemon = start(c.t, log, c.schakel, "--home", d.home, "--log-level", "debug", "run")
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
