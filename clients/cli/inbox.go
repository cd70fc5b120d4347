package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

func (a *app) inboxCommand() *cobra.Command {
	var f schakel.Filter
	c := &cobra.Command{
		Use: "inbox", Short: "List received messages: urgent first, then newest first",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.list(c.Context(), "schakel.inbox/1", f) },
	}
	c.Flags().BoolVar(&f.ToAck, "to-ack", false, "only what waits for an acknowledgement here")
	filterFlags(c, &f)
	c.AddCommand(a.inboxImportCommand())
	return c
}

func filterFlags(c *cobra.Command, f *schakel.Filter) {
	c.Flags().StringVar(&f.Case, "case", "", "only this case")
	c.Flags().IntVar(&f.Limit, "limit", 0, "at most so many (default 200, at most 1000)")
}

type listDocument struct {
	Schema   string            `json:"schema"`
	Messages []schakel.Summary `json:"messages"`
}

func (a *app) list(ctx context.Context, schema string, f schakel.Filter) error {
	if f.Limit < 0 || f.Limit > 1000 {
		return usage(fmt.Errorf("--limit %d: at most 1000", f.Limit))
	}
	return a.with(ctx, false, func(s *session) error {
		messages, err := s.List(ctx, f)
		if err != nil {
			return err
		}
		if !s.daemon {
			a.sayf("no daemon runs: this is what is on disk here")
		}
		if a.json {
			return a.writeJSON(listDocument{schema, list(messages)})
		}
		a.listing(messages)
		return nil
	})
}

func (a *app) listing(messages []schakel.Summary) {
	if len(messages) == 0 {
		a.printf("no messages\n")
		return
	}
	rows := [][]cell{heads("MESSAGE", "CREATED", "CLASS", "URGENCY", "DESK", "CASE", "STATE")}
	for _, m := range messages {
		rows = append(rows, []cell{
			{short(m.Hash), bold}, {a.when(m.Created), plain}, classOf(m),
			{inertLine(string(m.Urgency)), urgencyColour(m.Urgency)}, {inertLine(others(m)), plain},
			{inertLine(short(m.Case)), plain}, a.state(m)})
	}
	a.table(rows)
}

// classOf is the class, with the mark of an exercise before it.
func classOf(m schakel.Summary) cell {
	if m.Exercise {
		return cell{protocol.ExerciseMark().NL + " " + inertLine(m.Class), yellow}
	}
	return cell{inertLine(m.Class), plain}
}

// exercise says before anything else that a message is no real case.
func (a *app) exercise(m schakel.Summary) {
	if m.Exercise {
		banner := protocol.ExerciseBanner()
		a.printf("%s\n%s\n\n", a.in(yellow, banner.NL), a.in(yellow, banner.EN))
	}
}

// others names the desks at the other end.
func others(m schakel.Summary) string {
	if m.Inbound {
		return "from " + string(m.From)
	}
	to := "to"
	for _, r := range m.Recipients {
		to += " " + string(r.Desk)
	}
	return to
}

// state says in a few words where a message stands, and colours what waits for us.
func (a *app) state(m schakel.Summary) cell {
	c := a.stateOf(m)
	if m.Unjudged {
		c.text += "; not judged until opened"
	}
	if m.Refused != "" {
		c.text += "; refused under " + inertLine(m.Refused)
	}
	for _, mark := range m.Marks {
		c.text += "; " + inertLine(string(mark))
	}
	if len(m.Restricted) > 0 {
		c.text += "; " + restrictedTo(m.Restricted)
	}
	return c
}

func (a *app) stateOf(m schakel.Summary) cell {
	switch {
	case !m.Inbound:
		return cell{string(slowest(m.Recipients).State), plain}
	case m.Confirms.Short():
		return cell{confirmedBy(*m.Confirms), yellow}
	case !m.Acknowledged.IsZero() && m.Confirms != nil:
		return cell{confirmedBy(*m.Confirms), green}
	case !m.Acknowledged.IsZero():
		return cell{"acknowledged", green}
	case !m.AckDue.IsZero() && m.AckDue.Before(a.Now()):
		return cell{"acknowledge: late since " + a.when(m.AckDue), red}
	case !m.AckDue.IsZero():
		return cell{"acknowledge before " + a.when(m.AckDue), yellow}
	case m.Opened.IsZero():
		return cell{"unread", bold}
	}
	return cell{"opened", plain}
}
