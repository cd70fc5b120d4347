package blobtest

import (
	"context"
	"errors"
	"io"
	"time"

	"schakel/relay/blob"
	"schakel/relay/wire"
)

// refusing is a store on a disk that refuses to read some of what it has.
type refusing struct {
	blob.Store
	named   map[string]error // what it answers for objects
	probe   error            // and for the one that it is tried with
	most    int              // times that it refuses those; 0 for ever
	times   int
	writing error
}

func newRefusing(s blob.Store) *refusing { return &refusing{Store: s, named: map[string]error{}} }

// Get opens, and what it gives is refused where it is read; what is not there is not opened.
func (r *refusing) Get(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	err := r.named[name]
	if name == "probe" {
		err = r.probe
	}
	if err != nil {
		if r.times++; r.most > 0 && r.times > r.most {
			err = nil
		}
	}
	if errors.Is(err, blob.ErrNone) {
		return nil, err
	}
	object, e := r.Store.Get(ctx, name, from)
	if e != nil || err == nil {
		return object, e
	}
	return refused{object, err}, nil
}

// Put writes, unless that fails too. What is written anew can be read.
func (r *refusing) Put(ctx context.Context, name string, from io.Reader, size int64) error {
	if r.writing != nil {
		return r.writing
	}
	delete(r.named, name)
	return r.Store.Put(ctx, name, from, size)
}

type refused struct {
	io.ReadCloser
	err error
}

// Read refuses.
func (r refused) Read([]byte) (int, error) { return 0, r.err }

// refuse has the last object under a prefix be refused.
func (r *refusing) refuse(ctx context.Context, prefix string, err error) error {
	names, e := list(ctx, r, prefix)
	if e != nil || len(names) == 0 {
		return broken("nothing of %q is there to refuse: %v", prefix, e)
	}
	r.named[names[len(names)-1]] = err
	return nil
}

// unread demands that a desk that may fetch a blob gets an error instead.
func (d *desk) unread(ctx context.Context, content []byte, id wire.BlobID) error {
	if err := d.has(ctx, d.b, content, id); err == nil || errors.Is(err, errPromise) {
		return broken("the control: it is refused, and %v", err)
	}
	return nil
}

// checkRefusedPart: a part that the disk refuses to read, twice with a minute between, is lost as
// one that is gone; so is one that a list names and that is not there. Any other error is
// none of the part's. An upload that is not complete goes on at that part.
func checkRefusedPart(ctx context.Context, s blob.Store) error {
	for _, one := range []struct{ err, lost error }{
		{blob.ErrUnreadable, blob.ErrNone}, {blob.ErrNone, blob.ErrNone}, {errors.New("the server says 503"), nil},
	} {
		r := newRefusing(s)
		d := keep(r)
		content, id := Content(2 * piece)
		if err := errors.Join(d.upload(ctx, content, id), r.refuse(ctx, "parts/"+id.String()+"/", one.err), d.unread(ctx, content, id)); err != nil {
			return err
		}
		d.now = d.now.Add(time.Minute - time.Second)
		if err := errors.Join(d.unread(ctx, content, id), d.state(ctx, id, nil)); err != nil {
			return broken("%v within a minute: %v", one.err, err)
		}
		d.now = d.now.Add(time.Second)
		if err := errors.Join(d.unread(ctx, content, id), d.state(ctx, id, one.lost)); err != nil {
			return broken("%v after a minute: %v", one.err, err)
		}
		if one.lost == nil {
			continue
		}
		if err := errors.Join(d.none(ctx, d.b, id), d.upload(ctx, content, id), d.has(ctx, d.b, content, id)); err != nil {
			return broken("%v, and uploaded again: %v", one.err, err)
		}
	}
	return refusedUnfinished(ctx, s)
}

// refusedUnfinished has the middle of an upload be refused where it is verified after a restart.
func refusedUnfinished(ctx context.Context, s blob.Store) error {
	r := newRefusing(s)
	d := keep(r)
	content, id := Content(3 * piece)
	for from := 0; from < 2*piece; from += piece {
		if _, err := d.part(ctx, content, id, from, from+piece); err != nil {
			return err
		}
	}
	if err := r.refuse(ctx, "parts/"+id.String()+"/", blob.ErrUnreadable); err != nil {
		return err
	}
	now := d.now
	d = keep(r)
	d.now = now
	if _, err := d.part(ctx, content, id, 2*piece, 3*piece); !errors.Is(err, blob.ErrUnreadable) {
		return broken("the control: verified without a part: %v", err)
	}
	d.now = d.now.Add(time.Minute)
	if _, err := d.part(ctx, content, id, 3*piece, 3*piece); !errors.Is(err, blob.ErrUnreadable) {
		return broken("the control: verified without a part, a minute later: %v", err)
	}
	if state, err := d.State(ctx, d.a, id); err != nil || state.Offset != piece || state.Complete {
		return broken("its device goes on at %+v, %v", state, err)
	}
	if state, err := d.part(ctx, content, id, piece, 2*piece); err != nil || state.Offset != 2*piece {
		return broken("the part again: %+v, %v", state, err)
	}
	if state, err := d.part(ctx, content, id, 3*piece, 3*piece); err != nil || !state.Complete {
		return broken("verified again: %+v, %v", state, err)
	}
	return d.has(ctx, d.b, content, id)
}

