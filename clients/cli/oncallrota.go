package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/relay/rota"
)

func (a *app) oncallRotaCommand() *cobra.Command {
	return noun("rota", "Show, edit, import and export the rota of this desk", a.rotaShowCommand(), a.rotaEditCommand(), a.rotaImportCommand(),
		a.rotaExportCommand(), a.rotaOverrideCommand(), a.rotaLeaveCommand())
}

func (a *app) rotaShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show who is on call in the 14 days from now, and what is open",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), false, func(s *session) error {
				got, err := s.Rota(c.Context())
				if err != nil {
					return err
				}
				return a.writeRota(got)
			})
		},
	}
}

// shownShift is a shift as JSON has it.
type shownShift struct {
	Level   int          `json:"level"`
	From    time.Time    `json:"from"`
	To      time.Time    `json:"to"`
	Contact rota.Contact `json:"contact"`
	Name    string       `json:"name"`
}

type rotaDocument struct {
	Schema string `json:"schema"`
	schakel.Rota
	Shifts []shownShift `json:"shifts"` // of the 14 days from now
}

const daysShown = 14

func (a *app) shifts(r roster.Roster) []shownShift {
	out := []shownShift{}
	from := a.Now()
	for _, s := range r.Rota().Shifts(from, from.AddDate(0, 0, daysShown)) {
		out = append(out, shownShift{s.Level, s.From, s.To, s.Contact, r.Name(s.Contact)})
	}
	return out
}

func (a *app) writeRota(got schakel.Rota) error {
	if a.json {
		got.Gaps, got.Warnings = list(got.Gaps), list(got.Warnings)
		return a.writeJSON(rotaDocument{"schakel.rota/1", got, a.shifts(got.Roster)})
	}
	a.showRota(got)
	return nil
}

func (a *app) showRota(got schakel.Rota) {
	rows := [][]cell{heads("WHO", "NAME", "FROM", "TO")}
	for _, s := range a.shifts(got.Roster) {
		rows = append(rows, []cell{{levelName(s.Level), dim}, {inertLine(s.Name), bold}, {onClock(s.From), plain}, {onClock(s.To), plain}})
	}
	for _, g := range got.Gaps {
		rows = append(rows, []cell{{levelName(g.Level), dim}, {"nobody", red}, {onClock(g.From), plain}, {onClock(g.To), plain}})
	}
	a.table(rows)
	for _, c := range got.Roster.Fallback {
		a.printf("fallback  %s\n", inertLine(got.Roster.Name(c)))
	}
	a.printf("decided by %s, %s\n", orDash(inertLine(got.By)), onClock(got.At))
	if len(got.Gaps) > 0 {
		a.printf("%s\n", a.in(red, fmt.Sprintf("gaps: %d. The fallback is called then; find somebody", len(got.Gaps))))
	}
	for _, also := range got.Also {
		a.printf("%s\n", a.in(red, inertLine(also)+" changed it at the same time: look whether this is right, then save it with `schakel oncall rota edit`"))
	}
	for _, w := range got.Warnings {
		a.printf("%s\n", a.in(yellow, warningText(got.Roster, w)))
	}
}

func warningText(r roster.Roster, w roster.Warning) string {
	name := inertLine(r.Name(w.Contact))
	if w.Kind == roster.WarnPersonal {
		return "an address or number of " + name + "'s own lies at the relay: one of the desk would be better"
	}
	return "the relay has no way to reach " + name + ": only devices of this desk can"
}

func (a *app) rotaExportCommand() *cobra.Command {
	var ical, names bool
	var who, out string
	c := &cobra.Command{
		Use: "export", Short: "Write the rota as a sheet to edit, or as a calendar",
		Long: "Writes the whole rota as TOML, to be edited and given to `schakel oncall rota import`. With\n" +
			"--ical 12 months of shifts as iCalendar, whose events do not make anybody busy: without --names\n" +
			"they say that somebody is on call, not who.",
		Example: "  schakel oncall rota export --out rota.toml\n  schakel oncall rota export --ical --who \"P. Iket\" --out piket.ics",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if !ical && (who != "" || names) {
				return usage(errors.New("--who and --names are about a calendar: add --ical"))
			}
			return a.exportRota(c.Context(), ical, schakel.CalendarWish{Who: who, Names: names}, out)
		},
	}
	c.Flags().BoolVar(&ical, "ical", false, "as iCalendar (RFC 5545)")
	c.Flags().BoolVar(&names, "names", false, "with the names of who is on call")
	c.Flags().StringVar(&who, "who", "", "only the shifts of one person: name or contact")
	c.Flags().StringVar(&out, "out", "", "where the file goes (default standard output)")
	return c
}

