package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/configs"
)

// maxPlaybookFile is one byte more than the largest playbook.
const maxPlaybookFile = 256<<10 + 1

// playbookFlags say which playbook, and in which language it is shown.
type playbookFlags struct {
	file    string
	zaak    string
	english bool
	html    bool
	looks   looker // at the case
}

func (f *playbookFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "file", "", "playbook of your own chain (default the one of this program)")
	c.Flags().BoolVar(&f.english, "english", false, "show it in English instead of Dutch")
}

func (a *app) readPlaybook(path string) (playbook.Playbook, error) {
	raw := configs.Playbook
	if path != "" {
		var err error
		if raw, err = readFile(path, maxPlaybookFile); err != nil {
			return playbook.Playbook{}, err
		}
	}
	catalogue, err := readAgreement(a.settings.get("agreement"))
	if err != nil {
		return playbook.Playbook{}, err
	}
	p, err := playbook.Parse(raw, catalogue)
	return p, advise(err, "mend the playbook at the place that is named; configs/playbook.toml is an example")
}

func (a *app) playbookCommand() *cobra.Command {
	var f playbookFlags
	c := &cobra.Command{
		Use: "playbook [SITUATION]", Short: "Show what to do, step by step (draaiboek)",
		Long: "Without a situation: list them. With one: what never to do, and each step with whom to call\n" +
			"and which message to send. With a case as well: which steps its messages show to be done, and\n" +
			"which comes next. What no message shows, such as a call, only you know.\n" +
			"In immediate danger: call 112.",
		Example: "  schakel playbook\n  schakel playbook acuut-thuis\n  schakel playbook acuut-thuis --case 4f1c09aa",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return arguments("[SITUATION]")(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.zaak != "" {
				return a.progress(c.Context(), f, args)
			}
			return a.playbook(f, args)
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.zaak, "case", "", "show how far this case has come: its identifier, or a message of it")
	a.lookedAt(c, &f.looks)
	return c
}

type playbookDocument struct {
	Schema     string               `json:"schema"`
	Numbers    []playbook.Number    `json:"numbers"`
	Situations []playbook.Situation `json:"situations"`
}

func (a *app) playbook(f playbookFlags, args []string) error {
	p, err := a.readPlaybook(f.file)
	if err != nil {
		return err
	}
	d := playbookDocument{"schakel.playbook/1", list(p.Numbers), p.Situations}
	if d.Situations, err = situations(p, args); err != nil {
		return err
	}
	if a.json {
		return a.writeJSON(d)
	}
	say := spoken(f.english)
	if len(args) == 0 {
		rows := [][]cell{heads("SITUATION", "WHAT IT IS")}
		for _, s := range p.Situations {
			rows = append(rows, []cell{{s.ID, bold}, {inertLine(say(s.Title)), plain}})
		}
		a.table(rows)
		return nil
	}
	a.tellSituation(p, d.Situations[0], say)
	return nil
}

// situations are all of a playbook, or the one that is named.
func situations(p playbook.Playbook, args []string) ([]playbook.Situation, error) {
	if len(args) == 0 {
		return p.Situations, nil
	}
	s, ok := p.Situation(args[0])
	if !ok {
		var ids []string
		for _, s := range p.Situations {
			ids = append(ids, s.ID)
		}
		return nil, usage(fmt.Errorf("situation %q is not in the playbook%s; there are %s", args[0], didYouMean(args[0], ids), strings.Join(ids, ", ")))
	}
	return []playbook.Situation{s}, nil
}

// spoken returns a text in one language.
func spoken(english bool) func(protocol.Text) string {
	return func(t protocol.Text) string {
		if english {
			return t.EN
		}
		return t.NL
	}
}

func (a *app) tellSituation(p playbook.Playbook, s playbook.Situation, say func(protocol.Text) string) {
	a.printf("%s\n\n%s\n", a.in(bold, inertLine(say(s.Title))), a.in(red, say(protocol.Text{NL: "NOOIT", EN: "NEVER"})))
	for _, never := range s.Never {
		a.printf("  - %s\n", inertLine(say(never)))
	}
	for i, step := range s.Steps {
		a.printf("\n%d. %s\n", i+1, a.in(bold, inertLine(say(step.Title))))
		a.tellStep(p, step, say)
	}
}

// tellStep tells what to do in one step, whom to call and which message to send.
func (a *app) tellStep(p playbook.Playbook, step playbook.Step, say func(protocol.Text) string) {
	for _, do := range step.Do {
		a.printf("   %s\n", inertLine(say(do)))
	}
	for _, never := range step.Never {
		a.printf("   %s: %s\n", a.in(red, say(protocol.Text{NL: "nooit", EN: "never"})), inertLine(say(never)))
	}
	if len(step.Call) > 0 {
		a.printf("   %s: %s\n", say(protocol.Text{NL: "bel", EN: "call"}), inertLine(strings.Join(callees(p, step.Call), ", ")))
	}
	if step.Send == nil {
		return
	}
	var to []string
	for _, r := range step.Send.To {
		to = append(to, string(r))
	}
	a.printf("   %s: %s (%s) -> %s\n", say(protocol.Text{NL: "bericht", EN: "message"}), inertLine(step.Send.Class), step.Send.Urgency, strings.Join(to, ", "))
}

// callees are the telephone numbers of a step, and the roles whose desks to call.
func callees(p playbook.Playbook, call []string) (out []string) {
	for _, id := range call {
		if n, ok := p.Number(id); ok {
			id = n.Telephone
		}
		out = append(out, id)
	}
	return out
}

func (a *app) cardCommand() *cobra.Command {
	var f playbookFlags
	c := &cobra.Command{
		Use: "card", Short: "Print the outage card of this desk: whom to call when Schakel is down",
		Long: "Prints the outage card of this desk, for the wall: what to do when Schakel is down, and the\n" +
			"telephone numbers of the desks that it writes to. Print a new one every month.",
		Example: "  schakel card --html > card.html",
		Args:    arguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return a.card(c.Context(), f) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.html, "html", false, "write a page to print instead of plain text")
	return c
}

func (a *app) card(ctx context.Context, f playbookFlags) error {
	p, err := a.readPlaybook(f.file)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		directory, err := s.Directory(ctx)
		if err != nil {
			return err
		}
		var desks []playbook.Desk
		for _, d := range directory {
			desks = append(desks, playbook.Desk{ID: d.ID, Org: d.Org, Role: d.Role, Region: d.Region, Telephone: d.Telephone})
		}
		card := p.CardOf(status.Desk, desks, a.Now().In(a.Zone), f.english)
		switch {
		case a.json:
			return a.writeJSON(cardDocument{"schakel.card/1", card})
		case f.html:
			return card.WriteHTML(a.Out)
		}
		return card.WriteText(a.Out)
	})
}

type cardDocument struct {
	Schema string        `json:"schema"`
	Card   playbook.Card `json:"card"`
}
