package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing/iotest"

	"schakel/crypto/identity"
	"schakel/relay/blob"
	"schakel/relay/wire"
)

// walk is an upload in parts of whatever sizes.
type walk struct {
	*desk
	store   blob.Store
	random  *rand.Rand
	content []byte
	id      wire.BlobID
	at      int
}

// next is how large the next part is: nothing, a byte, around the least, odd, or all the rest.
func (w *walk) next() int {
	left := len(w.content) - w.at
	sizes := []int{0, 1, wire.MinBlobPart - 1, wire.MinBlobPart, wire.MinBlobPart + 1, wire.MinBlobPart + w.random.IntN(wire.MinBlobPart) | 1, left - 1, left}
	return max(0, min(sizes[w.random.IntN(len(sizes))], left))
}

// step sends one part, or lets it break off, and demands what becomes of it.
func (w *walk) step(ctx context.Context) error {
	size := w.next()
	part := wire.BlobPart{
		Offset: int64(w.at), Length: int64(len(w.content)), Desks: []identity.DeskID{w.b.Desk}, Body: bytes.NewReader(w.content[w.at : w.at+size]), Size: int64(size),
	}
	fits := size >= wire.MinBlobPart || w.at+size == len(w.content)
	breaks := fits && size > 0 && w.random.IntN(4) == 0
	if breaks {
		part.Body = io.MultiReader(bytes.NewReader(w.content[w.at:w.at+size-1]), iotest.ErrReader(errors.New("gone")))
	}
	state, err := w.Append(ctx, w.a, w.id, part)
	switch {
	case !fits && !errors.Is(err, blob.ErrRequest), breaks && err == nil:
		return broken("%d bytes at %d of %d, breaking off %t: %v", size, w.at, len(w.content), breaks, err)
	case fits && !breaks:
		if err != nil {
			return err
		}
		w.at += size
		if want := (wire.BlobState{Offset: int64(w.at), Length: int64(len(w.content)), Complete: w.at == len(w.content)}); state != want {
			return broken("after %d of %d bytes %+v", w.at, len(w.content), state)
		}
	}
	state, err = w.State(ctx, w.a, w.id)
	if none := errors.Is(err, blob.ErrNone) && w.at == 0; !none && (err != nil || state.Offset != int64(w.at)) {
		return broken("it was at %d of %d bytes, and is at %+v: %v", w.at, len(w.content), state, err)
	}
	return nil
}

// checkSizes: parts of any allowed size, larger and smaller between tries and restarts, make the
// blob; those that are too small and not the last change nothing. It reads from any place on.
// The control is the same walk with one bit that is another.
func checkSizes(ctx context.Context, s blob.Store) error {
	random := rand.New(rand.NewPCG(8, 250))
	for _, length := range []int{1, 2, wire.MinBlobPart - 1, wire.MinBlobPart, wire.MinBlobPart + 1, 3*wire.MinBlobPart + 1, 5*wire.MinBlobPart - 7919} {
		for _, honest := range []bool{true, false, true} {
			w := &walk{desk: keep(s), store: s, random: random}
			w.content, w.id = Content(length)
			if !honest {
				w.content[random.IntN(length)] ^= 1
			}
			if err := w.all(ctx); !honest != errors.Is(err, blob.ErrMismatch) || honest && err != nil {
				return broken("%d bytes, honest %t: %v", length, honest, err)
			}
			if !honest {
				continue
			}
			if err := errors.Join(w.has(ctx, w.b, w.content, w.id), w.readsFrom(ctx, random.IntN(length)), w.Drop(ctx, w.b, w.id), w.Drop(ctx, w.a, w.id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// all sends parts until the blob is complete, over some restarts of the relay.
func (w *walk) all(ctx context.Context) error {
	for tries := 0; w.at < len(w.content); tries++ {
		if tries == 1000 {
			return broken("a thousand parts of %d bytes", len(w.content))
		}
		if w.random.IntN(5) == 0 {
			w.desk = keep(w.store)
		}
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// readsFrom demands the bytes from a place on.
func (w *walk) readsFrom(ctx context.Context, from int) error {
	r, err := w.Open(ctx, w.b, w.id)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Seek(int64(from), io.SeekStart); err != nil {
		return err
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, w.content[from:]) {
		return broken("from %d come %d of %d bytes: %v", from, len(got), len(w.content)-from, err)
	}
	return nil
}
