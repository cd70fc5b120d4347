package daemon

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// errBackup is a folder that is no backup, or one that is damaged.
var errBackup = errors.New("not a sound backup")

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore FOLDER", Short: "Put a backup into an empty data folder; the relay must not run",
		Long: "Copies a backup into the data folder, which must be empty or missing, and reads it before it says\n" +
			"yes. The mailboxes take a new epoch when the relay starts: senders then offer everything again\n" +
			"that nobody has received, so that nothing is lost that came after the backup.",
		Args: exactly("FOLDER"),
		RunE: func(_ *cobra.Command, args []string) error { return a.restore(filepath.Clean(args[0])) },
	}
}

func (a *app) restore(from string) error {
	sums, err := readSums(from)
	if err != nil {
		return err
	}
	data := a.settings["data"]
	there, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to look into the data folder: %w", err)
	}
	if len(there) > 0 {
		return fmt.Errorf("%w: %s is not empty: move aside what is there", errConflict, data)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("failed to make the data folder: %w", err)
	}
	held, err := a.putBack(from, sums)
	if err != nil {
		for name := range sums {
			err = errors.Join(err, ignoreMissing(os.Remove(a.settings.path(name))))
		}
		return err
	}
	a.sayf("restored and read again: %s", held)
	a.sayf("before you start the relay: import what the register has got since, or devices that have seen more than")
	a.sayf("      %d entries refuse this relay and alarm. Any device can write it down (schakel register export);", held.entries)
	a.sayf("      then: schakel-relay register import register.txt")
	fmt.Fprintln(a.Out, data)
	return nil
}

// putBack copies relay.json last: without it there is no relay to start.
func (a *app) putBack(from string, sums map[string]string) (holdings, error) {
	names := slices.Concat(large, []string{fileSuspended, fileTLSKey, fileTLSCert, fileReceipt, fileLog, fileRelay})
	for _, name := range names {
		want, listed := sums[name]
		if !listed {
			continue
		}
		mode, ok := small[name]
		if !ok {
			mode = 0o600
		}
		sum, err := copyFile(filepath.Join(from, name), a.settings.path(name), mode)
		if err != nil {
			return holdings{}, err
		}
		if hex.EncodeToString(sum[:]) != want {
			return holdings{}, fmt.Errorf("%w: %s is not what was backed up", errBackup, name)
		}
	}
	if err := syncFolder(a.settings["data"]); err != nil {
		return holdings{}, err
	}
	held, err := a.inFolder(a.settings["data"]).examine()
	if err != nil {
		return held, fmt.Errorf("%w: %w", errBackup, err)
	}
	return held, nil
}

// readSums reads the list of a backup's files: no other name, and each once.
func readSums(folder string) (map[string]string, error) {
	raw, err := os.ReadFile(filepath.Join(folder, fileSums))
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", errNotFound, errBackup, err)
	}
	sums := make(map[string]string)
	for line := range bytes.Lines(raw) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "  ")
		_, isSmall := small[name]
		if _, twice := sums[name]; !ok || twice || len(sum) != 64 || !isSmall && !slices.Contains(large, name) {
			return nil, fmt.Errorf("%w: %s has a line that is none of a backup", errBackup, fileSums)
		}
		sums[name] = sum
	}
	for _, name := range []string{fileRelay, fileTLSKey, fileTLSCert, fileReceipt, fileLog, fileRegister} {
		if sums[name] == "" {
			return nil, fmt.Errorf("%w: %s is missing in %s", errBackup, name, fileSums)
		}
	}
	return sums, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
