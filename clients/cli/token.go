package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
)

// owned asks the daemon for what only the owner of the device may.
func (a *app) owned(ctx context.Context, f func(*desk.Client) error) error {
	c, err := desk.Dial(ctx, a.settings.get("socket"))
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

func (a *app) tokenCommand() *cobra.Command {
	return noun("token", "What programs of your own organisation may do here", a.tokenAddCommand(), a.tokenListCommand(), a.tokenRevokeCommand(), a.tokenLogCommand())
}

type newTokenDocument struct {
	Schema string `json:"schema"`
	desk.NewToken
}

func (a *app) tokenAddCommand() *cobra.Command {
	var r desk.TokenRequest
	var roles []string
	var expires string
	c := &cobra.Command{
		Use: "add NAME", Short: "Make a token for a program; it is shown this once",
		Long: "Makes a token with which a program of your own organisation works through the API (setting `api`).\n" +
			"It may do what its roles and its scopes both give. With --person it may have that person sign, and\n" +
			"needs the person's PIN each time. The token is printed once; the store has a hash of it.\n\n" +
			"Scopes: " + strings.Join(rights.Scopes(), ", ") + ".",
		Example: "  schakel token add zaaksysteem --role behandelaar --scope messages:read --scope cases:read\n" +
			"  schakel token add rooster --role beheerder --scope on-call:read --expires 2027-06-01",
		Args: arguments("NAME"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			r.Name = args[0]
			if r.Roles, err = rolesOf(roles); err != nil {
				return err
			}
			if r.Expires, err = a.expiry(expires); err != nil {
				return err
			}
			return a.tokenAdd(c.Context(), r)
		},
	}
	c.Flags().StringSliceVar(&r.Scopes, "scope", nil, "what it is for, such as messages:read; may be repeated")
	c.Flags().StringSliceVar(&roles, "role", nil, "behandelaar, piket, beheerder or functionaris; may be repeated")
	c.Flags().StringVar(&r.Person, "person", "", "person of this device whom it may have sign, with the PIN")
	c.Flags().StringVar(&expires, "expires", "", "last day on which it works, such as 2027-06-01 (default a year from now)")
	suggest(c, map[string]completer{"person": a.personNames(), "role": words(roleWords()), "scope": words(rights.Scopes())})
	return c
}

func rolesOf(names []string) (out []desk.Role, err error) {
	for _, name := range names {
		if oneOf(roleWords()...)(name) != nil {
			return nil, usage(fmt.Errorf("--role %w", oneOf(roleWords()...)(name)))
		}
		out = append(out, desk.Role(name))
	}
	return out, nil
}

// expiry is the end of a day, by the clock on this machine.
func (a *app) expiry(day string) (time.Time, error) {
	if day == "" {
		return a.Now().AddDate(1, 0, 0), nil
	}
	t, err := time.ParseInLocation(time.DateOnly, day, a.Now().Location())
	if err != nil {
		return t, usage(fmt.Errorf("--expires %q is no day such as 2027-06-01", day))
	}
	return t.AddDate(0, 0, 1), nil
}

func (a *app) tokenAdd(ctx context.Context, r desk.TokenRequest) error {
	for _, scope := range r.Scopes {
		if err := oneOf(rights.Scopes()...)(scope); err != nil {
			return usage(fmt.Errorf("--scope %w", err))
		}
	}
	if len(r.Roles) == 0 || len(r.Scopes) == 0 {
		return usage(fmt.Errorf("say what it may, with --role and --scope"))
	}
	return a.owned(ctx, func(d *desk.Client) error {
		added, err := d.AddToken(ctx, r)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(newTokenDocument{"schakel.token-add/1", added})
		}
		a.printf("%s\n", added.Secret)
		a.sayf("token %s of %s works until %s; it is not shown again", added.ID, inertLine(added.Name), a.when(added.Expires))
		return nil
	})
}

type tokensDocument struct {
	Schema string       `json:"schema"`
	Tokens []desk.Token `json:"tokens"`
}

func (a *app) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tokens, and what each may",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.owned(c.Context(), func(d *desk.Client) error {
				tokens, err := d.Tokens(c.Context())
				if err != nil {
					return err
				}
				if a.json {
					return a.writeJSON(tokensDocument{"schakel.tokens/1", list(tokens)})
				}
				rows := [][]cell{heads("TOKEN", "NAME", "ROLES", "SCOPES", "SIGNS AS", "UNTIL")}
				for _, t := range tokens {
					var roles []string
					for _, r := range t.Roles {
						roles = append(roles, inertLine(string(r)))
					}
					rows = append(rows, []cell{{t.ID, dim}, {inertLine(t.Name), bold}, {strings.Join(roles, ", "), plain}, {inertLine(strings.Join(t.Scopes, ", ")), plain},
						{orDash(inertLine(t.Person)), dim}, {a.when(t.Expires), plain}})
				}
				a.table(rows)
				return nil
			})
		},
	}
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke TOKEN", Short: "End a token at once",
		Args: arguments("TOKEN"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.owned(c.Context(), func(d *desk.Client) error { return d.RevokeToken(c.Context(), args[0]) })
		},
	}
}

type tokenLogDocument struct {
	Schema string          `json:"schema"`
	Uses   []desk.TokenUse `json:"uses"`
}

func (a *app) tokenLogCommand() *cobra.Command {
	return &cobra.Command{
		Use: "log [TOKEN]", Short: "Show what programs used their tokens for",
		Long: "Shows what programs opened, sent or changed of cases, by the access log, which it checks. That a\n" +
			"program looked at a list is noted once an hour.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			who := strings.Join(args, "")
			return a.owned(c.Context(), func(d *desk.Client) error {
				uses, err := d.TokenLog(c.Context(), who)
				if err != nil {
					return err
				}
				if a.json {
					return a.writeJSON(tokenLogDocument{"schakel.token-log/1", list(uses)})
				}
				rows := [][]cell{heads("AT", "TOKEN", "OPERATION", "SUBJECT")}
				for _, u := range uses {
					rows = append(rows, []cell{{a.when(u.At), plain}, {inertLine(u.Token), dim}, {inertLine(u.Operation), bold}, {inertLine(u.Subject), plain}})
				}
				a.table(rows)
				return nil
			})
		},
	}
}
