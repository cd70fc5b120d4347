package blob

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"schakel/relay/wire"
)

// A disk can refuse to read what lies on it. Such an object is lost as one that is gone: it is
// deleted, and what it was of is uploaded or verified again. A disk that fails as a whole, or
// for a moment, loses nothing: an object is refused twice with a minute between, then the store
// must write and read another one, and refuse this one once more; and even so no more than a
// few are lost in an hour. What a server far away answers is no refusal: see package s3.
const (
	refusedRest  = time.Minute // between the first time and the one that counts
	refusedLife  = time.Hour   // of the first time
	refusedMost  = 4           // objects that are taken for lost in refusedLife
	refusedNoted = 1024        // objects whose first time is known: a disk with more fails as a whole
)

// refusals are the objects that the store refused to read lately.
type refusals struct {
	looking sync.Mutex // held while one is looked at, one at a time; guards lost
	lost    []time.Time
	first   lately[string]
}

// again notes that an object was refused, and reports whether it was before, long enough ago.
func (r *refusals) again(name string, now time.Time) bool {
	at, known := r.first.known(name, now, refusedLife)
	if !known {
		r.first.note(name, now, refusedNoted)
	}
	return known && now.Sub(at) >= refusedRest
}

// few reports whether one more may be taken for lost. The caller holds looking.
func (r *refusals) few(now time.Time) bool {
	r.lost = slices.DeleteFunc(r.lost, func(at time.Time) bool { return now.Sub(at) < 0 || now.Sub(at) >= refusedLife })
	return len(r.lost) < refusedMost
}

// get is Get of the store, of an object of u; what is refused on the way is noted.
func (k *Keeper) get(ctx context.Context, u upload, name string, from int64) (io.ReadCloser, error) {
	r, err := k.config.Store.Get(ctx, name, from)
	if err != nil {
		if errors.Is(err, ErrUnreadable) {
			k.refused(ctx, u, name)
		}
		return nil, err
	}
	return noting{r, func() { k.refused(ctx, u, name) }}, nil
}

// noting calls refused where an object cannot be read.
type noting struct {
	io.ReadCloser
	refused func()
}

// Read reads on.
func (n noting) Read(p []byte) (int, error) {
	got, err := n.ReadCloser.Read(p)
	if errors.Is(err, ErrUnreadable) {
		n.refused()
	}
	return got, err
}

// refused notes that the store refused to read an object of u, and takes it for lost where that
// is to be believed.
func (k *Keeper) refused(ctx context.Context, u upload, name string) {
	log, now := k.config.Log.With("device", u.by.Device.String(), "blob", u.id.String()), k.config.Now()
	if !k.refusals.again(name, now) {
		log.Warn("the store refuses to read what it has of a blob")
		return
	}
	if !k.refusals.looking.TryLock() {
		return
	}
	defer k.refusals.looking.Unlock()
	if !k.refusals.few(now) {
		log.Error("the store refuses to read more than a few blobs: they are left as they are, see the disk")
		return
	}
	if err := Probe(ctx, k.config.Store); err != nil {
		log.Error("the store fails altogether: what it refuses to read is left as it is, see the disk", "error", err.Error())
		return
	}
	if err := k.reads(ctx, name); !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrNone) {
		k.refusals.first.forget(name)
		return
	}
	if err := k.config.Store.Delete(ctx, name); err != nil {
		log.Error("what the store refuses to read cannot be deleted: see the disk", "error", err.Error())
		return
	}
	k.refusals.first.forget(name)
	k.refusals.lost = append(k.refusals.lost, now)
	log.Error("the store refused again to read what it had of a blob, which is lost: its sender uploads it again")
}

// reads reads an object from end to end.
func (k *Keeper) reads(ctx context.Context, name string) error {
	r, err := k.config.Store.Get(ctx, name, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(r, wire.MaxBlobPart))
	return err
}
