package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// CopyState is whether the sealed file of an attachment lies in this store's folder.
type CopyState uint8

// Copies. The numbers never change meaning.
const (
	CopyWanted  CopyState = 1 // it is still to come, or the rest of it
	CopyPaused  CopyState = 2 // a person said: not now
	CopyHere    CopyState = 3 // all of it, with the SHA-256 that the message names
	CopyRefused CopyState = 4 // what came was another file; it is asked for again
)

// UploadState is whether the relay has the sealed file from this device.
type UploadState uint8

// Uploads. The numbers never change meaning.
const (
	UploadNone   UploadState = 0 // not this device's to upload
	UploadDue    UploadState = 1
	UploadPaused UploadState = 2
	UploadDone   UploadState = 3 // the relay said that it has all of it
)

// Attachment is what moves a sealed file between this store and the relay. What it is
// called and the secret that opens it stand in its message alone, so that destroying the
// case destroys the attachment; and so it can be moved for a case that only named persons
// may read.
type Attachment struct {
	Message message.Hash
	Place   int               // in the message, from 1
	Blob    [32]byte          // SHA-256 of the sealed file
	Length  uint64            // of the sealed file
	Once    [32]byte          // SHA-256 of the one-time identity
	Desks   []identity.DeskID // that may fetch it; of an outgoing one
	Copy    CopyState
	Upload  UploadState
	Since   time.Time // when it began to be waited for
	File    string    // its name in the folder; empty: none yet
}

const selectAttachment = `SELECT message,place,blob,length,once,desks,copy,upload,since,file FROM attachment`

func readAttachment(r row1) Attachment {
	return Attachment{Message: r.b32(0), Place: r.int(1), Blob: r.b32(2), Length: r.num(3), Once: r.b32(4), Desks: desksIn(r.text(5)),
		Copy: CopyState(r.int(6)), Upload: UploadState(r.int(7)), Since: r.time(8), File: r.text(9)}
}

// AddAttachment notes an attachment of a message; a known one stays as it is.
func (tx *Tx) AddAttachment(a Attachment) error {
	var desks []string
	for _, d := range a.Desks {
		desks = append(desks, string(d))
	}
	return tx.exec(`INSERT INTO attachment(message,place,blob,length,once,desks,copy,upload,since,file) VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`,
		a.Message[:], a.Place, a.Blob[:], a.Length, a.Once[:], strings.Join(desks, " "), int(a.Copy), int(a.Upload), a.Since, a.File)
}

// Attachments returns those of a message, in order.
func (tx *Tx) Attachments(h message.Hash) ([]Attachment, error) {
	return tx.attachments(` WHERE message=? ORDER BY place`, args{h[:]})
}

// MovingAttachments returns at most limit of those that still have to come or go, small
// ones first: a photograph does not wait for a file of a gigabyte.
func (tx *Tx) MovingAttachments(limit int) ([]Attachment, error) {
	return tx.attachments(` WHERE (copy IN (1,4) OR upload=1) AND copy<>2 ORDER BY length, message, place LIMIT ?`, args{limit})
}

// MissingAttachments returns at most limit of those whose file is still to come, paused ones
// among them, small ones first.
func (tx *Tx) MissingAttachments(limit int) ([]Attachment, error) {
	return tx.attachments(` WHERE copy IN (1,2,4) ORDER BY length, message, place LIMIT ?`, args{limit})
}

// UploadingTo returns at most limit of those for a desk that lie here and that the relay has
// not got yet, small ones first.
func (tx *Tx) UploadingTo(desk identity.DeskID, limit int) ([]Attachment, error) {
	return tx.attachments(` WHERE copy=3 AND upload IN (1,2) AND instr(' '||desks||' ', ' '||?||' ')>0 ORDER BY length, message, place LIMIT ?`, args{string(desk), limit})
}

// AttachmentByBlob returns the attachment that a sealed file belongs to, or ErrNotFound.
func (tx *Tx) AttachmentByBlob(blob [32]byte) (a Attachment, err error) {
	err = tx.one(selectAttachment+` WHERE blob=? LIMIT 1`, args{blob[:]}, func(r row1) error {
		a = readAttachment(r)
		return nil
	})
	return a, err
}

