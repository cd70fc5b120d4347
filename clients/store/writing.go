package store

import (
	"bufio"
	"os"
)

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

// stretches is a file of which the disk has begun with what stands before begun.
type stretches struct {
	f         *os.File
	at, begun int64
}

func (s *stretches) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	if s.at += int64(n); s.at-s.begun >= writingStretch {
		beginWriting(s.f, s.begun, s.at-s.begun)
		s.begun = s.at
	}
	return n, err
}
