//go:build linux

package system_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxResident bounds the memory of a process, in KiB. The race detector multiplies
// memory by five to ten.
func maxResident() int {
	return slower * 256 << 10
}

// A desk is away while thousands of messages come for it, the relay restarts, the
// desk comes back: all there, once, in order, and neither the relay nor the desk
// needs memory for all of it at once.
func TestBacklog(t *testing.T) { onEachStore(t, backlog) }

func backlog(t *testing.T, c *chain) {
	count := 1000 / slower
	if *full {
		count = 10_000
	}
	l := c.newLoad()
	l.to.daemon.kill()
	began := time.Now()
	l.sendEach(count / len(l.senders))
	took := time.Since(began)
	t.Logf("%d sent in %s, %.0f a second", count, took.Round(time.Millisecond), float64(count)/took.Seconds())
	l.atRelay()
	t.Logf("all at the relay after %s", time.Since(began).Round(time.Millisecond))
	l.boundedRelays("took them")
	l.stopRelays()
	l.startRelays()
	began = time.Now()
	l.startDesk(piket)
	n, wrong := l.settle(5 * patience)
	took = time.Since(began)
	l.report(n, wrong)
	if n.accepted != count {
		t.Errorf("%d accepted, want %d", n.accepted, count)
	}
	t.Logf("%d fetched, verified and listed in %s, %.0f a second", n.listed, took.Round(time.Millisecond), float64(count)/took.Seconds())
	l.boundedRelays("handed them over")
	l.bounded("the recipient's daemon", l.to.daemon)
	l.stated(patience)
}

// sendEach has every sender send so many, as fast as it can.
func (l *load) sendEach(n int) {
	var sending sync.WaitGroup
	for _, s := range l.senders {
		sending.Go(func() {
			for range n {
				if err := s.send(l.t.Context()); err != nil {
					l.t.Errorf("%s: %v", s.desk, err)
					return
				}
			}
		})
	}
	sending.Wait()
}

func (l *load) boundedRelays(what string) {
	l.t.Helper()
	for _, r := range l.relays {
		l.bounded(r.name+" that "+what, r.process)
	}
}

// bounded demands that a process never had more resident memory than it may.
func (l *load) bounded(what string, p *process) {
	l.t.Helper()
	peak := must[int](l.t)(peakMemory(p.cmd.Process.Pid))
	l.t.Logf("%s: at most %d MiB resident", what, peak>>10)
	if peak > maxResident() {
		l.t.Errorf("%s had %d KiB resident, at most %d", what, peak, maxResident())
	}
}

// peakMemory is VmHWM in KiB (proc(5)).
func peakMemory(pid int) (kib int, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			_, err := fmt.Sscan(rest, &kib)
			return kib, err
		}
	}
	return 0, fmt.Errorf("no VmHWM of process %d", pid)
}

// Control: memory that a process really used is seen, also after it was given back.
func TestPeakMemorySeesMemory(t *testing.T) {
	before := must[int](t)(peakMemory(os.Getpid()))
	block := make([]byte, (before<<10)+(64<<20))
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	after := must[int](t)(peakMemory(os.Getpid()))
	if after < before+(64<<10) {
		t.Errorf("%d KiB before and %d after 64 MiB more", before, after)
	}
}
