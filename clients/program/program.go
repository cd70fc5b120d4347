// Package program runs other programs of a chain on this machine, such as a relay
// and the daemons of desks, and leaves none of them behind.
//
//	p, err := program.Start(program.Config{Name: "relay", Path: path, Args: args, Dir: dir, Log: log})
//	defer p.Stop()
package program

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

// grace is how long a program gets to end by itself.
const grace = 10 * time.Second

// Config is what to run, and where.
type Config struct {
	Name string // for people
	Path string
	Args []string
	Dir  string
	Env  []string // nil: that of this process
	Log  string   // path of what it writes to its standard error, appended; for Start only
}

func (c Config) command(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.Env, c.Dir, tied()
	return cmd
}

// Program is one that runs until it is told to end.
type Program struct {
	Config
	cmd  *exec.Cmd
	done chan struct{}
	err  error // once done is closed
}

// Start runs a program in the background. Its own process group keeps Ctrl-C from
// reaching it past us; should this process die without a word, the kernel ends it
// (PR_SET_PDEATHSIG), so that nothing is left running whatever happens.
func Start(c Config) (*Program, error) {
	out, err := os.OpenFile(c.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to make a log: %w", err)
	}
	defer out.Close()
	p := &Program{Config: c, cmd: c.command(exec.Command(c.Path, c.Args...)), done: make(chan struct{})}
	p.cmd.Stderr = out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("failed to start %s: %w", c.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the number of its process.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Ended says why a program ended that should not have, or nil while it runs.
func (p *Program) Ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %w; it said: %s", p.Name, errors.Join(p.err), lastLine(p.Log))
	default:
		return nil
	}
}

// Stop asks a program to end, and ends it when it does not. One that was never
// started is nil, and has ended.
func (p *Program) Stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s", p.Name, grace)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w; it said: %s", p.Name, p.err, lastLine(p.Log))
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

// Run runs a program to its end and returns its standard output.
func Run(ctx context.Context, c Config) (string, error) {
	cmd := c.command(exec.CommandContext(ctx, c.Path, c.Args...))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("failed at `%s %s`: %w: %s", c.Path, strings.Join(c.Args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Until asks again and again until yes, an error, or the end of patience.
func Until(ctx context.Context, what string, patience time.Duration, yes func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(25 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := yes()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not happen: %w", what, ctx.Err())
		case <-again.C:
		}
	}
}
