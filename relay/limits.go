package relay

import (
	"time"

	"schakel/relay/wire"
)

// Limits bound what devices may take. Zero fields take the defaults.
type Limits struct {
	MaxSessions int // live sessions; default 20 000
	MaxPending  int // connections that have not logged in; default 2048
	MaxPerHost  int // of those, from one address; default half of MaxPending

	PutsPerSecond   int // envelopes per device; default 5000, and twice as many at once
	BytesPerSecond  int // read per connection, then throttled; default 64 MiB
	FramesPerSecond int // WebSocket frames per connection, then cut; default 50 000
	AsksPerSecond   int // register entries, key and fetch requests per device; default 50
	EntriesPerMin   int // entries posted without a login, half from one address; default 600

	BlobsPerSecond int // requests for blobs per device, four times as many at once; default 50
	BlobsPerDevice int // of those, under way; default 8
	BlobsAtOnce    int // under way from everybody; default 256

	InFlightOps   int // envelopes of one session on their way to the disk; default 4096
	InFlightBytes int // their bytes; default 8 MiB

	BatchOps   int // of the committer; zero: its own default
	QueueOps   int
	QueueBytes int

	Drain         time.Duration // at most, from the order to stop; default 30 s
	Return        time.Duration // devices come back within this after a drain; default 10 s
	Sweep         time.Duration // missed rings are found within this; default 5 s
	Cosign        time.Duration // witnesses are asked again after this; default 30 min
	Expire        time.Duration // between two looks for expired envelopes; default 10 s
	BlobSweep     time.Duration // between two looks for blobs whose time is over; default 10 min
	BlobStall     time.Duration // a transfer without a byte for this long is cut; default wire.BlobStall
	HandshakeTime time.Duration // for the TLS handshake, and for the request's headers; default 5 s
	LoginTime     time.Duration // from the challenge to the token; default wire.LoginTimeout
	CloseTime     time.Duration // from the decision to close a session to its end; default wire.CloseGrace

	answers int // bytes that wait for a device until its reader waits; answersWeight, more in tests
}

func (l Limits) withDefaults() Limits {
	number := func(p *int, fallback int) {
		if *p <= 0 {
			*p = fallback
		}
	}
	duration := func(p *time.Duration, fallback time.Duration) {
		if *p <= 0 {
			*p = fallback
		}
	}
	number(&l.answers, answersWeight)
	number(&l.MaxSessions, 20_000)
	number(&l.MaxPending, 2048)
	number(&l.MaxPerHost, max(1, l.MaxPending/2))
	number(&l.PutsPerSecond, 5000)
	number(&l.AsksPerSecond, 50)
	number(&l.EntriesPerMin, 600)
	number(&l.BlobsPerSecond, 50)
	number(&l.BlobsPerDevice, 8)
	number(&l.BlobsAtOnce, 256)
	number(&l.InFlightOps, 4096)
	number(&l.InFlightBytes, 8<<20)
	duration(&l.Drain, 30*time.Second)
	duration(&l.Return, 10*time.Second)
	duration(&l.Sweep, 5*time.Second)
	duration(&l.Cosign, 30*time.Minute)
	duration(&l.Expire, 10*time.Second)
	duration(&l.BlobSweep, 10*time.Minute)
	duration(&l.BlobStall, wire.BlobStall)
	duration(&l.HandshakeTime, 5*time.Second)
	duration(&l.LoginTime, wire.LoginTimeout)
	duration(&l.CloseTime, wire.CloseGrace)
	return l
}

// What one session may make wait for its device, and take from the store at once.
const (
	answersWeight = 256 << 10 // bytes of answers; then its reader waits
	leafWeight    = 400       // about what one leaf of a receipt takes
	refusalWeight = 64
	pageRecords   = 256
	pageBytes     = 64 << 10
	maxCredit     = 1 << 30
)
