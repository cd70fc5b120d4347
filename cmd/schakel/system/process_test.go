//go:build linux

package system_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that takes moments, on a busy machine and
// under the race detector.
const patience = 2 * time.Minute

// process is a program that runs in the background.
type process struct {
	cmd  *exec.Cmd
	log  string // path of what it writes to its standard error, appended
	done chan struct{}
	err  error // of its end, once done is closed
}

// start runs a program, or fails the test.
func start(t testing.TB, log, program string, args ...string) *process {
	t.Helper()
	p := &process{}
	if err := p.launch(log, program, args...); err != nil {
		t.Fatal(err)
	}
	return p
}

// launch runs a program. It dies with this test process, whatever happens.
func (p *process) launch(log, program string, args ...string) error {
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	p.cmd, p.log, p.done = exec.Command(program, args...), log, make(chan struct{})
	p.cmd.Stderr, p.cmd.Stdout, p.cmd.Env = out, out, environ()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// environ keeps settings of whoever runs the tests out of them.
func environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + workshop, "XDG_CONFIG_HOME=" + workshop,
		"SCHAKEL_COOLING_OFF=0s"} // chains that are minutes old
}

// kill ends the process in the middle of whatever it does.
func (p *process) kill() {
	if p != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// stop asks the process to end, and demands that it does so in good order.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%s did not end by itself", p.log)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w; it said: %s", p.log, p.err, tail(p.log))
	}
	return nil
}

// ended says why a process ended that should run, or nil.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %w; it said: %s", p.log, errors.Join(p.err), tail(p.log))
	default:
		return nil
	}
}

func tail(path string) string {
	b, _ := os.ReadFile(path)
	return string(b[max(0, len(b)-2000):])
}

// command runs a program to its end and returns what it printed and its exit code.
func command(ctx context.Context, program string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ(), &out, &errs
	err := cmd.Run()
	code = cmd.ProcessState.ExitCode()
	if err != nil && code <= 0 {
		fmt.Fprintf(&errs, "%v", err)
		code = -1
	}
	return strings.TrimSpace(out.String()), errs.String(), code
}

// eventually waits until cond says yes.
func eventually(t testing.TB, what string, limit time.Duration, cond func() bool) {
	t.Helper()
	if !within(limit, 10*time.Millisecond, cond) {
		t.Fatalf("never happened within %s: %s", limit, what)
	}
}

// within reports whether cond says yes before the limit, asking it every so often.
func within(limit, often time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(often)
	defer again.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			return false
		case <-again.C:
		}
	}
	return true
}
