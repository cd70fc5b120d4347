package cli

import (
	"context"
	"fmt"

	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// situated is how far a case has come in one situation.
type situated struct {
	ID        string           `json:"id"`
	Title     protocol.Text    `json:"title"`
	Steps     []playbook.Taken `json:"steps"`
	Next      string           `json:"next,omitempty"` // the first step that is open
	situation playbook.Situation
}

type progressDocument struct {
	Schema     string          `json:"schema"`
	Case       message.CaseRef `json:"case"`
	KnownAt    message.Ref     `json:"knownAt"`
	Exercise   bool            `json:"exercise,omitempty"`
	Situations []situated      `json:"situations"`
}

// progress shows how far a case has come, by its messages. The daemon computes it: the
// messages do not leave it.
func (a *app) progress(ctx context.Context, f playbookFlags, args []string) error {
	p, err := a.readPlaybook(f.file)
	if err != nil {
		return err
	}
	asked, err := situations(p, args)
	if err != nil {
		return err
	}
	by, err := a.looks(f.looks)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		o, err := s.Overview(ctx, f.zaak, by)
		if err != nil {
			return err
		}
		d := progressDocument{"schakel.progress/1", o.Ref, o.KnownAt, o.Exercise, []situated{}}
		for _, situation := range asked {
			taken, err := s.Progress(ctx, f.zaak, situation, by)
			if err != nil {
				return err
			}
			next, _ := playbook.Next(taken)
			d.Situations = append(d.Situations, situated{situation.ID, situation.Title, taken, next.ID, situation})
		}
		if a.json {
			return a.writeJSON(d)
		}
		a.exercise(schakel.Summary{Exercise: o.Exercise})
		if len(args) == 0 {
			a.compareSituations(d, spoken(f.english))
			return nil
		}
		screen{a, spoken(f.english)}.showSafeContact(o.Safe)
		a.tellProgress(p, o, d.Situations[0], spoken(f.english))
		return nil
	})
}

// compareSituations helps to choose: which situation does this case look like?
func (a *app) compareSituations(d progressDocument, say func(protocol.Text) string) {
	rows := [][]cell{heads("SITUATION", "WHAT IT IS", "SHOWN TO BE DONE", "NEXT")}
	for _, s := range d.Situations {
		done, shown := 0, 0
		for _, t := range s.Steps {
			switch t.State {
			case playbook.StateDone:
				done, shown = done+1, shown+1
			case playbook.StateOpen:
				shown++
			}
		}
		rows = append(rows, []cell{{s.ID, bold}, {inertLine(say(s.Title)), plain}, {fmt.Sprintf("%d of %d", done, shown), plain}, {orDash(s.Next), plain}})
	}
	a.table(rows)
}

func (a *app) tellProgress(p playbook.Playbook, o schakel.Overview, s situated, say func(protocol.Text) string) {
	a.printf("%s\n\n%s\n", a.in(bold, inertLine(say(s.Title))), a.in(red, say(text("NOOIT", "NEVER"))))
	for _, never := range s.situation.Never {
		a.printf("  - %s\n", inertLine(say(never)))
	}
	for i, t := range s.Steps {
		a.printf("\n%d. %s  %s\n", i+1, a.in(bold, inertLine(say(t.Step.Title))), a.taken(o, t, say))
		if t.Step.ID == s.Next || t.State == playbook.StateByHand {
			a.tellStep(p, t.Step, say)
		}
	}
	a.printf("\n%s %s\n", say(text("zoals hier bekend bij", "as known at")), screen{a, say}.named(o, o.KnownAt))
}

func (a *app) taken(o schakel.Overview, t playbook.Taken, say func(protocol.Text) string) string {
	switch t.State {
	case playbook.StateDone:
		return a.in(green, say(text("gedaan: ", "done: "))+screen{a, say}.named(o, t.By))
	case playbook.StateByHand:
		return a.in(dim, say(text("alleen u weet of dit gedaan is", "only you know whether this was done")))
	}
	return a.in(yellow, say(text("nog niet gezien", "not seen yet")))
}
