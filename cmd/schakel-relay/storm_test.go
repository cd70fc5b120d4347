package main_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

var full = flag.Bool("full", false, "as many devices as the promises speak of: 10 000")

// Liveness bounds, generous on purpose: what the run took is printed.
const (
	stormBound  = 3 * time.Minute
	drainBound  = 45 * time.Second // thirty are what the relay gives itself
	memoryBound = 64 << 10         // resident in the relay per idle TLS connection
)

// crowd is many devices, each with a real session and its own way of coming back.
type crowd struct {
	world *relaytest.World
	up    atomic.Int64 // sessions that have got their Ready
	tries atomic.Int64
	told  atomic.Int64 // sessions that ended with the word that the relay restarts
	pause func(attempt int) time.Duration
	group sync.WaitGroup
}

// jittered waits as clients/schakel does: full jitter over a window that doubles.
func jittered(attempt int) time.Duration {
	window := min(250*time.Millisecond<<min(attempt, 6), 15*time.Second)
	return time.Duration(mathrand.Int64N(int64(window)))
}

// atOnce is the hostile crowd of fault 69: nobody listens to the relay, and all try again
// in step. Ten thousand do so every second; more often, and making their handshakes
// leaves the relay no processor on a machine that both share (decision 0095).
func atOnce(int) time.Duration {
	if *full {
		return time.Second
	}
	return 10 * time.Millisecond
}

// enrolCrowd adds n devices to a desk. They have a key to log in with and nothing else.
func enrolCrowd(t *testing.T, chain *trusttest.Chain, desk trusttest.Device, n int) (devices []trusttest.Device) {
	t.Helper()
	for i := range n {
		d := trusttest.NewDevice(fmt.Sprint("storm ", i), desk.Desk, chain.Now)
		entry, err := d.Device.Sign(trust.First(), trusttest.OrgKey(desk.Desk.Org()), d.Sign, d.Login)
		if err != nil {
			t.Fatal(err)
		}
		chain.Add(entry)
		devices = append(devices, d)
	}
	return devices
}

func (c *crowd) come(ctx context.Context, devices []trusttest.Device) {
	for _, d := range devices {
		c.group.Go(func() { c.stay(ctx, d) })
	}
}

// stay keeps one device connected until ctx ends.
func (c *crowd) stay(ctx context.Context, d trusttest.Device) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		c.tries.Add(1)
		if conn, err := enter(ctx, c.world, d); err == nil {
			attempt = 0
			c.up.Add(1)
			for err == nil {
				_, err = conn.ReadFrames(ctx)
			}
			if code, _ := wire.CloseCodeOf(err); code == wire.CloseRestart {
				c.told.Add(1)
			}
			c.up.Add(-1)
			_ = conn.CloseNow()
		}
		select {
		case <-time.After(c.pause(attempt)):
		case <-ctx.Done():
		}
	}
}

// enter logs a device in. Unlike relaytest it takes every failure for an answer.
func enter(ctx context.Context, w *relaytest.World, d trusttest.Device) (conn *wire.Conn, err error) {
	limit, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if conn, err = wire.Dial(limit, w.URL, w.TLS()); err != nil {
		return nil, err
	}
	if err = login(limit, conn, d); err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	conn.SetReadLimit(wire.MaxMessage)
	return conn, nil
}

func login(ctx context.Context, conn *wire.Conn, d trusttest.Device) error {
	frames, err := conn.ReadFrames(ctx)
	if err != nil {
		return err
	}
	challenge, ok := frames[0].(wire.Challenge)
	if !ok {
		return wire.ErrFrame
	}
	token, err := wire.SignLogin(d.Login.Private, d.ID, challenge, conn.Binding(), time.Now(), rand.Reader)
	if err != nil {
		return err
	}
	if err = conn.Write(ctx, token); err != nil {
		return err
	}
	conn.SetReadLimit(wire.MaxMessage)
	if frames, err = conn.ReadFrames(ctx); err != nil {
		return err
	}
	if _, ok := frames[0].(wire.Ready); !ok {
		return wire.ErrFrame
	}
	return nil
}

func (c *crowd) reaches(t *testing.T, n int) time.Duration {
	t.Helper()
	began := time.Now()
	for c.up.Load() < int64(n) {
		if time.Since(began) > stormBound {
			t.Fatalf("%d of %d are in after %v, %d tries", c.up.Load(), n, stormBound, c.tries.Load())
		}
		<-time.After(5 * time.Millisecond)
	}
	return time.Since(began).Round(time.Millisecond)
}

// submitter offers one envelope after the other, each until it is promised, through
// every reconnect, and notes how long each took from its first offer.
type submitter struct {
	from, to *relaytest.Device
	world    *relaytest.World
	mu       sync.Mutex // guards took
	took     []time.Duration
}

func (s *submitter) run(ctx context.Context) {
	var conn *wire.Conn
	for ctx.Err() == nil {
		raw, id := s.from.Envelope(s.to)
		began := time.Now()
		for ctx.Err() == nil {
			var err error
			if conn == nil {
				conn, err = enter(ctx, s.world, s.from.Device)
			}
			if err == nil && promised(ctx, conn, raw, id) {
				s.note(time.Since(began))
				break
			}
			if conn != nil {
				_ = conn.CloseNow()
				conn = nil
			}
			<-time.After(jittered(0))
		}
		<-time.After(10 * time.Millisecond)
	}
	if conn != nil {
		_ = conn.CloseNow()
	}
}

