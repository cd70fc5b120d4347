//go:build unix

package store

import (
	"fmt"
	"syscall"
)

// Free is how much room an ordinary user has on the disk of a folder.
func Free(folder string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, fmt.Errorf("failed to ask the disk for its room: %w", err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
