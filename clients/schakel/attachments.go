package schakel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/store"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// Attachment is a file of a message, and how far it is.
type Attachment struct {
	Message   string          `json:"message"`
	Place     int             `json:"place"`     // in the message, from 1
	Name      string          `json:"name"`      // as its sender calls it, made harmless to look at
	FileName  string          `json:"fileName"`  // to save it as: harmless to any file system
	MediaType string          `json:"mediaType"` // as its sender says; saving looks for itself
	Bytes     uint64          `json:"bytes"`     // of the content
	SHA256    string          `json:"sha256"`    // of the content: sha256: and 64 hexadecimal digits
	Outgoing  bool            `json:"outgoing,omitempty"`
	State     AttachmentState `json:"state"`
	Done      uint64          `json:"done"`              // bytes of the sealed file that are here, or at the relay
	Length    uint64          `json:"length"`            // of the sealed file
	Rate      uint64          `json:"rate,omitempty"`    // bytes a second, while it moves
	Left      time.Duration   `json:"left,omitempty"`    // until it is there at that rate, in nanoseconds
	Trouble   string          `json:"trouble,omitempty"` // why the latest try failed: one of a few constant words
	Since     time.Time       `json:"since"`             // when it began to be waited for
}

// AttachmentState is how far an attachment is.
type AttachmentState string

// The states. An attachment that is outgoing begins here and goes on to the relay.
const (
	AttachmentWaiting     AttachmentState = "wacht"            // nothing of it moved yet
	AttachmentMoving      AttachmentState = "onderweg"         // it comes, or goes: see Done of Length
	AttachmentPaused      AttachmentState = "gepauzeerd"       // somebody paused it
	AttachmentHere        AttachmentState = "hier"             // all of it, and it is what the message names
	AttachmentAtRelay     AttachmentState = "bij-relay"        // outgoing: the relay has all of it
	AttachmentUnavailable AttachmentState = "niet-beschikbaar" // it did not come in time, and is still asked for: call
	AttachmentRefused     AttachmentState = "geweigerd"        // what came was another file; it is asked for again
)

// MoveAct is what a person has done with an attachment that moves.
type MoveAct string

// The acts.
const (
	MoveFetch  MoveAct = "fetch"  // try now, instead of at the next time
	MovePause  MoveAct = "pause"  // not now: the line is needed for something else
	MoveResume MoveAct = "resume" // go on
)

// Saving says how an attachment is opened.
type Saving struct {
	By
	// Anyway saves content that is not what its sender says it is.
	Anyway bool `json:"anyway,omitempty"`
}

// rowOf is the row of the i-th attachment of a message, from 0.
func rowOf(signed message.Signed, i int, now time.Time) store.Attachment {
	a := signed.Message.Attachments[i]
	return store.Attachment{Message: signed.Hash(), Place: i + 1, Blob: a.Digest, Length: seal.AttachmentLength(a.Size),
		Once: sha256.Sum256([]byte(a.Identity)), Copy: store.CopyWanted, Since: now}
}

// Attachments returns the files of a message and how far they are. Of a restricted case only
// who may read it sees what they are called. The access log is not written: their names
// stand in the message, which Read shows.
func (n *Node) Attachments(ctx context.Context, ref string, by ...By) (out []Attachment, err error) {
	a, err := n.accessTo(ctx, ref, one(by))
	if err != nil {
		return nil, err
	}
	err = n.inside(ctx, a, false, func(tx *store.Tx) error {
		row, err := find(tx, ref)
		if err != nil {
			return err
		}
		if row.Raw == nil {
			return n.closedHere(tx, row.Case)
		}
		signed, err := message.Parse(row.Raw)
		if err != nil {
			return err
		}
		out, err = n.attachmentsOf(tx, signed)
		return err
	})
	return out, err
}

// attachmentsOf describes the attachments of a message that is open.
func (n *Node) attachmentsOf(tx *store.Tx, signed message.Signed) ([]Attachment, error) {
	m := signed.Message
	if len(m.Attachments) == 0 {
		return nil, nil
	}
	rows, err := tx.Attachments(signed.Hash())
	if err != nil {
		return nil, err
	}
	described := n.judgedBy(m).FilesIn(m.Heading.Class, m.Body)
	out := make([]Attachment, len(m.Attachments))
	for i, a := range m.Attachments {
		out[i] = Attachment{Message: signed.Hash().String(), Place: i + 1, Name: harmless.Line(a.Name), FileName: harmless.FileName(a.Name, a.MediaType), MediaType: a.MediaType,
			Bytes: a.Size, Length: seal.AttachmentLength(a.Size), State: AttachmentUnavailable, Since: time.Unix(int64(m.Created), 0).UTC(), Trouble: troubleGone}
		if i < len(described) {
			out[i].SHA256 = described[i].SHA256
		}
		for _, row := range rows {
			if row.Place == i+1 {
				n.howFar(&out[i], row, m.Heading.Urgency)
			}
		}
	}
	return out, nil
}

