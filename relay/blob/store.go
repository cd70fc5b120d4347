package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Store keeps objects under names with slashes between their parts. It knows nothing
// of blobs: what an object is, its name says. All methods may be called at the same
// time, and several relays may use one store.
//
// Who can write to a store can withhold a blob and can waste room. It cannot make a
// desk take other bytes: whoever fetches a blob compares its SHA-256.
type Store interface {
	// Put keeps size bytes of r under name, in place of what was there. When it
	// returns nil the object survives a crash. It is all there or not at all: with an
	// error, or after a crash, no part of it is ever seen. ErrFull: there is no room.
	Put(ctx context.Context, name string, r io.Reader, size int64) error

	// Get reads an object from an offset on. ErrNone: there is no such object. ErrUnreadable,
	// here or where it is read: there is, and its disk refuses to give it.
	Get(ctx context.Context, name string, from int64) (io.ReadCloser, error)

	// List yields the objects whose names begin with prefix, in the order of their
	// names. What was Put before List began is among them.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Delete removes an object. Removing what is not there is done already.
	Delete(ctx context.Context, name string) error

	// Free is how many bytes there is room for; Unknown where the store cannot tell.
	Free(ctx context.Context) (int64, error)

	// Tidy removes what Puts that were cut left behind longer than an hour ago.
	Tidy(ctx context.Context) error
}

// Object is what a list says of one.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time // by the store's clock
}

// Unknown is what Free answers where the store cannot tell.
const Unknown = 1<<63 - 1

// What a store answers beside its own errors.
var (
	ErrNone       = errors.New("no such object")
	ErrFull       = errors.New("no room")
	ErrUnreadable = errors.New("the disk refuses to read it")
)