func (a *app) exportRota(ctx context.Context, ical bool, w schakel.CalendarWish, out string) error {
	return a.with(ctx, false, func(s *session) error {
		file, err := a.rotaFile(ctx, s, ical, w)
		if err != nil {
			return err
		}
		if out != "" {
			return writeNew(out, file, 0o600)
		}
		a.printf("%s", inert(string(bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n")))))
		return nil
	})
}

func (a *app) rotaFile(ctx context.Context, s *session, ical bool, w schakel.CalendarWish) ([]byte, error) {
	if ical {
		return s.Calendar(ctx, w)
	}
	got, err := s.Rota(ctx)
	if err != nil {
		return nil, err
	}
	return roster.Sheet{Revision: got.Revision, Roster: got.Roster}.Text()
}

func (a *app) rotaImportCommand() *cobra.Command {
	var f signer
	var ical bool
	c := &cobra.Command{
		Use: "import FILE", Short: "Take a sheet or a calendar in",
		Long: "Puts a sheet (TOML) in the place of the rota. One that was exported before somebody else changed\n" +
			"the rota is refused with exit code 9. With --ical, or a file that ends in .ics, the shifts of a\n" +
			"calendar are added. Exit code 3: some events were not understood; each is named.",
		Example: `  schakel oncall rota import rota.toml --person "P. Iket" --pin-file pin
  schakel oncall rota import vakantie.ics --person "P. Iket" --pin-file pin`,
		Args: arguments("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.importRota(c.Context(), args[0], ical || strings.EqualFold(filepath.Ext(args[0]), ".ics"), f)
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&ical, "ical", false, "the file is iCalendar (RFC 5545)")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) importRota(ctx context.Context, path string, ical bool, f signer) error {
	file, err := readFile(path, roster.MaxCalendar)
	if err != nil {
		return err
	}
	var sheet roster.Sheet
	if !ical {
		if sheet, err = roster.ParseSheet(file); err != nil {
			return err
		}
	}
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		if ical {
			return a.importCalendar(ctx, s, file, by)
		}
		got, err := s.SetRota(ctx, sheet, by)
		if err != nil {
			return suggestPerson(ctx, s, f.person, err)
		}
		return a.writeRota(got)
	})
}

type importDocument struct {
	Schema string        `json:"schema"`
	Report roster.Import `json:"report"`
	Rota   schakel.Rota  `json:"rota"`
}

func (a *app) importCalendar(ctx context.Context, s *session, file []byte, by schakel.By) error {
	got, report, err := s.ImportCalendar(ctx, file, by)
	if err != nil {
		return suggestPerson(ctx, s, by.Person, err)
	}
	if a.json {
		report.Skipped = list(report.Skipped)
		err = a.writeJSON(importDocument{"schakel.rota-import/1", report, got})
	} else {
		a.printf("%d shifts and %d rules taken in\n", report.Shifts, report.Rules)
		for _, e := range report.Skipped {
			a.printf("%s  %s: %s\n", a.in(yellow, "not understood"), inertLine(e.Event), inertLine(e.Reason))
		}
	}
	if err == nil && len(report.Skipped) > 0 {
		err = advise(fmt.Errorf("%w: %d events were not understood", errPartly, len(report.Skipped)), "put those in by hand with `schakel oncall rota override`")
	}
	return err
}

func (a *app) rotaEditCommand() *cobra.Command {
	var f signer
	c := &cobra.Command{
		Use: "edit", Short: "Edit the rota in your editor",
		Long: "Opens the rota as a sheet in $VISUAL or $EDITOR, and takes in what you save. Saving it as it is\n" +
			"settles what two people changed at the same time.",
		Example: `  schakel oncall rota edit --person "P. Iket"`,
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return a.editRota(c.Context(), f) },
	}
	f.flags(c)
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) editRota(ctx context.Context, f signer) error {
	editor := strings.Fields(firstOf(a.env("VISUAL"), a.env("EDITOR")))
	if len(editor) == 0 {
		return advise(usage(errors.New("neither VISUAL nor EDITOR names an editor")),
			"write the sheet with `schakel oncall rota export --out rota.toml`, and take it in with `schakel oncall rota import rota.toml`")
	}
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		sheet, path, err := a.editedSheet(ctx, s, editor)
		if err != nil {
			return err
		}
		got, err := s.SetRota(ctx, sheet, by)
		if err != nil {
			// What somebody typed is never lost: not to a colleague who was faster, nor to a mistyped PIN.
			return suggestPerson(ctx, s, f.person, fmt.Errorf("%w; what you wrote is kept in %s", err, path))
		}
		return errors.Join(a.writeRota(got), os.Remove(path))
	})
}