// howFar fills in how far an attachment is.
func (n *Node) howFar(a *Attachment, row store.Attachment, urgency message.Urgency) {
	p := n.moves.progress(keyOf(row))
	a.Since, a.Outgoing, a.Trouble, a.Rate = utc(row.Since), row.Upload != store.UploadNone, p.trouble, p.rate(n.now())
	a.Done = p.done
	switch {
	case row.Upload == store.UploadDone:
		a.State, a.Done = AttachmentAtRelay, a.Length
	case row.Upload == store.UploadPaused || row.Copy == store.CopyPaused:
		a.State = AttachmentPaused
	case row.Upload == store.UploadNone && row.Copy == store.CopyHere:
		a.State, a.Done = AttachmentHere, a.Length
	case row.Copy == store.CopyRefused:
		a.State, a.Done = AttachmentRefused, 0
	case n.unavailable(row, urgency, n.now()):
		a.State = AttachmentUnavailable
	case p.done > 0 || p.moving && p.trouble == "": // a try after one that failed in vain is no news
		a.State = AttachmentMoving
	default:
		a.State = AttachmentWaiting
	}
	if a.Rate > 0 && a.Done < a.Length {
		a.Left = time.Duration(float64(a.Length-a.Done) / float64(a.Rate) * float64(time.Second)).Truncate(time.Second)
	}
}

// SaveAttachment writes the content of an attachment to w: not a byte of it before all of
// the sealed file proved to be what the message names, and none that is not of the type that
// its sender states (ErrMediaType, unless Anyway). Schakel opens nothing of it: whether it is
// safe to look at is for the organisation's own virus scanner. Who saved what is in the
// access log before w gets anything. It refuses with ErrNoAttachment, with ErrNotHere while
// it is not all here, and with seal.ErrContent where the sender lied about what is in it:
// then w holds bytes that must be thrown away.
func (n *Node) SaveAttachment(ctx context.Context, ref string, place int, how Saving, w io.Writer) (Attachment, error) {
	acc, err := n.accessTo(ctx, ref, how.By)
	if err != nil {
		return Attachment{}, err
	}
	var out Attachment
	var named message.Attachment
	var row store.Attachment
	err = n.inside(ctx, acc, false, func(tx *store.Tx) error {
		out, named, row, err = n.attachmentAt(tx, ref, place)
		return err
	})
	if err != nil {
		return out, err
	}
	if row.Copy != store.CopyHere {
		return out, fmt.Errorf("%w: %s, %d of %d bytes", ErrNotHere, out.State, out.Done, out.Length)
	}
	f, err := n.store.OpenFile(row.File)
	if errors.Is(err, store.ErrNotFound) {
		return out, errors.Join(fmt.Errorf("%w: its file was taken away", ErrNotHere), n.lostFile(ctx, row))
	}
	if err != nil {
		return out, err
	}
	defer f.Close()
	if err := n.note(ctx, actionSaved, out.Message, acc.person); err != nil {
		return out, err
	}
	var content [32]byte
	if sum, err := hex.DecodeString(strings.TrimPrefix(out.SHA256, "sha256:")); err == nil && len(sum) == len(content) {
		content = [32]byte(sum)
	}
	err = seal.OpenAttachment(&sniffing{to: w, want: out.MediaType, size: named.Size, anyway: how.Anyway}, stoppingFile{ctx, f}, named, content)
	if errors.Is(err, seal.ErrDigest) { // the disk changed it: the relay may still have it
		err = errors.Join(fmt.Errorf("%w: its file was changed on this disk", ErrNotHere), err, n.lostFile(ctx, row))
	}
	return out, err
}

