package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginWriting has the disk begin with a stretch of a file, and does not wait. It promises
// nothing, so nothing is lost where it fails: Sync writes what was not.
func beginWriting(file *os.File, from, size int64) {
	_ = unix.SyncFileRange(int(file.Fd()), from, size, unix.SYNC_FILE_RANGE_WRITE)
}
