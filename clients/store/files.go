package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// attachmentsFolder holds the sealed files of attachments, as they travel. Nothing in a
// name or a file says what it is, and no file opens without its message.
const attachmentsFolder = "attachments"

// fileNames are random; anything else in the folder is not ours to touch.
const fileNameSize = 32

// NewFile makes an empty file for a sealed attachment, and returns its name.
func (s *Store) NewFile() (name string, f *os.File, err error) {
	b := make([]byte, fileNameSize/2)
	rand.Read(b)
	name = hex.EncodeToString(b)
	s.made.Store(name, true)
	if f, err = s.file(name, os.O_RDWR|os.O_CREATE|os.O_EXCL); err != nil {
		s.made.Delete(name)
	}
	return name, f, err
}

// OpenFile opens the file of an attachment to read it, or to go on writing it. It refuses
// with ErrNotFound where somebody took the file away.
func (s *Store) OpenFile(name string) (*os.File, error) {
	f, err := s.file(name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the file of an attachment", ErrNotFound)
	}
	return f, err
}

// file opens within the folder only, whatever name a row holds.
func (s *Store) file(name string, flag int) (*os.File, error) {
	dir := filepath.Join(s.dir, attachmentsFolder)
	if flag&os.O_CREATE != 0 {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("failed to make the folder of the attachments: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("failed to open the folder of the attachments: %w", err)
	}
	defer root.Close()
	f, err := root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open the file of an attachment: %w", err)
	}
	return f, nil
}

// DeleteFile takes the file of an attachment away, if it is there.
func (s *Store) DeleteFile(name string) error {
	s.made.Delete(name)
	root, err := os.OpenRoot(filepath.Join(s.dir, attachmentsFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to open the folder of the attachments: %w", err)
	}
	defer root.Close()
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to delete the file of an attachment: %w", err)
	}
	return nil
}

// loseFiles deletes what a committed transaction let go of. What cannot be deleted now is
// found by SweepFiles: the secret that opens it is gone already.
func (s *Store) loseFiles(names []string) {
	for _, name := range names {
		_ = s.DeleteFile(name)
	}
}

// SweepFiles deletes files that belong to nothing and were not written to since: what a
// crash left behind. kept names those that no message has yet; what this process makes
// stays as well.
func (s *Store) SweepFiles(tx *Tx, since time.Time, kept map[string]bool) error {
	rows, err := os.ReadDir(filepath.Join(s.dir, attachmentsFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to look at the folder of the attachments: %w", err)
	}
	named := map[string]bool{}
	if err := tx.each(`SELECT file FROM attachment WHERE file<>''`, nil, func(r row1) error { named[r.text(0)] = true; return nil }); err != nil {
		return err
	}
	for _, row := range rows {
		info, err := row.Info()
		_, made := s.made.Load(row.Name())
		if err != nil || named[row.Name()] || kept[row.Name()] || made || len(row.Name()) != fileNameSize || !info.ModTime().Before(since) {
			continue
		}
		tx.LoseFile(row.Name())
	}
	return nil
}
