package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

func (a *app) alarmsCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use: "alarms", Short: "Show what somebody must act on, oldest first",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return a.alarms(c.Context(), check) },
	}
	c.Flags().BoolVar(&check, "check", false, "exit with 1 where there is an alarm, for programs that watch this desk")
	c.AddCommand(a.alarmsClearCommand())
	return c
}

func (a *app) alarmsClearCommand() *cobra.Command {
	return &cobra.Command{
		Use: "clear KIND SUBJECT", Short: "Put away an alarm that somebody has dealt with",
		Long: "Puts away an alarm after somebody did what it asks. Where its cause is still there, it comes\n" +
			"back. The evidence stays in quarantine and in the audit log.",
		Example: `  schakel alarms clear bericht-aangetast 019ab2c0-6004-7b00-8a00-000000000004
  schakel alarms clear niet-bevestigd "4f1c09aa... vt20/crisis"   # the whole subject, in quotes`,
		Args: arguments("KIND", "SUBJECT"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), false, func(s *session) error {
				return s.ClearAlarm(c.Context(), schakel.AlarmKind(args[0]), args[1])
			})
		},
	}
}

type alarmsDocument struct {
	Schema string          `json:"schema"`
	Alarms []schakel.Alarm `json:"alarms"`
}

func (a *app) alarms(ctx context.Context, check bool) error {
	return a.with(ctx, false, func(s *session) (err error) {
		alarms, err := s.Alarms(ctx)
		if err != nil {
			return err
		}
		if check && len(alarms) > 0 {
			defer func() { err = cmp.Or(err, fmt.Errorf("%w: %d alarms", errChecks, len(alarms))) }()
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
