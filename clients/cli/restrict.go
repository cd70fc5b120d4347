package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

// looker is who looks at something, and the passphrase for emergencies where somebody must
// who is not named for the case.
type looker struct {
	signer
	emergency string
}

func (l *looker) flags(c *cobra.Command) {
	c.Flags().StringVar(&l.person, "person", "", "who it is: name or identifier, as in schakel person list; needed in a restricted case")
	c.Flags().StringVar(&l.pinFile, "pin-file", "", "file with that person's PIN, or - for standard input")
	c.Flags().StringVar(&l.emergency, "emergency-file", "", "file with the passphrase for emergencies: opens a restricted case, and alarms those named for it")
}

// lookedAt gives a command the flags of who looks.
func (a *app) lookedAt(c *cobra.Command, l *looker) {
	l.flags(c)
	suggest(c, map[string]completer{"person": a.personNames()})
}

// looks proves who looks, where that is said.
func (a *app) looks(l looker) (schakel.By, error) {
	by, err := a.maybeBy(l.signer)
	if err != nil || l.emergency == "" {
		return by, err
	}
	by.Glass, err = a.emergency(l.emergency)
	return by, err
}

func (a *app) emergency(file string) (string, error) {
	return a.read(secret{what: "passphrase for emergencies", file: file, flag: "emergency-file", credential: "schakel-emergency"})
}

func (a *app) caseRestrictCommand() *cobra.Command {
	var to []string
	var f looker
	c := &cobra.Command{
		Use: "restrict CASE", Short: "Let only named persons of this desk read a case, such as when a relative works here",
		Long: "Closes a case, on every device of this desk, to the persons of --to (two at least): its messages,\n" +
			"notes and drafts, those that are here and those that come. They open it with --person and their\n" +
			"PIN; on the device there is no key that opens it without. Who is not named still sees that the\n" +
			"case is there, its partners, the class, urgency and times of its messages, and whom to call, and\n" +
			"can acknowledge a message unread.\n\n" +
			"Later only who is named can change who is. Who is added reads what was said before. The file of\n" +
			"--emergency-file holds the passphrase that opens the case in an emergency, to everybody's alarm:\n" +
			"put it in the safe of the desk, and take a new one when somebody is taken off. Without --to it\n" +
			"shows who may read the case.\n\n" + caseHelp,
		Example: `  schakel case restrict 019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01 --to "P. Iket" --to "K. Nooppunt" --person "P. Iket" --pin-file pin --emergency-file noodzin`,
		Args:    arguments(caseArgument),
		RunE:    func(c *cobra.Command, args []string) error { return a.restrict(c.Context(), args[0], to, f) },
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	c.Flags().StringArrayVar(&to, "to", nil, "who may read it: name or identifier (repeat for each); the whole list, every time")
	f.signer.flags(c)
	c.Flags().StringVar(&f.emergency, "emergency-file", "", "file with a passphrase of 12 characters at least, that opens the case in an emergency")
	suggest(c, map[string]completer{"person": a.personNames(), "to": a.personNames()})
	return c
}

type restrictionDocument struct {
	Schema string `json:"schema"`
	schakel.Restriction
}

func (a *app) restrict(ctx context.Context, ref string, to []string, f looker) error {
	ask := func(s *session) (schakel.Restriction, error) { return s.Restriction(ctx, ref) }
	if len(to) > 0 {
		by, err := a.by(f.signer)
		if err == nil && f.emergency != "" {
			by.Glass, err = a.emergency(f.emergency)
		}
		if err != nil {
			return err
		}
		ask = func(s *session) (schakel.Restriction, error) { return s.Restrict(ctx, ref, to, by) }
	}
	return a.with(ctx, len(to) > 0, func(s *session) error {
		r, err := ask(s)
		if err != nil {
			return suggestPerson(ctx, s, f.person, err)
		}
		if a.json {
			return a.writeJSON(restrictionDocument{"schakel.restriction/1", r})
		}
		a.showRestriction(r)
		return nil
	})
}

func (a *app) showRestriction(r schakel.Restriction) {
	if len(r.Readers) == 0 {
		a.printf("case %s is open to the whole desk\n", inertLine(r.Case))
		return
	}
	a.printf("case %s is restricted, by %s, %s\n", inertLine(r.Case), inertLine(r.By), a.when(r.At))
	for _, p := range r.Readers {
		a.printf("  %s %s\n", a.in(bold, inertLine(p.Name)), inertLine(p.Telephone))
	}
	if r.Contested {
		a.printf("%s\n", a.in(red, "another list was made at the same time, and does not count: talk, then give the list again"))
	}
}

// restrictedTo names who may read a case, in one line.
func restrictedTo(rs []schakel.Reader) string { return "restricted to " + readerNames(rs) }

func readerNames(rs []schakel.Reader) string {
	names := make([]string, len(rs))
	for i, r := range rs {
		names[i] = inertLine(r.Name)
	}
	return strings.Join(names, ", ")
}
