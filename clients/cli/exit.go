package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"schakel/clients/casefile"
	"schakel/clients/courier"
	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/release"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
	"schakel/relay/ladder"
)

// The exit codes. They are part of the interface: scripts of partners rest on them.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2
	Partly      = 3 // some of it happened
	NotFound    = 4
	Refused     = 5  // by a rule of the protocol, or by right
	Locked      = 6  // the store is somebody else's, or stays shut
	NoRelay     = 7  // relay unreachable
	Unverified  = 8  // something does not prove what it claims
	Conflict    = 9  // with what already is
	BadConfig   = 10 // configuration invalid
	Queued      = 75 // safely on disk here, not yet at the relay
	Interrupted = 130
)

// Failures of the command line itself.
var (
	errUsage       = errors.New("usage")
	errConfig      = errors.New("configuration invalid")
	errQueued      = errors.New("safely queued here, and not yet at the relay")
	errPartly      = errors.New("partly done")
	errRefused     = errors.New("refused")
	errNotYet      = errors.New("not yet")
	errNoPlace     = errors.New("no such municipality")
	errNamesakes   = errors.New("a name of more than one municipality")
	errNoStore     = errors.New("no device lives in this folder")
	errUnverified  = errors.New("verification failed")
	errInterrupted = errors.New("interrupted")
	errExists      = errors.New("exists already")
	errChecks      = errors.New("a check failed")
)

// Exit returns the exit code for an error of a command.
func Exit(err error) int {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return Done
	case is(errInterrupted):
		return Interrupted
	case is(errUsage, schakel.ErrAbsence, schakel.ErrNotCalled, schakel.ErrNoWords, vault.ErrTooShort):
		return Usage
	case is(roster.ErrTelling, ladder.ErrLooser):
		return Refused
	case is(errConfig, playbook.ErrPlaybook, roster.ErrFormat):
		return BadConfig
	case is(errQueued):
		return Queued
	case is(errPartly):
		return Partly
	case is(desk.ErrLocked, schakel.ErrRefused, store.ErrInUse, vault.ErrNoWay, vault.ErrAttended, vault.ErrPassphrase, vault.ErrPermissions, vault.ErrKeyring):
		return Locked
	case is(release.ErrNotListed, schakel.ErrNoAttachment, schakel.ErrNoEvidence, schakel.ErrNotFound, schakel.ErrUnknownDesk, schakel.ErrUnknownPerson, schakel.ErrUnknownSubject, schakel.ErrNotNew, desk.ErrUnknownUser, desk.ErrUnknownToken, desk.ErrUnknownWebhook, schakel.ErrNoRightDesk, schakel.ErrNoRota, roster.ErrUnknown, roster.ErrNoShift, store.ErrNotFound, errNoStore, errNoPlace, fs.ErrNotExist):
		return NotFound
	case is(release.ErrFormat, release.ErrKey, release.ErrUnknownKey, release.ErrSignature, release.ErrOtherHash, seal.ErrContent, desk.ErrFileCut, courier.ErrFormat, schakel.ErrFingerprint, schakel.ErrKeyMismatch, schakel.ErrRegister, schakel.ErrAgreement, protocol.ErrAgreement, identity.ErrBadSignature, errUnverified,
		store.ErrTampered, store.ErrRolledBack, store.ErrDamaged, store.ErrBackup):
		return Unverified
	case is(schakel.ErrNotHere, desk.ErrTied, schakel.ErrRestoring, schakel.ErrNotRestored, schakel.ErrAmbiguous, schakel.ErrEnrolled, schakel.ErrInitialised, schakel.ErrAcknowledged, schakel.ErrNothingToAck, schakel.ErrNotReturned, schakel.ErrNotAsked, schakel.ErrDraftVersions, schakel.ErrDraftCase, schakel.ErrRotaChanged, errExists, errNamesakes, desk.ErrSameName,
		store.ErrAmbiguous, store.ErrExists):
		return Conflict
	case is(schakel.ErrMediaType, schakel.ErrAttachedName, schakel.ErrForked, schakel.ErrOtherView, schakel.ErrCoolingOff, schakel.ErrKeyChanged, schakel.ErrKeyRefused, schakel.ErrStale, schakel.ErrOutlived, schakel.ErrOverride, schakel.ErrLight, desk.ErrNoLock, schakel.ErrLane, schakel.ErrPersonNeeded, schakel.ErrPIN, schakel.ErrRestricted, schakel.ErrReaders, schakel.ErrNoReadingKey, schakel.ErrGlass, schakel.ErrGlassNeeded, schakel.ErrNoOrgKey, schakel.ErrTooLarge, casefile.ErrTooLarge, courier.ErrTooLarge, protocol.ErrRefused, protocol.ErrWeakens, desk.ErrStranger, errRefused, desk.ErrTarget, desk.ErrNoPrograms):
		return Refused
	case is(schakel.ErrUnreachable):
		return NoRelay
	}
	return Failed
}

// advice is an error with what to do about it.
type advice struct {
	error
	remedy string
}

func (a advice) Unwrap() error { return a.error }

// advise adds what to do to an error.
func advise(err error, remedy string) error {
	if err == nil {
		return nil
	}
	return advice{err, remedy}
}

// usage marks an error as a mistake in the command as typed.
func usage(err error) error { return fmt.Errorf("%w: %w", errUsage, err) }

// explain says on standard error what happened and what to do.
func (a *app) explain(err error) {
	a.sayf("schakel: %s", inertLine(strings.ReplaceAll(err.Error(), "\n", "; "))) // joined errors
	var own advice
	var rule *protocol.Refusal
	switch {
	case errors.As(err, &rule):
		for _, f := range rule.Faults {
			a.sayf("  at %s: %s", inertLine(cmp.Or(f.At, "the body")), inertLine(f.Reason.EN))
		}
	case errors.As(err, &own):
		a.sayf("  what to do: %s", inertLine(own.remedy))
	case errors.Is(err, errUsage):
		a.sayf("  what to do: see `schakel help` and `schakel COMMAND --help`")
	case errors.Is(err, context.Canceled), errors.Is(err, errInterrupted), Exit(err) == BadConfig:
	default:
		if p := desk.ProblemOf(err); p.Code != "internal" && p.Remedy != "" {
			a.sayf("  what to do: %s", inertLine(p.Remedy))
		}
	}
}

// sayf writes one line of progress to standard error.
func (a *app) sayf(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }
