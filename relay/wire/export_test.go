package wire

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