// editedSheet lets somebody edit the rota in a file in the folder of this device, which
// no other user may enter. The file is the caller's to remove once the rota is in; a
// sheet that cannot be used is kept, and named.
func (a *app) editedSheet(ctx context.Context, s *session, editor []string) (sheet roster.Sheet, path string, err error) {
	text, err := a.rotaFile(ctx, s, false, schakel.CalendarWish{})
	if err != nil {
		return sheet, "", err
	}
	file, err := os.CreateTemp(a.settings.get("home"), "rota-*.toml")
	if err != nil {
		return sheet, path, fmt.Errorf("failed to make the sheet: %w", err)
	}
	path = file.Name()
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return sheet, path, fmt.Errorf("failed to write the sheet: %w", err)
	}
	cmd := exec.CommandContext(ctx, editor[0], append(editor[1:], path)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = a.In, a.Err, a.Err, a.Environ
	if err := cmd.Run(); err != nil {
		_ = os.Remove(path)
		return sheet, path, fmt.Errorf("the editor failed, and the rota is as it was: %w", err)
	}
	if text, err = readFile(path, roster.MaxBytes); err != nil {
		return sheet, path, err
	}
	if sheet, err = roster.ParseSheet(text); err != nil {
		return sheet, path, advise(err, "mend "+path+", and take it in with `schakel oncall rota import "+path+"`")
	}
	return sheet, path, nil
}

func firstOf(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

func (a *app) rotaOverrideCommand() *cobra.Command {
	var f signer
	var from, to string
	var level int
	c := &cobra.Command{
		Use: "override WHO", Short: "Put somebody on call for a while, whoever was",
		Long:    "Of overrides that overlap the one that was decided last counts.",
		Example: `  schakel oncall rota override "W. Acht" --from 2026-12-25T08:00 --to 2026-12-26T08:00 --person "P. Iket" --pin-file pin`,
		Args:    arguments("WHO"),
		RunE: func(c *cobra.Command, args []string) error {
			change := schakel.RotaChange{Kind: schakel.RotaOverride, Who: args[0], Level: level}
			var err error
			if change.From, err = a.instant("from", from, midnight); err != nil {
				return err
			}
			if change.To, err = a.instant("to", to, midnight); err != nil {
				return err
			}
			if change.To.IsZero() {
				return usage(errors.New("--to is missing"))
			}
			return a.changeRota(c.Context(), change, f)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&from, "from", "", "from when (default now), "+timeHelp)
	c.Flags().StringVar(&to, "to", "", "until when, "+timeHelp)
	c.Flags().IntVar(&level, "level", 0, "0 is who is called first, 1 the backup")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) rotaLeaveCommand() *cobra.Command {
	var f signer
	var from string
	c := &cobra.Command{
		Use: "leave WHO", Short: "Take somebody off the rota who leaves",
		Long: "Takes somebody off the rota from a moment on. Until then they are called; the first change after it\n" +
			"forgets how to reach them. Who else takes turns keeps their weeks; what is left open in the quarter\n" +
			"after it is shown: find somebody for it.",
		Example: `  schakel oncall rota leave "W. Acht" --from 2027-01-01 --person "P. Iket" --pin-file pin`,
		Args:    arguments("WHO"),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := a.instant("from", from, midnight)
			if err != nil {
				return err
			}
			return a.changeRota(c.Context(), schakel.RotaChange{Kind: schakel.RotaLeave, Who: args[0], From: t}, f)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&from, "from", "", "from when (default now), "+timeHelp)
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}
