package schakel

import "errors"

// What a caller can decide on. Each is wrapped with what happened and what to do.
var (
	ErrNotFound      = errors.New("no such message")
	ErrAmbiguous     = errors.New("more than one message begins like that")
	ErrUnknownDesk   = errors.New("desk is not in the register")
	ErrLane          = errors.New("these desks may not write to each other")
	ErrNoEpoch       = errors.New("no device of the desk has a key for now; telephone the desk")
	ErrNoKeys        = errors.New("the desk's public keys are not here yet; they come with a connection to the relay")
	ErrNoDevice      = errors.New("the desk has no active device; telephone the desk")
	ErrPersonNeeded  = errors.New("a named person must sign this")
	ErrUnknownPerson = errors.New("no such person on this device")
	ErrPIN           = errors.New("wrong PIN")
	ErrNotEnrolled   = errors.New("this device has not joined yet: run schakel join")
	ErrInitialised   = errors.New("this device was initialised already")
	ErrEnrolled      = errors.New("this device has joined already")
	ErrFingerprint   = errors.New("fingerprint does not match: telephone the root holders and do not go on")
	ErrUnreachable   = errors.New("relay unreachable")
	ErrRegister      = errors.New("register refused")
	ErrAgreement     = errors.New("this agreement is not the one that the register names")
	ErrTooLarge      = errors.New("message too large")
	ErrAcknowledged  = errors.New("already acknowledged")
	ErrNotReturned   = errors.New("nobody answered that it came to the wrong desk")
	ErrNoRightDesk   = errors.New("the answer does not point at one desk")
	ErrDraftVersions = errors.New("this draft has several versions: say which one")
	ErrDraftCase     = errors.New("a draft stays in the case that it was begun in")
	ErrNoRota        = errors.New("this desk has no rota yet")
	ErrRotaChanged   = errors.New("the rota was changed since")
	ErrNothingToAck  = errors.New("this message asks for no acknowledgement")
)
