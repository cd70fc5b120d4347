package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

// by proves who of this desk acts; it is needed.
func (a *app) by(s signer) (schakel.By, error) {
	if s.person == "" {
		return schakel.By{}, advise(usage(errors.New("--person is missing")), "colleagues must see who did it: see `schakel person list`")
	}
	return a.maybeBy(s)
}

// maybeBy asks for a PIN only where a person is named.
func (a *app) maybeBy(s signer) (by schakel.By, err error) {
	if s.person == "" {
		return by, nil
	}
	by.Person = s.person
	by.PIN, err = a.pin(s)
	return by, err
}

func (a *app) takeCommand() *cobra.Command {
	var f signer
	c := &cobra.Command{
		Use: "take MESSAGE|CASE", Short: "Take a case: colleagues see that you have it",
		Long: "Puts a case in your name on every device of this desk. The partner hears nothing of it: what\n" +
			"tells the sender is `schakel ack`. When a colleague takes it at the same moment, all devices\n" +
			"show the same name, and both of you are told to talk.",
		Args: arguments("MESSAGE|CASE"),
		RunE: func(c *cobra.Command, args []string) error { return a.assign(c.Context(), args[0], f.person, f) },
	}
	a.actor(c, &f, schakel.Filter{ToAck: true})
	return c
}

// actor gives a command the flags of who acts, and completes its case.
func (a *app) actor(c *cobra.Command, f *signer, messages schakel.Filter) {
	f.flags(c)
	c.ValidArgsFunction = a.messageNames(messages)
	suggest(c, map[string]completer{"person": a.personNames()})
}

// nobody stands where a colleague's name would.
const nobody = "-"

func (a *app) assignCommand() *cobra.Command {
	var f signer
	c := &cobra.Command{
		Use: "assign CASE PERSON", Short: "Give a case to a colleague",
		Long:    "Puts a case in the name of a colleague on every device of this desk; with - in nobody's.",
		Example: `  schakel assign 019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01 "K. Nooppunt" --person "P. Iket" --pin-file pin`,
		Args:    arguments("CASE", "PERSON"),
		RunE: func(c *cobra.Command, args []string) error {
			to := args[1]
			if to == nobody {
				to = ""
			}
			return a.assign(c.Context(), args[0], to, f)
		},
	}
	a.actor(c, &f, schakel.Filter{})
	return c
}

type assignmentDocument struct {
	Schema string `json:"schema"`
	schakel.Assignment
}

func (a *app) assign(ctx context.Context, ref, to string, f signer) error {
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		got, err := s.Assign(ctx, ref, to, by)
		if err != nil {
			return suggestPerson(ctx, s, f.person, err)
		}
		if a.json {
			return a.writeJSON(assignmentDocument{"schakel.assignment/1", got})
		}
		a.showAssignment(got)
		return nil
	})
}

func (a *app) showAssignment(got schakel.Assignment) {
	if got.At.IsZero() {
		a.printf("nobody has case %s yet\n", inertLine(got.Case))
		return
	}
	a.printf("case %s: %s, by %s, %s\n", inertLine(got.Case), a.in(bold, orDash(inertLine(got.Name))), inertLine(got.By), a.when(got.At))
	for _, other := range got.Also {
		a.printf("%s\n", a.in(red, inertLine(other)+" took it at the same time: talk, then settle it with `schakel assign`"))
	}
}

func (a *app) noteCommand() *cobra.Command {
	var f looker
	var file string
	c := &cobra.Command{
		Use: "note CASE", Short: "Show or add internal notes on a case",
		Long: "Shows who has a case, and its internal notes and drafts; with --file adds a note. Notes stay\n" +
			"among the devices of this desk and are never changed: write another one. In a restricted case\n" +
			"anybody can add one, and only who is named for the case reads them.",
		Example: `  schakel note 019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01
  echo "belt zaterdag terug" | schakel note 019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01 --file - --person "P. Iket" --pin-file pin`,
		Args: arguments("CASE"),
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" {
				return a.worksheet(c.Context(), args[0], f)
			}
			return a.addNote(c.Context(), args[0], file, f.signer)
		},
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{})
	a.lookedAt(c, &f)
	c.Flags().StringVar(&file, "file", "", "file with the text of a new note, or - for standard input")
	return c
}

