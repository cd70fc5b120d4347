//go:build linux

package system_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The memory of the relay and what is beside it, and of that alone: both do not fit.
const (
	groupMemory = 64 << 20
	ballast     = 60 << 20
)

// memoryGroup is a control group (cgroups(7)) whose processes have so much memory together.
type memoryGroup struct {
	t      testing.TB
	dir    string
	events string // the file that counts kills
}

// newMemoryGroup makes a group, or skips the test where nobody may.
func newMemoryGroup(t testing.TB) *memoryGroup {
	t.Helper()
	g, err := makeMemoryGroup(t)
	if err == nil {
		out, failed := g.command("true").CombinedOutput()
		if failed != nil {
			err = fmt.Errorf("%w: %s", failed, out)
		}
	}
	if err != nil {
		t.Skip("NOT TESTED: a bound on the relay's memory needs a control group of memory that may be made: ", err)
	}
	return g
}

func makeMemoryGroup(t testing.TB) (*memoryGroup, error) {
	parent, limit, events, err := groupOfMemory()
	if err != nil {
		return nil, err
	}
	const named = "schakel-test-"
	stale, _ := filepath.Glob(filepath.Join(parent, named+"*"))
	for _, dir := range stale { // of tests that were killed; those that are in use refuse
		_ = os.Remove(dir)
	}
	g := &memoryGroup{t: t, dir: filepath.Join(parent, fmt.Sprint(named, os.Getpid()))}
	g.events = filepath.Join(g.dir, events)
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if !within(patience, 10*time.Millisecond, func() bool { return os.Remove(g.dir) == nil }) {
			t.Error("the control group stays: ", g.dir)
		}
	})
	return g, os.WriteFile(filepath.Join(g.dir, limit), fmt.Append(nil, groupMemory), 0)
}

// groupOfMemory is where this process is in the tree of groups that bound memory, and what
// the files there are called, in the first and the second version of control groups.
func groupOfMemory() (dir, limit, events string, err error) {
	mine, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", "", "", err
	}
	for line := range strings.Lines(string(mine)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && f[1] == "memory" {
			return filepath.Join("/sys/fs/cgroup/memory", f[2]), "memory.limit_in_bytes", "memory.oom_control", nil
		}
	}
	const second = "/sys/fs/cgroup"
	if _, err := os.Stat(second + "/cgroup.controllers"); err != nil {
		return "", "", "", err
	}
	return second, "memory.max", "memory.events", nil
}

// first is the command line by which a program runs in the group, where it is the first
// that the kernel kills.
func (g *memoryGroup) first(program string, args ...string) (string, []string) {
	return "sh", append([]string{"-c", g.enter() + `echo 1000 > /proc/self/oom_score_adj && exec "$0" "$@"`, program}, args...)
}

func (g *memoryGroup) enter() string { return fmt.Sprintf("echo $$ > %s/cgroup.procs && ", g.dir) }

// command is a program beside it.
func (g *memoryGroup) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command("sh", append([]string{"-c", g.enter() + `exec "$0" "$@"`, program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// kills counts whom the kernel killed for the group's memory.
func (g *memoryGroup) kills() (n int) {
	g.t.Helper()
	for line := range strings.Lines(string(must[[]byte](g.t)(os.ReadFile(g.events)))) {
		if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}

// crowd puts a program beside the relay that takes nearly all memory. The function it
// returns ends it.
func (g *memoryGroup) crowd() (end func()) {
	g.t.Helper()
	cmd := g.command("dd", "if=/dev/zero", fmt.Sprint("bs=", ballast), "count=1")
	_, err := cmd.StdoutPipe() // which nobody reads: it stays as it is
	if err := errors.Join(err, cmd.Start()); err != nil {
		g.t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// Fault 7: the kernel kills the relay because memory is short, under load, at whatever
// instant that comes; systemd would start it again.
func TestKilledForItsMemory(t *testing.T) {
	g := newMemoryGroup(t)
	rounds := 2
	if *full {
		rounds = 20
	}
	c := newChain(t)
	c.programs.relay = must[programs](t)(plain()).relay // the race detector takes all that memory alone
	c.relays[0].group = g
	l := c.newLoad()
	l.begin()
	for range rounds {
		before, kills := l.accepted(), g.kills()
		eventually(t, "the senders go on", patience, func() bool { return l.accepted() >= before+40/slower })
		end := g.crowd()
		t.Cleanup(end)
		eventually(t, "the relay is killed", patience, func() bool { return l.relays[0].ended() != nil })
		end()
		if n := g.kills(); n <= kills { // the control: it did not end for another reason
			t.Errorf("the kernel has killed %d in the group, %d before", n, kills)
		}
		c.startRelay(l.relays[0])
	}
	l.stop()
	n, wrong := l.settle(patience)
	l.report(n, wrong)
	l.stated(patience)
}
