package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

func (a *app) caseCommand() *cobra.Command {
	return noun("case", "How cases stand: who leads, who waits for whom, what is missing",
		a.caseListCommand(), a.caseShowCommand(), a.caseTimelineCommand(), a.caseObligationsCommand(),
		a.caseRestrictCommand(), a.caseExportCommand(), a.caseDeletionsCommand())
}

func (a *app) caseListCommand() *cobra.Command {
	limit, english := 0, false
	c := &cobra.Command{
		Use: "list", Short: "List the cases of which messages are here, the one that moved last first",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.cases(c.Context(), limit, spoken(english)) },
	}
	inEnglish(c, &english)
	c.Flags().IntVar(&limit, "limit", 0, "at most so many (default 50, at most 200)")
	return c
}

type casesDocument struct {
	Schema string                `json:"schema"`
	Cases  []schakel.CaseSummary `json:"cases"`
}

// inEnglish is the flag of every command that shows a case to a person.
func inEnglish(c *cobra.Command, english *bool) {
	c.Flags().BoolVar(english, "english", false, "show it in English instead of Dutch")
}

func (a *app) cases(ctx context.Context, limit int, say func(protocol.Text) string) error {
	if limit < 0 || limit > 200 {
		return usage(fmt.Errorf("--limit %d: at most 200", limit))
	}
	return a.with(ctx, false, func(s *session) error {
		cases, err := s.Cases(ctx, schakel.Paging{Limit: limit})
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(casesDocument{"schakel.cases/1", list(cases)})
		}
		if len(cases) == 0 {
			a.printf("%s\n", say(text("geen zaken", "no cases")))
			return nil
		}
		return screen{a, say}.listCases(cases)
	})
}

func (a screen) listCases(cases []schakel.CaseSummary) error {
	rows := [][]cell{heads(a.t("ZAAK", "CASE"), a.t("LAATSTE", "LAST"), a.t("BERICHTEN", "MESSAGES"), a.t("ONGELEZEN", "UNREAD"), a.t("STAND", "STATE"),
		a.t("WACHT OP ONS", "WAITS FOR US"), a.t("WIJ WACHTEN OP", "WE WAIT FOR"), a.t("ONTBREEKT", "MISSING"))}
	for _, c := range cases {
		rows = append(rows, []cell{caseName(c), {a.when(c.Last), plain}, {strconv.Itoa(c.Messages), plain}, howMany(c.Unread, bold),
			a.standing(c), a.owed(c), howMany(c.Awaited, plain), howMany(c.Missing, yellow)})
	}
	a.table(rows)
	return nil
}

// caseName is the whole identifier, to be retyped, with the mark of an exercise before it.
func caseName(c schakel.CaseSummary) cell {
	if c.Exercise {
		return cell{protocol.ExerciseMark().NL + " " + inertLine(c.Case), yellow}
	}
	return cell{inertLine(c.Case), bold}
}

func howMany(n int, c colour) cell {
	if n == 0 {
		return cell{"-", plain}
	}
	return cell{strconv.Itoa(n), c}
}

// standing is who leads a case, or who alone may know.
func (a screen) standing(c schakel.CaseSummary) cell {
	if len(c.Restricted) > 0 {
		return cell{a.restrictedTo(c.Restricted), yellow}
	}
	return cell{a.leads(c), plain}
}

func (a screen) restrictedTo(rs []schakel.Reader) string {
	return a.t("alleen voor ", "restricted to ") + readerNames(rs)
}

// leads says in a few words who leads a case.
func (a screen) leads(c schakel.CaseSummary) string {
	switch {
	case !c.Closed.IsZero():
		return a.t("gesloten", "closed")
	case c.Lead == nil:
		return a.t("nog geen regie", "nobody leads yet")
	case c.Lead.Number == 0:
		return inertLine(string(c.Lead.Holder)) + a.t(" zegt regie te hebben", " says to lead")
	}
	return inertLine(string(c.Lead.Holder)) + a.t(" heeft de regie", " leads")
}

func (a screen) owed(c schakel.CaseSummary) cell {
	if c.Owed == 0 {
		return cell{"-", plain}
	}
	paint := yellow
	if c.Due.Before(a.Now()) {
		paint = red
	}
	return cell{fmt.Sprintf(a.t("%d, eerste %s", "%d, first %s"), c.Owed, a.remaining(c.Due)), paint}
}

