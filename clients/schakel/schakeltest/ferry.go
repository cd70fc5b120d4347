package schakeltest

import (
	"context"
	"io"
	"path"
	"strings"
	"sync"

	"schakel/relay/blob"
)

// Ferry carries the bytes of attachments between the relay and its store as far as a test
// lets it: a file that is under way stays so for as long as somebody looks at it.
type Ferry struct {
	blob.Store

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	in, out int64           // bytes that may still pass to the store, and from it
	open    bool            // everything passes
	whole   map[string]bool // blobs that the relay has all of: before that it reads for itself
}

// Ferry restarts the relay behind one that lets so many bytes of files pass to its store and
// from it, and no more until Let or Open. Everybody's devices come back by themselves.
func (c *Chain) Ferry(in, out int64) *Ferry {
	c.t.Helper()
	f := &Ferry{in: in, out: out, whole: map[string]bool{}}
	f.changed = sync.NewCond(&f.mu)
	c.StopRelay()
	c.Blobs = func(s blob.Store) blob.Store {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.Store = s
		return f
	}
	c.StartRelay()
	return f
}

// Let lets so many more bytes pass.
func (f *Ferry) Let(in, out int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in, f.out = f.in+in, f.out+out
	f.changed.Broadcast()
}

// Open lets everything pass from now on.
func (f *Ferry) Open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = true
	f.changed.Broadcast()
}

// Put implements blob.Store.
func (f *Ferry) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if strings.HasPrefix(name, "parts/") {
		r = &ferried{f: f, ctx: ctx, r: r, left: &f.in}
	}
	err := f.Store.Put(ctx, name, r, size)
	if id, is := strings.CutSuffix(path.Base(name), ".whole"); is && err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.whole[strings.Split(id, ".")[0]] = true
	}
	return err
}

// Get implements blob.Store.
func (f *Ferry) Get(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	r, err := f.Store.Get(ctx, name, from)
	f.mu.Lock()
	defer f.mu.Unlock()
	if parts := strings.Split(name, "/"); err == nil && parts[0] == "parts" && f.whole[parts[1]] {
		return struct {
			io.Reader
			io.Closer
		}{&ferried{f: f, ctx: ctx, r: r, left: &f.out}, r}, nil
	}
	return r, err
}

// ferried waits where no more may pass.
type ferried struct {
	f    *Ferry
	ctx  context.Context
	r    io.Reader
	left *int64
}

// Read implements io.Reader.
func (x *ferried) Read(p []byte) (int, error) {
	room, err := x.room(int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := x.r.Read(p[:room])
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	*x.left += room - int64(n)
	return n, err
}

// room waits until something may pass, and takes at most want of it.
func (x *ferried) room(want int64) (int64, error) {
	stop := context.AfterFunc(x.ctx, func() {
		x.f.mu.Lock()
		defer x.f.mu.Unlock()
		x.f.changed.Broadcast()
	})
	defer stop()
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	for !x.f.open && *x.left <= 0 && x.ctx.Err() == nil {
		x.f.changed.Wait()
	}
	if !x.f.open {
		want = min(want, *x.left)
	}
	*x.left -= want
	return max(want, 0), x.ctx.Err()
}
