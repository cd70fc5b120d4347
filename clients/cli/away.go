package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

func (a *app) awayCommand() *cobra.Command {
	until, back := "", false
	c := &cobra.Command{
		Use: "away", Short: "Say until when this machine is off, so that partners do not take that for trouble",
		Long: "Partners with an open case hear from this desk every hour, and are alarmed when they do not. Who\n" +
			"switches the machine off says so first. It changes nothing else: a message that does not arrive in\n" +
			"time, or that nobody acknowledges, alarms its sender all the same. At most 14 days.",
		Example: "  schakel away --until 08:00      # of tomorrow\n  schakel away --until 2026-04-07T08:00\n  schakel away --back",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.instant("until", until, midnight)
			if err != nil {
				return err
			}
			if back && !at.IsZero() {
				return usage(errors.New("--until or --back, not both"))
			}
			return a.away(c.Context(), at, back)
		},
	}
	c.Flags().StringVar(&until, "until", "", "when somebody is there again, "+timeHelp)
	c.Flags().BoolVar(&back, "back", false, "this machine stays on after all")
	return c
}

func (a *app) away(ctx context.Context, until time.Time, back bool) error {
	return a.with(ctx, back || !until.IsZero(), func(s *session) (err error) {
		var said schakel.Absence
		if back || !until.IsZero() {
			said, err = s.Away(ctx, until)
		} else {
			said, err = s.Absent(ctx)
		}
		switch {
		case err != nil:
			return err
		case a.json:
			return a.writeJSON(struct {
				Schema string `json:"schema"`
				schakel.Absence
			}{"schakel.away/1", said})
		case said.Until.IsZero():
			a.printf("not away\n")
		default:
			a.printf("away until %s\n", onClock(said.Until))
		}
		for _, desk := range said.Untold {
			fmt.Fprintf(a.Err, "not told: %s; it will miss this desk\n", inertLine(string(desk)))
		}
		if !said.Late.IsZero() {
			fmt.Fprintf(a.Err, "from %s on senders of routine messages are alarmed: partners count a working day before that; have somebody look in\n", onClock(said.Late))
		}
		return nil
	})
}
