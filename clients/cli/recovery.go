package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/store"
	"schakel/clients/store/vault"
)

func (a *app) recoveryCommand() *cobra.Command {
	return noun("recovery", "The recovery passphrase: open with it, try it, change it", a.recoveryOpenCommand(), a.recoveryTryCommand(), a.recoveryChangeCommand())
}

func (a *app) recoveryOpenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "open", Short: "After a lost key file or keyring: open the store with the passphrase, and make a new key",
		Long: "Opens the store with the recovery passphrase and makes a new key for it, as --key-file or the\n" +
			"systemd credential says. From then on the daemon starts by itself again. The lost key opens\n" +
			"nothing any more. No daemon may run.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.recoverStore(c.Context()) },
	}
}

func (a *app) recoveryTryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "try", Short: "Check that the passphrase on paper opens this store",
		Long: "Checks the recovery passphrase and notes that it was known on this day. Do it twice a year:\n" +
			"`schakel doctor` says when it was last done.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.tryRecovery(c.Context()) },
	}
}

func (a *app) recoveryChangeCommand() *cobra.Command {
	var make bool
	c := &cobra.Command{
		Use: "change", Short: "Give this store another recovery passphrase",
		Long: "From then on the store opens with the new passphrase. Backups from before open with the earlier\n" +
			"one only: keep both on paper until those are thrown away, or make a new backup at once.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.changeRecovery(c.Context(), make) },
	}
	c.Flags().BoolVar(&make, "make-passphrase", false, "make one of six words, and show it once")
	return c
}

func (a *app) recoverStore(ctx context.Context) error {
	if !a.hasStore() {
		return advise(fmt.Errorf("%w: %s", errNoStore, a.settings.get("home")), "name the right folder with --home; a lost disk is restored with `schakel restore`")
	}
	if vault.IsAttended(a.storeFolder()) {
		return advise(fmt.Errorf("failed to recover: %w", vault.ErrAttended), "a forgotten passphrase of a light device means a new light device: `schakel device request --light`")
	}
	phrase, err := a.read(a.oldPhrase())
	if err != nil {
		return err
	}
	way := a.unattendedWay()
	st, err := store.Recover(ctx, a.storeFolder(), phrase, store.Unlock{Keys: []vault.Way{way}})
	if errors.Is(err, store.ErrInUse) {
		err = advise(err, "stop the daemon first; if it runs, the key is not lost")
	}
	if err != nil {
		return adviseOnPhrase(err)
	}
	a.sayf("opened with the recovery passphrase; the store opens by itself again (%s)", way.File())
	a.sayf("next: put the passphrase back into the safe, and look with `schakel doctor`")
	return st.Close()
}

func (a *app) oldPhrase() secret {
	s := a.passphrase()
	s.twice = false
	return s
}

func adviseOnPhrase(err error) error {
	if errors.Is(err, vault.ErrPassphrase) {
		return advise(err, "type it as it stands on paper, with the spaces between the words")
	}
	return err
}

func (a *app) tryRecovery(ctx context.Context) error {
	phrase, err := a.read(a.oldPhrase())
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		if err := s.TryRecovery(ctx, phrase); err != nil {
			return adviseOnPhrase(err)
		}
		a.sayf("right: this passphrase opens the store")
		return nil
	})
}

func (a *app) changeRecovery(ctx context.Context, made bool) error {
	return a.with(ctx, false, func(s *session) error {
		phrase, err := a.newPhrase(made)
		if err != nil {
			return err
		}
		if err := s.SetRecovery(ctx, phrase); err != nil {
			return err
		}
		a.sayf("changed. Backups from before open with the earlier passphrase only: make a new one now, with `schakel backup`")
		return nil
	})
}

// newPhrase is a recovery passphrase that a person gives, or that is made here and shown
// once.
func (a *app) newPhrase(made bool) (string, error) {
	if !made {
		return a.read(a.passphrase())
	}
	phrase := vault.NewPhrase()
	a.sayf("the recovery passphrase. Write it down now, on paper for the safe: it is not shown again, and nobody else has it.")
	a.sayf("")
	a.sayf("    %s", phrase)
	a.sayf("")
	return phrase, nil
}
