package schakel

import (
	"sync"
	"time"
)

// clockFloor is the clock of this device, with the newest moment that a quorum of witnesses
// signed as its floor (client rule 5, attack G04). Who sets the machine's clock back neither
// makes an old register look fresh nor a key of last year usable. Its methods may be called
// from any goroutine.
type clockFloor struct {
	local func() time.Time

	mu    sync.Mutex // guards what follows
	floor time.Time  // zero: nobody vouched for a moment yet
	from  time.Time  // what the local clock said when it was found to be behind; zero: it is not
}

// now is the local clock where that is at or after the floor. Where it is behind, time goes
// on from the floor as fast as the local clock does.
func (c *clockFloor) now() time.Time {
	local := c.local()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !local.Before(c.floor) {
		c.from = time.Time{}
		return local
	}
	if c.from.IsZero() || local.Before(c.from) {
		c.from = local // it was set back just now, or once more
	}
	return c.floor.Add(local.Sub(c.from))
}

// raise moves the floor up; it never moves down.
func (c *clockFloor) raise(vouched time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if vouched.After(c.floor) {
		c.floor, c.from = vouched, time.Time{}
	}
}

// behind is how far the local clock is behind the floor; 0 where it is not.
func (c *clockFloor) behind() time.Duration {
	local := c.local()
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.floor.Sub(local))
}
