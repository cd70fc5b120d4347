package cli

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"schakel/crypto/trust"
)

func (a *app) organisationCommand() *cobra.Command {
	c := &cobra.Command{Use: "organisation", Short: "The key of this organisation"}
	c.AddCommand(a.renewKeyCommand())
	return c
}

func (a *app) renewKeyCommand() *cobra.Command {
	out := ""
	c := &cobra.Command{
		Use: "renew-key", Short: "Ask the root holders to enter another key of this organisation",
		Long: "For when the organisation's key may be in other hands: a device that held it was stolen, or\n" +
			"somebody left who could have copied it. Makes another key in this device's store and writes the\n" +
			"request that root holders sign with `schakel register admit --replace-key`. Until it is in the\n" +
			"register the present key counts; after that this device goes on with the other one by itself.\n\n" +
			"Run again, it writes the same request. Make a new backup afterwards: an older one has the old key.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.renewKey(c.Context(), out) },
	}
	c.Flags().StringVar(&out, "out", "", "where the request goes (default renewal.txt in the home folder)")
	return c
}

func (a *app) renewKey(ctx context.Context, out string) error {
	if out == "" {
		out = filepath.Join(a.settings.get("home"), "renewal.txt")
	}
	return a.with(ctx, false, func(s *session) error {
		request, err := s.RenewOrganisationKey(ctx)
		if err != nil {
			return err
		}
		asked, err := trust.ParseAdmissionRequest(request)
		if err != nil {
			return err
		}
		return a.leave(out, request,
			"next: telephone the root holders, send them the file and read this fingerprint out:",
			"      "+asked.Fingerprint(),
			"      Partners are asked to compare it by telephone too, before they write to you again.")
	})
}
