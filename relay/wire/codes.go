package wire

import "fmt"

// Code is the relay's answer to one frame. The texts stand in docs/wire.md.
type Code uint16

// The codes. Codes below 100 are final for those bytes; from 100 on the same
// frame may be offered again later.
const (
	CodeOK Code = 0

	CodeMalformed  Code = 1  // not an envelope, or not an entry
	CodeSealer     Code = 2  // sealed by another device than the session's
	CodeExpired    Code = 3  // past its expiry, or created too far in the future
	CodeLane       Code = 4  // the sender's role may not write to that desk
	CodeDesk       Code = 5  // no such desk, or revoked
	CodeDevice     Code = 6  // a listed device is not an active device of the desk
	CodeEpoch      Code = 7  // a listed epoch is not published or ends before the expiry
	CodeConflict   Code = 8  // other bytes under an identifier already used
	CodeEntry      Code = 9  // the register does not take the entry
	CodeRecipients Code = 10 // the recipients are not those the entry hashes
	CodeNotFound   Code = 11 // no such envelope for this device, or another token, or no such contact
	CodeTier       Code = 12 // louder than the lane allows
	CodeLooser     Code = 13 // a ladder that calls later than the floor
	CodeAhead      Code = 14 // a plan that is numbered too far in the future

	CodeQuota       Code = 100 // the desk's mailbox or the sender's share is full
	CodeRate        Code = 101 // too fast
	CodeFull        Code = 102 // the relay's store is full
	CodeUnavailable Code = 103 // try again
)

// Final reports whether offering the same bytes again cannot help.
func (c Code) Final() bool { return c != CodeOK && c < 100 }

// Known reports whether the code stands in the table.
func (c Code) Known() bool { return c <= CodeAhead || c >= CodeQuota && c <= CodeUnavailable }

func (c Code) String() string {
	if s, ok := codeNames(c); ok {
		return s
	}
	return fmt.Sprintf("code-%d", uint16(c))
}

func codeNames(c Code) (string, bool) {
	final := [...]string{"ok", "malformed", "not-your-seal", "expired", "lane", "no-such-desk", "device",
		"epoch", "conflict", "entry", "recipients", "not-found", "tier", "looser", "ahead"}
	later := [...]string{"quota", "rate", "full", "unavailable"}
	switch {
	case int(c) < len(final):
		return final[c], true
	case c >= CodeQuota && int(c-CodeQuota) < len(later):
		return later[c-CodeQuota], true
	}
	return "", false
}

// EntryAnswer is the body of the answer to a POST on RegisterPath. Code is the text
// of a Code; Index is that of the entry where it is "ok".
type EntryAnswer struct {
	Index uint64 `json:"index"`
	Code  string `json:"code"`
}

// CloseCode is why a connection ended (RFC 6455, 7.4; 4000 and up are ours).
type CloseCode uint16

// The close codes that a relay sends. A reason of constant text goes with each,
// and never any detail.
const (
	CloseNormal   CloseCode = 1000
	CloseProtocol CloseCode = 1002 // broken WebSocket framing
	CloseBadType  CloseCode = 1003 // a text message
	CloseTooBig   CloseCode = 1009 // a message above the limit of its state
	CloseInternal CloseCode = 1011 // the relay failed; come back
	CloseRestart  CloseCode = 1012 // the relay restarts; come back after the delay of GoAway
	CloseOverload CloseCode = 1013 // too many sessions; come back later
	CloseLogin    CloseCode = 4001 // login refused: one answer for every reason
	CloseTimeout  CloseCode = 4002 // no login in time, or silent for too long
	CloseFrame    CloseCode = 4003 // a malformed or unexpected frame
	CloseEvicted  CloseCode = 4004 // the device opened a newer session
	CloseRevoked  CloseCode = 4005 // the device is no longer active
	CloseEnded    CloseCode = 4006 // the session's time is over: log in again
	CloseFlood    CloseCode = 4007 // more frames than any honest device sends
	CloseVersion  CloseCode = 4008 // sent by a device: the relay speaks another version
)

func (c CloseCode) String() string {
	switch c {
	case CloseNormal:
		return "normal"
	case CloseProtocol:
		return "protocol error"
	case CloseBadType:
		return "binary messages only"
	case CloseTooBig:
		return "message too big"
	case CloseInternal:
		return "internal error"
	case CloseRestart:
		return "restart"
	case CloseOverload:
		return "overload"
	case CloseLogin:
		return "login refused"
	case CloseTimeout:
		return "timeout"
	case CloseFrame:
		return "malformed frame"
	case CloseEvicted:
		return "newer session"
	case CloseRevoked:
		return "device not active"
	case CloseEnded:
		return "session ended"
	case CloseFlood:
		return "flood"
	case CloseVersion:
		return "version"
	}
	return fmt.Sprintf("close-%d", uint16(c))
}
