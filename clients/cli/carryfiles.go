package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"schakel/clients/courier"
	"schakel/clients/schakel"
	"schakel/crypto/seal"
)

// carriedFiles is what became of the attachments of one export.
type carriedFiles struct {
	Files   int    `json:"attachments"`
	Bytes   uint64 `json:"attachmentBytes"`
	NoRoom  int    `json:"attachmentsLeft"`  // the medium is full, or they are too many
	NotHere int    `json:"attachmentsGone"`  // their sealed file is not on this device
	Needed  uint64 `json:"attachmentsNeeds"` // bytes that those without room take

	why error // what the medium said
}

// carryFiles writes sealed files beside a file of envelopes, small ones first. One is there as
// a whole or not at all, and the first for which there is no room ends it: the envelopes, and
// what stands beside them by then, can go.
func carryFiles(ctx context.Context, s *session, file string, c schakel.Carried) (out carriedFiles, err error) {
	out.NoRoom = c.LeftFiles
	if len(c.Attachments) == 0 {
		return out, nil
	}
	folder := courier.FolderOf(file)
	made := os.Mkdir(folder, 0o700)
	for i, f := range c.Attachments {
		to := &medium{err: made}
		err := to.write(folder, f.ID, func(w io.Writer) error { return s.CarryAttachment(ctx, f.ID, w) })
		switch {
		case err == nil:
			out.Files, out.Bytes = out.Files+1, out.Bytes+f.Length
		case to.err != nil:
			for _, left := range c.Attachments[i:] {
				out.NoRoom, out.Needed = out.NoRoom+1, out.Needed+left.Length
			}
			out.why = to.err
			return out, nil
		case errors.Is(err, schakel.ErrNotHere), errors.Is(err, schakel.ErrNoAttachment):
			out.NotHere++
		default:
			return out, err
		}
	}
	return out, nil
}

// medium is a file on what a courier carries. err is why it could not be written.
type medium struct {
	f   *os.File
	err error
}

func (m *medium) Write(p []byte) (n int, err error) {
	n, err = m.f.Write(p)
	m.err = errors.Join(m.err, err)
	return n, err
}

// write makes a file in a folder that has a name once all of it is on the medium. It renames,
// and makes no link: sticks know none.
func (m *medium) write(folder, name string, content func(io.Writer) error) error {
	if m.err != nil {
		return m.err
	}
	var root *os.Root
	if root, m.err = os.OpenRoot(folder); m.err != nil {
		return m.err
	}
	defer root.Close()
	part := name + ".half"
	if m.f, m.err = root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); m.err != nil {
		return m.err
	}
	err := content(m)
	if err == nil {
		m.err = errors.Join(m.f.Sync(), m.f.Close())
	} else {
		_ = m.f.Close() // it goes
	}
	if err == nil && m.err == nil {
		m.err = root.Rename(part, name)
	}
	if err = errors.Join(err, m.err); err != nil {
		_ = root.Remove(part) // a half one is worth nothing, and refused by its length
	}
	return err
}

// verdict is how an export of attachments ends.
func (c carriedFiles) verdict() error {
	switch {
	case c.NoRoom > 0:
		err := fmt.Errorf("%w: the messages are there, and %d attachments of %s are not", errPartly, c.NoRoom, bytesOf(c.Needed))
		if c.why != nil {
			err = fmt.Errorf("%w: %w", err, c.why)
		}
		return advise(err, "bring this over, and export again to a larger medium; or wait for the relay. Telephone where it cannot wait")
	case c.NotHere > 0:
		return advise(fmt.Errorf("%w: the messages are there, and %d attachments are not on this device any more", errPartly, c.NotHere),
			"export from another device of this desk, or send those files again; `schakel attachment list` says which")
	}
	return nil
}

// broughtFiles is what became of the attachments beside a file that was brought.
type broughtFiles struct {
	Here    int `json:"here"`    // taken in: they are not fetched any more
	Refused int `json:"refused"` // are not what their message names
	Waiting int `json:"waiting"` // still to come, of all messages of this device
}

// bringFiles takes in those sealed files of a folder that this device waits for, under the
// names that it knows: what else lies there is not looked at.
func bringFiles(ctx context.Context, s *session, folder string) (out broughtFiles, err error) {
	missing, err := s.MissingAttachments(ctx)
	if err != nil || len(missing) == 0 {
		return out, err
	}
	root, err := os.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		out.Waiting = len(missing)
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("failed to open the folder of the attachments: %w", err)
	}
	defer root.Close()
	for _, f := range missing {
		switch err := bringFile(ctx, s, root, f); {
		case err == nil:
			out.Here++
		case errors.Is(err, fs.ErrNotExist):
			out.Waiting++
		case errors.Is(err, seal.ErrDigest):
			out.Refused, out.Waiting = out.Refused+1, out.Waiting+1
		case !errors.Is(err, schakel.ErrNoAttachment): // it went meanwhile
			return out, err
		}
	}
	return out, nil
}

// bringFile takes in one file. What is no plain file of the right length is not even opened: a
// medium can hold a pipe that never ends.
func bringFile(ctx context.Context, s *session, root *os.Root, sealed schakel.SealedFile) error {
	info, err := root.Lstat(sealed.ID)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || uint64(info.Size()) != sealed.Length {
		return fmt.Errorf("%w: %.12s is no file of %d bytes", seal.ErrDigest, sealed.ID, sealed.Length)
	}
	f, err := root.Open(sealed.ID)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.BringAttachment(ctx, sealed.ID, f)
}

// verdict is how an import of attachments ends.
func (b broughtFiles) verdict() error {
	if b.Refused == 0 {
		return nil
	}
	return advise(fmt.Errorf("%w: %d attachments are not what their message names, and nothing of them was kept", errPartly, b.Refused),
		"have them brought again: they are damaged, or were exchanged. When the relay is back they come by themselves")
}
