package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"schakel/crypto/trust"
	"schakel/relay/register"
)

func (a *app) registerImport() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Take in entries that the root holders made, all or none; the relay must not run",
		Long: "Takes in entries that the root holders made, all or none. The relay on this data folder must not\n" +
			"run; relays on other machines that share its Redis may, and have the entries at once.",
		Args: exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error { return a.importEntries(c.Context(), args[0]) },
	}
}

func (a *app) importEntries(ctx context.Context, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotFound, err)
	}
	entries, err := trust.ParseEntries(raw)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errConflict, path, err)
	}
	own, err := a.own()
	if err != nil {
		return err
	}
	log, done, err := a.openForImport(ctx, own)
	if err != nil {
		return err
	}
	defer done()
	n, err := log.Import(ctx, entries, a.Now())
	switch {
	case errors.Is(err, register.ErrOrder):
		return fmt.Errorf("%s: nothing was taken in: %w", path, err)
	case err != nil:
		return fmt.Errorf("%w: %s: nothing was taken in: %w", errConflict, path, err)
	}
	a.sayf("taken in: %d new entries of %d; the register has %d", n, len(entries), log.Size())
	if err := fits(log.Register(), own); err != nil {
		a.sayf("note: %v", err)
	}
	fmt.Fprintln(a.Out, log.Size())
	return nil
}

// openForImport opens the log, and the store where that says what other relays have:
// what is taken in here is theirs as well, at once.
func (a *app) openForImport(ctx context.Context, own ownKeys) (*register.Log, func(), error) {
	if a.settings["store"] != "redis" {
		log, err := a.openLog(own)
		return log, func() { log.Close() }, err
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := a.openRedis(ctx, quiet)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to open the store that has the register of all relays: %w", err)
	}
	log, err := a.openShared(ctx, own, store, quiet)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return log, func() { log.Close(); store.Close() }, nil
}

func (a *app) registerList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the register's entries, oldest first",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return a.withLog(a.printEntries) },
	}
}

func (a *app) printEntries(log *register.Log) error {
	for from := uint64(0); from < log.Size(); {
		entries, err := log.Entries(from, log.Size()-from)
		if err != nil || len(entries) == 0 {
			return fmt.Errorf("failed to read the register at entry %d: %w", from, err)
		}
		for _, raw := range entries {
			e, err := trust.ParseEntry(raw)
			if err != nil {
				return fmt.Errorf("failed to read entry %d: %w", from, err)
			}
			fmt.Fprintf(a.Out, "%d\t%s\t%s\t%d\n", from, e.Body.Kind(), e.Body.Subject(), e.Seq)
			from++
		}
	}
	return nil
}

// withLog opens the register's file, or a copy of it while the relay has it open.
// The copy is replayed and checked like the original, so one that was made in the
// middle of a write is noticed, and made again.
func (a *app) withLog(f func(*register.Log) error) error {
	own, err := a.own()
	if err != nil {
		return err
	}
	if !a.settings.exists(fileRegister) {
		return fmt.Errorf("%w: no register in %s yet", errNotFound, a.settings["data"])
	}
	log, err := a.openLog(own)
	if errors.Is(err, register.ErrInUse) {
		return a.withCopy(own, f)
	}
	if err != nil {
		return err
	}
	defer log.Close()
	return f(log)
}

func (a *app) withCopy(own ownKeys, f func(*register.Log) error) error {
	folder, err := os.MkdirTemp("", "schakel-relay-*")
	if err != nil {
		return fmt.Errorf("failed to copy the register: %w", err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, fileRegister)
	for attempt := 0; ; attempt++ {
		raw, err := os.ReadFile(a.settings.path(fileRegister))
		if err != nil {
			return fmt.Errorf("failed to copy the register: %w", err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			return fmt.Errorf("failed to copy the register: %w", err)
		}
		log, err := register.Open(register.Config{Path: path, LogName: logName(own.file.ID), LogKey: own.log})
		if errors.Is(err, register.ErrCorrupt) && attempt < 3 {
			continue
		}
		if err != nil {
			return err
		}
		defer log.Close()
		return f(log)
	}
}