// attachmentAt finds one attachment of a message.
func (n *Node) attachmentAt(tx *store.Tx, ref string, place int) (out Attachment, named message.Attachment, row store.Attachment, err error) {
	m, err := find(tx, ref)
	if err != nil {
		return out, named, row, err
	}
	if m.Raw == nil {
		return out, named, row, n.closedHere(tx, m.Case)
	}
	signed, err := message.Parse(m.Raw)
	if err != nil {
		return out, named, row, err
	}
	all, err := n.attachmentsOf(tx, signed)
	if err == nil && (place < 1 || place > len(all)) {
		err = fmt.Errorf("%w: %.8s has %d attachments", ErrNoAttachment, m.Hash, len(all))
	}
	if err != nil {
		return out, named, row, err
	}
	row, err = tx.AttachmentOf(m.Hash, place)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: it came here before this device", ErrNotHere)
	}
	return all[place-1], signed.Message.Attachments[place-1], row, err
}

// lostFile makes an attachment whose file was lost here one that is still to come.
func (n *Node) lostFile(ctx context.Context, row store.Attachment) error {
	err := n.update(ctx, func(tx *store.Tx) error {
		tx.LoseFile(row.File)
		return tx.SetCopy(row.Message, row.Place, store.CopyWanted, "")
	})
	n.moves.again(keyOf(row))
	return err
}

// MoveAttachment has an attachment of a message tried now, paused, or gone on with; with
// place 0 all of them. It returns ErrNoAttachment where there is none.
func (n *Node) MoveAttachment(ctx context.Context, ref string, place int, act MoveAct) error {
	var rows []store.Attachment
	err := n.update(ctx, func(tx *store.Tx) error {
		m, err := find(tx, ref)
		if err != nil {
			return err
		}
		if rows, err = tx.Attachments(m.Hash); err != nil {
			return err
		}
		if place != 0 {
			row, err := tx.AttachmentOf(m.Hash, place)
			if rows = []store.Attachment{row}; err != nil {
				return fmt.Errorf("%w: %w", ErrNoAttachment, err)
			}
		}
		if len(rows) == 0 {
			return fmt.Errorf("%w: %.8s has none", ErrNoAttachment, m.Hash)
		}
		for _, row := range rows {
			if err := acted(tx, row, act, n.now()); err != nil {
				return err
			}
		}
		return nil
	})
	for _, row := range rows {
		if err == nil && act == MovePause {
			n.moves.stop(keyOf(row))
		} else if err == nil {
			n.moves.again(keyOf(row))
		}
	}
	return err
}

func acted(tx *store.Tx, row store.Attachment, act MoveAct, now time.Time) error {
	switch act {
	case MovePause:
		if row.Copy == store.CopyWanted || row.Copy == store.CopyRefused {
			return tx.SetCopy(row.Message, row.Place, store.CopyPaused, row.File)
		}
		if row.Upload == store.UploadDue {
			return tx.SetUpload(row.Message, row.Place, store.UploadPaused)
		}
		return nil
	case MoveFetch, MoveResume:
		if row.Copy == store.CopyPaused || row.Copy == store.CopyRefused {
			return tx.SetCopy(row.Message, row.Place, store.CopyWanted, row.File)
		}
		if row.Upload == store.UploadPaused || row.Upload == store.UploadDone && row.Copy == store.CopyHere { // should the relay have lost it
			return tx.SetUpload(row.Message, row.Place, store.UploadDue)
		}
		return nil
	}
	return fmt.Errorf("%w: %.20q is not fetch, pause or resume", ErrNoAttachment, act)
}

// sniffing writes content once its first bytes are of the type that is wanted.
type sniffing struct {
	to     io.Writer
	want   string
	size   uint64
	anyway bool
	first  []byte
	passed bool
}

func (s *sniffing) Write(p []byte) (int, error) {
	if s.passed {
		return s.to.Write(p)
	}
	s.first = append(s.first, p...)
	if uint64(len(s.first)) < min(s.size, sniffed) {
		return len(p), nil
	}
	if found := typeOf(s.first); found != s.want && !s.anyway {
		return 0, fmt.Errorf("%w: its sender calls it %.80q, and it looks like %s", ErrMediaType, s.want, found)
	}
	s.passed = true
	if _, err := s.to.Write(s.first); err != nil {
		return 0, err
	}
	return len(p), nil
}

// stoppingFile is a file whose reading ends with its context.
type stoppingFile struct {
	ctx context.Context
	io.ReaderAt
}

func (s stoppingFile) ReadAt(p []byte, off int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.ReaderAt.ReadAt(p, off)
}