func promised(ctx context.Context, conn *wire.Conn, raw []byte, id envelope.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if conn.Write(ctx, wire.Put{Envelope: raw}) != nil {
		return false
	}
	for {
		frames, err := conn.ReadFrames(ctx)
		if err != nil {
			return false
		}
		for _, f := range frames {
			if s, ok := f.(wire.Stored); ok && slices.ContainsFunc(s.Leaves, func(l custody.Leaf) bool { return l.ID == id }) {
				return true
			}
		}
	}
}

func (s *submitter) note(d time.Duration) {
	s.mu.Lock()
	s.took = append(s.took, d)
	s.mu.Unlock()
}

// since takes the times noted so far: how many, the median, the 99th percentile and the longest.
func (s *submitter) since() (n int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.took
	s.took = nil
	if len(took) == 0 {
		return 0, "none"
	}
	slices.Sort(took)
	return len(took), fmt.Sprintf("%d, p50 %v, p99 %v, longest %v", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}

// residentOf is what a process holds in memory, in bytes.
func residentOf(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(raw), &total, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

// metric reads one number of the running relay.
func (p *process) metric(name string) string {
	p.t.Helper()
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return value
		}
	}
	return "unknown"
}

// kernelTCP is the line of TCP in /proc/net/sockstat: its last number is pages.
func kernelTCP() string {
	raw, _ := os.ReadFile("/proc/net/sockstat")
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "TCP:") {
			return strings.TrimSpace(line)
		}
	}
	return "unknown"
}

// Faults 68 and 69: the relay is killed with everybody connected. Everybody comes
// back, with jitter as the SDK does and without, and envelopes are promised
// meanwhile.
func TestStorm(t *testing.T) {
	for name, pause := range map[string]func(int) time.Duration{"jitter": jittered, "at once": atOnce} {
		t.Run(name, func(t *testing.T) { storm(t, pause) })
	}
}

func storm(t *testing.T, pause func(int) time.Duration) {
	n := 300
	if *full {
		n = 10_000
	}
	p, from, to, w := newProcess(t)
	devices := enrolCrowd(t, w.Chain, from.Device, n)
	p.importAll(w.Chain)
	p.start()
	epochs(t, to, w)
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{world: w, pause: pause}
	s := &submitter{from: from, to: to, world: w}
	t.Cleanup(func() {
		cancel()
		c.group.Wait()
		p.stop(syscall.SIGKILL)
	})

	c.come(ctx, devices[:n/10])
	c.reaches(t, n/10)
	before := residentOf(t, p.running.Process.Pid)
	c.come(ctx, devices[n/10:])
	t.Logf("%d devices are in for the first time after %v", n, c.reaches(t, n))
	each := (residentOf(t, p.running.Process.Pid) - before) / int64(n-n/10)
	t.Logf("resident in the relay per idle connection: %d bytes; kernel, both ends: %s", each, kernelTCP())
	if *full && each > memoryBound {
		t.Errorf("%d bytes per idle connection, at most %d", each, memoryBound)
	}

	c.group.Go(func() { s.run(ctx) })
	firstPromise(t, s)
	tries := c.tries.Load()
	killed := time.Now()
	p.stop(syscall.SIGKILL)
	for c.up.Load() > 0 { // everybody has noticed
		<-time.After(time.Millisecond)
	}
	s.since()
	ready := p.start()
	c.reaches(t, n)
	took := time.Since(killed).Round(time.Millisecond)
	firstPromise(t, s)
	_, during := s.since()
	t.Logf("%d devices are back %v after the kill (relay ready after %v), %d tries; envelopes promised: %s",
		n, took, ready.Round(time.Millisecond), c.tries.Load()-tries, during)
	t.Logf("relay: %d MiB resident; shed %s", residentOf(t, p.running.Process.Pid)>>20, p.metric("schakel_relay_shed_total"))
	c.drained(t, p, s, n)
}

// Fault 14: a relay that is asked to end tells everybody so, ends by itself and in time, and
// what was on its way is promised by the next.
func (c *crowd) drained(t *testing.T, p *process, s *submitter, n int) {
	t.Helper()
	s.since()
	told, began := c.told.Load(), time.Now()
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(began).Round(time.Millisecond)
	if took > drainBound {
		t.Errorf("drained after %v", took)
	}
	for c.up.Load() > 0 {
		<-time.After(time.Millisecond)
	}
	if told = c.told.Load() - told; told < int64(n) {
		t.Errorf("%d of %d devices were told that the relay restarts", told, n)
	}
	p.start()
	c.reaches(t, n)
	firstPromise(t, s)
	t.Logf("%d devices were sent away in %v, and are back %v after the order", told, took, time.Since(began).Round(time.Millisecond))
}

// firstPromise waits until an envelope has been promised, or fails the test.
func firstPromise(t *testing.T, s *submitter) {
	t.Helper()
	deadline := time.Now().Add(stormBound)
	for {
		s.mu.Lock()
		n := len(s.took)
		s.mu.Unlock()
		if n > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no envelope is promised")
		}
		<-time.After(5 * time.Millisecond)
	}
}
