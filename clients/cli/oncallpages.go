package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/relay/page"
)

func (a *app) oncallTestCommand() *cobra.Command {
	var t schakel.TestPage
	c := &cobra.Command{
		Use: "test", Short: "Page one person as a test, through every channel",
		Long: "Pages somebody of this desk's rota from this device, and with --relay from the relay too. The\n" +
			"page says TEST, and that nothing waits. Ask them which of the channels rang: that one took the\n" +
			"page does not mean that anybody heard it. Exit code 3: one channel did not take it.",
		Example: "  schakel oncall test --person \"P. Iket\"\n  schakel oncall test --person p-7k2 --relay",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return a.testPages(c.Context(), t) },
	}
	c.Flags().StringVar(&t.Who, "person", "", "who is paged: contact or name in the rota")
	c.Flags().BoolVar(&t.Relay, "relay", false, "let the relay page too, as when no device here is on")
	return c
}

type testedDocument struct {
	Schema string           `json:"schema"`
	Tests  []schakel.Tested `json:"tests"`
}

func (a *app) testPages(ctx context.Context, t schakel.TestPage) error {
	if t.Who == "" {
		return advise(usage(errors.New("--person is missing")), "name somebody of the rota: see `schakel oncall rota show`")
	}
	return a.with(ctx, true, func(s *session) error {
		got, err := s.TestPages(ctx, t)
		if err != nil {
			return err
		}
		bad := 0
		rows := [][]cell{heads("BY", "CONTACT", "CHANNEL", "OUTCOME")}
		for _, r := range got {
			if r.Outcome != page.Sent {
				bad++
			}
			rows = append(rows, []cell{{r.By, plain}, {inertLine(r.Contact), bold}, {orDash(inertLine(r.Channel)), plain}, a.outcome(r.Outcome)})
		}
		if a.json {
			err = a.writeJSON(testedDocument{"schakel.page-tests/1", list(got)})
		} else {
			a.table(rows)
		}
		switch {
		case err != nil:
			return err
		case len(got) == 0:
			return advise(fmt.Errorf("%w: no way to reach %.80q", errPartly, t.Who), "add a contact point to the rota: see `schakel oncall rota edit`")
		case bad > 0:
			return advise(fmt.Errorf("%w: %d of %d channels did not take the page", errPartly, bad, len(got)), "see \"Pages\" in docs/operations.md for what each outcome means")
		}
		return nil
	})
}

func (a *app) outcome(o page.Outcome) cell {
	switch o {
	case page.Sent:
		return cell{string(o), green}
	case "":
		return cell{"begun", dim}
	}
	return cell{inertLine(string(o)), red}
}

func (a *app) oncallLogCommand() *cobra.Command {
	var relay bool
	var limit int
	c := &cobra.Command{
		Use: "log", Short: "Show who was paged, through which channel, and what became of it",
		Long: "Shows the pages that the devices of this desk sent, the newest first; with --relay those that the\n" +
			"relay says it sent. A page says no more than a tier and a reference: what it was for is known\n" +
			"here alone.",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return a.pageLog(c.Context(), relay, limit) },
	}
	c.Flags().BoolVar(&relay, "relay", false, "what the relay says that it sent")
	c.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return c
}

type pagesDocument struct {
	Schema string         `json:"schema"`
	Pages  []schakel.Page `json:"pages"`
}

func (a *app) pageLog(ctx context.Context, relay bool, limit int) error {
	return a.with(ctx, relay, func(s *session) error {
		pages, err := s.PageLog(ctx, limit)
		if relay {
			if _, err = a.settled(ctx, s); err == nil {
				pages, err = s.RelayPages(ctx)
			}
		}
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(pagesDocument{"schakel.pages/1", list(pages)})
		}
		rows := [][]cell{heads("WHEN", "WHY", "TIER", "RUNG", "WHO", "CHANNEL", "OUTCOME", "REFERENCE", "SUBJECT")}
		for _, p := range pages {
			tier := cell{p.Tier, plain}
			if p.Exercise {
				tier = cell{"exercise " + p.Tier, yellow}
			}
			who := p.Name
			if who == "" {
				who = p.Contact
			}
			rows = append(rows, []cell{{a.when(p.At), plain}, {inertLine(p.Why), plain}, tier, {fmt.Sprint(p.Rung), plain}, {inertLine(who), bold},
				{inertLine(p.Channel), plain}, a.outcome(p.Outcome), {inertLine(p.Reference), dim}, {short(inertLine(p.Subject)), dim}})
		}
		a.table(rows)
		return nil
	})
}

func (a *app) oncallReadinessCommand() *cobra.Command {
	return &cobra.Command{
		Use: "readiness", Short: "Say whether this desk would answer tonight",
		Long: "Checks the rota of the next 14 days, how everybody in it is reached, the keys and the devices, and\n" +
			"the last drill that was answered. Exit code 1: something is missing.",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return a.readiness(c.Context()) },
	}
}

