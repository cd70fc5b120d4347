package main_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// eventually waits for what other processes bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !within(2*relaytest.Patience, ok) {
		t.Fatal("not within time: ", what)
	}
}

func within(most time.Duration, ok func() bool) bool {
	for end := time.Now().Add(most); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// takes puts one envelope and waits for the promise.
func takes(t *testing.T, s *relaytest.Session, from, to *relaytest.Device) {
	t.Helper()
	raw, id := from.Envelope(to)
	s.Send(wire.Put{Envelope: raw})
	for _, l := range relaytest.Expect[wire.Stored](s).Leaves {
		if l.ID == id {
			return
		}
	}
	t.Fatal("another envelope is promised")
}

func (p *process) openFiles() int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.running.Process.Pid))
	if err != nil {
		p.t.Skip("no /proc: ", err)
	}
	return len(list)
}

// Fault 11: strangers take every file descriptor that the relay may have. Who is in
// stays in and is served, and when they let go others get in.
func TestFileDescriptorsRunOut(t *testing.T) {
	const most = 256
	p, from, to, w := newProcess(t)
	p.wrap = []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, most)}
	p.start()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	epochs(t, to, w)
	live := from.Login()
	takes(t, live, from, to)
	var strangers []net.Conn
	for range most + 50 {
		c, err := net.Dial("tcp", p.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		strangers = append(strangers, c)
	}
	// Control: they really have them all.
	eventually(t, "all file descriptors are taken", func() bool { return p.openFiles() >= most-1 })
	for range 20 {
		takes(t, live, from, to)
	}
	for _, c := range strangers {
		_ = c.Close()
	}
	eventually(t, "another device gets in", func() bool {
		c, err := enter(context.Background(), w, to.Device)
		if err == nil {
			_ = c.CloseNow()
		}
		return err == nil
	})
	takes(t, live, from, to)
}

// Fault 81: the certificate is renewed while devices are connected and send. New
// connections get the new one, nobody who is in notices, and a file that would not
// do changes nothing.
func TestCertificateRenewedUnderLoad(t *testing.T) {
	p, from, to, w := newProcess(t)
	p.start()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	epochs(t, to, w)
	live := from.Login()
	serial := func() string {
		c, err := tls.Dial("tcp", p.listen, w.TLS())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		takes(t, live, from, to)
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	path := filepath.Join(p.data, "tls.crt")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good[:len(good)/2], 0o600); err != nil { // half written
		t.Fatal(err)
	}
	eventually(t, "the half certificate is noticed", func() bool {
		if serial() != first {
			t.Fatal("another certificate")
		}
		return strings.Contains(p.log.String(), "the old one stays")
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.must("init", "--listen", p.listen) // a new certificate for the same key
	eventually(t, "the new certificate is served", func() bool { return serial() != first })
	if _, quiet := live.Quiet(0); !quiet {
		t.Error("who was connected noticed")
	}
}

// Fault 62: devices that take nothing of what waits for them. What each pins, in the
// relay and in the kernel, is bounded; the figures are printed.
func TestStalledPeers(t *testing.T) {
	const bound = 1 << 20 // generous: what waits is three times that
	n := 16
	if *full {
		n = envelope.MaxTargets
	}
	p, from, _, w := newProcess(t)
	var deaf []*relaytest.Device
	for range n {
		deaf = append(deaf, w.Device(w.Chain.Enrol("pol-mn/zeden", identity.RolePolitie)))
	}
	p.importAll(w.Chain)
	p.start()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	for _, d := range deaf {
		epochs(t, d, w)
	}
	s := from.Login()
	for range 200 { // 3 MB for each
		raw, _ := from.EnvelopeWith(func(*envelope.Header) {}, 16_000, deaf...)
		s.Send(wire.Put{Envelope: raw})
		relaytest.Expect[wire.Stored](s)
	}
	before := residentOf(t, p.running.Process.Pid)
	for _, d := range deaf {
		c, err := enter(context.Background(), w, d.Device)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if err := c.Write(context.Background(), wire.Credit{Messages: 1 << 20, Bytes: 1 << 30}); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing more goes out, though far more waits: the relay is stuck with each.
	last := ""
	eventually(t, "the relay writes no more", func() bool {
		<-time.After(300 * time.Millisecond)
		was := last
		last = p.metric("schakel_relay_deliveries_total")
		return last != "0" && last == was
	})
	takes(t, s, from, deaf[0])
	each := (residentOf(t, p.running.Process.Pid) - before) / int64(n)
	t.Logf("%d stalled peers, %s of %d deliveries written; resident in the relay for each: %d KiB; kernel, both ends: %s",
		n, last, 200*n, each>>10, kernelTCP())
	if each > bound {
		t.Errorf("%d bytes resident for each stalled peer", each)
	}
	if last == fmt.Sprint(200*n) {
		t.Error("all was written: nobody was stalled")
	}
}
