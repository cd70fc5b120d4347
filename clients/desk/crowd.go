package desk

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Crowd bounds the connections of a server. Where there is no room, somebody makes place:
// first the oldest one that is not in the middle of a request, then the oldest one whose
// request is of nobody who is signed in. A thousand clients that open a connection and say
// nothing, or send a form one byte a second, push each other out, and not the case worker.
type Crowd struct {
	room int

	mu      sync.Mutex // guards what follows
	all     map[net.Conn]bool
	waiting []net.Conn // new or idle, the oldest first
	asking  []net.Conn // in the middle of a request of nobody known, the oldest first
}

// NewCrowd returns one with room for so many.
func NewCrowd(room int) *Crowd { return &Crowd{room: room, all: map[net.Conn]bool{}} }

// seat is under which a request's context has what says that it is of somebody known.
type seat struct{}

// Seated is the context of a connection's requests.
func (c *Crowd) Seated(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, seat{}, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asking = without(c.asking, conn)
	})
}

// Recognise says that a request is of somebody who is signed in.
func Recognise(ctx context.Context) {
	if known, ok := ctx.Value(seat{}).(func()); ok {
		known()
	}
}

// Moved follows a connection through the states of net/http: it is active once the head
// of a request was read whole.
func (c *Crowd) Moved(conn net.Conn, state http.ConnState) {
	if leaves := c.place(conn, state); leaves != nil {
		_ = leaves.Close()
	}
}

// place notes where a connection is, and returns the one that must make room.
func (c *Crowd) place(conn net.Conn, state http.ConnState) (leaves net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.asking = without(c.waiting, conn), without(c.asking, conn)
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.all, conn)
		return nil
	case http.StateActive:
		c.asking = append(c.asking, conn)
		return nil
	}
	c.all[conn] = true
	c.waiting = append(c.waiting, conn)
	if len(c.all) <= c.room {
		return nil
	}
	leaves = c.waiting[0] // at least conn itself
	if leaves == conn && len(c.asking) > 0 {
		leaves = c.asking[0]
	}
	c.waiting, c.asking = without(c.waiting, leaves), without(c.asking, leaves)
	delete(c.all, leaves)
	return leaves
}

func without(all []net.Conn, conn net.Conn) []net.Conn {
	if i := slices.Index(all, conn); i >= 0 {
		return slices.Delete(all, i, i+1)
	}
	return all
}
