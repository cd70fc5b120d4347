package blobtest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/blob"
	"schakel/relay/wire"
)

func checkDrop(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(piece)
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	if err := d.Drop(ctx, d.b, id); err != nil {
		return err
	}
	if err := d.none(ctx, d.b, id); err != nil {
		return err
	}
	if err := d.has(ctx, d.a, content, id); err != nil {
		return broken("one desk dropped it, and it is gone for another: %v", err)
	}
	if err := d.Drop(ctx, d.a, id); err != nil {
		return err
	}
	if err := d.onlyMarks(ctx, s); err != nil {
		return broken("all desks dropped it: %v", err)
	}
	if err := d.Drop(ctx, d.a, id); !errors.Is(err, blob.ErrNone) {
		return broken("dropped twice: %v", err)
	}
	return nil
}

func checkGiveUp(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(2 * piece)
	if _, err := d.part(ctx, content, id, 0, piece); err != nil {
		return err
	}
	if err := d.Drop(ctx, d.a, id); err != nil {
		return err
	}
	if got, err := list(ctx, s, ""); err != nil || len(got) > 0 {
		return broken("given up, and %d objects are left: %v", len(got), err)
	}
	return nil
}

// after moves the clock and has a look.
func (d *desk) after(ctx context.Context, by time.Duration) (blob.Usage, error) {
	d.now = d.now.Add(by)
	return d.Expire(ctx)
}

func checkUnfinished(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(2 * piece)
	if _, err := d.part(ctx, content, id, 0, piece); err != nil {
		return err
	}
	n, err := d.after(ctx, wire.UnfinishedLife-time.Second)
	if err != nil || n.Unfinished != 1 || n.Removed != 0 || n.Bytes != 2*piece {
		return broken("before its time: %+v, %v", n, err)
	}
	if n, err = d.after(ctx, time.Second); err != nil || n.Unfinished != 0 || n.Removed != 1 {
		return broken("at its time: %+v, %v", n, err)
	}
	if err := d.onlyMarks(ctx, s); err != nil {
		return err
	}
	return d.upload(ctx, content, id)
}

func checkWeek(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(piece)
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	n, err := d.after(ctx, wire.BlobLife-time.Second)
	if err != nil || n.Complete != 1 || n.Removed != 0 || n.Bytes != piece {
		return broken("before its time: %+v, %v", n, err)
	}
	if err := d.has(ctx, d.b, content, id); err != nil {
		return err
	}
	d.now = d.now.Add(time.Second)
	if _, err := d.Open(ctx, d.b, id); !errors.Is(err, blob.ErrNone) {
		return broken("past its time it is served: %v", err)
	}
	if n, err = d.Expire(ctx); err != nil || n.Complete != 0 || n.Removed != 1 {
		return broken("at its time: %+v, %v", n, err)
	}
	if err := d.onlyMarks(ctx, s); err != nil {
		return err
	}
	return nil
}

func checkRenew(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(2 * piece)
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	d.now = d.now.Add(wire.BlobLife - time.Hour)
	p := wire.BlobPart{Offset: 2 * piece, Length: 2 * piece, Desks: []identity.DeskID{d.c.Desk}}
	if state, err := d.Append(ctx, d.a, id, p); err != nil || !state.Complete {
		return broken("named again: %+v, %v", state, err)
	}
	if _, err := d.after(ctx, 2*time.Hour); err != nil {
		return err
	}
	if err := errors.Join(d.has(ctx, d.b, content, id), d.has(ctx, d.c, content, id)); err != nil {
		return broken("named again: %v", err)
	}
	_, err := d.after(ctx, wire.BlobLife)
	return errors.Join(err, d.none(ctx, d.b, id))
}

func checkShare(ctx context.Context, s blob.Store) error {
	d := keep(s) // 20 MiB for an organisation, 8 MiB a blob
	big := make([]byte, 8<<20)
	for i := range 2 {
		if _, err := d.part(ctx, big, wire.BlobID{byte(i)}, 0, piece); err != nil {
			return err
		}
	}
	if _, err := d.part(ctx, big, wire.BlobID{9}, 0, piece); !errors.Is(err, blob.ErrQuota) {
		return broken("beyond the share: %v", err)
	}
	other := d.c
	if _, err := d.Append(ctx, other, wire.BlobID{9}, wire.BlobPart{Length: 8 << 20, Desks: []identity.DeskID{d.b.Desk}, Body: bytes.NewReader(big[:piece]), Size: piece}); err != nil {
		return broken("another organisation: %v", err)
	}
	if err := d.Drop(ctx, d.a, wire.BlobID{0}); err != nil {
		return err
	}
	if _, err := d.part(ctx, big, wire.BlobID{9}, 0, piece); err != nil {
		return broken("after one was given up: %v", err)
	}
	return nil
}

func checkUploads(ctx context.Context, s blob.Store) error {
	d := keep(s) // three of a device
	content := make([]byte, 2*piece)
	for i := range 3 {
		if _, err := d.part(ctx, content, wire.BlobID{byte(i)}, 0, piece); err != nil {
			return err
		}
	}
	if _, err := d.part(ctx, content, wire.BlobID{9}, 0, piece); !errors.Is(err, blob.ErrUploads) {
		return broken("a fourth: %v", err)
	}
	if _, err := d.part(ctx, content, wire.BlobID{2}, piece, 2*piece); !errors.Is(err, blob.ErrMismatch) {
		return broken("one of the three goes on: %v", err)
	}
	full, id := Content(2 * piece)
	if err := d.upload(ctx, full, id); err != nil {
		return broken("after one is over: %v", err)
	}
	if _, err := d.part(ctx, content, wire.BlobID{9}, 0, piece); err != nil {
		return broken("one that is complete counts as unfinished: %v", err)
	}
	return nil
}

// checkDamaged: a record that is none makes nobody fail but its blob, which is then
// uploaded again.
func checkDamaged(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(piece)
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	names, err := list(ctx, s, "uploads/")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := put(ctx, s, name, []byte(`{"until":9999999999,"parts":["../../x"]}`)); err != nil {
			return err
		}
	}
	if err := put(ctx, s, "uploads/what is this", nil); err != nil {
		return err
	}
	if _, err := d.Open(ctx, d.b, id); !errors.Is(err, blob.ErrNone) {
		return broken("a damaged record is served: %v", err)
	}
	_, err = d.Expire(ctx)
	if err != nil {
		return broken("a damaged record stops the look: %v", err)
	}
	_, err = d.after(ctx, 2*wire.BlobLife) // by its time at the latest
	if names, e := list(ctx, s, "parts/"); err != nil || e != nil || len(names) > 0 {
		return broken("parts of a damaged record are left: %q, %v, %v", names, err, e)
	}
	return nil
}

// checkStrays: what belongs to no upload is left for an hour, and no longer.
func checkStrays(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(2 * piece)
	if _, err := d.part(ctx, content, id, 0, piece); err != nil {
		return err
	}
	names, err := list(ctx, s, "uploads/")
	if err != nil || len(names) != 1 {
		return broken("one upload is %q: %v", names, err)
	}
	if err := s.Delete(ctx, names[0]); err != nil {
		return err
	}
	if _, err := d.Expire(ctx); err != nil {
		return err
	}
	left, err := list(ctx, s, "")
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0], "parts/") {
		return broken("a young stray is %q: %v", left, err)
	}
	aged := later{s}
	if _, err := keep(aged).Expire(ctx); err != nil {
		return err
	}
	if left, err := list(ctx, s, ""); err != nil || len(left) != 0 {
		return broken("an old stray is %q: %v", left, err)
	}
	return nil
}
