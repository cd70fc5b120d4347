package program

import "syscall"

// tied gives a child a process group of its own and a death with its parent.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
