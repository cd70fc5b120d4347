package cli

import (
	"context"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

func (a *app) alarmsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "alarms", Short: "Show what somebody must act on, oldest first",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.alarms(c.Context()) },
	}
}

type alarmsDocument struct {
	Schema string          `json:"schema"`
	Alarms []schakel.Alarm `json:"alarms"`
}

func (a *app) alarms(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		alarms, err := s.Alarms(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(alarmsDocument{"schakel.alarms/1", list(alarms)})
		}
		if len(alarms) == 0 {
			a.printf("no alarms\n")
		}
		for _, alarm := range alarms {
			a.printf("%s  %s  %s\n", a.in(red, inertLine(string(alarm.Kind))), a.when(alarm.Since), inertLine(alarm.Subject))
			a.printf("  %s\n  %s\n", inertLine(alarm.Text), inertLine(alarm.Remedy))
		}
		return nil
	})
}
