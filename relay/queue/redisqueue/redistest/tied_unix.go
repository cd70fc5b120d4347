//go:build unix && !linux

package redistest

import "syscall"

// tied gives a server a process group of its own. This system cannot end it with
// its parent; Stop does.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
