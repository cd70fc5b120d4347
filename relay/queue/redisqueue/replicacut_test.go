//go:build linux

package redisqueue_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"schakel/relay/queue/queuetest"
	"schakel/relay/queue/queuetest/disktest"
	"schakel/relay/queue/redisqueue/redistest"
)

// replicaCycle cuts the power of the replica's machine while a process writes to the
// primary, and says what was lost if the primary is gone for good.
func (m *machine) replicaCycle() error {
	dir := m.disk.Path("pair")
	defer os.RemoveAll(dir)
	pair, err := redistest.StartReplicas(dir, 1)
	if err != nil {
		m.t.Fatal(err)
	}
	defer pair.Stop()
	primary, replica := pair.Servers[0], pair.Servers[1]
	for _, server := range pair.Servers {
		defer disktest.Kill(server.Process().Pid)
	}
	m.prepare(replica)
	mustOpen(m.t, pair.Config()).Close() // loads the functions
	if err := m.disk.Sync(); err != nil {
		m.t.Fatal(err)
	}
	m.after = nil
	err = queuetest.PowerCut(queuetest.Backend{
		Open: openPatiently, Process: func(string) *exec.Cmd { return process(pair.Config()) },
	}, dir, m.random, func(int) (string, error) {
		// The replica first: what it did not confirm by then is not answered.
		if err := disktest.Freeze(replica.Process().Pid, primary.Process().Pid); err != nil {
			return "", err
		}
		if m.after, err = m.disk.Cut(); err != nil {
			return "", err
		}
		return m.after.Path("pair", "redis-1"), nil
	})
	if m.after == nil {
		m.t.Fatal(err)
	}
	m.after.Remove()
	return err
}

// prepare sets the policy of a replica, and waits until its first file is complete:
// before that it confirms what only its memory has.
func (m *machine) prepare(replica *redistest.Server) {
	m.t.Helper()
	root := replica.Root()
	defer root.Close()
	if err := root.ConfigSet(m.t.Context(), "appendfsync", m.policy).Err(); err != nil {
		m.t.Fatal(err)
	}
	within(m.t, 30*time.Second, "the replica's file is complete", func() bool {
		return strings.Contains(root.Info(m.t.Context(), "persistence").Val(), "aof_rewrite_in_progress:0")
	})
}

func (m *machine) replicaCuts(rounds int) (lost int) {
	m.t.Helper()
	for n := range rounds {
		if err := m.replicaCycle(); err != nil {
			m.t.Logf("cut %d: %v", n+1, err)
			lost++
		}
	}
	m.t.Logf("replica with appendfsync %s: %d of %d power cuts lost something", m.policy, lost, rounds)
	return lost
}

// What a replica confirmed is on its disk: it is there when the power of its machine
// fails at that moment, and the primary never comes back.
func TestPowerCutOfReplica(t *testing.T) {
	if newMachine(t, "always").replicaCuts(max(1, *cuts/4)) > 0 {
		t.Error("a replica lost what it had confirmed")
	}
}

// The control: a replica that writes to its disk once a second has confirmed what is
// gone.
func TestPowerCutOfReplicaNoticesUnsynced(t *testing.T) {
	m := newMachine(t, "everysec")
	if !sooner(func() bool { return m.replicaCuts(max(2, *cuts/10)) > 0 }) {
		t.Error("nothing was lost: the test is blind")
	}
}
