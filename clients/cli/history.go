package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (a *app) historyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "history", Short: "Get a desk's history back from its partners, when all its devices are lost",
		Long: "A desk that lost its last device, and has no backup, asks its partners for what was said between them.\n" +
			"Without a word after it, this shows what was asked, and how much came.",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return a.histories(c.Context()) },
	}
	c.AddCommand(a.historyAskCommand(), a.historyGiveCommand())
	return c
}

type historyDocument struct {
	Schema string            `json:"schema"`
	Desks  []schakel.History `json:"desks"`
}

func (a *app) histories(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		all, err := s.Histories(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(historyDocument{"schakel.history/1", list(all)})
		}
		if len(all) == 0 {
			a.printf("nobody asked\n")
			return nil
		}
		rows := [][]cell{heads("DESK", "ASKED", "CAME", "IT ASKED US")}
		for _, h := range all {
			came := "-"
			switch {
			case h.Answered && h.Of == 0:
				came = "it has nothing"
			case h.Answered:
				came = fmt.Sprintf("%d of %d", h.Came, h.Of)
			}
			rows = append(rows, []cell{{inertLine(string(h.Desk)), bold}, {a.when(h.Asked), plain}, {came, plain}, {a.when(h.AskedBy), plain}})
		}
		a.table(rows)
		return nil
	})
}

func (a *app) historyAskCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "ask [DESK...]", Short: "Ask desks for what was said between them and this one; without names, all",
		Long: "Asks for the messages of open cases that this desk sent there or got from there. Telephone each desk\n" +
			"as well: nobody hands anything over before a person there called you, on a number they had before.\n" +
			"What comes are the originals, and their signatures are verified. Asking again does no harm; do it\n" +
			"where less came than `schakel history` says there is.",
		Example: "  schakel history ask\n  schakel history ask politie-mn/meldkamer knooppunt/piket",
		RunE: func(c *cobra.Command, args []string) error {
			var desks []identity.DeskID
			for _, name := range args {
				desk, err := identity.ParseDeskID(name)
				if err != nil {
					return usage(err)
				}
				desks = append(desks, desk)
			}
			return a.with(c.Context(), true, func(s *session) error {
				asked, err := s.AskHistory(c.Context(), desks)
				if err != nil {
					return suggestDesk(c.Context(), s, desks, err)
				}
				for _, desk := range asked {
					a.printf("%s\n", inertLine(string(desk)))
				}
				fmt.Fprintf(a.Err, "now telephone them: each must call you back on a number they had\n")
				return nil
			})
		},
	}
	return c
}

func (a *app) historyGiveCommand() *cobra.Command {
	var f signer
	called := ""
	c := &cobra.Command{
		Use: "give DESK", Short: "Hand a desk that lost all its devices what was said between it and this one",
		Long: "Hands over, to the very device that asked, the messages of cases that are not closed here: those that\n" +
			"the desk sent here and those that were sent to it. Whoever stole that organisation's key can ask for\n" +
			"them too, so call the desk first, on a number that you had before, and let somebody there that you\n" +
			"know tell you what happened. Your name and the number stay in the access log. Cases that are\n" +
			"restricted to named persons stay here: who may read them exports them.",
		Example: "  schakel history give vt20/crisis --called +31600000007 --person \"P. Iket\" --pin-file pin",
		Args:    arguments("DESK"),
		RunE:    func(c *cobra.Command, args []string) error { return a.giveHistory(c.Context(), args[0], called, f) },
	}
	f.flags(c)
	c.Flags().StringVar(&called, "called", "", "the number on which you called the desk, as +31...")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) giveHistory(ctx context.Context, name, called string, f signer) error {
	desk, err := identity.ParseDeskID(name)
	if err != nil {
		return usage(err)
	}
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		g, err := s.GiveHistory(ctx, desk, called, by)
		if err != nil {
			return suggestPerson(ctx, s, f.person, suggestDesk(ctx, s, []identity.DeskID{desk}, err))
		}
		if a.json {
			return a.writeJSON(struct {
				Schema string `json:"schema"`
				schakel.Given
			}{"schakel.history.given/1", g})
		}
		a.printf("%d messages of %d cases\n", g.Messages, g.Cases)
		if g.Left > 0 {
			fmt.Fprintf(a.Err, "left here: %d messages of restricted cases; who may read them exports them\n", g.Left)
		}
		return nil
	})
}
