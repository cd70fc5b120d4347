package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/clients/store"
)

func (a *app) witnessCommand() *cobra.Command {
	return noun("witness", "Cosign the register, so that a relay cannot tell two stories",
		a.witnessInitCommand(), a.witnessRunCommand(), a.witnessShowCommand())
}

func (a *app) witnessInitCommand() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "init", Short: "Make the witness key of this device, and print its verifier key",
		Long: "Makes a key that cosigns the register and nothing else. It stays in the store of this device,\n" +
			"which `schakel init` made. Give the printed line to the root holders: they name it in the root\n" +
			"(`schakel register init --witness`). From then on `schakel run` cosigns by itself. No daemon may run.",
		Example: "  schakel witness init --name vt20.example/witness",
		Args:    arguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return a.witnessInit(c.Context(), name) },
	}
	c.Flags().StringVar(&name, "name", "", "name of the witness: a-z, 0-9 and . / - _, such as vt20.example/witness")
	return c
}

func (a *app) witnessInit(ctx context.Context, name string) error {
	if name == "" {
		return usage(errors.New("--name is missing"))
	}
	return a.onStore(ctx, func(st *store.Store) error {
		v, err := schakel.MakeWitness(ctx, st, name)
		if err != nil {
			return err
		}
		a.sayf("next: give this line to the root holders; compare it with them by telephone")
		a.printf("%s\n", v)
		return nil
	})
}

// onStore opens the store of this device for one command.
func (a *app) onStore(ctx context.Context, f func(*store.Store) error) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	return f(st)
}

func (a *app) witnessRunCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "run", Short: "Run the daemon of a device that must witness",
		Long: "The same daemon as `schakel run`, for an organisation that is in the chain as a witness: it\n" +
			"refuses to begin where this device has no witness key.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			err := a.onStore(c.Context(), func(st *store.Store) error {
				_, err := schakel.Witness(c.Context(), st)
				return err
			})
			if err != nil {
				return advise(err, "make the key with `schakel witness init`")
			}
			return a.runDaemon(c.Context())
		},
	}
	keyFlags(c.Flags(), true)
	return c
}

func (a *app) witnessShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show the witness of this device, what it signed last, and what it refused",
		Long: "Shows the verifier key and the size of the register that was cosigned last. No daemon may run;\n" +
			"`schakel status` says the size while one does. What contradicts what this witness signed is in\n" +
			"`schakel register evidence list`.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.witnessShow(c.Context()) },
	}
}

func (a *app) witnessShow(ctx context.Context) error {
	var w schakel.WitnessState
	err := a.onStore(ctx, func(st *store.Store) (err error) {
		w, err = schakel.Witness(ctx, st)
		return err
	})
	if err != nil {
		return advise(err, "make one with `schakel witness init`")
	}
	a.printf("%s\n", w.Key)
	if w.Size > 0 {
		a.printf("signed %d entries, last at %s\n", w.Size, w.At.Format(time.RFC3339))
	}
	return nil
}
