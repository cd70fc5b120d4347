package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

func (a *app) desksCommand() *cobra.Command {
	return &cobra.Command{
		Use: "desks", Short: "List the desks that this desk may write to",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.desks(c.Context()) },
	}
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
	if d.Reachable {
		return cell{"yes", green}
	}
	return cell{"no: telephone", red}
}
