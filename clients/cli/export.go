package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (a *app) exportCommand() *cobra.Command {
	var to, out string
	c := &cobra.Command{
		Use: "export MESSAGE", Short: "Write a sent message as the sealed age file that a desk gets",
		Long: "Writes the newest delivery of a sent message to one desk as its bare age file: what a device of\n" +
			"that desk can open with the stock age program. It is there until the desk has confirmed the\n" +
			"message; after that nobody keeps the sealed form.",
		Args: arguments("MESSAGE"),
		RunE: func(c *cobra.Command, args []string) error { return a.export(c.Context(), args[0], to, out) },
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "sent"})
	c.Flags().StringVar(&to, "to", "", "the desk: organisation/desk")
	c.Flags().StringVar(&out, "out", "", "where the file goes")
	suggest(c, map[string]completer{"to": a.deskNames()})
	return c
}

func (a *app) export(ctx context.Context, ref, to, out string) error {
	id, err := identity.ParseDeskID(to)
	if err != nil {
		return usage(err)
	}
	if out == "" {
		return usage(errors.New("--out is missing"))
	}
	return a.with(ctx, false, func(s *session) error {
		sealed, err := s.Export(ctx, ref, id)
		if err != nil {
			return err
		}
		return writeNew(out, sealed, 0o600)
	})
}
