package oncall

import "time"

// clock is the time that timers go by. It runs on what passes, not on what a clock on
// the wall says, so that setting that by a day neither fires a timer nor holds one up.
// Where it stands comes from the journal, so all nodes agree about it.
type clock struct {
	elapsed func() time.Duration
	stood   time.Time     // where it stood when elapsed was at
	at      time.Duration //
}

// now is zero until the clock was set.
func (c *clock) now() time.Time {
	if c.stood.IsZero() {
		return time.Time{}
	}
	return c.stood.Add(c.elapsed() - c.at).Truncate(time.Millisecond)
}

// set takes over where another node is. It never goes back.
func (c *clock) set(t time.Time) {
	if now := c.now(); t.Before(now) {
		t = now
	}
	c.stood, c.at = t, c.elapsed()
}
