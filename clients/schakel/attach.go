package schakel

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// A file is attached in two steps: Attach seals it into this device's folder, and the
// Draft that names it takes it along. Nobody waits for the file: the message leaves at
// once, and its recipients see that the attachment is coming.

// Attached is a file that was sealed here and that no message took along yet.
type Attached struct {
	ID string `json:"id"` // for Draft.Attachments
	protocol.AttachedFile
}

// attachedRow is what this device keeps of one, sealed, until a message has it.
type attachedRow struct {
	_         struct{} `cbor:",toarray"`
	File      string   // in the folder
	Identity  string
	Name      string
	MediaType string
	Size      uint64
	Content   [32]byte
}

const (
	// sniffed is how much of a file says what it is.
	sniffed = 512
	// attachedFor is how long a file that nobody sent stays.
	attachedFor = 7 * 24 * time.Hour
	maxAttached = 4 << 10
)

// Attach reads content to its end and seals it into this device's folder, under an identity
// made for it. What it is is found out from its first bytes; a mediaType that says otherwise
// is refused with ErrMediaType, and too much of it with ErrTooLarge. It holds no more than a
// few hundred kilobytes in memory, whatever the size. A file that no message takes along is
// deleted after seven days.
func (n *Node) Attach(ctx context.Context, name, mediaType string, content io.Reader) (Attached, error) {
	if err := nameFits(name); err != nil {
		return Attached{}, err
	}
	begin := bufio.NewReaderSize(content, sniffed)
	first, err := begin.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return Attached{}, fmt.Errorf("failed to read the file: %w", err)
	}
	found := typeOf(first)
	if mediaType != "" && mediaType != found {
		return Attached{}, fmt.Errorf("%w: called %.80q, and it looks like %s", ErrMediaType, mediaType, found)
	}
	file, f, err := n.store.NewFile()
	if err != nil {
		return Attached{}, err
	}
	to := n.store.NewWriting(f, 0, n.leave)
	sealed, err := seal.SealAttachment(to, &stopping{ctx, begin})
	if err = errors.Join(err, to.Flush(), f.Sync(), f.Close()); err == nil {
		err = n.keepAttached(ctx, attachedRow{File: file, Identity: sealed.Identity, Name: name, MediaType: found, Size: sealed.Size, Content: sealed.Content}, sealed.Digest)
	}
	if errors.Is(err, seal.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return Attached{}, errors.Join(err, n.store.DeleteFile(file))
	}
	return Attached{ID: hex.EncodeToString(sealed.Digest[:]), AttachedFile: protocol.AttachedFile{
		Name: name, MediaType: found, Bytes: sealed.Size, SHA256: "sha256:" + hex.EncodeToString(sealed.Content[:])}}, nil
}

func (n *Node) keepAttached(ctx context.Context, row attachedRow, digest [32]byte) error {
	b, err := canon.Marshal(row)
	if err != nil {
		return err
	}
	return n.update(ctx, func(tx *store.Tx) error {
		return tx.Keep(store.ShelfAttached, store.Kept{ID: digest[:], At: n.now(), Content: b})
	})
}

// nameFits refuses a name that no message can carry, before a gigabyte was read.
func nameFits(name string) error {
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > 200 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: give it a name of 1 to 200 characters", ErrAttachedName)
	}
	return nil
}

// typeOf is what a file is by its first bytes. Its name has no say in it.
func typeOf(first []byte) string {
	base, _, err := mime.ParseMediaType(http.DetectContentType(first))
	if err != nil {
		return "application/octet-stream"
	}
	return base
}

// AttachedFiles returns the files that were attached on this device and that no message took
// along yet, the oldest first.
func (n *Node) AttachedFiles(ctx context.Context) (out []Attached, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.KeptUntil(store.ShelfAttached, time.Time{}, maxList)
		for _, k := range rows {
			var row attachedRow
			if err := canon.Unmarshal(k.Content, maxAttached, &row); err != nil {
				return err
			}
			out = append(out, Attached{ID: hex.EncodeToString(k.ID), AttachedFile: protocol.AttachedFile{
				Name: row.Name, MediaType: row.MediaType, Bytes: row.Size, SHA256: "sha256:" + hex.EncodeToString(row.Content[:])}})
		}
		return err
	})
	return out, err
}

// DropAttached deletes a file that no message took along.
func (n *Node) DropAttached(ctx context.Context, id string) error {
	return n.update(ctx, func(tx *store.Tx) error {
		row, digest, err := attachedBy(tx, id)
		if err != nil {
			return err
		}
		tx.LoseFile(row.File)
		return tx.Forget(store.ShelfAttached, digest)
	})
}

