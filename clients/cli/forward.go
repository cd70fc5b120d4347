package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

type forwardFlags struct {
	to     string
	called string
	signer signer
	noWait bool
}

func (a *app) forwardCommand() *cobra.Command {
	var f forwardFlags
	c := &cobra.Command{
		Use: "forward MESSAGE", Short: "Send a message that came to the wrong desk on to the right one",
		Long: "When a desk answered verkeerde-ontvanger (`schakel ack --wrong-recipient`), its sender sends the\n" +
			"message on with this command: to the desk that the answer names, or to that of --to. MESSAGE is\n" +
			"the message or that answer. It is a new message with the same content; it brings the first one\n" +
			"and the answer along, so the right desk sees since when the matter is known.\n\n" +
			"Was it acute? Call the right desk first.",
		Example: "  schakel forward 4f1c09aa\n  schakel forward 4f1c09aa --to vt13/crisis",
		Args:    arguments("MESSAGE"),
		RunE:    func(c *cobra.Command, args []string) error { return a.forward(c.Context(), args[0], f) },
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "sent"})
	c.Flags().StringVar(&f.to, "to", "", "the right desk: organisation/desk (default the one that the answer names)")
	c.Flags().StringVar(&f.called, "called", "", "telephone number that you called: sends what is acute, with --person, although the register is too old")
	c.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait for the relay: exit 75 at once")
	f.signer.flags(c)
	suggest(c, map[string]completer{"to": a.deskNames(), "person": a.personNames()})
	return c
}

func (a *app) forward(ctx context.Context, ref string, f forwardFlags) error {
	on := schakel.Forwarding{To: identity.DeskID(f.to), Person: f.signer.person, Override: overriding(f.called)}
	if f.to != "" {
		if _, err := identity.ParseDeskID(f.to); err != nil {
			return usage(err)
		}
	}
	if on.Person != "" {
		var err error
		if on.PIN, err = a.pin(f.signer); err != nil {
			return err
		}
	}
	return a.with(ctx, !f.noWait, func(s *session) error {
		sent, err := s.Forward(ctx, ref, on)
		if errors.Is(err, schakel.ErrUnknownDesk) && f.to != "" {
			return suggestDesk(ctx, s, []identity.DeskID{on.To}, err)
		}
		if err != nil {
			return err
		}
		m, err := s.Trace(ctx, sent.Hash)
		if err != nil {
			return err
		}
		a.sayf("forwarded %s", others(m))
		return a.follow(ctx, s, sent, f.noWait)
	})
}

// rightRecipient reads who should have had a message: a role, and a region where the
// role has one.
func rightRecipient(role, region string) (identity.Role, string, error) {
	if role == "" {
		if region != "" {
			return "", "", usage(errors.New("--right-region without --right-role"))
		}
		return "", "", nil
	}
	r, err := identity.ParseRole(role)
	if err != nil {
		names := roleNames()
		return "", "", usage(fmt.Errorf("--right-role %q is not one of %s%s", role, strings.Join(names, ", "), didYouMean(role, names)))
	}
	return r, strings.ToUpper(region), nil
}
