// Package wire is what device and relay say to each other: frames, their limits,
// the codes of refusal, and a connection that carries them.
//
// A connection is one WebSocket over TLS 1.3. Every binary WebSocket message
// carries one or more frames, in both directions:
//
//	offset  size  meaning
//	0       1     type; the highest bit is set on frames from the relay
//	1       4     big endian n, the length of the payload
//	5       n     payload
//
// The frames of the hot path (put, ack, deliver, stored) have a fixed binary
// layout; all others are one canonical CBOR array. Every payload has exactly one
// encoding, and [ParseFrames] refuses any other. The page docs/wire.md lists each frame
// with an example, and a test reads that page.
//
// A device calls [Dial], waits for [Challenge], answers with [Login] as made by
// [SignLogin], and after [Ready] gives [Credit]; a relay calls [Accept]. Both then
// use one goroutine for [Conn.ReadFrames] and one for [Conn.Write].
package wire

import (
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
)

// Version is the version of the frames. There is no negotiation: a side that
// meets another version says so and stops (attack D43).
const Version = 1

// ConnectPath upgrades to a WebSocket with GET; RegisterPath takes one signed
// register entry with POST.
const (
	ConnectPath  = "/v1/connect"
	RegisterPath = "/v1/register"
)

// Sizes, in bytes and counts. What a peer may make the other side allocate follows
// from these and from nothing else.
const (
	MaxLoginMessage = 1 << 10              // one WebSocket message before login
	MaxToken        = 900                  // a login token
	MaxFrame        = 8 + envelope.MaxSize // the largest payload: a delivered envelope
	MaxMessage      = frameHeader + MaxFrame
	MaxFrames       = 4096    // frames in one WebSocket message
	MaxEntry        = 8 << 10 // one register entry
	MaxEntries      = 512     // entries in one Register frame
	MaxProof        = 64      // hashes in a proof of consistency
	MaxRecipients   = 16      // recipients beside one epoch entry
	MaxRecipient    = 4096    // one age recipient in text
	MaxKeys         = 128     // keys asked for, or answered, at once
	MaxLeaves       = 1024    // leaves in one Stored frame
	MaxCheckpoint   = 4096    // a signed checkpoint with its cosignatures
	MaxWitness      = 64      // the name of a witness
	MaxCosignature  = 256     // one signature line of a witness
	MaxRelayID      = 63
	MaxPlan         = 64 << 10 // who is on call at a desk
	MaxPages        = 256      // rows in one PagesAre frame
	MaxContact      = 40
	MaxChannel      = 20
	MaxReference    = 32
	MaxOutcome      = 20
	Everyone        = 255 // the level of everyone in a row of the log of pages
	pagedSize       = 1 + 9 + 17 + 2 + 2 + MaxReference + 3*9 + 2 + MaxContact + 1 + MaxChannel + 9 + 1 + MaxOutcome
	maxPath         = 16 // hashes in a leaf's path, as in custody
	frameHeader     = 5
	batchTarget     = 64 << 10 // Write begins a new WebSocket message beyond this
)

var _ = custody.MaxBatch // maxPath is log2 of it

// Times. A device that falls silent for IdleTimeout is taken for gone; Conn sends
// a ping on the device's side well before that.
const (
	LoginTimeout   = 5 * time.Second
	IdleTimeout    = 30 * time.Second
	PingInterval   = 10 * time.Second
	MessageTimeout = 30 * time.Second // from the first byte of a message to its last
	WriteTimeout   = 30 * time.Second // for one WebSocket message to leave
	CloseGrace     = 5 * time.Second  // for a close handshake, then the hard close
)
