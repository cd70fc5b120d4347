package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

func (a *app) personCommand() *cobra.Command {
	return noun("person", "The persons who sign on this device", a.personAddCommand(), a.personListCommand(), a.personRevokeCommand())
}

func (a *app) personAddCommand() *cobra.Command {
	var p schakel.Person
	var pinFile string
	c := &cobra.Command{
		Use: "add", Short: "Make a person's key and publish it",
		Long: "Makes a key of the person's own, locked by a PIN of at least six digits, and publishes it\n" +
			"under an opaque identifier. The name stays on this device and inside messages.",
		Example: `  schakel person add --name "P. Iket" --function "piketdienst" --phone +31600000007`,
		Args:    arguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return a.addPerson(c.Context(), p, pinFile) },
	}
	c.Flags().StringVar(&p.Name, "name", "", "name, as partners will read it")
	c.Flags().StringVar(&p.Function, "function", "", "function")
	c.Flags().StringVar(&p.Telephone, "phone", "", "telephone number at which this person is reached")
	c.Flags().StringVar(&pinFile, "pin-file", "", "file with the PIN, or - for standard input")
	return c
}

type personDocument struct {
	Schema string         `json:"schema"`
	Person schakel.Person `json:"person"`
}

func (a *app) addPerson(ctx context.Context, p schakel.Person, pinFile string) error {
	if p.Name == "" || p.Telephone == "" {
		return usage(errors.New("--name and --phone are needed: partners call this person"))
	}
	pin, err := a.read(secret{what: "new PIN of " + inertLine(p.Name), file: pinFile, flag: "pin-file", credential: "schakel-pin", twice: true})
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		known, err := s.Persons(ctx)
		if err != nil {
			return err
		}
		for _, k := range known {
			if k.Name == p.Name {
				return advise(fmt.Errorf("%w: a person named %q (%s)", errExists, p.Name, k.ID), "use that one, or add a mark to the name")
			}
		}
		if p, err = s.AddPerson(ctx, p, pin); err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(personDocument{"schakel.person/1", p})
		}
		a.printf("%s\n", p.ID)
		return nil
	})
}

func (a *app) personListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the persons whose keys are on this device",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.persons(c.Context()) },
	}
}

type personsDocument struct {
	Schema  string           `json:"schema"`
	Persons []schakel.Person `json:"persons"`
}

func (a *app) persons(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		persons, err := s.Persons(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(personsDocument{"schakel.persons/1", list(persons)})
		}
		rows := [][]cell{heads("NAME", "FUNCTION", "TELEPHONE", "IDENTIFIER")}
		for _, p := range persons {
			rows = append(rows, []cell{{inertLine(p.Name), bold}, {orDash(inertLine(p.Function)), plain},
				{inertLine(p.Telephone), plain}, {p.ID.String(), plain}})
		}
		a.table(rows)
		return nil
	})
}
