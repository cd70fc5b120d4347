package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// How long a process gets to answer after its start, on however busy a machine, and
// to end by itself.
const (
	readiness = time.Minute
	grace     = 10 * time.Second
)

// process is a program that runs until it is told to end.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // path of what it wrote to its standard error
	done chan struct{}
	err  error // once done is closed
}

// start runs a program in the background. Its own process group keeps Ctrl-C from
// reaching it past us; should this process die without a word, the kernel ends it
// (PR_SET_PDEATHSIG), so that nothing is left running whatever happens.
func (l *Local) start(name, program string, args ...string) (*process, error) {
	p := &process{name: name, log: l.file(strings.ReplaceAll(name, "/", "-") + ".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to make a log: %w", err)
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = l.environ(), l.dir, out
	p.cmd.SysProcAttr = tied()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("failed to start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ended says why a process ended that should not have, or nil while it runs.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %w; it said: %s", p.name, errors.Join(p.err), lastLine(p.log))
	default:
		return nil
	}
}

// stop asks a process to end, and ends it when it does not.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s", p.name, grace)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w; it said: %s", p.name, p.err, lastLine(p.log))
	}
	return nil
}

func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "nothing"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// run runs one command to its end and returns its standard output.
func (l *Local) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = l.environ(), l.dir, &out, &errs
	cmd.SysProcAttr = tied()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("failed at `%s %s`: %w: %s", cmd.Args[0], strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
