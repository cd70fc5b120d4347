//go:build unix

package page

import (
	"os/exec"
	"syscall"
)

// inGroup gives a hook a process group of its own, and has all of it killed: a shell
// that is killed alone leaves its curl behind.
func inGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
