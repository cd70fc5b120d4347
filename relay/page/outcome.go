package page

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
)

// Why a page did not go out. Each error of a Notifier is one of these, or ErrPage.
var (
	ErrUnreachable = errors.New("nobody answers at the contact point")
	ErrDeadline    = errors.New("the contact point did not answer in time")
	ErrUntrusted   = errors.New("the contact point has no certificate that is believed")
	ErrRefused     = errors.New("the contact point refused the page")
	ErrBusy        = errors.New("the contact point is busy: try again")
	ErrBroken      = errors.New("the contact point did not answer as its kind does")
	ErrForbidden   = errors.New("the contact point leads where this pager does not go")
	ErrCapped      = errors.New("the contact point was called too often")
)

// Outcome is what became of one page through one channel, for the delivery log.
type Outcome string

// The outcomes.
const (
	Sent        Outcome = "sent"
	Unreachable Outcome = "unreachable"
	Late        Outcome = "late"
	Untrusted   Outcome = "untrusted"
	Refused     Outcome = "refused"
	Busy        Outcome = "busy"
	Broken      Outcome = "broken"
	Forbidden   Outcome = "forbidden"
	Capped      Outcome = "capped"   // a relay's: over the budget of the point, the desk or the domain
	Unusable    Outcome = "unusable" // no such channel here, or no such point
)

// outcomes are the errors by what the log calls them.
var outcomes = []struct {
	err     error
	outcome Outcome
}{
	{ErrUnreachable, Unreachable}, {ErrDeadline, Late}, {ErrUntrusted, Untrusted}, {ErrRefused, Refused},
	{ErrBusy, Busy}, {ErrForbidden, Forbidden}, {ErrCapped, Capped}, {ErrPoint, Unusable}, {ErrPage, Unusable},
}

// OutcomeOf is what became of a page whose Notify, or For, returned err.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Sent
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.outcome
		}
	}
	return Broken
}

// reason is the sentinel of what went wrong on a connection. What the error says
// itself stays here: errors of net/http quote the address, which is a secret.
func reason(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, ErrForbidden):
		return ErrForbidden
	case untrusted(err):
		return ErrUntrusted
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ErrDeadline
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrBroken
	}
	if op := new(net.OpError); errors.As(err, &op) {
		return ErrUnreachable
	}
	if dns := new(net.DNSError); errors.As(err, &dns) {
		return ErrUnreachable
	}
	return ErrBroken
}

func untrusted(err error) bool {
	var (
		unknown   x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		verify    *tls.CertificateVerificationError
		plaintext tls.RecordHeaderError
		alert     tls.AlertError
	)
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &roots) ||
		errors.As(err, &verify) || errors.As(err, &plaintext) || errors.As(err, &alert) || errors.Is(err, http.ErrSchemeMismatch)
}
