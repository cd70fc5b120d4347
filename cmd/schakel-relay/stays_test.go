package main_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// neighbour dials from one of many addresses of this machine, as many peers would: the relay
// counts by address. All of 127.0.0.0/8 is this machine's on Linux; elsewhere it is one address.
func neighbour(ctx context.Context, address string) (net.Conn, error) {
	from := net.IPv4(127, 1, byte(rand.Uint32()), byte(1+rand.Uint32N(250)))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 5 * time.Second}
	if c, err := d.DialContext(ctx, "tcp", address); err == nil {
		return c, nil
	}
	d.LocalAddr = nil
	return d.DialContext(ctx, "tcp", address)
}

// visits are ways to come and to go. Each leaves nothing behind at the relay.
var visits = map[string]func(ctx context.Context, p *process, w *relaytest.World, d *relaytest.Device) error{
	"says nothing": func(ctx context.Context, p *process, _ *relaytest.World, _ *relaytest.Device) error {
		c, err := neighbour(ctx, p.listen)
		if err != nil {
			return err
		}
		return c.Close()
	},
	"half a handshake": func(ctx context.Context, p *process, _ *relaytest.World, _ *relaytest.Device) error {
		c, err := neighbour(ctx, p.listen)
		if err != nil {
			return err
		}
		_, _ = c.Write([]byte{22, 3, 1, 2, 0})
		return c.Close()
	},
	"half a request": func(ctx context.Context, p *process, w *relaytest.World, _ *relaytest.Device) error {
		raw, err := neighbour(ctx, p.listen)
		if err != nil {
			return err
		}
		c := tls.Client(raw, w.TLS())
		_, _ = c.Write([]byte("GET " + wire.ConnectPath + " HT"))
		return raw.Close()
	},
	"no login": func(ctx context.Context, _ *process, w *relaytest.World, _ *relaytest.Device) error {
		c, err := wire.Dial(ctx, w.URL, w.TLS())
		if err != nil {
			return err
		}
		return c.CloseNow()
	},
	"a session": func(ctx context.Context, _ *process, w *relaytest.World, d *relaytest.Device) error {
		c, err := enter(ctx, w, d.Device)
		if err != nil {
			return err
		}
		_ = c.Write(ctx, wire.Credit{Messages: 100, Bytes: 1 << 20})
		return c.CloseNow()
	},
}

// goroutines is how many the relay has.
func (p *process) goroutines() int {
	p.t.Helper()
	n, err := strconv.Atoi(p.metric("go_goroutines"))
	if err != nil {
		p.t.Fatal("the relay does not say how many goroutines it has: ", err)
	}
	return n
}

// Fault 10: very many connections come and go, in every way, and as many goroutines and
// files are there as before. Control: while some stay, there are more.
func TestNothingStaysOfConnections(t *testing.T) {
	n := 400
	if *full {
		n = 100_000
	}
	p, from, to, w := newProcess(t)
	p.start()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	epochs(t, to, w)
	visitAll(t, p, w, from, 50) // what is made once is made
	goroutines, files := p.quiet()
	came := visitAll(t, p, w, from, n)
	eventually(t, "as many goroutines and files as before", func() bool { return p.goroutines() <= goroutines && p.openFiles() <= files })
	t.Logf("%v connections came and went; %d goroutines and %d files before, %d and %d after", came, goroutines, files, p.goroutines(), p.openFiles())

	stays, err := enter(t.Context(), w, from.Device)
	if err != nil {
		t.Fatal(err)
	}
	defer stays.CloseNow()
	eventually(t, "one that stays is noticed", func() bool { return p.goroutines() > goroutines && p.openFiles() > files })
}

// quiet waits until the relay has as many goroutines and files as half a second before, and at
// each look in between: one that still ends would hide one that stays.
func (p *process) quiet() (goroutines, files int) {
	p.t.Helper()
	same := 0
	eventually(p.t, "all is quiet", func() bool {
		was, had := goroutines, files
		goroutines, files = p.goroutines(), p.openFiles()
		if same++; was != goroutines || had != files {
			same = 0
		}
		return same >= 25
	})
	return goroutines, files
}

// visitAll has so many visits, of all kinds, and returns how many of each were.
func visitAll(t *testing.T, p *process, w *relaytest.World, d *relaytest.Device, n int) map[string]int {
	t.Helper()
	came := make(map[string]int)
	var mu sync.Mutex // guards came
	for kind, visit := range visits {
		var left atomic.Int64
		left.Store(int64(n / len(visits)))
		var visitors sync.WaitGroup
		for range 4 {
			visitors.Go(func() {
				for left.Add(-1) >= 0 {
					ctx, cancel := context.WithTimeout(context.Background(), relaytest.Patience)
					err := visit(ctx, p, w, d)
					cancel()
					mu.Lock()
					if err == nil {
						came[kind]++
					}
					mu.Unlock()
				}
			})
		}
		visitors.Wait()
		if came[kind] == 0 {
			t.Errorf("%s: no visit of %d succeeded", kind, n/len(visits))
		}
	}
	return came
}

// stalls are peers that begin and do not go on, for faults 66 and 67.
var stalls = map[string]func(ctx context.Context, c net.Conn, w *relaytest.World){
	"no handshake": func(context.Context, net.Conn, *relaytest.World) {},
	"a byte per second of the request": func(ctx context.Context, c net.Conn, w *relaytest.World) {
		s := tls.Client(c, w.TLS())
		request := "GET " + wire.ConnectPath + " HTTP/1.1\r\nHost: relay\r\nX-Slow: " + fmt.Sprintf("%0200d", 0)
		for i := range request {
			if _, err := s.Write([]byte{request[i]}); err != nil {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	},
}

// Faults 66 and 67: very many peers begin a handshake or a request and do not go on. Who is in
// is served, others get in, and all of them are cut. Control: they really are there at once.
func TestManyThatDoNotGoOn(t *testing.T) {
	n := 100
	if *full {
		n = 2000
	}
	for name, stall := range stalls {
		t.Run(name, func(t *testing.T) { doNotGoOn(t, n, stall) })
	}
}

func doNotGoOn(t *testing.T, n int, stall func(context.Context, net.Conn, *relaytest.World)) {
	p, from, to, w := newProcess(t)
	p.start()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	epochs(t, to, w)
	live := from.Login()
	files := p.openFiles()
	ctx, cancel := context.WithCancel(context.Background())
	var peers sync.WaitGroup
	defer func() { cancel(); peers.Wait() }()
	var gone atomic.Int64
	for range n {
		c, err := neighbour(ctx, p.listen)
		if err != nil {
			t.Fatal(err)
		}
		peers.Go(func() {
			stall(ctx, c, w)
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			for b := make([]byte, 100); ; {
				if _, err := c.Read(b); err != nil {
					break
				}
			}
			gone.Add(1)
			_ = c.Close()
		})
	}
	most := p.openFiles() - files
	takes(t, live, from, to)
	eventually(t, "another device gets in among them", func() bool {
		c, err := enter(ctx, w, to.Device)
		if err == nil {
			_ = c.CloseNow()
		}
		return err == nil
	})
	eventually(t, "all are cut", func() bool { most = max(most, p.openFiles()-files); return gone.Load() == int64(n) })
	eventually(t, "nothing stays of them", func() bool { return p.openFiles() <= files })
	t.Logf("%d peers, at most %d of them at once; resident afterwards %d MiB; turned away for lack of room: %s",
		n, most, residentOf(t, p.running.Process.Pid)>>20, p.metric("schakel_relay_shed_total"))
	if most < n/4 {
		t.Error("so few were there at once: the test is blind")
	}
}
