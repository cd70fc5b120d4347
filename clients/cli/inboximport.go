package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/courier"
	"schakel/clients/schakel"
)

func (a *app) inboxImportCommand() *cobra.Command {
	folder := ""
	c := &cobra.Command{
		Use: "import FILE", Short: "Take in a file of envelopes that a courier brought",
		Long: "Takes in what `schakel outbox export` wrote at another desk. Each envelope is judged as if the relay\n" +
			"had brought it: that it came by hand speaks for nothing. The same file twice changes nothing, and\n" +
			"what the relay brings once more is recognised. So are the sealed attachments in FILE.bijlagen: each\n" +
			"is kept only if it is what its message names, and then is not fetched any more.\n\n" +
			"Afterwards send the answer back with `schakel outbox export`: it confirms what came.",
		Example: "  schakel inbox import /media/stick/K3QZ7M2XAB4C.koerier",
		Args:    arguments("FILE"),
		RunE:    func(c *cobra.Command, args []string) error { return a.inboxImport(c.Context(), args[0], folder) },
	}
	c.Flags().StringVar(&folder, "attachments", "", "folder with the attachments (default FILE.bijlagen, where there is one)")
	return c
}

type broughtDocument struct {
	Schema string `json:"schema"`
	schakel.Brought
	Attachments broughtFiles `json:"attachments"`
}

func (a *app) inboxImport(ctx context.Context, path, folder string) error {
	file, err := readParcel(path)
	if err != nil {
		return err
	}
	if folder == "" {
		folder = courier.FolderOf(path)
	} else if _, err := os.Stat(folder); err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		b, err := s.ImportEnvelopes(ctx, file)
		if err != nil {
			return err
		}
		files, broken := bringFiles(ctx, s, folder)
		if a.json {
			err = a.writeJSON(broughtDocument{"schakel.inbox-import/1", b, files})
		} else {
			a.showImport(b, files)
		}
		return errors.Join(err, broken, cmp.Or(verdictOn(b), files.verdict()))
	})
}

// readParcel reads no more of a file than one can hold.
func readParcel(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, courier.MaxFile+1))
	if err == nil && len(file) > courier.MaxFile {
		err = fmt.Errorf("%w: more than %d bytes", courier.ErrTooLarge, courier.MaxFile)
	}
	return file, err
}

func (a *app) showImport(b schakel.Brought, files broughtFiles) {
	for _, line := range []struct {
		n     int
		what  string
		paint colour
	}{{b.Taken, "taken in", green}, {b.Known, "here already", plain}, {b.Other, "for another desk, left alone", yellow},
		{b.Waiting, "from who is newer than this device's register", yellow}, {b.Refused, "refused: " + strings.Join(b.Reasons, ", "), red},
		{b.Damaged, "damaged beyond recognition", red}, {files.Here, "attachments taken in", green},
		{files.Refused, "attachments refused: not what their message names", red}, {files.Waiting, "attachments still to come", yellow}} {
		if line.n > 0 {
			a.printf("%d %s\n", line.n, a.in(line.paint, inertLine(line.what)))
		}
	}
	for _, d := range b.From {
		a.printf("answer to %s: schakel outbox export FILE --to %s\n", inertLine(string(d)), inertLine(string(d)))
	}
}

// verdictOn is how an import ends: well, in part, or with nothing of use.
func verdictOn(b schakel.Brought) error {
	good, bad := b.Taken+b.Known, b.Refused+b.Damaged
	switch {
	case good > 0 && bad+b.Waiting == 0:
		return nil
	case good == 0 && bad > 0:
		return advise(fmt.Errorf("%w: nothing in this file could be believed", errUnverified), "telephone the desk that it comes from, and have it made again; `schakel alarms` says more")
	case bad > 0:
		return advise(fmt.Errorf("%w: %d envelopes were refused or damaged", errPartly, bad), "send the answer back: their sender then makes them again")
	case b.Waiting > 0:
		return advise(fmt.Errorf("%w: %d envelopes come from who this device does not know yet", errPartly, b.Waiting), "import the file again once this device reached the relay")
	case b.Other > 0:
		return advise(fmt.Errorf("%w: nothing in this file is for this desk", schakel.ErrNotFound), "bring it to the desk that it was made for")
	}
	return nil // an empty one
}
