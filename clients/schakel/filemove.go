package schakel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"schakel/clients/store"
	"schakel/crypto/digest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

const (
	uploadPart = 4 << 20 // the first one; it doubles with each that arrives
	fetchPart  = 16 << 20
	// partsLost bounds how often a relay can send an upload back within one try.
	partsLost = 8
)

// upload brings the file of an attachment to the relay, from where the relay is on. It goes
// on where it stopped, over whatever was restarted in between; a relay that lost it gets it
// whole again.
func (n *Node) upload(ctx context.Context, relay *wire.Blobs, a store.Attachment) error {
	f, err := n.store.OpenFile(a.File)
	if errors.Is(err, store.ErrNotFound) {
		return errors.Join(fmt.Errorf("%w: %w", ErrDisk, err), n.lostFile(ctx, a))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	defer f.Close()
	state, err := n.reachedAtRelay(ctx, relay, a)
	for lost := 0; err == nil; {
		offset, size := state.Offset, min(n.moves.part(keyOf(a)), int64(a.Length)-state.Offset)
		n.moves.at(keyOf(a), uint64(offset), n.now())
		if state.Complete { // the desks are named again: whoever lost it meanwhile gets it
			offset, size = int64(a.Length), 0
		}
		done := state.Complete
		state, err = n.append(ctx, relay, a, f, offset, size)
		switch {
		case errors.Is(err, wire.ErrBlobOffset) && lost < partsLost:
			lost, err = lost+1, nil
		case err == nil && (done || state.Complete):
			return n.uploaded(ctx, a)
		case err == nil && state.Offset <= offset:
			err = fmt.Errorf("%w: it took a part and is no further", wire.ErrBlobAnswer)
		case err == nil:
			n.moves.larger(keyOf(a))
		}
	}
	if errors.Is(err, wire.ErrBlobHash) {
		return errors.Join(err, n.checkOwn(ctx, a, f))
	}
	return err
}

// reachedAtRelay is how far the relay is. A small file that was never offered is offered at
// once, without asking.
func (n *Node) reachedAtRelay(ctx context.Context, relay *wire.Blobs, a store.Attachment) (wire.BlobState, error) {
	if p := n.moves.progress(keyOf(a)); a.Length <= uploadPart && p.tries == 0 {
		return wire.BlobState{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	state, err := relay.State(ctx, wire.BlobID(a.Blob))
	if errors.Is(err, wire.ErrBlobNone) {
		return wire.BlobState{}, nil
	}
	return state, err
}

// append sends one part, under a deadline of its own.
func (n *Node) append(ctx context.Context, relay *wire.Blobs, a store.Attachment, f *os.File, offset, size int64) (wire.BlobState, error) {
	ctx, cancel := context.WithTimeout(ctx, partTime(size))
	defer cancel()
	guard := time.AfterFunc(stalled, cancel)
	defer guard.Stop()
	body := &watched{r: io.NewSectionReader(f, offset, size), moved: func(sent int64) {
		guard.Reset(stalled)
		n.moves.at(keyOf(a), uint64(offset+sent), n.now())
	}}
	return relay.Append(ctx, wire.BlobID(a.Blob), wire.BlobPart{Offset: offset, Length: int64(a.Length), Desks: a.Desks, Body: body, Size: size})
}

// partTime is how long a part may take at the slowest that the relay bears.
func partTime(size int64) time.Duration {
	return 2*wire.BlobGrace + time.Duration(size/wire.SlowestBlob)*time.Second
}

// uploaded notes that the relay has all of it, and ends the alarm about it.
func (n *Node) uploaded(ctx context.Context, a store.Attachment) error {
	err := n.update(ctx, func(tx *store.Tx) error {
		return ifThere(errors.Join(tx.SetUpload(a.Message, a.Place, store.UploadDone), n.arrivedAfterAll(tx, a)))
	})
	n.publish(EventStatus, a.Message.String(), "")
	return err
}

// checkOwn finds out whether it was this device's disk that changed the file.
func (n *Node) checkOwn(ctx context.Context, a store.Attachment, f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if err := seal.CheckAttachment(f, a.Blob, a.Length); errors.Is(err, seal.ErrDigest) {
		n.log.Error("the file of an attachment was changed on this disk", "message", a.Message, "place", a.Place)
		return errors.Join(ErrDisk, n.lostFile(ctx, a))
	}
	return nil
}

// fetch brings the file of an attachment here, and goes on where it stopped. Nothing is
// done with what came until all of it has the SHA-256 that the message names.
func (n *Node) fetch(ctx context.Context, relay *wire.Blobs, a store.Attachment) error {
	f, err := n.begun(ctx, &a)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := f.Seek(0, io.SeekEnd)
	if err == nil && at > int64(a.Length) {
		at, err = 0, f.Truncate(0)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if err := n.store.RoomForFiles(n.leave); err != nil { // without asking the relay for what is not kept
		return wrapDisk(err)
	}
	sum := n.moves.sum(keyOf(a), at)
	defer sum.Rest()
	to := n.store.NewWriting(f, at, n.leave)
	for n.moves.at(keyOf(a), uint64(at), n.now()); at < int64(a.Length); {
		got, err := n.read(ctx, relay, a, to, sum, at, min(fetchPart, int64(a.Length)-at))
		if at += got; err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if err := checkFetched(f, sum, a); err != nil {
		err = errors.Join(err, n.otherFile(ctx, a))
		n.doubt(ctx, relay, a)
		return err
	}
	return n.fetched(ctx, relay, a)
}

// checkFetched refuses what came with seal.ErrDigest unless it is the file that the message
// names: by the hash of it as it came, or else by reading it. Whoever saves it reads all of it
// once more before a byte is decrypted: what the disk does to it until then is seen there.
func checkFetched(f *os.File, sum *digest.SHA256, a store.Attachment) error {
	if sum.Len() == a.Length {
		if sum.Sum() != a.Blob {
			return fmt.Errorf("%w: %d bytes came", seal.ErrDigest, a.Length)
		}
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return seal.CheckAttachment(f, a.Blob, a.Length)
}

// begun opens the file that an attachment comes into, which is noted before a byte is.
func (n *Node) begun(ctx context.Context, a *store.Attachment) (*os.File, error) {
	if a.File != "" {
		f, err := n.store.OpenFile(a.File)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return f, wrapDisk(err)
		}
	}
	name, f, err := n.store.NewFile()
	if err != nil {
		return nil, wrapDisk(err)
	}
	a.File = name
	err = n.update(ctx, func(tx *store.Tx) error {
		now, err := tx.AttachmentOf(a.Message, a.Place)
		if err != nil {
			return err
		}
		return tx.SetCopy(a.Message, a.Place, now.Copy, name)
	})
	if err != nil {
		return nil, errors.Join(err, f.Close(), n.store.DeleteFile(name))
	}
	return f, nil
}

func wrapDisk(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}

// read fetches one part behind what is there, and hashes it on the way.
func (n *Node) read(ctx context.Context, relay *wire.Blobs, a store.Attachment, to *store.Writing, sum *digest.SHA256, at, size int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, partTime(size))
	defer cancel()
	guard := time.AfterFunc(stalled, cancel)
	defer guard.Stop()
	body, err := relay.Read(ctx, wire.BlobID(a.Blob), at, size)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	from := &watched{r: io.LimitReader(body, size), moved: func(got int64) {
		guard.Reset(stalled)
		n.moves.at(keyOf(a), uint64(at+got), n.now())
	}}
	got, err := to.ReadFrom(io.TeeReader(from, sum)) // into the buffer that the file is written from
	if err == nil && got < size {
		err = io.ErrUnexpectedEOF
	}
	if e := to.Flush(); err == nil {
		err = e
	}
	if err != nil && from.err == nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return got, err
}

// otherFile throws away what is not what the message names. It is asked for again, and a
// person hears of it now: a relay that does this once lies, or is broken.
func (n *Node) otherFile(ctx context.Context, a store.Attachment) error {
	in := &intake{n: n, now: n.now()}
	err := n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		tx.LoseFile(a.File)
		if err := tx.SetCopy(a.Message, a.Place, store.CopyRefused, ""); err != nil {
			return err
		}
		if err := tx.CountRejected(reasonOtherFile); err != nil {
			return err
		}
		m, err := tx.Message(a.Message)
		if err != nil && !errors.Is(err, store.ErrRestricted) {
			return err
		}
		return in.raise(AlarmAttachment, attachmentSubject(a), string(m.Peer))
	})
	n.moves.at(keyOf(a), 0, n.now())
	n.events.publish(in.events...)
	return ifThere(err)
}

// doubt tells the relay that what it gave is another file: where its disk changed it, its sender
// brings it again. The connection is of no use afterwards: that try is over.
func (n *Node) doubt(ctx context.Context, relay *wire.Blobs, a store.Attachment) {
	ctx, cancel := context.WithTimeout(ctx, wire.DoubtTime+loginTimeout)
	defer cancel()
	switch state, err := relay.Doubt(ctx, wire.BlobID(a.Blob)); {
	case errors.Is(err, wire.ErrBlobNone):
		n.log.Warn("the relay found that it changed a file, and its sender brings it again", "message", a.Message, "place", a.Place)
	case err == nil && state.Complete:
		n.log.Error("the relay gave another file, and says that it has the right one", "message", a.Message, "place", a.Place)
	default:
		n.log.Info("the relay was not told that it gave another file", "trouble", troubleOf(err))
	}
}

// fetched notes that all of it is here. A desk that has one device only says so to the
// relay, which need not keep it any longer; with more devices it stays until its time is
// over, since each of them fetches for itself.
func (n *Node) fetched(ctx context.Context, relay *wire.Blobs, a store.Attachment) error {
	var inbound bool
	var sender identity.DeskID
	err := n.update(ctx, func(tx *store.Tx) error {
		m, err := tx.Message(a.Message)
		if inbound = m.Direction == store.In; err != nil && !errors.Is(err, store.ErrRestricted) {
			return err
		}
		if err := errors.Join(tx.SetCopy(a.Message, a.Place, store.CopyHere, a.File), n.arrivedAfterAll(tx, a)); err != nil {
			return err
		}
		sender, err = filesCame(tx, a.Message)
		return err
	})
	if err != nil {
		return ifThere(err)
	}
	if sender != "" {
		n.stateSoon(sender)
	}
	n.publish(EventDesk, a.Message.String(), "")
	if inbound && len(n.directory().DevicesOf(n.dev.Desk)) == 1 {
		ctx, cancel := context.WithTimeout(ctx, loginTimeout)
		defer cancel()
		if err := relay.Drop(ctx, wire.BlobID(a.Blob)); err != nil {
			relay.Close()
			n.log.Info("attachment is here, and the relay keeps it until its time is over", "err", err)
		}
	}
	return nil
}

// settingBlobEpoch holds the epoch of the relay's store that files were uploaded to.
const settingBlobEpoch = "blob-epoch"

// noteRelayStore makes files due again where the relay has lost its store, as envelopes are.
func (n *Node) noteRelayStore(ctx context.Context, epoch [16]byte) error {
	return n.update(ctx, func(tx *store.Tx) error {
		known, err := tx.Setting(settingBlobEpoch)
		if err != nil && !errors.Is(err, store.ErrNotFound) || bytes.Equal(known, epoch[:]) {
			return err
		}
		if len(known) > 0 {
			if err := tx.UploadAllAgain(n.now().Add(-life)); err != nil {
				return err
			}
		}
		return tx.SetSetting(settingBlobEpoch, epoch[:])
	})
}

// ifThere takes it for done where the case was destroyed meanwhile.
func ifThere(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDestroyed) {
		return nil
	}
	return err
}

// watched counts what passes, and remembers why it ended.
type watched struct {
	r     io.Reader
	n     int64
	moved func(total int64)
	err   error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.n += int64(n)
		w.moved(w.n)
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// Terms after which a person must hear that an attachment is not there. Its message was
// there long before: who cannot wait for the file telephones.
const (
	attachmentAcute   = 15 * time.Minute
	attachmentUrgent  = time.Hour
	attachmentRoutine = 4 * time.Hour
	// attachmentMoves: while bytes come nobody is disturbed.
	attachmentMoves = 5 * time.Minute
)

// unavailable reports whether an attachment that is waited for should be here by now.
func (n *Node) unavailable(a store.Attachment, urgency message.Urgency, now time.Time) bool {
	waits := a.Copy == store.CopyWanted || a.Copy == store.CopyRefused || a.Upload == store.UploadDue
	term := attachmentRoutine
	switch urgency {
	case message.Acute:
		term = attachmentAcute
	case message.Urgent:
		term = attachmentUrgent
	}
	p := n.moves.progress(keyOf(a))
	return waits && !now.Before(a.Since.Add(term)) && (p.done == 0 || now.Sub(p.last) > attachmentMoves)
}

// attachmentSubject names an attachment in an alarm.
func attachmentSubject(a store.Attachment) string { return fmt.Sprintf("%s %d", a.Message, a.Place) }

// arrivedAfterAll ends the alarm about an attachment.
func (n *Node) arrivedAfterAll(tx *store.Tx, a store.Attachment) error {
	if err := tx.ClearAlarm(string(AlarmAttachment), attachmentSubject(a)); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// watchAttachments alarms for those that are not where they should be by now.
func (in *intake) watchAttachments() error {
	rows, err := in.tx.MovingAttachments(alarmsAtOnce)
	if err != nil {
		return err
	}
	for _, a := range rows {
		m, err := in.tx.Message(a.Message)
		if errors.Is(err, store.ErrDestroyed) {
			continue
		}
		if err != nil && !errors.Is(err, store.ErrRestricted) {
			return err
		}
		if !in.n.unavailable(a, m.Urgency, in.now) {
			continue
		}
		code := string(m.Peer)
		if a.Upload == store.UploadDue {
			code = string(in.n.dev.Desk)
		}
		if err := in.raise(AlarmAttachment, attachmentSubject(a), code); err != nil {
			return err
		}
	}
	return nil
}