// caseArgument is the one argument of the commands that show a case.
const caseArgument = "CASE"

const caseHelp = "CASE is the identifier of the case, or of any message of it (its beginning is enough)."

func (a *app) caseShowCommand() *cobra.Command {
	english := false
	var l looker
	c := &cobra.Command{
		Use: "show CASE", Short: "Show how a case stands, as known here",
		Long: "Shows who leads the case (regiehouder), who waits for whom until when, what rests on what,\n" +
			"and what is missing here. Safe contact stands first, before any telephone number.\n" +
			"A partner may know messages that this desk does not have: it says as known at which one.\n\n" + caseHelp,
		Args: arguments(caseArgument),
		RunE: func(c *cobra.Command, args []string) error {
			return a.overview(c.Context(), args[0], l, func(o schakel.Overview) any { return overviewDocument{"schakel.case/1", o} }, func(o schakel.Overview) error {
				return screen{a, spoken(english)}.showCase(o)
			})
		},
	}
	inEnglish(c, &english)
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	a.lookedAt(c, &l)
	return c
}

type overviewDocument struct {
	Schema string `json:"schema"`
	schakel.Overview
}

// overview asks for a case and shows it as a document or to a person.
func (a *app) overview(ctx context.Context, ref string, l looker, document func(schakel.Overview) any, show func(schakel.Overview) error) error {
	by, err := a.looks(l)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		o, err := s.Overview(ctx, ref, by)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.writeJSON(document(o))
		}
		a.exercise(schakel.Summary{Exercise: o.Exercise})
		return show(o)
	})
}

func (a *app) caseTimelineCommand() *cobra.Command {
	english := false
	var l looker
	c := &cobra.Command{
		Use: "timeline CASE", Short: "List the messages of a case in their order, as known here",
		Long: "Lists every message of a case in the order in which it was said, whatever the order of arrival.\n" +
			"What was corrected or withdrawn stays in the list, with what took its place.\n\n" + caseHelp,
		Args: arguments(caseArgument),
		RunE: func(c *cobra.Command, args []string) error {
			return a.overview(c.Context(), args[0], l, func(o schakel.Overview) any {
				return timelineDocument{"schakel.timeline/1", o.Ref, o.KnownAt, o.Exercise, list(o.Messages), list(o.Replaced), list(o.Missing)}
			}, func(o schakel.Overview) error { return screen{a, spoken(english)}.showTimeline(o) })
		},
	}
	inEnglish(c, &english)
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	a.lookedAt(c, &l)
	return c
}

type timelineDocument struct {
	Schema   string                 `json:"schema"`
	Case     message.CaseRef        `json:"case"`
	KnownAt  message.Ref            `json:"knownAt"`
	Exercise bool                   `json:"exercise,omitempty"`
	Messages []schakel.Moment       `json:"messages"`
	Replaced []protocol.Replacement `json:"replaced"`
	Missing  []protocol.Missing     `json:"missing"`
}

func (a *app) caseObligationsCommand() *cobra.Command {
	all, english := false, false
	var l looker
	c := &cobra.Command{
		Use: "obligations CASE", Short: "List who owes whom what in a case, and until when",
		Long: "Lists the open obligations of a case, those of this desk first, the most pressing first.\n" +
			"An obligation ends by a message, never by time.\n\n" + caseHelp,
		Args: arguments(caseArgument),
		RunE: func(c *cobra.Command, args []string) error {
			return a.overview(c.Context(), args[0], l, func(o schakel.Overview) any {
				return obligationsDocument{"schakel.obligations/1", o.Ref, o.KnownAt, o.Exercise, a.withState(chosen(o, all))}
			}, func(o schakel.Overview) error { return screen{a, spoken(english)}.showObligations(o, all) })
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also those that were met")
	inEnglish(c, &english)
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	a.lookedAt(c, &l)
	return c
}

type obligationsDocument struct {
	Schema      string             `json:"schema"`
	Case        message.CaseRef    `json:"case"`
	KnownAt     message.Ref        `json:"knownAt"`
	Exercise    bool               `json:"exercise,omitempty"`
	Obligations []statedObligation `json:"obligations"`
}

// statedObligation is an obligation and how it stands at this moment.
type statedObligation struct {
	protocol.Obligation
	State   string `json:"state"`             // open, late or met
	Seconds int64  `json:"seconds,omitempty"` // left; less than zero: late
}
