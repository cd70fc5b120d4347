package browser_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/desk/web/webtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if one != nil {
		if err := one.end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := leaks(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// leaks finds what goes on when all has ended. It looks for half a second by itself, in which
// a connection that was just closed may not have had its turn yet.
func leaks() (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if err = goleak.Find(); err == nil {
			return nil
		}
	}
	return err
}

// needBrowser is set where the tests may not be skipped: see .ci/test.
const needBrowser = "SCHAKEL_TEST_NEED_BROWSER"

// job is what walk.mjs does.
type job struct {
	Name    string         `json:"name,omitempty"`
	Base    string         `json:"base"`
	Beside  []string       `json:"beside,omitempty"` // where the browser may ask beside the desk
	Visits  []visit        `json:"visits,omitempty"`
	Steps   []step         `json:"steps,omitempty"`
	Hand    string         `json:"hand,omitempty"` // mouse or keyboard
	Options map[string]any `json:"options,omitempty"`
	Cookies []cookie       `json:"cookies,omitempty"`

	Authenticator bool `json:"authenticator,omitempty"` // the browser has one for passkeys
	Derives       bool `json:"derives,omitempty"`       // which derives secrets (PRF)

	Said  bool                        `json:"said,omitempty"` // looks at what pages say, and at nothing else
	trees func(t *testing.T, tr tree) // hears what a page says to who does not see it
}

// visit is a page in one state, looked at in every way.
type visit struct {
	Name    string            `json:"name"`
	Path    string            `json:"path"`
	Status  int               `json:"status,omitempty"`
	Cookies []cookie          `json:"cookies,omitempty"`
	Steps   []step            `json:"steps,omitempty"` // from the page to the state
	Shows   []string          `json:"shows,omitempty"`
	Picture map[string]string `json:"picture,omitempty"`
	Again   bool              `json:"again,omitempty"` // the page was seen before, in another state

	route string // of the table, where it is not the path
	fails string // the route of the form that comes back, where it is another
	alone bool   // its session is for this visit only, and need not outlast its wrong PINs
}

// step is one thing that somebody does, or sees.
type step struct {
	Go      string   `json:"go,omitempty"`
	Use     string   `json:"use,omitempty"`   // a link or a button that leads to a page
	Type    []string `json:"type,omitempty"`  // where, and what
	Click   string   `json:"click,omitempty"` // what leads nowhere
	Press   string   `json:"press,omitempty"`
	Focus   string   `json:"focus,omitempty"`
	Say     string   `json:"say,omitempty"` // tells the test that it is here
	Back    bool     `json:"back,omitempty"`
	Status  int      `json:"status,omitempty"`
	Path    string   `json:"path,omitempty"` // where it leads
	Visible string   `json:"visible,omitempty"`
	Focused string   `json:"focused,omitempty"`
	Still   string   `json:"still,omitempty"` // it stands where it stood when it was looked at last
	Shows   string   `json:"shows,omitempty"`
	Hides   string   `json:"hides,omitempty"`
}

type cookie struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// finding is one thing that is wrong.
type finding struct {
	Name   string `json:"name"`
	What   string `json:"what"`
	Detail string `json:"detail"`
}

// chromium finds the browser and what drives it, or skips. The shell without windows of
// its own opens a page at a third of the work.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium-headless-shell")
	if err != nil {
		path, err = exec.LookPath("chromium")
	}
	if err == nil {
		_, err = exec.LookPath("node")
	}
	if err == nil {
		_, err = os.Stat("node_modules/axe-core")
	}
	if err != nil && os.Getenv(needBrowser) != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("no browser: %v; install Debian's chromium-headless-shell and Node, and run `npm ci` in cmd/schakel/browser, as `make test` does", err)
	}
	return path
}

// driven is a browser and what drives it.
type driven struct {
	cmd   *exec.Cmd
	home  string // a profile of its own, and nothing of ours
	in    io.WriteCloser
	lines *bufio.Scanner
	errs  bytes.Buffer
}

// one is the browser of all tests here, which come one after the other: to start one takes as
// long as a walk, and each walk has a window of its own. TestMain ends it.
var one *driven

// drive is the browser; who needs it first starts it.
func drive(t *testing.T) *driven {
	t.Helper()
	path := chromium(t)
	if one != nil {
		return one
	}
	home, err := os.MkdirTemp("", "schakel-browser-")
	ok(t, err)
	d := &driven{cmd: exec.Command("node", "walk.mjs", path), home: home}
	d.cmd.WaitDelay, d.cmd.Stderr = 10*time.Second, &d.errs
	d.cmd.Env = append(os.Environ(), "HOME="+home)
	d.in, err = d.cmd.StdinPipe()
	ok(t, err)
	out, err := d.cmd.StdoutPipe()
	ok(t, err)
	d.lines = bufio.NewScanner(out)
	d.lines.Buffer(nil, 8<<20)
	ok(t, d.cmd.Start())
	one = d
	return d
}

// end ends the browser, which ends with its input.
func (d *driven) end() error {
	one = nil
	_ = d.in.Close()
	stuck := time.AfterFunc(time.Minute, func() { _ = d.cmd.Process.Signal(os.Interrupt) })
	defer stuck.Stop()
	err := d.cmd.Wait()
	if err != nil {
		err = fmt.Errorf("the browser: %w\n%s", err, d.errs.String())
	}
	return errors.Join(err, os.RemoveAll(d.home))
}

// do does a job and returns what it found. said hears what the job says on its way.
func (d *driven) do(t *testing.T, j job, said func(string)) []finding {
	t.Helper()
	ok(t, json.NewEncoder(d.in).Encode(j))
	whole := false
	defer func() {
		for !whole && one == d && d.lines.Scan() { // said gave up: the next job must not read what this one found
			whole = bytes.HasPrefix(d.lines.Bytes(), []byte(`{"found":`))
		}
	}()
	for d.lines.Scan() {
		var line struct {
			Said  string     `json:"said"`
			Tree  *tree      `json:"tree"`
			Found *[]finding `json:"found"`
		}
		ok(t, json.Unmarshal(d.lines.Bytes(), &line))
		whole = line.Found != nil
		if line.Said != "" {
			said(line.Said)
		}
		if line.Tree != nil && j.trees != nil {
			j.trees(t, *line.Tree)
		}
		if line.Found != nil {
			return *line.Found
		}
	}
	t.Fatalf("the browser says no more: %v: %v", d.lines.Err(), d.end())
	return nil
}

// run does one job.
func run(t *testing.T, j job, said func(string)) []finding {
	t.Helper()
	return drive(t).do(t, j, said)
}

func report(t *testing.T, found []finding) {
	t.Helper()
	for _, f := range found {
		t.Errorf("%s: %s: %s", f.Name, f.What, f.Detail)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cookies are those of a signed-in browser.
func cookies(t *testing.T, b *webtest.Browser, base string) (out []cookie) {
	t.Helper()
	u, err := url.Parse(base)
	ok(t, err)
	for _, c := range b.Jar.Cookies(u) {
		out = append(out, cookie{c.Name, c.Value})
	}
	return out
}
