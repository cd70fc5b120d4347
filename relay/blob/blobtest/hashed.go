package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"schakel/relay/blob"
)

// readBack counts what is read of parts.
type readBack struct {
	blob.Store
	parts int
}

// Get counts.
func (r *readBack) Get(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	if strings.HasPrefix(name, "parts/") {
		r.parts++
	}
	return r.Store.Get(ctx, name, from)
}

// checkHashed: what came in through one keeper was hashed on the way. What came through
// another one, or before a restart, is read back; and bytes of another name are refused
// whichever it was.
func checkHashed(ctx context.Context, s blob.Store) error {
	for _, c := range []struct {
		name      string
		takes     [3]int // which of two keepers takes each part
		breaksOff bool
		read      bool
	}{
		{name: "through one"}, {name: "a part broke off", breaksOff: true},
		{name: "the last through another", takes: [3]int{0, 0, 1}, read: true},
		{name: "one between through another", takes: [3]int{0, 1, 0}, read: true},
		{name: "the first through another", takes: [3]int{1, 0, 0}, read: true},
	} {
		for _, right := range []bool{true, false} {
			counted := &readBack{Store: s}
			keepers := []*desk{keep(counted), keep(counted)}
			content, id := Content(3 * piece)
			if !right {
				content = bytes.Clone(content)
				content[piece+1]++
			}
			if c.breaksOff {
				part := partOf(keepers[0], content, 0, piece)
				part.Body = io.MultiReader(bytes.NewReader(content[1:piece/2]), broke{})
				if _, err := keepers[0].Append(ctx, keepers[0].a, id, part); err == nil {
					return broken("%s: a part that broke off was taken", c.name)
				}
			}
			var err error
			for i, by := range c.takes {
				_, err = keepers[by].part(ctx, content, id, i*piece, (i+1)*piece)
			}
			if right {
				if err == nil && (counted.parts > 0) != c.read {
					err = broken("%s: %d parts were read back", c.name, counted.parts)
				}
				err = errors.Join(err, keepers[0].has(ctx, keepers[0].b, content, id))
			} else if err != nil && errors.Is(err, blob.ErrMismatch) {
				err = keepers[0].none(ctx, keepers[0].b, id)
			} else {
				err = broken("%s: other bytes than those of the name: %v", c.name, err)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// broke is a reader that breaks off.
type broke struct{}

func (broke) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// twins is a store that lists a part of another content before each that was put: as if another
// relay had taken one of the same place at the same time.
type twins struct{ blob.Store }

// Put puts both.
func (w twins) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if dot := strings.LastIndexByte(name, '.'); strings.HasPrefix(name, "parts/") && !strings.HasSuffix(name, firstName) {
		if err := put(ctx, w.Store, name[:dot]+firstName, make([]byte, size)); err != nil {
			return err
		}
	}
	return w.Store.Put(ctx, name, r, size)
}

const firstName = ".0000000000000000"

// checkTwins: a hash speaks of the objects that it saw. Where others will be served, it is
// theirs that counts.
func checkTwins(ctx context.Context, s blob.Store) error {
	d := keep(twins{s})
	content, id := Content(2 * piece)
	if _, err := d.part(ctx, content, id, 0, piece); err != nil {
		return err
	}
	if _, err := d.part(ctx, content, id, piece, 2*piece); !errors.Is(err, blob.ErrMismatch) {
		return broken("the first by name are other bytes, and it is complete: %v", err)
	}
	return nil
}
