//go:build !unix

package store

import "errors"

// Free is how much room an ordinary user has on the disk of a folder.
func Free(string) (uint64, error) {
	return 0, errors.New("this program cannot ask the disk of this system for its room")
}
