package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup TARGET", Short: "Make a backup of this device's store, while the daemon runs",
		Long: "Writes a backup to TARGET: a new file, or in a folder one named after the time. Nothing is ever\n" +
			"overwritten, and what is said to be there is checked and on its disk.\n\n" +
			"It opens with the recovery passphrase and nothing else. It holds messages, notes, drafts,\n" +
			"persons, the register and the access log; it does not hold the device's own keys: what is\n" +
			"restored is another device. A case that is destroyed here stays in the backups from before, so\n" +
			"throw those away after a few weeks.",
		Example: "  schakel backup /mnt/kluis",
		Args:    arguments("TARGET"),
		RunE:    func(c *cobra.Command, args []string) error { return a.backup(c.Context(), args[0]) },
	}
}

type backupDocument struct {
	Schema string `json:"schema"`
	File   string `json:"file"`
	schakel.Backup
}

func (a *app) backup(ctx context.Context, target string) error {
	if st, err := os.Stat(target); err == nil && st.IsDir() {
		target = filepath.Join(target, "schakel-"+a.Now().UTC().Format("20060102-150405")+".backup")
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return advise(fmt.Errorf("%w: %s", errExists, target), "name another file: a backup is never overwritten")
	}
	return a.with(ctx, false, func(s *session) error {
		made, err := keepNew(target, func(w io.Writer) (schakel.Backup, error) { return s.Backup(ctx, w) })
		if err != nil {
			return err
		}
		if err := s.NoteBackup(ctx, made); err != nil {
			return fmt.Errorf("%w: the backup is in %s, and this device could not note that: %w", errPartly, target, err)
		}
		return a.showBackup(target, made)
	})
}

// keepNew writes a file that was not there, so that it is there whole, checked against
// what was written and synced, or not at all.
func keepNew(target string, write func(io.Writer) (schakel.Backup, error)) (made schakel.Backup, err error) {
	f, err := os.CreateTemp(filepath.Dir(target), ".schakel-backup-")
	if err != nil {
		return made, fmt.Errorf("failed to make the file of the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	defer f.Close()
	sum := sha256.New()
	if made, err = write(io.MultiWriter(f, sum)); err != nil {
		return made, err
	}
	if err := f.Sync(); err != nil {
		return made, fmt.Errorf("failed to bring the backup to its disk: %w", err)
	}
	if err := sameOnDisk(f, sum); err != nil {
		return made, err
	}
	if err := os.Link(f.Name(), target); err != nil { // unlike a rename it never replaces
		return made, fmt.Errorf("failed to name the backup: %w", err)
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return made, fmt.Errorf("failed to bring the name of the backup to its disk: %w", err)
	}
	return made, errors.Join(dir.Sync(), dir.Close())
}

func sameOnDisk(f *os.File, written hash.Hash) error {
	again := sha256.New()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("failed to read the backup back: %w", err)
	}
	if _, err := io.Copy(again, f); err != nil {
		return fmt.Errorf("failed to read the backup back: %w", err)
	}
	if string(again.Sum(nil)) != string(written.Sum(nil)) {
		return fmt.Errorf("%w: the backup does not read back as it was written: the disk is damaged", errUnverified)
	}
	return nil
}

func (a *app) showBackup(file string, b schakel.Backup) error {
	if a.json {
		return a.writeJSON(backupDocument{"schakel.backup/1", file, b})
	}
	a.printf("%s\n", file)
	a.sayf("made %s of device %s, desk %s", a.when(b.At), b.Device, b.Desk)
	a.sayf("inside: %d messages of %d cases, %d notes and other records of this desk, %d register entries", b.Messages, b.Cases, b.Records, b.Register)
	a.sayf("not inside: the keys of this device. It opens with the recovery passphrase: see `schakel restore --verify`")
	return nil
}
