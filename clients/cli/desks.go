package cli

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (a *app) desksCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "desks", Short: "List the desks that this desk may write to",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.desks(c.Context()) },
	}
	c.AddCommand(a.desksVerifyCommand(), a.desksRefuseCommand())
	return c
}

func (a *app) desksVerifyCommand() *cobra.Command {
	var f signer
	var heard string
	c := &cobra.Command{
		Use: "verify DESK", Short: "Note that you heard a desk's fingerprint by telephone",
		Long: "Notes that somebody of the desk read out the fingerprint of its organisation's key (`schakel\n" +
			"status` shows it there), on a number that you had before. After a key changed nothing is sent to\n" +
			"that organisation until you did. It counts on this device.",
		Example: "  schakel desks verify politie-mn/meldkamer --fingerprint \"12345 67890 ...\" --person \"P. Iket\" --pin-file pin",
		Args:    arguments("DESK"),
		RunE: func(c *cobra.Command, args []string) error {
			if heard == "" {
				return advise(usage(errors.New("--fingerprint is missing")), "let somebody of that desk read it out")
			}
			return a.compareDesk(c.Context(), args[0], f, func(s *session, id identity.DeskID, by schakel.By) error {
				return s.VerifyDesk(c.Context(), id, heard, by)
			})
		},
	}
	f.flags(c)
	c.Flags().StringVar(&heard, "fingerprint", "", "what somebody of that desk reads out")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) desksRefuseCommand() *cobra.Command {
	var f signer
	c := &cobra.Command{
		Use: "refuse DESK", Short: "Note that a desk's key is not theirs: nothing goes there any more",
		Example: "  schakel desks refuse politie-mn/meldkamer --person \"P. Iket\" --pin-file pin",
		Args:    arguments("DESK"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.compareDesk(c.Context(), args[0], f, func(s *session, id identity.DeskID, by schakel.By) error { return s.RefuseDesk(c.Context(), id, by) })
		},
	}
	f.flags(c)
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) compareDesk(ctx context.Context, name string, f signer, do func(*session, identity.DeskID, schakel.By) error) error {
	id, err := identity.ParseDeskID(name)
	if err != nil {
		return usage(err)
	}
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		if err := do(s, id, by); err != nil {
			return suggestPerson(ctx, s, f.person, suggestDesk(ctx, s, []identity.DeskID{id}, err))
		}
		return nil
	})
}

type desksDocument struct {
	Schema string         `json:"schema"`
	Desks  []schakel.Desk `json:"desks"`
}

func (a *app) desks(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		desks, err := s.Directory(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(desksDocument{"schakel.desks/1", list(desks)})
		}
		rows := [][]cell{heads("DESK", "ROLE", "REGION", "ORGANISATION", "TELEPHONE", "DEVICES", "KEY FOR NOW")}
		for _, d := range desks {
			rows = append(rows, []cell{{string(d.ID), bold}, {string(d.Role), plain}, {orDash(inertLine(d.Region)), plain},
				{inertLine(d.Org), plain}, {orDash(inertLine(d.Telephone)), plain}, {strconv.Itoa(d.Devices), plain}, reachable(d)})
		}
		a.table(rows)
		return nil
	})
}

func reachable(d schakel.Desk) cell {
	switch d.Key {
	case schakel.KeyChanged:
		return cell{"NEW KEY: telephone and compare", red}
	case schakel.KeyRefused:
		return cell{"key refused by " + inertLine(d.KeyBy), red}
	}
	if d.Reachable {
		return cell{"yes", green}
	}
	return cell{"no: telephone", red}
}
