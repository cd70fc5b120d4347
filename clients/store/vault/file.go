package vault

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// readSmall reads a whole regular file, refusing more than maxWrapped bytes
// before it allocates for them.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("failed to open a key file: %w", err)
	}
	defer f.Close()
	return readLimited(f, path)
}

func readLimited(f *os.File, path string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxWrapped+1))
	if err != nil {
		return nil, fmt.Errorf("failed to read a key file: %w", err)
	}
	if len(b) > maxWrapped {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrWrapped, filepath.Base(path), maxWrapped)
	}
	return b, nil
}

// writeDurably writes a new file with mode 0600 so that after a crash it is there
// whole or not at all.
func writeDurably(path string, b []byte) error {
	tmp := path + ".new"
	if err := writeSynced(tmp, b); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("failed to write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("failed to write %s: %w", filepath.Base(path), err)
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // no such call there; names are durable by themselves
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("failed to open a folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("failed to make a folder durable: %w", err)
	}
	return nil
}
