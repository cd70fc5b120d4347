package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"schakel/clients/schakel"
)

// ReadSeen reads what the relay of a demonstration in dir saw, oldest first: one
// line per envelope that it took.
func ReadSeen(dir string) ([]schakel.Seen, error) {
	f, err := os.Open(filepath.Join(dir, "relay", "demo-seen.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to open what the relay saw: %w", err)
	}
	defer f.Close()
	var all []schakel.Seen
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var s schakel.Seen
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("failed to read what the relay saw: %w", err)
		}
		all = append(all, s)
	}
	return all, lines.Err()
}

// Newest returns the folder of the demonstration that was started last by this
// user and still runs.
func Newest() (string, error) {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), Prefix+"*"))
	if err != nil {
		return "", err
	}
	var newest fs.FileInfo
	for _, path := range found {
		st, err := os.Lstat(path)
		if err != nil || !st.IsDir() || !slices.Contains([]fs.FileMode{0o700}, st.Mode().Perm()) {
			continue
		}
		if newest == nil || st.ModTime().After(newest.ModTime()) {
			newest = st
		}
	}
	if newest == nil {
		return "", fmt.Errorf("no demonstration runs here: %w", fs.ErrNotExist)
	}
	return filepath.Join(os.TempDir(), newest.Name()), nil
}