// checkRefusedRecord: a record that the disk refuses to read does not keep others from the look
// for what is over; it goes, and what it was of is verified or begun again.
func checkRefusedRecord(ctx context.Context, s blob.Store) error {
	r := newRefusing(s)
	d := keep(r)
	over, overID := Content(piece)
	content, id := Content(piece)
	if err := errors.Join(d.upload(ctx, over, overID), d.Drop(ctx, d.b, overID), d.Drop(ctx, d.a, overID)); err != nil {
		return err
	}
	d.now = d.now.Add(wire.BlobLife)
	if err := errors.Join(d.upload(ctx, content, id), r.refuse(ctx, "uploads/", blob.ErrUnreadable)); err != nil {
		return err
	}
	if n, err := d.Expire(ctx); !errors.Is(err, blob.ErrUnreadable) || n.Complete != 1 {
		return broken("a look past a record that cannot be read: %+v, %v", n, err)
	}
	if names, err := list(ctx, s, "done/"); err != nil || len(names) > 0 {
		return broken("the look ended at a record: %q stays, %v", names, err)
	}
	if err := d.state(ctx, id, blob.ErrUnreadable); err != nil {
		return broken("the first time: %v", err)
	}
	if _, err := d.after(ctx, time.Minute); !errors.Is(err, blob.ErrUnreadable) {
		return broken("the control: the record was read: %v", err)
	}
	if state, err := d.State(ctx, d.a, id); err != nil || state.Complete {
		return broken("without its record: %+v, %v", state, err)
	}
	if state, err := d.part(ctx, content, id, piece, piece); err != nil || !state.Complete {
		return broken("verified again: %+v, %v", state, err)
	}
	return d.has(ctx, d.b, content, id)
}

// checkRefusedOnce: what the disk refused, and reads again, stays: also where it refused it several
// times with an hour between, and where it reads it again when it is looked at once more.
func checkRefusedOnce(ctx context.Context, s blob.Store) error {
	r := newRefusing(s)
	d := keep(r)
	content, id := Content(2 * piece)
	if err := d.upload(ctx, content, id); err != nil {
		return err
	}
	for range 3 {
		if err := errors.Join(r.refuse(ctx, "parts/", blob.ErrUnreadable), d.unread(ctx, content, id)); err != nil {
			return err
		}
		clear(r.named)
		if err := d.has(ctx, d.b, content, id); err != nil {
			return broken("read again: %v", err)
		}
		d.now = d.now.Add(time.Hour)
	}
	if err := r.refuse(ctx, "parts/", blob.ErrUnreadable); err != nil {
		return err
	}
	r.most, r.times = 2, 0
	for range 2 {
		if err := d.unread(ctx, content, id); err != nil {
			return err
		}
		d.now = d.now.Add(time.Minute)
	}
	return errors.Join(d.state(ctx, id, nil), d.has(ctx, d.b, content, id))
}

// checkRefusedAll: of a store that writes nothing or reads nothing, nothing is taken for lost; of one
// that refuses many objects, no more than four in an hour.
func checkRefusedAll(ctx context.Context, s blob.Store) error {
	const many = 6
	r := newRefusing(s)
	d := keep(r)
	var contents [many][]byte
	var ids [many]wire.BlobID
	for i := range many {
		contents[i], ids[i] = Content(piece)
		if err := errors.Join(d.upload(ctx, contents[i], ids[i]), r.refuse(ctx, "parts/"+ids[i].String()+"/", blob.ErrUnreadable)); err != nil {
			return err
		}
	}
	lost := func() (n int, err error) {
		for i := range many {
			if e := d.has(ctx, d.b, contents[i], ids[i]); e == nil || errors.Is(e, errPromise) {
				err = broken("the control: it is refused, and %v", e)
			}
			if _, e := d.State(ctx, d.a, ids[i]); errors.Is(e, blob.ErrNone) {
				n++
			}
		}
		return n, err
	}
	r.writing = errors.New("read-only file system")
	for _, step := range []struct {
		name string
		set  func()
		want int
	}{
		{"the first time", func() {}, 0},
		{"nothing is written", func() {}, 0},
		{"no other object is read either", func() { r.writing, r.probe = nil, blob.ErrUnreadable }, 0},
		{"many are refused", func() { r.probe = nil }, 4},
		{"within the hour", func() { d.now = d.now.Add(50 * time.Minute) }, 4},
		{"an hour later, the first time", func() { d.now = d.now.Add(10 * time.Minute) }, 4},
		{"and the second", func() {}, many},
	} {
		step.set()
		if n, err := lost(); err != nil || n != step.want {
			return broken("%s: %d of %d are lost, want %d: %v", step.name, n, many, step.want, err)
		}
		d.now = d.now.Add(time.Minute)
	}
	return nil
}
