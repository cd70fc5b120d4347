package desk

import (
	"net"
	"net/http"
	"sync"
)

// Crowd bounds the connections of a server. Where there is no room, the oldest one that
// is not in the middle of a request makes place: a thousand clients that open a
// connection and say nothing push each other out, and not the case worker.
type Crowd struct {
	room int

	mu      sync.Mutex // guards what follows
	all     map[net.Conn]bool
	waiting []net.Conn // new or idle, the oldest first
}

// NewCrowd returns one with room for so many.
func NewCrowd(room int) *Crowd { return &Crowd{room: room, all: map[net.Conn]bool{}} }

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
	c.stopWaiting(conn)
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.all, conn)
		return nil
	case http.StateActive:
		return nil
	}
	c.all[conn] = true
	c.waiting = append(c.waiting, conn)
	if len(c.all) <= c.room {
		return nil
	}
	leaves = c.waiting[0] // at least conn itself
	c.stopWaiting(leaves)
	delete(c.all, leaves)
	return leaves
}

func (c *Crowd) stopWaiting(conn net.Conn) {
	for i, w := range c.waiting {
		if w == conn {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return
		}
	}
}