type noteDocument struct {
	Schema string       `json:"schema"`
	Note   schakel.Note `json:"note"`
}

func (a *app) addNote(ctx context.Context, ref, file string, f signer) error {
	text, err := a.content(file)
	if err != nil {
		return err
	}
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		note, err := s.AddNote(ctx, ref, string(text), by)
		if err != nil {
			return suggestPerson(ctx, s, f.person, err)
		}
		if a.json {
			return a.writeJSON(noteDocument{"schakel.note/1", note})
		}
		a.printf("%s\n", note.Hash)
		return nil
	})
}

type worksheetDocument struct {
	Schema string `json:"schema"`
	schakel.Worksheet
}

func (a *app) worksheet(ctx context.Context, ref string, l looker) error {
	by, err := a.looks(l)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		w, err := s.Worksheet(ctx, ref, by)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(worksheetDocument{"schakel.worksheet/1", w})
		}
		a.showAssignment(w.Assignment)
		for _, note := range w.Notes {
			a.printf("\n%s  %s\n%s\n", a.in(bold, inertLine(note.By)), a.when(note.At), inert(note.Text))
		}
		if len(w.Drafts) > 0 {
			a.printf("\n")
			a.showDrafts(w.Drafts)
		}
		return nil
	})
}

type logDocument struct {
	Schema string `json:"schema"`
	schakel.AccessLog
	Intact bool `json:"intact"`
}

func (a *app) logCommand() *cobra.Command {
	var ref string
	var verify bool
	c := &cobra.Command{
		Use: "log", Short: "Show who opened what on the devices of this desk",
		Long: "Shows the access log of all devices of this desk, by time. Each device keeps the others' logs,\n" +
			"so that cutting or changing one is noticed. The checks are always made: with --verify only\n" +
			"their outcome is shown. Exit code 8: a log does not check out.",
		Example: "  schakel log --case 019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01\n  schakel log --verify",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return a.accessLog(c.Context(), ref, verify) },
	}
	c.Flags().StringVar(&ref, "case", "", "only of this case, named by itself or by a message of it")
	c.Flags().BoolVar(&verify, "verify", false, "show whether the logs check out, and not their lines")
	return c
}

func (a *app) accessLog(ctx context.Context, ref string, verify bool) error {
	return a.with(ctx, false, func(s *session) error {
		l, err := s.Log(ctx, ref)
		if err != nil {
			return err
		}
		if verify {
			l.Lines = nil
		}
		if a.json {
			l.Lines, l.Devices = list(l.Lines), list(l.Devices)
			err = a.writeJSON(logDocument{"schakel.log/1", l, l.Intact()})
		} else {
			a.showLog(l, verify)
		}
		if err == nil && !l.Intact() {
			err = advise(fmt.Errorf("%w: the access log of a device of this desk", errUnverified),
				"stop using that device, keep it as it is, and tell the security officer")
		}
		return err
	})
}

func (a *app) showLog(l schakel.AccessLog, verify bool) {
	if !verify {
		rows := [][]cell{heads("WHEN", "WHO", "WHAT", "SUBJECT", "DEVICE")}
		for _, line := range l.Lines {
			rows = append(rows, []cell{{a.when(line.At), plain}, {orDash(inertLine(line.Person)), bold}, {inertLine(line.Action), plain},
				{short(inertLine(line.Subject)), plain}, {short(line.Device), dim}})
		}
		a.table(rows)
		a.printf("\n")
	}
	for _, d := range l.Devices {
		verdict, paint := "checks out", green
		if d.Fault != "" {
			verdict, paint = inertLine(d.Fault), red
		}
		if d.Missing > 0 {
			verdict += fmt.Sprintf("; %d lines have not arrived yet", d.Missing)
		}
		a.printf("device %s: %d lines, %s\n", short(d.Device), d.Lines, a.in(paint, verdict))
	}
}
