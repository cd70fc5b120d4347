//go:build linux

package system_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// relayNode is one relay of a chain.
type relayNode struct {
	*process // nil before its first start
	name     string
	home     string
	logged   string       // path of its log
	listen   string       // where it listens itself
	admin    string       // where it tells about itself, or "off"
	network  *network     // where it runs, nil where this test does
	group    *memoryGroup // which bounds its memory, or nil
}

func (c *chain) newRelay(name, listen string) *relayNode {
	return &relayNode{name: name, home: c.file(name), logged: c.file(name + ".log"), listen: listen, admin: "off"}
}

// addRelay sets up one more relay as the handbook says: the same keys, and the
// register from Redis.
func (c *chain) addRelay() {
	c.t.Helper()
	r := c.newRelay(fmt.Sprintf("relay-%d", len(c.relays)+1), "")
	if err := os.Mkdir(r.home, 0o700); err != nil {
		c.t.Fatal(err)
	}
	for _, name := range []string{"relay.json", "tls.key", "tls.crt", "receipt.key", "log.key"} {
		content := must[[]byte](c.t)(os.ReadFile(filepath.Join(c.relays[0].home, name)))
		if err := os.WriteFile(filepath.Join(r.home, name), content, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	c.relays = append(c.relays, r)
}

// tape is what passed on the line, where there is one.
func (c *chain) tape() string { return c.file("tape") }

// putBehindLine has the relays listen elsewhere, and a line at the address that
// devices know.
func (c *chain) putBehindLine() {
	c.t.Helper()
	var behind []string
	for _, r := range c.relays {
		r.listen = must[string](c.t)(freeAddress())
		behind = append(behind, r.listen)
	}
	tapLine(c.t, c.address, behind, c.tape())
}

func (c *chain) startRelays() {
	c.t.Helper()
	for _, r := range c.relays {
		c.startRelay(r)
	}
}

func (c *chain) killRelays() {
	for _, r := range c.relays {
		r.kill()
	}
}

// stopRelays ends them in good order.
func (c *chain) stopRelays() {
	c.t.Helper()
	for _, r := range c.relays {
		if err := r.stop(); err != nil {
			c.t.Error(err)
		}
	}
}

// startRelay starts a relay and waits until it listens. While it was away, its port
// was free for anybody's connection to somewhere else: then it is started again.
func (c *chain) startRelay(r *relayNode) {
	c.t.Helper()
	args := append([]string{"serve", "--data", r.home, "--listen", r.listen, "--admin", r.admin, "--log-level", "debug"}, append(c.storeFlags(), c.relayFlags...)...)
	var err error
	for range 50 {
		program, args := r.network.within(c.programs.relay, args...)
		if r.group != nil {
			program, args = r.group.first(program, args...)
		}
		r.process = start(c.t, r.logged, program, args...)
		if err = listening(r.process, r.listen); err == nil {
			return
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	c.t.Fatal(err)
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

// allVisited demands that devices logged in at every relay: otherwise what was shown
// was shown of one.
func (c *chain) allVisited() {
	c.t.Helper()
	for _, r := range c.relays {
		if log := must[[]byte](c.t)(os.ReadFile(r.logged)); !strings.Contains(string(log), "device logged in") {
			c.t.Errorf("no device came to %s", r.name)
		}
	}
}
