package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// Append takes one part of an upload by a device: durable when it is answered, and
// with the last byte verified and complete. ErrOffset comes with the state from which
// to go on. The caller lets one Append of a device and a blob run at a time, and has
// checked that the device may write to the desks.
//
// A part of no bytes at the end of a complete blob names further desks, and keeps the
// blob for as long again; at the end of one that is not complete it asks for the
// verification that was cut off.
func (k *Keeper) Append(ctx context.Context, by Owner, id wire.BlobID, p wire.BlobPart) (wire.BlobState, error) {
	if err := k.fits(p); err != nil {
		return wire.BlobState{}, err
	}
	u, complete, err := k.find(ctx, by, id)
	if complete && errors.Is(k.servable(ctx, u), ErrNone) { // lost: what is left of it makes room
		if err = k.remove(ctx, u); err == nil {
			err = ErrNone
		}
	}
	switch {
	case errors.Is(err, ErrNone):
		u = upload{by: by, id: id, length: p.Length}
		if p.Offset != 0 {
			return wire.BlobState{Length: p.Length}, ErrOffset
		}
		if err := k.beginUpload(ctx, u, p.Desks); err != nil {
			return wire.BlobState{}, err
		}
	case err != nil:
		return wire.BlobState{}, err
	case u.length != p.Length:
		return wire.BlobState{}, fmt.Errorf("%w: another length than before", ErrRequest)
	case complete:
		state := wire.BlobState{Offset: u.length, Length: u.length, Complete: true}
		if p.Offset != u.length {
			return state, ErrOffset
		}
		return state, k.renew(ctx, u, p.Desks)
	}
	return k.take(ctx, u, p)
}

// fits refuses what no upload may be, before anything is looked at.
func (k *Keeper) fits(p wire.BlobPart) error {
	switch {
	case p.Length > k.config.MaxBytes:
		return ErrTooBig
	case p.Size > wire.MaxBlobPart:
		return ErrTooBig
	case p.Length < 1, p.Offset < 0, p.Size < 0, p.Offset+p.Size > p.Length, len(p.Desks) == 0, len(p.Desks) > wire.MaxBlobDesks:
		return ErrRequest
	case p.Size < wire.MinBlobPart && p.Offset+p.Size < p.Length:
		return fmt.Errorf("%w: smaller than %d and not the last", ErrRequest, wire.MinBlobPart)
	}
	return nil
}

// take keeps one part, and completes the blob when it was the last.
func (k *Keeper) take(ctx context.Context, u upload, p wire.BlobPart) (wire.BlobState, error) {
	b, err := k.getBegun(ctx, u)
	if err != nil {
		return wire.BlobState{}, err
	}
	if b.ends() <= k.seconds(0) { // its parts may be removed any moment
		return wire.BlobState{}, errors.Join(ErrRequest, k.remove(ctx, u))
	}
	chain, err := k.chain(ctx, u)
	if err != nil {
		return wire.BlobState{}, err
	}
	state := wire.BlobState{Offset: end(chain), Length: u.length}
	if p.Offset != state.Offset {
		return state, ErrOffset
	}
	if err := k.nameDesks(ctx, u, b, p.Desks); err != nil {
		return state, err
	}
	if p.Size > 0 {
		if err := k.room(ctx, p.Size); err != nil {
			return state, err
		}
		part, err := k.put(ctx, u, p)
		if err != nil {
			return state, err
		}
		chain = append(chain, part)
		state.Offset += p.Size
	}
	if state.Offset < u.length {
		return state, nil
	}
	if err := k.complete(ctx, u, chain); err != nil {
		return state, err
	}
	state.Complete = true
	return state, nil
}

// put keeps the bytes of a part, and hashes them on the way.
func (k *Keeper) put(ctx context.Context, u upload, p wire.BlobPart) (piece, error) {
	body, err := k.running.watch(u, p.Offset, p.Body)
	if err != nil {
		return piece{}, fmt.Errorf("failed to hash a part: %w", err)
	}
	part := piece{name: u.newPart(p.Offset, p.Size), offset: p.Offset, size: p.Size}
	if err := k.config.Store.Put(ctx, part.name, body, p.Size); err != nil {
		return piece{}, err
	}
	k.running.stored(u, part, body)
	return part, nil
}

// nameDesks adds desks to those that an unfinished upload is for.
func (k *Keeper) nameDesks(ctx context.Context, u upload, b begun, desks []identity.DeskID) error {
	before := len(b.Desks)
	for _, d := range desks {
		if !slices.Contains(b.Desks, d) {
			b.Desks = append(b.Desks, d)
		}
	}
	switch {
	case len(b.Desks) > maxDesks:
		return fmt.Errorf("%w: more than %d desks", ErrRequest, maxDesks)
	case len(b.Desks) == before:
		return nil
	}
	return k.putRecord(ctx, u.name(), b)
}

func (k *Keeper) room(ctx context.Context, size int64) error {
	free, err := k.config.Store.Free(ctx)
	if err != nil {
		return err
	}
	if free-size < k.config.MinFree {
		return ErrFull
	}
	return nil
}

// complete makes an upload seen when its bytes are what the name says. Parts are never
// written again, so that what was hashed is what will be served.
func (k *Keeper) complete(ctx context.Context, u upload, chain []piece) error {
	id, err := k.sum(ctx, u, chain)
	if err != nil {
		return fmt.Errorf("failed to verify a blob: %w", err)
	}
	k.running.drop(u)
	if id != u.id {
		k.config.Log.Warn("an upload is not what its name says", "device", u.by.Device.String())
		return errors.Join(ErrMismatch, k.remove(ctx, u))
	}
	b, err := k.getBegun(ctx, u)
	if err != nil {
		return err
	}
	if err := k.hold(ctx, u, b.Desks); err != nil {
		return err
	}
	w := whole{Until: k.seconds(wire.BlobLife), Parts: make([]string, len(chain))}
	for i, p := range chain {
		w.Parts[i] = u.trim(p)
	}
	return k.putRecord(ctx, u.whole(), w)
}

// sum is the SHA-256 of an upload: as it came in here, or else read back.
func (k *Keeper) sum(ctx context.Context, u upload, chain []piece) (wire.BlobID, error) {
	if id, err := k.running.sum(u, chain); err == nil {
		return id, nil
	}
	return k.readBack(ctx, u, chain)
}

// hold lets desks fetch an upload, and the desk of its device.
func (k *Keeper) hold(ctx context.Context, u upload, desks []identity.DeskID) error {
	for _, d := range append(slices.Clone(desks), u.by.Desk) {
		if err := k.config.Store.Put(ctx, u.hold(d), empty{}, 0); err != nil {
			return err
		}
	}
	return nil
}

// empty is a reader of nothing.
type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }

// renew names further desks for a blob that is complete, and keeps it for as long again.
func (k *Keeper) renew(ctx context.Context, u upload, desks []identity.DeskID) error {
	w, err := k.getWhole(ctx, u)
	if err != nil {
		return err
	}
	held, err := k.holders(ctx, u)
	if err != nil {
		return err
	}
	if len(held)+len(desks) > maxDesks {
		return fmt.Errorf("%w: more than %d desks", ErrRequest, maxDesks)
	}
	if err := errors.Join(k.clear(ctx, u.by.done(u.id)), k.hold(ctx, u, desks)); err != nil {
		return err
	}
	w.Until = max(w.Until, k.seconds(wire.BlobLife))
	return k.putRecord(ctx, u.whole(), w)
}
