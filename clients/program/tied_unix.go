//go:build unix && !linux

package program

import "syscall"

// tied gives a child a process group of its own. This system cannot end it with
// its parent; Close does.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