func attachedBy(tx *store.Tx, id string) (row attachedRow, digest []byte, err error) {
	digest, err = hex.DecodeString(id)
	if err != nil || len(digest) != 32 {
		return row, nil, fmt.Errorf("%w: %.80q", ErrNoAttachment, id)
	}
	kept, err := tx.Kept(store.ShelfAttached, digest)
	if errors.Is(err, store.ErrNotFound) {
		return row, nil, fmt.Errorf("%w: %.12s is not a file that was attached on this device and not sent; attach it again", ErrNoAttachment, id)
	}
	if err == nil {
		err = canon.Unmarshal(kept.Content, maxAttached, &row)
	}
	return row, digest, err
}

// takeAlong gives a message the files that its draft names, and has its body describe them.
func (n *Node) takeAlong(tx *store.Tx, c *protocol.Catalogue, m *message.Message, d Draft) error {
	var files []protocol.AttachedFile
	for _, id := range d.Attachments {
		row, digest, err := attachedBy(tx, id)
		if err != nil {
			return err
		}
		m.Attachments = append(m.Attachments, message.Attachment{Blob: [32]byte(digest), Digest: [32]byte(digest), Size: row.Size,
			Identity: row.Identity, Name: row.Name, MediaType: row.MediaType})
		files = append(files, protocol.AttachedFile{Name: row.Name, MediaType: row.MediaType, Bytes: row.Size, SHA256: "sha256:" + hex.EncodeToString(row.Content[:])})
	}
	body, err := c.WithFiles(d.Class, m.Body, files)
	m.Body = body
	return err
}

// sendAttachments makes the files of a message that is signed now due to the relay. From
// here on only the message has their secrets.
func (n *Node) sendAttachments(tx *store.Tx, signed message.Signed) error {
	m := signed.Message
	for i, a := range m.Attachments {
		row, digest, err := attachedBy(tx, hex.EncodeToString(a.Digest[:]))
		if err != nil {
			return err
		}
		out := rowOf(signed, i, n.now())
		out.Desks, out.Copy, out.Upload, out.File = m.Addressed, store.CopyHere, store.UploadDue, row.File
		if err := errors.Join(tx.AddAttachment(out), tx.Forget(store.ShelfAttached, digest)); err != nil {
			return err
		}
	}
	return nil
}

// sweepAttached deletes what was attached and never sent, and files that belong to nothing.
func (n *Node) sweepAttached(tx *store.Tx) error {
	kept := map[string]bool{}
	rows, err := tx.KeptUntil(store.ShelfAttached, time.Time{}, maxList)
	for _, k := range rows {
		var row attachedRow
		if err := canon.Unmarshal(k.Content, maxAttached, &row); err != nil {
			return err
		}
		if n.now().Sub(k.At) < attachedFor {
			kept[row.File] = true
			continue
		}
		tx.LoseFile(row.File)
		err = errors.Join(err, tx.Forget(store.ShelfAttached, k.ID))
	}
	if err != nil || len(rows) == maxList {
		return err // not all are known: nothing is taken for an orphan
	}
	return n.store.SweepFiles(tx, n.now().Add(-24*time.Hour), kept)
}

// stopping is a reader that ends with its context: a file may come from a network drive.
type stopping struct {
	ctx context.Context
	io.Reader
}

func (s *stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// attachAgain seals the files of a message of this desk anew: another message has other
// files, under other keys (attack E10). It refuses with ErrNotHere where one is not here.
func (n *Node) attachAgain(ctx context.Context, first protocol.Known, by By) (ids []string, err error) {
	for i, a := range first.Attachments {
		content, to := io.Pipe()
		go func() {
			_, err := n.SaveAttachment(ctx, first.Hash.String(), i+1, Saving{By: by, Anyway: true}, to)
			_ = to.CloseWithError(err) // never fails
		}()
		file, err := n.Attach(ctx, a.Name, "", content)
		if _ = content.Close(); err != nil { // never fails, and ends who still writes
			n.dropUnsent(ctx, ids)
			return nil, err
		}
		ids = append(ids, file.ID)
	}
	return ids, nil
}

// dropUnsent deletes those of the files that no message took along.
func (n *Node) dropUnsent(ctx context.Context, ids []string) {
	for _, id := range ids {
		if err := n.DropAttached(context.WithoutCancel(ctx), id); err != nil && !errors.Is(err, ErrNoAttachment) {
			n.log.Error("attached file not deleted, goes by itself after its time", "err", err)
		}
	}
}
