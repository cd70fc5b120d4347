package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"schakel/crypto/identity"
)

// beginUpload records an upload where its organisation has the room and its device
// not too many. Several relays of one store do not wait for each other here: an
// organisation that begins at all of them at once gets a little more than its share.
func (k *Keeper) beginUpload(ctx context.Context, u upload, desks []identity.DeskID) error {
	if err := k.room(ctx, u.length); err != nil {
		return err
	}
	k.begin.Lock()
	defer k.begin.Unlock()
	bytes, unfinished, err := k.share(ctx, u.by)
	switch {
	case err != nil:
		return err
	case unfinished >= k.config.Uploads:
		return ErrUploads
	case bytes+u.length > k.config.OrgBytes:
		return ErrQuota
	}
	if err := k.clear(ctx, u.by.done(u.id)); err != nil {
		return err
	}
	return k.putRecord(ctx, u.name(), begun{At: k.seconds(0), Desks: desks})
}

// share is how many bytes an organisation has taken, and how many unfinished uploads
// a device of it has. What was begun counts in full from the start.
func (k *Keeper) share(ctx context.Context, by Owner) (bytes int64, unfinished int, err error) {
	for o, err := range k.config.Store.List(ctx, uploadsFolder+string(by.Desk.Org())+"/") {
		if err != nil {
			return 0, 0, err
		}
		u, isWhole, err := parseUpload(o.Name)
		if err != nil {
			continue
		}
		own := 0
		if u.by == by {
			own = 1
		}
		if isWhole {
			unfinished -= own // its record stands beside it
			continue
		}
		bytes += u.length
		unfinished += own
	}
	return bytes, unfinished, nil
}

// Usage is what lies in the store.
type Usage struct {
	Complete, Unfinished int
	Bytes                int64 // of both; an unfinished one counts in full
	Removed              int   // by the Expire that counted
	Free                 int64 // Unknown where the store cannot tell
}

func (n *Usage) add(u upload, isWhole bool) {
	if isWhole {
		n.Complete++
	} else {
		n.Unfinished++
	}
	n.Bytes += u.length
}

// uploadsIn are the uploads in a store, and whether each is complete.
func uploadsIn(ctx context.Context, s Store) (map[upload]bool, error) {
	uploads := make(map[upload]bool)
	for o, err := range s.List(ctx, uploadsFolder) {
		if err != nil {
			return nil, err
		}
		if u, isWhole, err := parseUpload(o.Name); err == nil {
			uploads[u] = uploads[u] || isWhole
		}
	}
	return uploads, nil
}

// Count counts what lies in a store, and changes nothing.
func Count(ctx context.Context, s Store) (n Usage, err error) {
	uploads, err := uploadsIn(ctx, s)
	if err != nil {
		return n, err
	}
	for u, isWhole := range uploads {
		n.add(u, isWhole)
	}
	n.Free, err = s.Free(ctx)
	return n, err
}

// Probe finds out whether a store keeps, gives and removes an object.
func Probe(ctx context.Context, s Store) error {
	const name, content = "probe", "schakel"
	if err := s.Put(ctx, name, strings.NewReader(content), int64(len(content))); err != nil {
		return err
	}
	r, err := s.Get(ctx, name, 0)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(r, 64))
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if string(got) != content {
		return fmt.Errorf("%w: the store gives something else than it was given", ErrDamaged)
	}
	return s.Delete(ctx, name)
}

// strayLife is how long parts and holds are left that belong to no upload: one that
// was removed while they were written.
const strayLife = time.Hour

// Expire removes what is past its time or held by nobody, and counts the rest. Doing it twice, here and in
// another relay, removes nothing else.
func (k *Keeper) Expire(ctx context.Context) (n Usage, err error) {
	uploads, err := uploadsIn(ctx, k.config.Store)
	if err != nil {
		return n, err
	}
	var refused error
	for u, isWhole := range uploads {
		over, end, err := k.over(ctx, u, isWhole)
		if err == nil && over {
			n.Removed++
			delete(uploads, u)
			err = end(ctx, u)
			k.config.Log.Debug("blob removed", "blob", u.id.String(), "complete", isWhole)
		} else {
			n.add(u, isWhole)
		}
		switch {
		case errors.Is(err, ErrUnreadable): // one record does not keep the others from their look
			refused = err
		case err != nil:
			return n, err
		}
	}
	k.running.keep(uploads)
	if n.Free, err = k.config.Store.Free(ctx); err != nil {
		return n, err
	}
	if err := errors.Join(k.strays(ctx, uploads), k.forgetDone(ctx)); err != nil {
		return n, err
	}
	return n, errors.Join(refused, k.config.Store.Tidy(ctx))
}

// over reports whether an upload's time is over, and how it then ends. A record that is damaged
// is over at once: it cannot be served, and its sender uploads it again.
func (k *Keeper) over(ctx context.Context, u upload, isWhole bool) (over bool, end func(context.Context, upload) error, err error) {
	if isWhole {
		w, err := k.getWhole(ctx, u)
		if err == nil {
			_, err = w.pieces(u)
		}
		switch {
		case errors.Is(err, ErrDamaged):
			return true, k.remove, nil
		case err == nil && w.Until <= k.seconds(0):
			return true, k.done, nil
		case err != nil && !errors.Is(err, ErrNone): // removed meanwhile
			return false, nil, err
		}
		desks, err := k.holders(ctx, u)
		return err == nil && len(desks) == 0, k.remove, err
	}
	b, err := k.getBegun(ctx, u)
	switch {
	case errors.Is(err, ErrDamaged):
		return true, k.remove, nil
	case errors.Is(err, ErrNone): // removed meanwhile
		return false, nil, nil
	}
	return err == nil && b.ends() <= k.seconds(0), k.remove, err
}

// strays removes parts and holds of no upload, by the store's own clock.
func (k *Keeper) strays(ctx context.Context, uploads map[upload]bool) error {
	known := make(map[string]bool, len(uploads))
	for u := range uploads {
		known[u.parts()] = true
	}
	old := time.Now().Add(-strayLife)
	for o, err := range k.config.Store.List(ctx, partsFolder) {
		if err != nil {
			return err
		}
		if i := strings.LastIndexByte(o.Name, '/'); known[o.Name[:i+1]] || o.Modified.After(old) {
			continue
		}
		if err := k.config.Store.Delete(ctx, o.Name); err != nil {
			return err
		}
	}
	for o, err := range k.config.Store.List(ctx, holdsFolder) {
		if err != nil {
			return err
		}
		_, u, err := parseHold(o.Name)
		if _, ok := uploads[u]; err != nil || ok || o.Modified.After(old) {
			continue
		}
		if err := k.config.Store.Delete(ctx, o.Name); err != nil {
			return err
		}
	}
	return nil
}
