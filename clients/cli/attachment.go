package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/clients/store"
)

func (a *app) attachmentCommand() *cobra.Command {
	return noun("attachment", "Files of messages: list, save, fetch, pause, resume",
		a.attachmentListCommand(), a.attachmentSaveCommand(), a.attachmentFetchCommand(),
		a.attachmentMoveCommand(schakel.MovePause, "Let an attachment rest, so that the line is free"),
		a.attachmentMoveCommand(schakel.MoveResume, "Go on with an attachment that was paused"))
}

type attachmentsDocument struct {
	Schema      string               `json:"schema"`
	Attachments []schakel.Attachment `json:"attachments"`
}

func (a *app) attachmentListCommand() *cobra.Command {
	var by looker
	c := &cobra.Command{
		Use: "list MESSAGE", Short: "Show the files of a message, and how far they are",
		Long: "Shows the files of a message, and how far they are. A message never waits for its files: it is\n" +
			"there at once, and they come behind it. One that did not come in time is niet-beschikbaar:\n" +
			"telephone the sender where it cannot wait.",
		Args: arguments("MESSAGE"),
		RunE: func(c *cobra.Command, args []string) error { return a.listAttachments(c.Context(), args[0], by) },
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	a.lookedAt(c, &by)
	return c
}

func (a *app) listAttachments(ctx context.Context, ref string, as looker) error {
	by, err := a.looks(as)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		all, err := s.Attachments(ctx, ref, by)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(attachmentsDocument{"schakel.attachments/1", list(all)})
		}
		a.showAttachments(all)
		return nil
	})
}

func (a *app) showAttachments(all []schakel.Attachment) {
	rows := [][]cell{heads("NR", "NAME", "TYPE", "SIZE", "STATE")}
	for _, f := range all {
		rows = append(rows, []cell{{strconv.Itoa(f.Place), plain}, {inertLine(f.Name), bold}, {inertLine(f.MediaType), plain},
			{bytesOf(f.Bytes), plain}, {howFar(f), fileColour(f.State)}})
	}
	a.table(rows)
}

func fileColour(s schakel.AttachmentState) colour {
	switch s {
	case schakel.AttachmentHere, schakel.AttachmentAtRelay:
		return green
	case schakel.AttachmentUnavailable, schakel.AttachmentRefused:
		return red
	}
	return yellow
}

// howFar says how far a file is, how fast it goes and how long it still takes.
func howFar(f schakel.Attachment) string {
	s := inertLine(string(f.State))
	if f.Done > 0 && f.Done < f.Length {
		s += fmt.Sprintf(", %s of %s", bytesOf(f.Done), bytesOf(f.Length))
	}
	if f.Rate > 0 {
		s += fmt.Sprintf(", %s/s, %s left", bytesOf(f.Rate), f.Left)
	}
	if f.Trouble != "" {
		s += " (" + inertLine(f.Trouble) + ")"
	}
	return s
}

// bytesOf is a number of bytes as people read it.
func bytesOf(n uint64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

func (a *app) attachmentSaveCommand() *cobra.Command {
	var by looker
	var out string
	var anyway bool
	c := &cobra.Command{
		Use: "save MESSAGE [NR]", Short: "Write a file of a message to disk",
		Long: "Writes a file of a message to disk, in plain: not a byte of it before all that came proved to be\n" +
			"what its sender signed for. Its name is made harmless and gets the ending of its type; --out names\n" +
			"another file or a folder. Content that is not of the type that its sender states is refused,\n" +
			"unless you say --anyway. Schakel opens nothing: have your own virus scanner look at it first.\n\n" +
			"Who saved what is in the access log.",
		Example: "  schakel attachment save 9f2c 1 --out bewijs.pdf",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 2 {
				return nil
			}
			return usage(fmt.Errorf("`%s` takes MESSAGE [NR]", c.CommandPath()))
		},
		RunE: func(c *cobra.Command, args []string) error {
			place, err := placeIn(args)
			if err != nil {
				return err
			}
			return a.saveAttachment(c.Context(), args[0], place, out, anyway, by)
		},
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	a.lookedAt(c, &by)
	c.Flags().StringVar(&out, "out", "", "file or folder that it goes to (default its own name, made harmless, in this folder)")
	c.Flags().BoolVar(&anyway, "anyway", false, "save content that is not what its sender says it is")
	return c
}

// placeIn is the number of an attachment, or 0 where none is given.
func placeIn(args []string) (int, error) {
	if len(args) < 2 {
		return 0, nil
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 {
		return 0, usage(fmt.Errorf("%q is no number of an attachment: see `schakel attachment list`", args[1]))
	}
	return n, nil
}

type savedDocument struct {
	Schema     string             `json:"schema"`
	File       string             `json:"file"`
	Attachment schakel.Attachment `json:"attachment"`
}

func (a *app) saveAttachment(ctx context.Context, ref string, place int, out string, anyway bool, as looker) error {
	by, err := a.looks(as)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		all, err := s.Attachments(ctx, ref, by)
		if err != nil {
			return err
		}
		if place == 0 && len(all) > 1 {
			return usage(fmt.Errorf("this message has %d attachments: say which one", len(all)))
		}
		place = max(place, 1)
		if place > len(all) {
			return fmt.Errorf("%w: this message has %d", schakel.ErrNoAttachment, len(all))
		}
		file, err := placeFor(out, all[place-1].FileName)
		if err != nil {
			return err
		}
		by.Glass = "" // broken once is enough
		err = writeWhole(file, func(w io.Writer) error {
			_, err := s.SaveAttachment(ctx, ref, place, schakel.Saving{By: by, Anyway: anyway}, w)
			return err
		})
		switch {
		case err != nil:
			return err
		case a.json:
			return a.writeJSON(savedDocument{"schakel.attachment-saved/1", file, all[place-1]})
		}
		a.printf("%s\n", inertLine(file))
		return nil
	})
}

