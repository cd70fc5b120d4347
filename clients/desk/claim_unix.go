//go:build unix

package desk

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// claim takes the place of the daemon at path until the file that it returns is closed,
// or this process ends, however it does. The file stays: who removed it could let two in.
func claim(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to make the lock beside the socket: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%s: %w", path, ErrOtherDaemon)
	} else {
		err = fmt.Errorf("failed to take the lock beside the socket: %w", err)
	}
	return nil, errors.Join(err, f.Close())
}
