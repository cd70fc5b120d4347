package blobtest

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"schakel/relay/blob"
	"schakel/relay/wire"
)

// reads counts the objects that are read.
type reads struct {
	blob.Store
	n atomic.Int64
}

// Get counts.
func (r *reads) Get(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	r.n.Add(1)
	return r.Store.Get(ctx, name, from)
}

// rot changes one bit of the last part in a store.
func rot(ctx context.Context, s blob.Store) error {
	names, err := list(ctx, s, "parts/")
	if err != nil || len(names) == 0 {
		return broken("nothing is there to rot: %v", err)
	}
	last := names[len(names)-1]
	content, err := get(ctx, s, last, 0)
	if err != nil {
		return err
	}
	content[len(content)/2] ^= 1
	return put(ctx, s, last, content)
}

// doubt demands what a device hears that doubts.
func (d *desk) doubt(ctx context.Context, who blob.Owner, id wire.BlobID, want error) error {
	state, err := d.Doubt(ctx, who, id)
	if !errors.Is(err, want) || (want == nil) != (err == nil) || (want == nil) != state.Complete {
		return broken("%s doubts and hears %+v, %v", who.Desk, state, err)
	}
	return nil
}

// checkDoubted: a blob of which a bit changed is lost for all once a desk that may fetch it says
// so, and comes again. One that is what its name says stays, whatever anybody says, and is
// read back no more than once in ten minutes; nobody else can have it read at all.
func checkDoubted(ctx context.Context, s blob.Store) error {
	counted := &reads{Store: s}
	d := keep(counted)
	content, id := Content(2 * piece)
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	costs := func(who blob.Owner, want error) (int64, error) {
		before := counted.n.Load()
		err := d.doubt(ctx, who, id, want)
		return counted.n.Load() - before, err
	}
	record := int64(1) // read for whoever may fetch it
	for _, one := range []struct {
		who   blob.Owner
		want  error
		reads int64
	}{{d.b, nil, record + 2}, {d.b, nil, record}, {d.a, nil, record}, {d.c, blob.ErrNone, 0}} {
		if n, err := costs(one.who, one.want); err != nil || n != one.reads {
			return broken("%s doubts what is right: %d objects were read, %v", one.who.Desk, n, err)
		}
	}
	if err := errors.Join(d.has(ctx, d.b, content, id), rot(ctx, s)); err != nil {
		return err
	}
	if err := d.has(ctx, d.b, content, id); !errors.Is(err, errPromise) {
		return broken("the control: a bit changed, and %v", err)
	}
	d.now = d.now.Add(10*time.Minute - time.Second)
	if err := errors.Join(d.state(ctx, id, nil), d.doubt(ctx, d.b, id, nil)); err != nil {
		return err
	}
	d.now = d.now.Add(time.Second)
	if err := errors.Join(d.doubt(ctx, d.b, id, blob.ErrNone), d.state(ctx, id, blob.ErrNone), d.none(ctx, d.b, id)); err != nil {
		return broken("a bit changed: %v", err)
	}
	if err := errors.Join(d.upload(ctx, content, id), d.has(ctx, d.b, content, id), d.doubt(ctx, d.b, id, nil)); err != nil {
		return broken("uploaded again: %v", err)
	}
	return nil
}
