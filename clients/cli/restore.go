package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
)

func (a *app) restoreCommand() *cobra.Command {
	var verify bool
	c := &cobra.Command{
		Use: "restore [FILE]", Short: "Restore a backup in an empty place, or only check it",
		Long: "With --verify it reads all of a backup: every sealed row, the log, the register. Nothing of the\n" +
			"device here is touched.\n\n" +
			"Without, it makes the store in the home folder, which must not hold one, as another device of\n" +
			"the same desk: its numbers and keys begin anew. It enters itself into the register and ends the\n" +
			"old device there, so the two never run beside each other. Partners then deliver again what the\n" +
			"old device had received since the backup. Where the organisation's key is on another device, that\n" +
			"one vouches and revokes (`schakel device vouch`, `schakel device revoke`).\n\n" +
			"Without FILE it goes on where an earlier one was cut short.",
		Example: "  schakel restore --verify schakel-20261128-031500.backup",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case verify && len(args) == 1:
				return a.verifyBackup(c.Context(), args[0])
			case verify:
				return usage(errors.New("--verify needs a FILE"))
			case len(args) == 1:
				return a.restore(c.Context(), args[0])
			}
			return a.goOnRestoring(c.Context())
		},
	}
	c.Flags().BoolVar(&verify, "verify", false, "only read all of it, in a folder of its own, and say what is inside")
	return c
}

// verifyBackup restores into a folder that is thrown away. What lies there meanwhile is
// encrypted as in the backup.
func (a *app) verifyBackup(ctx context.Context, file string) (err error) {
	phrase, err := a.read(a.backupPhrase())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "schakel-verify-")
	if err != nil {
		return fmt.Errorf("failed to make room: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	st, b, err := openBackup(ctx, file, filepath.Join(dir, "store"), phrase, vault.KeyFile{Path: filepath.Join(dir, "key")})
	if err != nil {
		return err
	}
	entries, err := schakel.VerifyRestored(ctx, st)
	if err := errors.Join(err, st.Close()); err != nil {
		return err
	}
	if a.json {
		return a.writeJSON(backupDocument{"schakel.backup/1", file, b})
	}
	a.printf("whole: every row, the log and %d register entries check out\n", entries)
	a.sayf("made %s of device %s, desk %s", a.when(b.At), b.Device, b.Desk)
	a.sayf("inside: %d messages of %d cases, %d notes and other records of this desk", b.Messages, b.Cases, b.Records)
	a.sayf("what came after %s is not in it", a.when(b.At))
	return nil
}

func (a *app) backupPhrase() secret {
	s := a.passphrase()
	s.what, s.twice = "recovery passphrase of the backup", false
	return s
}

func openBackup(ctx context.Context, file, dir, phrase string, way vault.Way) (*store.Store, store.Backup, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, store.Backup{}, fmt.Errorf("failed to open the backup: %w", err)
	}
	defer f.Close()
	st, b, err := store.Restore(ctx, f, dir, store.RestoreOptions{Phrase: phrase, Keys: []vault.Way{way}})
	if errors.Is(err, vault.ErrPassphrase) {
		err = advise(err, "type the recovery passphrase as it was when the backup was made; a later one opens only later backups. If it is right, the file is damaged")
	}
	return st, b, err
}

func (a *app) restore(ctx context.Context, file string) error {
	if a.hasStore() {
		return advise(fmt.Errorf("%w: %s", store.ErrExists, a.settings.get("home")), "nothing is restored over a store: give an empty --home, or move the old folder away")
	}
	phrase, err := a.read(a.backupPhrase())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(a.settings.get("home"), 0o700); err != nil {
		return fmt.Errorf("failed to make the device's folder: %w", err)
	}
	st, b, err := openBackup(ctx, file, a.storeFolder(), phrase, a.unattendedWay())
	if err != nil {
		return err
	}
	defer st.Close()
	a.sayf("restored: the store of %s, with %d messages, as it was %s", b.Desk, b.Messages, a.when(b.At))
	return a.rejoin(ctx, st)
}

func (a *app) goOnRestoring(ctx context.Context) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	return a.rejoin(ctx, st)
}

// rejoin makes the restored store that of a new device in the chain.
func (a *app) rejoin(ctx context.Context, st *store.Store) error {
	request, err := schakel.BeginAgain(ctx, st, a.Now())
	if err != nil {
		return err
	}
	if request != nil {
		if err := a.leaveRequest(request); err != nil {
			return err
		}
	}
	config, err := a.nodeConfig(st)
	if err != nil {
		return err
	}
	if err := schakel.Rejoin(ctx, config); err != nil {
		return err
	}
	a.sayf("done: this is a new device, and the old one is ended. Start the daemon with `schakel run`.")
	a.sayf("partners deliver again what came since the backup. What this desk itself wrote since then is with those it")
	a.sayf("wrote to: ask them. Then make a new backup, and look with `schakel doctor`.")
	return nil
}

func (a *app) leaveRequest(request []byte) error {
	fingerprint, err := schakel.DeviceFingerprint(request)
	if err != nil {
		return err
	}
	return a.leave(filepath.Join(a.settings.get("home"), "device.txt"), request,
		"next, on the device with the organisation's key: vouch for this one with the file, revoke the old one, and",
		"      then run `schakel restore` here once more. Read this fingerprint out there: "+fingerprint)
}
