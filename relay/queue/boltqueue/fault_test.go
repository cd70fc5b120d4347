package boltqueue_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"schakel/relay/queue"
	"schakel/relay/queue/queuetest"
)

// enough puts were answered to say that a process did not notice its fault.
const enough = 3000

// failing runs a command so that the calls of the disk named by inject fail (see
// strace(1), -e inject), and skips the test where strace cannot trace.
func failing(t *testing.T, inject string) func(*exec.Cmd) *exec.Cmd {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	if err := exec.Command(strace, "-f", "-o", "/dev/null", "true").Run(); err != nil {
		t.Skip("strace may not trace here:", err)
	}
	call, _, _ := strings.Cut(inject, ":")
	return func(command *exec.Cmd) *exec.Cmd {
		wrapped := exec.Command(strace, append([]string{"-f", "-o", "/dev/null",
			"-e", "trace=" + call, "-e", "inject=" + inject}, command.Args...)...)
		wrapped.Env = command.Env
		return wrapped
	}
}

// TestFaults fails one call of the disk, also when later ones would succeed: the
// process must end at it, having promised nothing that is not there.
func TestFaults(t *testing.T) {
	injected := []string{
		"fdatasync:error=EIO:when=1", "fdatasync:error=EIO:when=2", "fdatasync:error=EIO:when=3",
		"fdatasync:error=EIO:when=16", "fdatasync:error=EIO:when=25",
		"pwrite64:error=ENOSPC:when=1", "pwrite64:error=ENOSPC:when=6", "pwrite64:error=ENOSPC:when=77",
		"pwrite64:error=EIO:when=200",
	}
	for n := 1; *cuts > 50 && n <= 50; n++ { // make faults
		injected = append(injected, fmt.Sprint("fdatasync:error=EIO:when=", n), fmt.Sprint("pwrite64:error=ENOSPC:when=", 3*n))
	}
	for _, inject := range injected {
		t.Run(inject, func(t *testing.T) {
			dir := made(t)
			backend := queuetest.Backend{Open: open, Process: process("sound")}
			if err := queuetest.Fault(backend, dir, failing(t, inject), enough); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFaultNoticesUnsynced is the control: a store that never asks the disk
// cannot hear that it fails.
func TestFaultNoticesUnsynced(t *testing.T) {
	backend := queuetest.Backend{Open: open, Process: process("unsynced")}
	err := queuetest.Fault(backend, made(t), failing(t, "fdatasync:error=EIO"), enough)
	if err == nil {
		t.Fatal("a store without fsync passed")
	}
	t.Log(err)
}

// made returns a directory with an empty store.
func made(t *testing.T) string {
	dir := t.TempDir()
	makeStore(t, dir)
	return dir
}

func makeStore(t *testing.T, dir string) {
	t.Helper()
	store, err := open(dir, queue.Quota{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
