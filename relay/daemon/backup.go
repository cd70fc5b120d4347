package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"schakel/relay/queue/boltqueue"
)

// fileSums lists the files of a backup, as sha256sum -c reads it.
const fileSums = "SHA256SUMS"

// What a backup holds: the keys, because a relay that lost them must be signed anew
// by the root holders; the register and the mailboxes; and who is not served. It is
// as secret as the data folder.
var (
	small = map[string]os.FileMode{
		fileRelay: 0o644, fileTLSCert: 0o644, fileTLSKey: 0o600, fileReceipt: 0o600, fileLog: 0o600, fileSuspended: 0o600,
	}
	large = []string{fileRegister, fileQueue}
)

func (a *app) backupCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "backup --out FOLDER", Short: "Copy keys, register and mailboxes into a new folder, while the relay runs or not",
		Long: "Copies the whole relay into a new folder, each file as of one moment, and reads the copy before it\n" +
			"says yes. The folder holds the relay's private keys: seal it before it leaves this machine.",
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return fmt.Errorf("%w: say where to: --out FOLDER", errUsage)
			}
			return a.backup(c.Context(), filepath.Clean(out))
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder that does not exist yet")
	return c
}

func (a *app) backup(ctx context.Context, out string) error {
	own, err := a.own()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is there already: name a new folder", errConflict, out)
	}
	partial := out + ".partial" // of a backup that was cut short: never taken for one
	if err := errors.Join(os.RemoveAll(partial), os.Mkdir(partial, 0o700)); err != nil {
		return fmt.Errorf("failed to make the folder: %w", err)
	}
	defer os.RemoveAll(partial)
	if err := a.copyAll(ctx, own, partial); err != nil {
		return err
	}
	held, err := a.inFolder(partial).examine()
	if err != nil {
		return fmt.Errorf("the copy is not sound, nothing was kept of it: %w", err)
	}
	if err := writeSums(partial); err != nil {
		return err
	}
	if err := os.Rename(partial, out); err != nil {
		return fmt.Errorf("failed to finish the backup: %w", err)
	}
	a.sayf("copied and read again: %s", held)
	if a.settings["store"] == "redis" {
		a.sayf("not copied: the mailboxes, which are in Redis (docs/operations.md, Backup and restore)")
	}
	if a.settings["blob-store"] != "off" {
		a.sayf("not copied: attachments; who sent one that is missing uploads it again (docs/operations.md, Attachments)")
	}
	fmt.Fprintln(a.Out, out)
	return syncFolder(filepath.Dir(out))
}

// inFolder is this program on another data folder.
func (a *app) inFolder(folder string) *app {
	s := maps.Clone(a.settings)
	s["data"], s["tls-cert"], s["tls-key"] = folder, "", ""
	return &app{Std: a.Std, settings: s}
}

// copyAll copies the mailboxes first: the register must not be older than they are.
func (a *app) copyAll(ctx context.Context, own ownKeys, to string) error {
	cert, key := a.certificatePaths()
	for name, mode := range small {
		from := a.settings.path(name)
		switch name {
		case fileTLSCert:
			from = cert
		case fileTLSKey:
			from = key
		}
		_, err := copyFile(from, filepath.Join(to, name), mode)
		if err != nil && !(name == fileSuspended && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	if a.settings["store"] != "redis" && a.settings.exists(fileQueue) {
		if err := a.copyQueue(ctx, filepath.Join(to, fileQueue)); err != nil {
			return err
		}
	}
	return a.copyOpen(ctx, fileRegister, filepath.Join(to, fileRegister), func(w io.Writer) error {
		log, err := a.openLog(own)
		if err != nil {
			return err
		}
		return errors.Join(log.Copy(w), log.Close())
	})
}

func (a *app) copyQueue(ctx context.Context, to string) error {
	err := a.copyOpen(ctx, fileQueue, to, func(w io.Writer) error {
		store, err := boltqueue.Open(boltqueue.Config{Path: a.settings.path(fileQueue), MinFree: 1})
		if err != nil {
			return fmt.Errorf("failed to open the mailboxes: %w%s", err, remedy(err))
		}
		return errors.Join(store.Copy(ctx, w), store.Close())
	})
	if err != nil {
		return err
	}
	if _, err := boltqueue.FinishCopy(to); err != nil {
		return fmt.Errorf("the copy of the mailboxes is not sound, nothing was kept of it: %w", err)
	}
	return nil
}

// copyOpen writes a copy by the running relay, or by still where none runs.
func (a *app) copyOpen(ctx context.Context, name, to string, still func(io.Writer) error) error {
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("failed to copy: %w", err)
	}
	running, err := a.fetchCopy(ctx, name, file)
	if !running && err == nil {
		err = still(file)
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// holdings is what was found in a data folder or a backup of one.
type holdings struct {
	entries uint64
	queue   *boltqueue.Contents // nil: there is no queue.db
}

func (h holdings) String() string {
	s := fmt.Sprintf("%d entries of the register", h.entries)
	if h.queue == nil {
		return s
	}
	s += fmt.Sprintf(", %d envelopes and %d notices that wait", h.queue.Envelopes, h.queue.Notices)
	if h.queue.Damaged > 0 {
		s += fmt.Sprintf(", %d damaged records that will be set aside", h.queue.Damaged)
	}
	return s
}

// examine reads everything in a backup: keys, register, mailboxes.
func (a *app) examine() (holdings, error) {
	var h holdings
	own, err := a.own()
	if err != nil {
		return h, err
	}
	log, err := a.openLog(own) // not with a shared store: what the backup has is the question
	if err != nil {
		return h, err
	}
	h.entries = log.Size()
	if err := errors.Join(fits(log.Register(), own), log.Close()); err != nil {
		return h, err
	}
	if !a.settings.exists(fileQueue) {
		return h, nil
	}
	found, err := boltqueue.CheckCopy(a.settings.path(fileQueue))
	h.queue = &found
	return h, err
}

// copyFile copies a file, durably, and returns the SHA-256 of what it copied.
func copyFile(from, to string, mode os.FileMode) (sum [sha256.Size]byte, err error) {
	source, err := os.Open(from)
	if err != nil {
		return sum, fmt.Errorf("failed to copy: %w", err)
	}
	defer source.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return sum, fmt.Errorf("failed to copy: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, h), source)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return sum, fmt.Errorf("failed to copy %s: %w", from, err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

func writeSums(folder string) error {
	var list bytes.Buffer
	for _, name := range slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(small)), large))) {
		file, err := os.Open(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("failed to read the copy: %w", err)
		}
		h := sha256.New()
		_, err = io.Copy(h, file)
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("failed to read the copy: %w", err)
		}
		fmt.Fprintf(&list, "%x  %s\n", h.Sum(nil), name)
	}
	return writeNew(filepath.Join(folder, fileSums), list.Bytes(), 0o600)
}