func (tx *Tx) attachments(where string, a args) (out []Attachment, err error) {
	err = tx.each(selectAttachment+where, a, func(r row1) error {
		out = append(out, readAttachment(r))
		return nil
	})
	return out, err
}

// SetCopy notes what became of the file of an attachment here.
func (tx *Tx) SetCopy(h message.Hash, place int, state CopyState, file string) error {
	return tx.moved(tx.exec(`UPDATE attachment SET copy=?, file=? WHERE message=? AND place=?`, int(state), file, h[:], place))
}

// SetUpload notes what became of an upload.
func (tx *Tx) SetUpload(h message.Hash, place int, state UploadState) error {
	return tx.moved(tx.exec(`UPDATE attachment SET upload=? WHERE message=? AND place=?`, int(state), h[:], place))
}

func (tx *Tx) moved(err error) error {
	if err == nil && tx.changes() == 0 {
		return ErrNotFound
	}
	return err
}

// UploadAgain makes the attachments of a message that lie here due once more: the message
// is delivered again, and the relay may have lost them.
func (tx *Tx) UploadAgain(h message.Hash, at time.Time) error {
	return tx.exec(`UPDATE attachment SET upload=1, since=? WHERE message=? AND desks<>'' AND copy=3 AND upload IN (0,3)`, at, h[:])
}

// UploadedSince returns at most limit of those that the relay has from this device, and that
// began to be waited for since then, the latest first.
func (tx *Tx) UploadedSince(since time.Time, limit int) ([]Attachment, error) {
	return tx.attachments(` WHERE desks<>'' AND copy=3 AND upload=3 AND since>=? ORDER BY since DESC, message, place LIMIT ?`, args{since, limit})
}

// UploadLost makes one that the relay had due once more, and waited for from now on.
func (tx *Tx) UploadLost(h message.Hash, place int, at time.Time) error {
	return tx.moved(tx.exec(`UPDATE attachment SET upload=1, since=? WHERE message=? AND place=? AND upload=3`, at, h[:], place))
}

// UploadAllAgain makes what was uploaded for messages since then due once more: the relay
// lost its store.
func (tx *Tx) UploadAllAgain(since time.Time) error {
	return tx.exec(`UPDATE attachment SET upload=1 WHERE desks<>'' AND copy=3 AND upload=3 AND since>=?`, since)
}

// AttachmentUsed reports whether a blob or a one-time identity belongs to another message.
func (tx *Tx) AttachmentUsed(blob, once [32]byte, by message.Hash) (used bool, err error) {
	err = tx.each(`SELECT 1 FROM attachment WHERE (blob=? OR once=?) AND message<>? LIMIT 1`, args{blob[:], once[:], by[:]}, func(row1) error {
		used = true
		return nil
	})
	return used, err
}

// AttachmentOf returns the attachment at a place of a message, or ErrNotFound.
func (tx *Tx) AttachmentOf(h message.Hash, place int) (a Attachment, err error) {
	err = tx.one(selectAttachment+` WHERE message=? AND place=?`, args{h[:], place}, func(r row1) error {
		a = readAttachment(r)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: attachment %d", ErrNotFound, place)
	}
	return a, err
}

// dropAttachments forgets those of a message, and their files once this has come about.
func (tx *Tx) dropAttachments(h message.Hash) error {
	rows, err := tx.Attachments(h)
	if err != nil {
		return err
	}
	for _, a := range rows {
		if a.File != "" {
			tx.files = append(tx.files, a.File)
		}
	}
	return tx.exec(`DELETE FROM attachment WHERE message=?`, h[:])
}

// LoseFile deletes a file of the folder once this transaction has come about.
func (tx *Tx) LoseFile(name string) { tx.files = append(tx.files, name) }

// forgetFiles makes the files of a restored device ones that are still to come: a backup
// holds none. What was on its way to the relay is not this device's to upload.
func (tx *Tx) forgetFiles(at time.Time) error {
	return tx.exec(`UPDATE attachment SET file='', upload=0, since=?, copy=CASE WHEN copy=2 THEN 2 ELSE 1 END`, at)
}
