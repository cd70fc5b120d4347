//go:build unix

package cli

import (
	"fmt"
	"os"
	"syscall"
)

// startOver becomes the same program anew (execve(2)): the kernel drops every page of
// this process and closes its files.
func startOver(args []string) error {
	path, err := os.Executable()
	if err == nil {
		err = syscall.Exec(path, append([]string{os.Args[0]}, args...), os.Environ())
	}
	return fmt.Errorf("locked, but the daemon could not start over and ends: %w", err)
}

// keepNoCore leaves no core file of a process that holds keys.
func keepNoCore() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // where it is refused, cores are somebody else's decision
}
