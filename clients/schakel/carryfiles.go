package schakel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"schakel/clients/courier"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// The attachments of what is carried by hand go beside its envelopes, as the sealed files
// that the relay would have had. Nothing says of a file what it is but its own SHA-256, so
// whoever takes one in asks for those that it waits for, and reads no name off a medium.

// SealedFile is the sealed file of an attachment, as a courier takes it along.
type SealedFile struct {
	ID     string `json:"id"` // its SHA-256, 64 hexadecimal digits
	Length uint64 `json:"length"`
}

// maxCarried bounds how many sealed files go with one file of envelopes.
const maxCarried = 4096

// filesFor are the sealed files that go with deliveries to a desk, small ones first: those of
// their messages, and those of any earlier one that the relay has not got yet.
func filesFor(tx *store.Tx, to identity.DeskID, ds []store.Delivery) (files []SealedFile, left int, err error) {
	rows, err := tx.UploadingTo(to, maxCarried)
	seen := map[message.Hash]bool{}
	for _, d := range ds {
		if err != nil || d.Message == (message.Hash{}) || seen[d.Message] {
			continue
		}
		seen[d.Message] = true
		var more []store.Attachment
		more, err = tx.Attachments(d.Message)
		rows = append(rows, more...)
	}
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(rows, func(a, b store.Attachment) int {
		return cmp.Or(cmp.Compare(a.Length, b.Length), bytes.Compare(a.Blob[:], b.Blob[:]))
	})
	for _, a := range rows {
		f := SealedFile{courier.SealedName(a.Blob), a.Length}
		if a.Copy == store.CopyHere && (len(files) == 0 || files[len(files)-1] != f) {
			files = append(files, f)
		}
	}
	left = max(0, len(files)-maxCarried)
	return files[:len(files)-left], left, nil
}

// CarryAttachment writes the sealed file of an attachment to w, for a courier. What w got
// before an error must be thrown away. It refuses with ErrNoAttachment what no message of
// this device has, and with ErrNotHere what is not all here, or was changed on this disk.
func (n *Node) CarryAttachment(ctx context.Context, id string, w io.Writer) error {
	a, err := n.sealedFile(ctx, id)
	if err != nil {
		return err
	}
	if a.Copy != store.CopyHere {
		return fmt.Errorf("%w: sealed file %.12s", ErrNotHere, id)
	}
	f, err := n.store.OpenFile(a.File)
	if errors.Is(err, store.ErrNotFound) {
		return errors.Join(fmt.Errorf("%w: its file was taken away", ErrNotHere), n.lostFile(ctx, a))
	}
	if err != nil {
		return wrapDisk(err)
	}
	defer f.Close()
	err = seal.CheckAttachment(io.TeeReader(&stopping{ctx, f}, w), a.Blob, a.Length)
	if errors.Is(err, seal.ErrDigest) {
		n.log.Error("the file of an attachment was changed on this disk", "message", a.Message, "place", a.Place)
		return errors.Join(fmt.Errorf("%w: its file was changed on this disk", ErrNotHere), err, n.lostFile(ctx, a))
	}
	return err
}

// sealedFile is the attachment that a sealed file belongs to.
func (n *Node) sealedFile(ctx context.Context, id string) (a store.Attachment, err error) {
	blob, err := courier.ParseSealedName(id)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrNoAttachment, err)
	}
	err = n.store.View(ctx, func(tx *store.Tx) (err error) {
		a, err = tx.AttachmentByBlob(blob)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: no message here has the sealed file %.12s", ErrNoAttachment, id)
	}
	return a, err
}

// MissingAttachments lists the sealed files that are still to come, small ones first and
// paused ones among them: what a courier may have brought.
func (n *Node) MissingAttachments(ctx context.Context) (out []SealedFile, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.MissingAttachments(maxCarried)
		out = nil
		for _, a := range rows {
			out = append(out, SealedFile{courier.SealedName(a.Blob), a.Length})
		}
		return err
	})
	return out, err
}

// BringAttachment takes in a sealed file that a courier brought, in the place of the one that
// the relay would have brought: it is not fetched any more. Nothing of it stays unless all of
// it is what the message names (seal.ErrDigest), and no more of it is read than that. It
// refuses with ErrNoAttachment what no message here waits for; what is here already stays.
func (n *Node) BringAttachment(ctx context.Context, id string, sealed io.Reader) error {
	a, err := n.sealedFile(ctx, id)
	if err != nil || a.Copy == store.CopyHere {
		return err
	}
	if err := n.moves.seize(ctx, keyOf(a), n.now); err != nil {
		return err
	}
	defer n.moves.end(keyOf(a), "", n.now())
	name, f, err := n.store.NewFile()
	if err != nil {
		return wrapDisk(err)
	}
	if err = errors.Join(n.copySealed(ctx, f, sealed, a), f.Close()); err == nil {
		err = n.brought(ctx, a, name)
	}
	if err != nil {
		return errors.Join(err, n.store.DeleteFile(name))
	}
	n.publish(EventDesk, a.Message.String(), "")
	return nil
}

// copySealed writes a sealed file to f, and refuses one that is another.
func (n *Node) copySealed(ctx context.Context, f *os.File, sealed io.Reader, a store.Attachment) error {
	from := &watched{r: &stopping{ctx, sealed}, moved: func(got int64) { n.moves.at(keyOf(a), uint64(got), n.now()) }}
	to := n.store.NewWriting(f, 0, n.leave)
	err := seal.CheckAttachment(io.TeeReader(from, to), a.Blob, a.Length)
	if err != nil && from.err == nil && !errors.Is(err, seal.ErrDigest) {
		err = wrapDisk(err)
	}
	if err == nil {
		err = wrapDisk(errors.Join(to.Flush(), f.Sync()))
	}
	return err
}

// brought notes that a sealed file is here, unless its case was destroyed meanwhile.
func (n *Node) brought(ctx context.Context, a store.Attachment, name string) error {
	var sender identity.DeskID
	err := n.update(ctx, func(tx *store.Tx) error {
		now, err := tx.AttachmentOf(a.Message, a.Place)
		if err != nil {
			return err
		}
		if now.File != "" {
			tx.LoseFile(now.File) // what the relay had brought of it
		}
		if err := errors.Join(tx.SetCopy(a.Message, a.Place, store.CopyHere, name), n.arrivedAfterAll(tx, a)); err != nil {
			return err
		}
		sender, err = filesCame(tx, a.Message)
		return err
	})
	if err == nil && sender != "" {
		n.stateSoon(sender)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: its message was destroyed meanwhile", ErrNoAttachment)
	}
	return err
}
