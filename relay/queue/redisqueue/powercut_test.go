//go:build linux

package redisqueue_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"schakel/relay/queue/queuetest"
	"schakel/relay/queue/queuetest/disktest"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

var (
	cuts = flag.Int("cuts", 5, "how often the power is cut")
	seed = flag.Uint64("seed", 1, "of the moments at which the power is cut")
)

// machine is a computer that runs Redis: its disk, and a policy of fsync.
type machine struct {
	t      *testing.T
	disk   *disktest.Disk
	policy string
	random *rand.Rand
	after  *disktest.Disk // the last cut
	grew   int            // cuts in the middle of a rewrite of the file
}

func newMachine(t *testing.T, policy string) *machine {
	t.Helper()
	redistest.Need(t)
	t.Logf("seed %d", *seed)
	return &machine{t: t, disk: disktest.Ext4(t), policy: policy, random: rand.New(rand.NewPCG(*seed, 16))}
}

// config is that of the relay; a policy that can lose is only taken as volatile.
func (m *machine) config(s *redistest.Server) redisqueue.Config {
	c := s.Config()
	c.Volatile = m.policy != "always"
	return c
}

// cycle cuts the power once, while a process writes to a server that began empty,
// and says what was lost. Every other cut finds the server rewriting its file.
func (m *machine) cycle(rewriting bool) error {
	dir := m.disk.Path("redis")
	if err := os.Mkdir(dir, 0o700); err != nil {
		m.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := redistest.Start(dir, "appendfsync", m.policy)
	if err != nil {
		m.t.Fatal(err)
	}
	defer server.Kill()
	defer disktest.Kill(server.Process().Pid) // also what is rewriting the file
	mustOpen(m.t, m.config(server)).Close()   // loads the functions
	if err := m.disk.Sync(); err != nil {
		m.t.Fatal(err)
	}
	m.after = nil
	err = queuetest.PowerCut(queuetest.Backend{
		Open: openPatiently, Process: func(string) *exec.Cmd { return process(m.config(server)) },
	}, dir, m.random, func(int) (string, error) {
		if err := m.cut(server, rewriting); err != nil {
			return "", err
		}
		return m.after.Path("redis"), nil
	})
	if m.after == nil {
		log, _ := os.ReadFile(m.disk.Path("redis", "redis.log"))
		m.t.Fatalf("%v\n%s", err, log[max(0, len(log)-2000):])
	}
	m.after.Remove()
	return err
}

// cut freezes the server and with it all answers: its client may go on.
func (m *machine) cut(server *redistest.Server, rewriting bool) error {
	if rewriting {
		root := server.Root()
		defer root.Close()
		if err := root.BgRewriteAOF(m.t.Context()).Err(); err != nil {
			return err
		}
		<-time.After(time.Duration(m.random.IntN(30)) * time.Millisecond)
		if s := root.Info(m.t.Context(), "persistence").Val(); strings.Contains(s, "aof_rewrite_in_progress:1") {
			m.grew++
		}
	}
	err := disktest.Freeze(server.Process().Pid)
	if err != nil {
		return err
	}
	m.after, err = m.disk.Cut()
	return err
}

// powerCuts returns how often something that was answered was lost.
func (m *machine) powerCuts(rounds int) (lost int) {
	m.t.Helper()
	for n := range rounds {
		if err := m.cycle(n%2 == 1); err != nil {
			m.t.Logf("cut %d: %v", n+1, err)
			lost++
		}
	}
	m.t.Logf("appendfsync %s: %d of %d power cuts lost something; %d in the middle of a rewrite", m.policy, lost, rounds, m.grew)
	return lost
}

// Faults 16 and 23: what was answered is there after a power cut, also in the
// middle of a rewrite of the file.
func TestPowerCut(t *testing.T) {
	if newMachine(t, "always").powerCuts(*cuts) > 0 {
		t.Error("Redis lost what it had answered")
	}
}

// sooner reports whether a control fails as it must, sooner or later: a single cut may come just
// after the disk had all.
func sooner(fails func() bool) bool {
	for range 10 {
		if fails() {
			return true
		}
	}
	return false
}

// Fault 17, the controls: with the settings that the relay refuses, answered
// envelopes are gone.
func TestPowerCutNoticesUnsynced(t *testing.T) {
	for _, policy := range []string{"everysec", "no"} {
		t.Run(policy, func(t *testing.T) {
			m := newMachine(t, policy)
			if !sooner(func() bool { return m.powerCuts(max(2, *cuts/10)) > 0 }) {
				t.Error("nothing was lost: the test is blind")
			}
		})
	}
}