// placeFor is where a file goes. What is there already stays.
func placeFor(out, name string) (string, error) {
	if info, err := os.Stat(out); out == "" || err == nil && info.IsDir() {
		out = filepath.Join(out, name)
	}
	if _, err := os.Lstat(out); err == nil {
		return "", fmt.Errorf("%w: %s", errExists, out)
	}
	return out, nil
}

// writeWhole writes a file that is there as a whole or not at all: what a writer gave
// before it failed is deleted (attack E06).
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".schakel-*")
	if err != nil {
		return fmt.Errorf("failed to make the file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	to := store.NewWriting(f, 0)
	if err := errors.Join(write(to), to.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // never over what came there meanwhile
		return fmt.Errorf("failed to put the file in its place: %w", err)
	}
	return os.Remove(f.Name())
}

func (a *app) attachmentFetchCommand() *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use: "fetch MESSAGE [NR]", Short: "Try now to fetch the files of a message, and wait for them",
		Long: "Tries now, instead of at the next time, and shows how far it is. Files are fetched by themselves;\n" +
			"this is for who cannot wait. Ctrl-C ends only the waiting. For a message of this desk it offers\n" +
			"them to the relay again. Exit code 75: not all of it is there yet.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			place, err := placeIn(args)
			if err != nil {
				return err
			}
			return a.with(c.Context(), true, func(s *session) error {
				if err := s.MoveAttachment(c.Context(), args[0], place, schakel.MoveFetch); err != nil || noWait {
					return err
				}
				return a.awaitFiles(c.Context(), s, args[0], place)
			})
		},
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for them")
	return c
}

func (a *app) attachmentMoveCommand(act schakel.MoveAct, short string) *cobra.Command {
	c := &cobra.Command{
		Use: string(act) + " MESSAGE [NR]", Short: short, Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			place, err := placeIn(args)
			if err != nil {
				return err
			}
			return a.with(c.Context(), act == schakel.MoveResume, func(s *session) error {
				return s.MoveAttachment(c.Context(), args[0], place, act)
			})
		},
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{Box: "all"})
	return c
}

const (
	filesLook    = 250 * time.Millisecond
	filesLine    = 5 * time.Second // between two lines where nobody sits at a terminal
	filesPatient = 3               // waits as long as `wait` says, so many times, for a byte
)

// awaitFiles waits for the files of a message, of which place 0 is all, and shows how far
// they are: on a terminal in one line, elsewhere in a plain line now and then. It gives up
// when nothing moved for a while.
func (a *app) awaitFiles(ctx context.Context, s *session, ref string, place int) error {
	var done uint64
	moved, line := time.Now(), time.Time{}
	defer func() {
		if a.Asks && !line.IsZero() {
			a.sayf("")
		}
	}()
	for {
		all, err := s.Attachments(ctx, ref)
		if err != nil {
			return err
		}
		f, left := furthest(all, place)
		if left == 0 {
			return nil
		}
		if f.Done != done {
			done, moved = f.Done, time.Now()
		}
		if time.Since(moved) > filesPatient*a.settings.duration("wait") {
			return advise(fmt.Errorf("%w: %d files are not all over yet", errQueued, left), "see `schakel attachment list`; the daemon goes on by itself")
		}
		if a.Asks {
			fmt.Fprintf(a.Err, "\r\x1b[K%s: %s", inertLine(f.Name), howFar(f))
			line = time.Now()
		} else if time.Since(line) >= filesLine {
			a.sayf("%s: %s", inertLine(f.Name), howFar(f))
			line = time.Now()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errInterrupted, ctx.Err())
		case <-time.After(filesLook):
		}
	}
}

// furthest is the file with the most to go, and how many are still under way.
func furthest(all []schakel.Attachment, place int) (f schakel.Attachment, left int) {
	for _, one := range all {
		if place != 0 && one.Place != place || one.State == schakel.AttachmentHere || one.State == schakel.AttachmentAtRelay || one.State == schakel.AttachmentPaused {
			continue
		}
		if left++; left == 1 || one.Length-min(one.Done, one.Length) > f.Length-min(f.Done, f.Length) {
			f = one
		}
	}
	return f, left
}
