package web_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel/schakeltest"
)

// More clients than the desk has connections for, in each run.
var slow = flag.Int("slow-clients", 700, "how many clients are slow, of each kind")

// crowding is an office with a worker, and clients that do it harm.
type crowding struct {
	*webtest.Office
	t      *testing.T
	worker *webtest.Browser
	hash   string
	conns  []net.Conn
}

func newCrowding(t *testing.T) *crowding {
	t.Helper()
	c := &crowding{Office: webtest.Open(t, webtest.Options{}), t: t}
	c.hash = c.Report(nil)
	c.worker = c.User("P. Iket", desk.RoleCaseWorker)
	c.worker.Transport.(*http.Transport).DisableKeepAlives = true // each page has to come in anew
	t.Cleanup(c.leave)
	return c
}

func (c *crowding) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// come opens connections that send something and then say no more.
func (c *crowding) come(says func(i int) string) {
	c.t.Helper()
	for i := range *slow {
		conn, err := (&net.Dialer{Timeout: 20 * time.Second}).DialContext(c.t.Context(), "tcp", strings.TrimPrefix(c.Base, "http://"))
		must(c.t, err)
		c.conns = append(c.conns, conn)
		_, _ = io.WriteString(conn, says(i)) // pushed out already: as it should be
	}
}

// works is a case worker who reads and signs meanwhile.
func (c *crowding) works(what string) {
	c.t.Helper()
	for range 3 {
		if a := c.worker.Get("/inbox"); a.Status != http.StatusOK {
			c.t.Errorf("%s: the inbox: %d", what, a.Status)
		}
	}
	if a := c.worker.Post("/messages/"+c.hash+"/acknowledgement", url.Values{"pin": {schakeltest.PIN}, "status": {"in-behandeling"}}); a.Status != http.StatusSeeOther {
		c.t.Errorf("%s: acknowledging: %d", what, a.Status)
	}
	c.hash = c.Report(nil)
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestSlowClients: clients that send nothing, half a head, or a form without its end do
// not keep a case worker out, take no memory that grows with their number, and are sent
// away. `make test` has 700 of each kind, more than the desk has connections for; with
// -args -slow-clients 2000 there are more.
func TestSlowClients(t *testing.T) {
	c := newCrowding(t)
	c.works("control")
	before := inUse()
	for what, says := range map[string]string{
		"nothing":         "",
		"half a head":     "GET /inbox HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
		"half a form":     "POST /language HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 400\r\n\r\nlanguage=",
		"a form for long": "POST /sign-in/passkey HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{",
	} {
		c.come(func(int) string { return says })
		c.works(what)
	}
	// 512 connections of at most some tens of KiB each, here with both of their ends.
	if grown := int64(inUse()) - int64(before); grown > 96<<20 {
		t.Errorf("%d MiB more for %d clients", grown>>20, len(c.conns))
	}
	last := c.conns[len(c.conns)-1]
	_ = last.SetReadDeadline(time.Now().Add(40 * time.Second))
	if _, err := io.Copy(io.Discard, last); err != nil {
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Error("a slow client is never sent away")
		}
	}
}

// TestStalledListeners: pages that listen for news, of somebody who is signed in: a few per
// session, of which the newest hears the news, and they stop nobody.
func TestStalledListeners(t *testing.T) {
	c := newCrowding(t)
	base, err := url.Parse(c.Base)
	must(t, err)
	cookie := c.worker.Jar.Cookies(base)[0]
	c.come(func(int) string {
		return fmt.Sprintf("GET /live HTTP/1.1\r\nHost: localhost\r\nCookie: %s=%s\r\nConnection: close\r\n\r\n", cookie.Name, cookie.Value)
	})
	c.works("stalled listeners")
	heard := make(chan string, len(c.conns))
	for _, conn := range c.conns {
		go func() {
			said, _ := io.ReadAll(conn)
			heard <- string(said)
		}()
	}
	replaced := 0
	for range len(c.conns) - 4 {
		if said := <-heard; strings.Contains(said, "event: elsewhere") {
			replaced++
		}
	}
	if replaced == 0 {
		t.Error("control: no page was told that a newer one has its place")
	}
	lines := bufio.NewScanner(c.listens())
	for lines.Scan() && lines.Text() != ": schakel" {
	}
	c.Report(nil)
	for lines.Scan() && lines.Text() != "data: received" {
	}
	if lines.Text() != "data: received" {
		t.Errorf("the newest page hears no news: %v", lines.Err())
	}
	c.worker.Post("/lock", nil)
	for range 4 {
		<-heard // those that were left
	}
}

// listens opens the stream of one more page.
func (c *crowding) listens() io.Reader {
	c.t.Helper()
	resp, err := c.worker.Do(request(c.t, http.MethodGet, c.Base+"/live", ""))
	must(c.t, err)
	c.t.Cleanup(func() { resp.Body.Close() })
	return resp.Body
}
