package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/courier"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (a *app) outboxCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "outbox", Short: "List what waits for which desk, or carry it there in a file",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return a.outbox(c.Context()) },
	}
	c.AddCommand(a.outboxExportCommand())
	return c
}

type outboxDocument struct {
	Schema string                `json:"schema"`
	Desks  []schakel.CourierDesk `json:"desks"`
}

func (a *app) outbox(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		all, err := s.CourierDesks(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(outboxDocument{"schakel.outbox/1", list(all)})
		}
		if len(all) == 0 {
			a.printf("nothing waits\n")
			return nil
		}
		rows := [][]cell{heads("DESK", "NOT CONFIRMED", "ATTACHMENTS", "STATEMENT")}
		for _, d := range all {
			due := "-"
			if d.Statement {
				due = "due"
			}
			rows = append(rows, []cell{{inertLine(string(d.Desk)), bold}, {fmt.Sprint(d.Deliveries), plain}, {fmt.Sprint(d.Files), plain}, {due, plain}})
		}
		a.table(rows)
		return nil
	})
}

func (a *app) outboxExportCommand() *cobra.Command {
	to, bare := "", false
	c := &cobra.Command{
		Use: "export FILE|FOLDER", Short: "Write what waits for a desk to a file, for a courier while the relay is down",
		Long: "Writes the sealed envelopes that wait for a desk to a file that somebody carries there, on a stick\n" +
			"for example. There it is taken in with `schakel inbox import`, and the answer comes back the same way.\n" +
			"In a folder each desk gets a file of its own, under a name that says nothing.\n\n" +
			"Attachments go beside it in the folder FILE.bijlagen, sealed as they are: of the messages in the\n" +
			"file, and of earlier ones where the relay has not got them yet. Take both along. What finds no room\n" +
			"is said, and the messages can go; --without-attachments leaves them all to the relay.\n\n" +
			"Nothing in it can be read but by that desk. Whoever finds it sees what the relay would see: which\n" +
			"devices write to which desk, when, how much and how urgently.\n\n" +
			"The messages stay in the outbox until the desk confirms them; when the relay is back they go to it\n" +
			"too, and nobody gets them twice. An acute message never waits for a courier: telephone.",
		Example: "  schakel outbox export /media/stick\n  schakel outbox export voor-de-koerier --to politie-mn/meldkamer",
		Args:    arguments("FILE|FOLDER"),
		RunE:    func(c *cobra.Command, args []string) error { return a.outboxExport(c.Context(), args[0], to, bare) },
	}
	c.Flags().StringVar(&to, "to", "", "only this desk: organisation/desk; this desk itself for its other devices")
	c.Flags().BoolVar(&bare, "without-attachments", false, "only the messages: a small file")
	suggest(c, map[string]completer{"to": a.deskNames()})
	return c
}

// carriedFile is one file of an export.
type carriedFile struct {
	File      string          `json:"file"`
	Desk      identity.DeskID `json:"desk"`
	Envelopes int             `json:"envelopes"`
	Left      int             `json:"left"`
	Unsealed  int             `json:"unsealed"`
	Until     time.Time       `json:"until,omitzero"`
	carriedFiles
}

type carriedDocument struct {
	Schema string        `json:"schema"`
	Files  []carriedFile `json:"files"`
}

func (a *app) outboxExport(ctx context.Context, path, to string, bare bool) error {
	return a.with(ctx, false, func(s *session) error {
		desks, err := carriedTo(ctx, s, to)
		if err != nil {
			return err
		}
		found, err := os.Stat(path)
		folder := err == nil && found.IsDir()
		switch {
		case err == nil && !folder:
			return fmt.Errorf("%w: %s", errExists, path)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case !folder && len(desks) > 1:
			return advise(usage(fmt.Errorf("%d desks wait, and one file is for one desk", len(desks))), "name a folder, or one of them with --to: "+joined(desks))
		}
		var files []carriedFile
		for _, desk := range desks {
			name := path
			if folder {
				name = filepath.Join(path, rand.Text()[:12]+".koerier")
			}
			f, err := a.carry(ctx, s, desk, name, bare)
			if err != nil {
				return fmt.Errorf("%w (written before: %d files)", err, len(files))
			}
			files = append(files, f)
		}
		return a.showExport(files)
	})
}

// carriedTo is the desk that was named, or all others that something waits for.
func carriedTo(ctx context.Context, s *session, to string) (desks []identity.DeskID, err error) {
	if to != "" {
		desk, err := identity.ParseDeskID(to)
		if err != nil {
			return nil, usage(err)
		}
		return []identity.DeskID{desk}, nil
	}
	status, err := s.Status(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.CourierDesks(ctx)
	for _, d := range all {
		if d.Desk != status.Desk {
			desks = append(desks, d.Desk)
		}
	}
	return desks, err
}

func joined(desks []identity.DeskID) string {
	words := make([]string, len(desks))
	for i, d := range desks {
		words[i] = string(d)
	}
	return strings.Join(words, ", ")
}

func (a *app) carry(ctx context.Context, s *session, desk identity.DeskID, name string, bare bool) (f carriedFile, err error) {
	if _, err := os.Lstat(courier.FolderOf(name)); err == nil {
		return f, fmt.Errorf("%w: %s", errExists, courier.FolderOf(name))
	}
	c, err := s.ExportEnvelopes(ctx, desk)
	if err != nil {
		return f, err
	}
	f = carriedFile{File: name, Desk: c.Desk, Envelopes: c.Envelopes, Left: c.Left, Unsealed: c.Unsealed, Until: c.Until}
	if err := writeNew(name, c.File, 0o600); err != nil || bare {
		return f, err
	}
	f.carriedFiles, err = carryFiles(ctx, s, name, c)
	return f, err
}

func (a *app) showExport(files []carriedFile) error {
	if a.json {
		if err := a.writeJSON(carriedDocument{"schakel.outbox-export/1", list(files)}); err != nil {
			return err
		}
	} else if len(files) == 0 {
		a.printf("nothing waits for another desk\n")
	} else {
		rows := [][]cell{heads("FILE", "DESK", "ENVELOPES", "ATTACHMENTS", "BRING IT BEFORE")}
		for _, f := range files {
			rows = append(rows, []cell{{inertLine(f.File), bold}, {inertLine(string(f.Desk)), plain}, {fmt.Sprint(f.Envelopes), plain}, {beside(f), plain}, {a.when(f.Until), plain}})
		}
		a.table(rows)
	}
	left, unsealed, beside := 0, 0, carriedFiles{}
	for _, f := range files {
		left, unsealed = left+f.Left, unsealed+f.Unsealed
		beside.why = cmp.Or(beside.why, f.why)
		beside.NoRoom, beside.NotHere, beside.Needed = beside.NoRoom+f.NoRoom, beside.NotHere+f.NotHere, beside.Needed+f.Needed
	}
	switch {
	case unsealed > 0:
		return advise(fmt.Errorf("%w: %d messages could not be sealed, this device has no keys for their desk", errPartly, unsealed), "telephone that desk; its keys come with a connection to the relay")
	case left > 0:
		return advise(fmt.Errorf("%w: %d envelopes did not fit", errPartly, left), "bring these over, import the answer, and export again")
	}
	return beside.verdict()
}

// beside is what stands beside a file, for its row.
func beside(f carriedFile) string {
	if f.Files == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%s)", f.Files, bytesOf(f.Bytes))
}
