//go:build linux

package system_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"schakel/crypto/identity"
)

// lines give each desk a line of its own to the relay, on which Toxiproxy makes trouble.
type lines struct {
	t   testing.TB
	api string // where that program is told what to do

	far    map[identity.DeskID]string        // where the line of a desk begins
	calls  map[identity.DeskID]*atomic.Int64 // connections of each desk
	single atomic.Int64                      // reads of one byte, on all lines
}

// toxic is one kind of trouble, in one direction.
type toxic struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Attributes map[string]int64 `json:"attributes"`
}

const (
	up   = "upstream"   // from a desk to the relay
	down = "downstream" // from the relay to a desk
)

// toxiproxy is built from the module beside these tests.
var toxiproxy = sync.OnceValues(func() (string, error) {
	program := filepath.Join(workshop, "toxiproxy-server")
	cmd := exec.Command("go", "build", "-o", program, "github.com/Shopify/toxiproxy/v2/cmd/server")
	cmd.Dir = "toxiproxy"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

func needToxiproxy(t testing.TB) string {
	t.Helper()
	program, err := toxiproxy()
	switch {
	case err == nil:
	case os.Getenv("SCHAKEL_TEST_NEED_TOXIPROXY") != "":
		t.Fatal("SCHAKEL_TEST_NEED_TOXIPROXY is set and Toxiproxy cannot be built: ", err)
	default:
		t.Skip("NOT TESTED: bad lines need Toxiproxy, which cannot be built here: ", err)
	}
	return program
}

// withLines puts lines between the desks and the relay. Nothing runs yet.
func (c *chain) withLines() *lines {
	c.t.Helper()
	program := needToxiproxy(c.t)
	l := &lines{t: c.t, api: must[string](c.t)(freeAddress()), far: map[identity.DeskID]string{}, calls: map[identity.DeskID]*atomic.Int64{}}
	host, port, _ := net.SplitHostPort(l.api)
	server := start(c.t, c.file("toxiproxy.log"), program, "-host", host, "-port", port, "-seed", "7")
	c.t.Cleanup(server.kill)
	if err := listening(server, l.api); err != nil {
		c.t.Fatal(err)
	}
	c.relays[0].listen = must[string](c.t)(freeAddress())
	for id := range c.desks {
		var made struct{ Listen string }
		if err := json.Unmarshal(l.ask(http.MethodPost, "/proxies", map[string]any{"name": id.Org(), "listen": "127.0.0.1:0",
			"upstream": c.relays[0].listen, "enabled": true}), &made); err != nil {
			c.t.Fatal(err)
		}
		l.far[id], l.calls[id] = made.Listen, new(atomic.Int64)
	}
	ln := must[net.Listener](c.t)(net.Listen("tcp", c.address))
	tap(c.t, ln, func(near net.Conn) (net.Conn, error) {
		id, err := c.caller(near)
		if err != nil {
			return nil, err
		}
		l.calls[id].Add(1)
		return net.Dial("tcp", l.far[id])
	}, l)
	return l
}

// Write looks at what one read on a line brought.
func (l *lines) Write(b []byte) (int, error) {
	if len(b) == 1 {
		l.single.Add(1)
	}
	return len(b), nil
}

// ask asks Toxiproxy for something and returns what it says.
func (l *lines) ask(method, path string, body any) []byte {
	l.t.Helper()
	raw := must[[]byte](l.t)(json.Marshal(body))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	req := must[*http.Request](l.t)(http.NewRequest(method, "http://"+l.api+path, bytes.NewReader(raw)))
	resp := must[*http.Response](l.t)(client.Do(req))
	defer resp.Body.Close()
	said := must[[]byte](l.t)(io.ReadAll(resp.Body))
	if resp.StatusCode/100 != 2 {
		l.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, said)
	}
	return said
}

// trouble makes the lines of some desks bad, also those that stand. The function it
// returns makes them good.
func (l *lines) trouble(kind string, streams []string, attributes map[string]int64, desks ...identity.DeskID) (heal func()) {
	l.t.Helper()
	var made []string
	for _, id := range desks {
		for _, stream := range streams {
			path := "/proxies/" + string(id.Org()) + "/toxics"
			l.ask(http.MethodPost, path, toxic{Name: kind + stream, Type: kind, Stream: stream, Attributes: attributes})
			made = append(made, path+"/"+kind+stream)
		}
	}
	return func() {
		l.t.Helper()
		for _, path := range made {
			l.ask(http.MethodDelete, path, nil)
		}
	}
}

// caller is the desk whose daemon made a connection: the other end of it is among the
// daemon's open files (proc(5)).
func (c *chain) caller(near net.Conn) (identity.DeskID, error) {
	sockets, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	inode := ""
	local, remote := hexPort(near.RemoteAddr()), hexPort(near.LocalAddr())
	for line := range strings.Lines(string(sockets)) {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[1], local) && strings.HasSuffix(f[2], remote) {
			inode = "socket:[" + f[9] + "]"
		}
	}
	programs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range programs {
		line, _ := os.ReadFile(path)
		args := strings.Split(string(line), "\x00")
		for id, d := range c.desks { // the homes are set before anything runs
			if slices.Contains(args, d.home) && hasOpen(filepath.Dir(path), inode) {
				return id, nil
			}
		}
	}
	return "", fmt.Errorf("nobody here has %q", inode)
}

func hexPort(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }

func hasOpen(process, file string) bool {
	open, _ := filepath.Glob(filepath.Join(process, "fd", "*"))
	return slices.ContainsFunc(open, func(path string) bool {
		at, err := os.Readlink(path)
		return err == nil && at == file
	})
}

// lost counts the sessions of some desks that ended.
func (c *chain) lost(desks ...identity.DeskID) (n int) {
	for _, id := range desks {
		log, _ := os.ReadFile(c.file(string(id.Org()) + ".log"))
		n += bytes.Count(log, []byte("session ended"))
	}
	return n
}

// connected waits until desks are.
func (l *load) connected(desks ...identity.DeskID) {
	l.t.Helper()
	for _, id := range desks {
		eventually(l.t, string(id)+" is connected", patience, func() bool {
			st, err := l.desks[id].client.Status(l.t.Context())
			return err == nil && st.Connected
		})
	}
}

// allArrive waits until everything that was promised so far is with the recipient.
func (l *load) allArrive(when string) time.Duration {
	l.t.Helper()
	began := time.Now()
	_, known, cases := l.promised()
	eventually(l.t, "all has arrived "+when, patience, func() bool { return l.arrived(cases, known) })
	return time.Since(began)
}
