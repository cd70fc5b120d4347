package redistest

import "syscall"

// tied gives a server a process group of its own and a death with its parent: a test
// that is killed leaves no server behind.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
