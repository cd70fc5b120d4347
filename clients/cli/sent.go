package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

func (a *app) sentCommand() *cobra.Command {
	f := schakel.Filter{Box: "sent"}
	c := &cobra.Command{
		Use: "sent [MESSAGE]", Short: "List sent messages, or trace one to each of its desks",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return arguments("[MESSAGE]")(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.trace(c.Context(), args[0])
			}
			return a.list(c.Context(), "schakel.sent-list/1", f)
		},
	}
	c.ValidArgsFunction = a.messageNames(f)
	filterFlags(c, &f)
	return c
}

type traceDocument struct {
	Schema  string          `json:"schema"`
	Message schakel.Summary `json:"message"`
}

func (a *app) trace(ctx context.Context, ref string) error {
	return a.with(ctx, false, func(s *session) error {
		m, err := s.Trace(ctx, ref)
		if err != nil {
			return err
		}
		return a.showTrace(m)
	})
}

func (a *app) showTrace(m schakel.Summary) error {
	if a.json {
		return a.writeJSON(traceDocument{"schakel.trace/1", m})
	}
	a.exercise(m)
	a.printf("%s  %s  %s\n", a.in(bold, short(m.Hash)), inertLine(m.Class), a.in(urgencyColour(m.Urgency), inertLine(string(m.Urgency))))
	rows := [][]cell{heads("DESK", "STATE", "SINCE", "BY", "RULE")}
	for _, r := range m.Recipients {
		rows = append(rows, []cell{{string(r.Desk), plain}, {string(r.State), stateColour(r.State)}, {a.when(r.At), plain},
			{orDash(inertLine(r.By)), plain}, {orDash(inertLine(r.Rule)), plain}})
	}
	a.table(rows)
	for _, r := range m.Recipients {
		if !r.ByFile.IsZero() {
			a.printf("%s: exported by file at %s, not confirmed\n", inertLine(string(r.Desk)), a.when(r.ByFile))
		}
		if !r.Files.IsZero() {
			a.printf("%s: has all files since %s\n", inertLine(string(r.Desk)), a.when(r.Files))
		}
		if spoken, ok := protocol.ParseRejection(r.Rule); ok {
			a.printf("%s reads version %s of the protocol and kept this message apart, unread. Say it again: it then goes in a version that it reads. Acute: telephone.\n",
				inertLine(string(r.Desk)), numbers(spoken))
		}
	}
	return nil
}

// numbers is versions as a person reads them: 1, 2.
func numbers(all []int) string {
	words := make([]string, len(all))
	for i, n := range all {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}

func stateColour(s schakel.State) colour {
	switch s {
	case schakel.StateAcknowledged, schakel.StateDelivered, schakel.StateOpened:
		return green
	case schakel.StateRejected, schakel.StateFailed:
		return red
	}
	return plain
}

// order is how far a state is; what ended badly comes first.
func order(s schakel.State) int {
	return slices.Index([]schakel.State{schakel.StateRejected, schakel.StateFailed, schakel.StatePrepared,
		schakel.StateAtRelay, schakel.StateDelivered, schakel.StateOpened, schakel.StateAcknowledged}, s)
}

// slowest returns the recipient that is least far.
func slowest(all []schakel.Recipient) schakel.Recipient {
	if len(all) == 0 {
		return schakel.Recipient{State: "-"}
	}
	return slices.MinFunc(all, func(x, y schakel.Recipient) int { return order(x.State) - order(y.State) })
}
