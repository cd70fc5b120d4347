package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing/iotest"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/blob"
	"schakel/relay/wire"
)

const piece = wire.MinBlobPart

func checkUpload(ctx context.Context, s blob.Store) error {
	d := keep(s)
	for _, size := range []int{1, piece, 3*piece + 17} {
		content, id := Content(size)
		if err := d.upload(ctx, content, id); err != nil {
			return err
		}
		if err := errors.Join(d.has(ctx, d.a, content, id), d.has(ctx, d.b, content, id)); err != nil {
			return err
		}
		r, err := d.Open(ctx, d.b, id)
		if err != nil {
			return err
		}
		for _, from := range []int{0, size / 2, size - 1, size} {
			if _, err := r.Seek(int64(from), io.SeekStart); err != nil {
				return err
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content[from:]) {
				return broken("from %d of %d come %d bytes: %v", from, size, len(got), err)
			}
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

func checkPlaces(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(3 * piece)
	for _, c := range []struct {
		name     string
		from, to int
		want     error
		offset   int64
	}{
		{"not the first", piece, 2 * piece, blob.ErrOffset, 0},
		{"the first", 0, piece, nil, piece},
		{"the first again", 0, piece, blob.ErrOffset, piece},
		{"overlapping", piece / 2, piece/2 + piece, blob.ErrOffset, piece},
		{"with a gap", 2 * piece, 3 * piece, blob.ErrOffset, piece},
		{"too small", piece, piece + 10, blob.ErrRequest, 0},
		{"nothing, and not at the end", piece, piece, blob.ErrRequest, 0},
		{"the second", piece, 2 * piece, nil, 2 * piece},
		{"the last", 2 * piece, 3 * piece, nil, 3 * piece},
		{"one more", 0, piece, blob.ErrOffset, 3 * piece},
	} {
		state, err := d.part(ctx, content, id, c.from, c.to)
		if !errors.Is(err, c.want) || state.Offset != c.offset {
			return broken("%s: %+v, %v", c.name, state, err)
		}
	}
	for name, p := range map[string]wire.BlobPart{
		"longer than it says": {Offset: 1, Length: 10, Size: 10}, "negative": {Offset: -1, Length: 10, Size: 10},
		"of no length": {}, "for nobody": {Length: 10, Size: 10},
	} {
		if name != "for nobody" {
			p.Desks = []identity.DeskID{d.b.Desk}
		}
		if _, err := d.Append(ctx, d.a, wire.BlobID{1}, p); !errors.Is(err, blob.ErrRequest) {
			return broken("%s: %v", name, err)
		}
	}
	if _, err := d.part(ctx, make([]byte, 9<<20), wire.BlobID{1}, 0, piece); !errors.Is(err, blob.ErrTooBig) {
		return broken("above the cap: %v", err)
	}
	return d.has(ctx, d.b, content, id)
}

func checkResume(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(2*piece + 5)
	if _, err := d.part(ctx, content, id, 0, piece); err != nil {
		return err
	}
	for _, r := range []io.Reader{bytes.NewReader(content[piece : piece+1000]), iotest.ErrReader(errors.New("gone"))} {
		_, err := d.Append(ctx, d.a, id, wire.BlobPart{
			Offset: piece, Length: int64(len(content)), Desks: []identity.DeskID{d.b.Desk}, Body: r, Size: piece,
		})
		if err == nil {
			return broken("a part that broke off was taken")
		}
	}
	d2 := keep(s) // as after a restart
	state, err := d2.State(ctx, d2.a, id)
	if err != nil || state != (wire.BlobState{Offset: piece, Length: int64(len(content))}) {
		return broken("after a restart %+v: %v", state, err)
	}
	if _, err := d2.part(ctx, content, id, piece, 2*piece); err != nil {
		return err
	}
	if _, err := d2.part(ctx, content, id, 2*piece, len(content)); err != nil {
		return err
	}
	return d2.has(ctx, d2.b, content, id)
}

func checkMismatch(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(2 * piece)
	other := bytes.Clone(content)
	other[piece+7] ^= 1
	if err := d.upload(ctx, other, id); !errors.Is(err, blob.ErrMismatch) {
		return broken("other bytes: %v", err)
	}
	if err := errors.Join(d.none(ctx, d.a, id), d.none(ctx, d.b, id)); err != nil {
		return err
	}
	if got, err := list(ctx, s, ""); err != nil || len(got) > 0 {
		return broken("%d objects of it are left: %v", len(got), err)
	}
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	return d.has(ctx, d.b, content, id)
}

func checkSeen(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(3 * piece)
	for from := 0; from < len(content); from += piece {
		if err := d.none(ctx, d.b, id); err != nil {
			return err
		}
		if _, err := d.Open(ctx, d.a, id); !errors.Is(err, blob.ErrNone) {
			return broken("its sender opens what is not complete: %v", err)
		}
		if _, err := d.part(ctx, content, id, from, from+piece); err != nil {
			return err
		}
	}
	state, err := d.State(ctx, d.b, id)
	if err != nil || !state.Complete || state.Length != int64(len(content)) {
		return broken("the desk hears %+v: %v", state, err)
	}
	return d.has(ctx, d.b, content, id)
}

// checkForeign: whoever is not named hears what a guess hears, and by having the same
// bytes gets no more than by any upload.
func checkForeign(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(2 * piece)
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	for _, asked := range []wire.BlobID{id, {7}} {
		if err := d.none(ctx, d.c, asked); err != nil {
			return err
		}
		if err := d.Drop(ctx, d.c, asked); !errors.Is(err, blob.ErrNone) {
			return broken("another desk drops it: %v", err)
		}
	}
	to := []identity.DeskID{"raad/mn"}
	state, err := d.Append(ctx, d.c, id, wire.BlobPart{Length: 2 * piece, Desks: to, Body: bytes.NewReader(content[:piece]), Size: piece})
	if err != nil || state.Complete || state.Offset != piece {
		return broken("half of what another has uploaded already gives %+v: %v", state, err)
	}
	if err := d.none(ctx, owner(9, to[0]), id); err != nil {
		return err
	}
	colleague := owner(8, d.a.Desk)
	if err := d.has(ctx, colleague, content, id); err != nil {
		return broken("the sender's own desk: %v", err)
	}
	return d.has(ctx, d.b, content, id)
}

func checkTwo(ctx context.Context, s blob.Store) error {
	one, two := keep(s), keep(s)
	content, id := Content(2*piece + 1)
	if _, err := one.part(ctx, content, id, 0, piece); err != nil {
		return err
	}
	if _, err := two.part(ctx, content, id, piece, 2*piece); err != nil {
		return err
	}
	if _, err := one.part(ctx, content, id, 2*piece, len(content)); err != nil {
		return err
	}
	if err := two.has(ctx, two.b, content, id); err != nil {
		return err
	}
	one.now = one.now.Add(8 * 24 * time.Hour)
	two.now = one.now
	for _, d := range []*desk{one, two} {
		if _, err := d.Expire(ctx); err != nil {
			return err
		}
	}
	return two.none(ctx, two.b, id)
}
