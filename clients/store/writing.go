package store

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
)

// spare is the room that a transaction must find: the largest one writes what a relay sends
// at once, 8 MiB, as it came and as rows, and folding the log needs as much once more.
const spare = 32 << 20

// roomFor refuses with ErrFull where a disk has less room than so much. A disk that does not say
// is written to until it refuses.
func roomFor(folder string, least uint64) error {
	free, err := Free(folder)
	if err == nil && free < least {
		return fmt.Errorf("%w: %d MB are free, %d MB must be", ErrFull, free/1e6, least/1e6)
	}
	return nil
}

// Writing writes to the file of an attachment in pieces of one size, however its bytes come,
// and has the disk begin with each stretch while the next comes: so a Sync at the end has
// little left to wait for.
type Writing struct {
	*bufio.Writer
}

const (
	writingPiece   = 256 << 10
	writingStretch = 1 << 20
)

// NewWriting writes to f from an offset on, where f stands. What was written is in the file
// after Flush, and survives a power cut after f.Sync.
func NewWriting(f *os.File, at int64) *Writing {
	return &Writing{bufio.NewWriterSize(&stretches{f: f, at: at, begun: at}, writingPiece)}
}

// NewWriting is that for a file that NewFile or OpenFile gave. It refuses with ErrFull what would
// leave less room than so many bytes on their disk: a file may not keep messages out.
func (s *Store) NewWriting(f *os.File, at int64, leave uint64) *Writing {
	to := &stretches{f: f, at: at, begun: at, folder: s.filesFolder(), leave: leave}
	return &Writing{bufio.NewWriterSize(to, writingPiece)}
}

// RoomForFiles refuses with ErrFull where NewWriting would refuse the first that is written.
func (s *Store) RoomForFiles(leave uint64) error {
	if leave == 0 {
		return nil
	}
	return roomFor(s.filesFolder(), leave+writingPiece)
}

func (s *Store) filesFolder() string { return filepath.Join(s.dir, attachmentsFolder) }

// stretches is a file of which the disk has begun with what stands before begun.
type stretches struct {
	f         *os.File
	at, begun int64
	folder    string // where it is, of which so much must stay free
	leave     uint64 // 0: nothing
}

func (s *stretches) Write(p []byte) (int, error) {
	if s.leave > 0 {
		if err := roomFor(s.folder, s.leave+uint64(len(p))); err != nil {
			return 0, err
		}
	}
	n, err := s.f.Write(p)
	if s.at += int64(n); s.at-s.begun >= writingStretch {
		beginWriting(s.f, s.begun, s.at-s.begun)
		s.begun = s.at
	}
	return n, err
}
