package schakeltest

import (
	"context"
	"io"
	"strings"
	"sync"

	"schakel/relay/blob"
)

// Ferry lets parts of attachments pass between the relay and its store as a test says: a
// file that is under way stays so for as long as somebody looks at it.
type Ferry struct {
	blob.Store

	mu    sync.Mutex // guards what follows
	moved *sync.Cond
	free  int // how many more parts may pass
	open  bool
}

// Ferry restarts the relay behind one that lets free parts of 4 MiB pass, and no more until
// Open. Everybody's devices come back by themselves.
func (c *Chain) Ferry(free int) *Ferry {
	c.t.Helper()
	f := &Ferry{free: free}
	f.moved = sync.NewCond(&f.mu)
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

// Open lets everything pass from now on.
func (f *Ferry) Open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = true
	f.moved.Broadcast()
}

// Let lets so many more parts pass.
func (f *Ferry) Let(parts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free += parts
	f.moved.Broadcast()
}

// Put implements blob.Store.
func (f *Ferry) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := f.pass(ctx, name); err != nil {
		return err
	}
	return f.Store.Put(ctx, name, r, size)
}

// Get implements blob.Store.
func (f *Ferry) Get(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	if err := f.pass(ctx, name); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, name, from)
}

// pass waits until a part may pass, or ctx ends. What else the relay keeps passes at once.
func (f *Ferry) pass(ctx context.Context, name string) error {
	if !strings.HasPrefix(name, "parts/") {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.moved.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.open && f.free == 0 && ctx.Err() == nil {
		f.moved.Wait()
	}
	if !f.open && ctx.Err() == nil {
		f.free--
	}
	return ctx.Err()
}