type readinessDocument struct {
	Schema    string              `json:"schema"`
	Readiness []schakel.Readiness `json:"readiness"`
}

func (a *app) readiness(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		all, err := s.Readiness(ctx)
		if err != nil {
			return err
		}
		if a.json {
			err = a.writeJSON(readinessDocument{"schakel.readiness/1", list(all)})
		} else {
			a.showChecks(readinessChecks(all, failed))
		}
		missing := 0
		for _, r := range all {
			if !r.Ready {
				missing++
			}
		}
		if err == nil && missing > 0 {
			err = advise(fmt.Errorf("%w: %d of %d", errChecks, missing, len(all)), "do what stands beside each")
		}
		return err
	})
}

// readinessChecks are the same for doctor; what is missing is as bad as worst says.
func readinessChecks(all []schakel.Readiness, worst result) (out []check) {
	for _, r := range all {
		c := check{r.Name, passed, r.Evidence, r.Remedy}
		if !r.Ready {
			c.Result = worst
		}
		out = append(out, c)
	}
	return out
}

// checkOnCall is readiness as doctor shows it. The rota has a check of its own there.
func (a *app) checkOnCall(ctx context.Context, s *session) check {
	all, err := s.Readiness(ctx)
	if err != nil {
		return check{"on call", failed, err.Error(), "see the daemon's log"}
	}
	missing := 0
	for _, r := range all {
		if !r.Ready {
			missing++
		}
	}
	evidence := fmt.Sprintf("%d of %d things are ready", len(all)-missing, len(all))
	if missing > 0 {
		return check{"on call", warning, evidence, "see `schakel oncall readiness`"}
	}
	return check{"on call", passed, evidence, ""}
}

func (a *app) oncallDrillCommand() *cobra.Command {
	var to string
	var f signer
	var patience time.Duration
	c := &cobra.Command{
		Use: "drill", Short: "Try another desk with an acute exercise, or show the drills so far",
		Long: "Sends an acute exercise on the real path: sealed, paged and acknowledged as the real thing is. The\n" +
			"desk's own pages say OEFENING; the relay cannot know, and its pages do not. Tell the desk which\n" +
			"month it will be, and not which night. Without --to it shows the drills of this desk.",
		Example: "  schakel oncall drill --to vt20/crisis\n  schakel oncall drill",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if to == "" {
				return a.drills(c.Context())
			}
			return a.drill(c.Context(), to, f, patience)
		},
	}
	c.Flags().StringVar(&to, "to", "", "desk that is tried: organisation/desk")
	c.Flags().DurationVar(&patience, "for", 0, "how long to wait for the acknowledgement")
	f.flags(c)
	suggest(c, map[string]completer{"to": a.deskNames(), "person": a.personNames()})
	return c
}

type drillDocument struct {
	Schema string `json:"schema"`
	schakel.Sent
}

func (a *app) drill(ctx context.Context, to string, f signer, patience time.Duration) error {
	desk, err := identity.ParseDeskID(to)
	if err != nil {
		return usage(err)
	}
	by, err := a.maybeBy(f)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		if _, err := a.settled(ctx, s); err != nil {
			return err
		}
		sent, err := s.StartDrill(ctx, desk, by)
		if err != nil {
			return err
		}
		if a.json {
			err = a.writeJSON(drillDocument{"schakel.drill/1", sent})
		} else {
			a.printf("exercise %s sent to %s\n", short(sent.Hash), inertLine(to))
		}
		patience = max(patience, a.settings.duration("wait"))
		waiting, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		state := schakel.StateAtRelay
		if patience > a.settings.duration("wait") {
			state = schakel.StateAcknowledged
		}
		if _, waited := s.Wait(waiting, sent.Hash, state); waited != nil && ctx.Err() == nil {
			return advise(fmt.Errorf("%w: the exercise is not %s within %s", errPartly, state, patience), "see `schakel oncall drill`, and telephone the desk")
		}
		return err
	})
}

type drillsDocument struct {
	Schema string          `json:"schema"`
	Drills []schakel.Drill `json:"drills"`
}

func (a *app) drills(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		drills, err := s.Drills(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(drillsDocument{"schakel.drills/1", list(drills)})
		}
		rows := [][]cell{heads("SENT", "WAY", "DESK", "TO PAGE", "TO ACKNOWLEDGE", "MESSAGE")}
		for _, d := range drills {
			way, acked := "to us", cell{"never", red}
			if !d.Inbound {
				way = "from us"
			}
			if !d.Acknowledged.IsZero() {
				acked = cell{d.ToAcknowledged.Round(time.Second).String(), green}
			}
			paged := "-"
			if !d.Paged.IsZero() {
				paged = d.ToPaged.Round(time.Second).String()
			}
			rows = append(rows, []cell{{a.when(d.Sent), plain}, {way, plain}, {inertLine(d.Desk), bold}, {paged, plain}, acked, {short(d.Message), dim}})
		}
		a.table(rows)
		return nil
	})
}
