package wire

import "time"

// What docs/wire.md states of the limits that are not exported.
const (
	MaxFragments  = maxFragments
	ControlRate   = controlRate
	ControlBurst  = controlBurst
	DefaultFrames = defaultFrames
	DefaultBytes  = defaultBytes
)

// MaxPayload is the limit of a type's payload.
var MaxPayload = maxPayload

// Hasten makes a connection ping and lose patience sooner. It is called before the
// first ReadFrames.
func Hasten(c *Conn, ping, idle time.Duration) { c.ping, c.guard.idle = ping, idle }

// Impatient makes each message leave sooner, or fail.
func Impatient(c *Conn, slowest time.Duration) { c.slowest = slowest }
