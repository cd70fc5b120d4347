package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// hook runs the operator's own program, for the gateway that nobody else has. It is
// told what a page says on standard input, and in its environment; it gets no
// arguments, and nothing of this program's environment.
type hook struct{ path, contact string }

var _ Notifier = hook{}

// hookPath is where a hook finds its commands.
const hookPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// hookGrace is how long the pipe of a killed hook may stay open.
const hookGrace = time.Second

// checkHook refuses a hook that could not run, at start rather than at night.
func checkHook(path string) error {
	if path == "" {
		return nil
	}
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%w: the hook must be an absolute path", ErrPoint)
	}
	found, err := os.Stat(path)
	if err != nil || !found.Mode().IsRegular() || found.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%w: the hook is not a program that can be run", ErrPoint)
	}
	if found.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: the hook can be written by others than its owner", ErrPoint)
	}
	return nil
}

// Notify runs the hook and waits for it; exit code 0 is success. At the deadline it
// is killed with everything that it started.
func (h hook) Notify(ctx context.Context, p Page) error {
	in, err := json.Marshal(struct {
		document
		Contact string `json:"contact"`
	}{p.document(), h.contact})
	if err != nil {
		return ErrPage
	}
	cmd := exec.CommandContext(ctx, h.path)
	cmd.Dir, cmd.Stdin, cmd.WaitDelay = "/", bytes.NewReader(append(in, '\n')), hookGrace
	cmd.Env = []string{hookPath, "SCHAKEL_PAGE_TIER=" + tierWords[p.Tier][1], "SCHAKEL_PAGE_REFERENCE=" + p.Reference,
		"SCHAKEL_PAGE_CONTACT=" + h.contact, fmt.Sprintf("SCHAKEL_PAGE_EXERCISE=%t", p.Exercise), fmt.Sprintf("SCHAKEL_PAGE_TEST=%t", p.Test),
		fmt.Sprintf("SCHAKEL_PAGE_WAITING=%d", p.waiting())}
	inGroup(cmd)
	err = cmd.Run()
	exited := new(exec.ExitError)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ErrDeadline
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exited):
		return ErrRefused
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it ended well, and something that it started has its pipe still
	}
	return ErrUnreachable
}
