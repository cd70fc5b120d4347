package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
)

// provider is the organisation's own sign-in, or nil where the settings name none.
func (a *app) provider() (*signin.Provider, error) {
	p := &signin.Provider{Issuer: a.settings.get("oidc-issuer"), Client: a.settings.get("oidc-client")}
	file := a.settings.get("oidc-secret-file")
	switch {
	case p.Issuer == "" && p.Client == "" && file == "":
		return nil, nil
	case p.Issuer == "" || p.Client == "":
		return nil, advise(fmt.Errorf("%w: the organisation's sign-in is half named", errConfig), "give `oidc-issuer` and `oidc-client`, or neither")
	}
	if err := p.Check(); err != nil {
		return nil, advise(fmt.Errorf("%w: oidc-issuer: %w", errConfig, err), "give the issuer as the provider writes it itself, beginning with https://")
	}
	if file == "" {
		return p, nil
	}
	b, err := readSecretFile(file, "secret of the organisation's sign-in", 0o077)
	if err != nil {
		return nil, fmt.Errorf("%w: oidc-secret-file: %w", errConfig, err)
	}
	p.Secret = strings.TrimRight(string(b), "\r\n")
	return p, nil
}

func (a *app) webTieCommand() *cobra.Command {
	var none bool
	c := &cobra.Command{
		Use: "tie USER [SUBJECT]", Short: "Say which account of the organisation's sign-in a user is",
		Long: "Lets whom the organisation's own sign-in (`oidc-issuer`) knows by a subject in as a user of the web\n" +
			"desk, and ends that user's sessions. Who signs in there and is nobody here yet is shown the subject.\n" +
			"A name or a mail address is no subject: those change hands.",
		Example: "  schakel web tie \"P. Iket\" 5f0c2d6e-77aa\n  schakel web tie \"P. Iket\" --none",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 2 {
				return nil
			}
			return usage(fmt.Errorf("`%s` takes USER, and SUBJECT or --none", c.CommandPath()))
		},
		RunE: func(c *cobra.Command, args []string) error {
			subject := strings.Join(args[1:], "")
			if none == (subject != "") {
				return usage(errors.New("give a subject, or --none"))
			}
			return a.entrance(c.Context(), func(e desk.Entrance) error { return e.Tie(c.Context(), args[0], subject) })
		},
	}
	c.Flags().BoolVar(&none, "none", false, "no account of the organisation's sign-in is this user any more")
	return c
}
