package blobtest

import (
	"context"
	"io"
	"iter"
	"time"

	"schakel/relay/blob"
)

// later is a store whose objects are two hours old.
type later struct{ blob.Store }

// List lists them so.
func (l later) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		for o, err := range l.Store.List(ctx, prefix) {
			o.Modified = o.Modified.Add(-2 * time.Hour)
			if !yield(o, err) {
				return
			}
		}
	}
}

// Broken are stores that break one promise each, for the controls: the check of that
// name must notice.
func Broken(s blob.Store) map[string]blob.Store {
	return map[string]blob.Store{
		"what breaks off is not there": halves{s},
		"deletion":                     keeper{s},
		"a part that cannot be read":   keeper{s},
		"a record that cannot be read": keeper{s},
		"lists":                        forgetful{s},
		"ranges of an object":          fromStart{s},
		"put again":                    firstStays{s},
	}
}

// halves keeps what broke off.
type halves struct{ blob.Store }

// Put keeps as much as came.
func (h halves) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	content, err := io.ReadAll(io.LimitReader(r, size))
	if e := put(ctx, h.Store, name, content); e != nil {
		return e
	}
	if err == nil && int64(len(content)) < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// keeper deletes nothing.
type keeper struct{ blob.Store }

// Delete does nothing.
func (keeper) Delete(context.Context, string) error { return nil }

// forgetful lists one object less.
type forgetful struct{ blob.Store }

// List leaves out the first.
func (f forgetful) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		first := true
		for o, err := range f.Store.List(ctx, prefix) {
			if !first && !yield(o, err) {
				return
			}
			first = false
		}
	}
}

// fromStart takes no ranges.
type fromStart struct{ blob.Store }

// Get begins at the start.
func (f fromStart) Get(ctx context.Context, name string, _ int64) (io.ReadCloser, error) {
	return f.Store.Get(ctx, name, 0)
}

// firstStays never replaces an object.
type firstStays struct{ blob.Store }

// Put does nothing where there is one.
func (f firstStays) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if there, err := f.Get(ctx, name, 0); err == nil {
		return there.Close()
	}
	return f.Store.Put(ctx, name, r, size)
}
