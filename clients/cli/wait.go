package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

// states are the names that --for takes: Dutch as everywhere, or English.
func states() map[string]schakel.State {
	return map[string]schakel.State{
		"bij-relay": schakel.StateAtRelay, "at-relay": schakel.StateAtRelay,
		"afgeleverd": schakel.StateDelivered, "delivered": schakel.StateDelivered,
		"gelezen": schakel.StateOpened, "opened": schakel.StateOpened,
		"bevestigd": schakel.StateAcknowledged, "acknowledged": schakel.StateAcknowledged,
	}
}

func (a *app) waitCommand() *cobra.Command {
	var state string
	var timeout time.Duration
	c := &cobra.Command{
		Use: "wait MESSAGE", Short: "Wait until a sent message has come far enough",
		Long: "Waits until every addressed desk has come so far. Exit code 0: all have. 3: some refused it.\n" +
			"5: all refused it. 75: it has not reached the relay yet. 1: it has, but not further in time.",
		Args: arguments("MESSAGE"),
		RunE: func(c *cobra.Command, args []string) error { return a.wait(c.Context(), args[0], state, timeout) },
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "sent"})
	suggestions := slices.Sorted(maps.Keys(states()))
	c.Flags().StringVar(&state, "for", "afgeleverd", "bij-relay, afgeleverd, gelezen or bevestigd")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait")
	suggest(c, map[string]completer{"for": words(suggestions)})
	return c
}

func (a *app) wait(ctx context.Context, ref, name string, timeout time.Duration) error {
	state, ok := states()[name]
	if !ok {
		return usage(fmt.Errorf("--for %q is not one of %s", name, strings.Join(slices.Sorted(maps.Keys(states())), ", ")))
	}
	return a.with(ctx, true, func(s *session) error {
		until, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		m, err := s.Wait(until, ref, state)
		late := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
		if err != nil && !late {
			return err
		}
		if late { // what Wait returns with an error may be empty
			if m, err = s.Trace(ctx, ref); err != nil {
				return err
			}
		}
		if err := a.showTrace(m); err != nil {
			return err
		}
		return verdict(m, state, timeout)
	})
}

// verdict is the exit of wait for how far a message came.
func verdict(m schakel.Summary, want schakel.State, timeout time.Duration) error {
	refused, reached := 0, 0
	for _, r := range m.Recipients {
		switch {
		case order(r.State) <= order(schakel.StateFailed):
			refused++
		case order(r.State) >= order(want):
			reached++
		}
	}
	switch {
	case reached == len(m.Recipients):
		return nil
	case refused == len(m.Recipients):
		return advise(fmt.Errorf("%w: by every addressed desk", errRefused), "telephone the desk: the rule it names says why")
	case refused > 0:
		return advise(fmt.Errorf("%w: %d of %d desks refused it", errPartly, refused, len(m.Recipients)), "telephone the desks that refused")
	case slowest(m.Recipients).State == schakel.StatePrepared:
		return advise(errQueued, "see `schakel status`: the relay is not reached")
	}
	return advise(fmt.Errorf("%w: after %s not every desk has it as %s", errNotYet, timeout, want), "telephone the desks that are behind")
}
