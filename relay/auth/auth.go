// Package auth lets a device in when it proves, over this very connection and
// now, that it holds the login key that the register knows.
//
// The relay makes a nonce ([NewNonce]) for every connection and sends it as the
// challenge. The device answers with one token, a JWT (RFC 7519) signed by its
// login key and bound to the nonce, to this relay's id and to the TLS connection
// ([schakel/relay/wire.SignLogin]). [Verifier.Verify] checks it and returns what
// the session may be: which device, of which desk, until when.
//
// golang-jwt verifies signature, times, issuer and audience. What it does not
// check is checked here: the exact shape of the token before it is decoded,
// duplicate and unknown names, the type of every value, the life, a single
// audience, the nonce, the binding and replay. The network hears one answer for
// every refusal; the [Reason] is for the log and the metrics.
package auth

import (
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// SessionLife is how long a session lasts at most.
const SessionLife = 12 * time.Hour

// ErrToken is wrapped by every refusal of a token, as a [Refusal].
var ErrToken = errors.New("login token refused")

// Reason says why a token was refused. It goes into logs and metrics, never to
// the network.
type Reason string

// The reasons, in the order of the checks.
const (
	ReasonForm      Reason = "form"      // length, characters, base64, JSON
	ReasonHeader    Reason = "header"    // algorithm, type, a name that does not belong there
	ReasonClaims    Reason = "claims"    // a claim missing, unknown, twice or of another type
	ReasonDevice    Reason = "device"    // not an active device of the register
	ReasonSignature Reason = "signature" // not signed by that device's login key
	ReasonAudience  Reason = "audience"  // not for this relay, or not for it alone
	ReasonTime      Reason = "time"      // outside its times, or valid for too long
	ReasonNonce     Reason = "nonce"     // an answer to another challenge
	ReasonBinding   Reason = "binding"   // made for another connection
	ReasonReplay    Reason = "replay"    // seen before
	ReasonRequest   Reason = "request"   // for another method, or another blob
)

// Refusal is why a token was refused. It wraps ErrToken.
type Refusal struct {
	Reason Reason
	detail string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%v: %s: %s", ErrToken, r.Reason, r.detail) }

// Unwrap makes errors.Is(err, ErrToken) hold.
func (r *Refusal) Unwrap() error { return ErrToken }

func refuse(r Reason, format string, args ...any) error {
	return &Refusal{Reason: r, detail: fmt.Sprintf(format, args...)}
}

// Device is what the register says of a device that may log in.
type Device struct {
	Desk  identity.DeskID
	Key   identity.Key // its login key
	Until time.Time    // end of its validity
}

// Devices finds devices. It returns an error for any device that is not active
// at that time: unknown, revoked, or outside its validity.
type Devices interface {
	LoginDevice(id identity.DeviceID, at time.Time) (Device, error)
}

// Config is fixed for the life of a Verifier.
type Config struct {
	Relay   string // the one audience accepted
	Devices Devices
	Now     func() time.Time
}

// Verifier checks tokens. It may be used by any number of goroutines.
type Verifier struct {
	config Config
	seen   *seen // tokens of logins
	used   *seen // tokens of requests for blobs
}

// Session is what a verified token gives the right to.
type Session struct {
	Device identity.DeviceID
	Desk   identity.DeskID
	Ends   time.Time
}

// New returns a Verifier.
func New(c Config) *Verifier {
	// golang-jwt finds methods by name in a registry of its own, which knows
	// Ed25519 under the polymorphic name only. Registering again changes nothing.
	jwt.RegisterSigningMethod(wire.TokenAlg, func() jwt.SigningMethod {
		return wire.TokenMethod{SigningMethodEd25519: jwt.SigningMethodEdDSA}
	})
	return &Verifier{config: c, seen: newSeen(), used: newSeen()}
}

// NewNonce makes the nonce of one challenge. Whoever made it keeps it on its own
// stack and compares it once, so it is single-use by construction.
func NewNonce(random io.Reader) (nonce [32]byte, err error) {
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return nonce, fmt.Errorf("failed to read random bits for a nonce: %w", err)
	}
	return nonce, nil
}

// Verify checks token as the answer to nonce on the connection with that channel
// binding (empty where TLS ends before the relay). Every error wraps ErrToken.
func (v *Verifier) Verify(token []byte, nonce [32]byte, binding []byte) (Session, error) {
	claims := new(wire.TokenClaims)
	session, err := v.signed(token, loginForm, claims)
	if err != nil {
		return Session{}, err
	}
	if err := v.checkClaims(claims, nonce, binding, v.config.Now()); err != nil {
		return Session{}, err
	}
	return session, nil
}

// signed makes the checks that are the same for every token, fills claims, and
// returns what the device may be.
func (v *Verifier) signed(token []byte, f form, claims jwt.Claims) (Session, error) {
	id, err := checkShape(token, f)
	if err != nil {
		return Session{}, err
	}
	now := v.config.Now()
	device, err := v.config.Devices.LoginDevice(id, now)
	if err != nil {
		return Session{}, refuse(ReasonDevice, "%v", err)
	}
	if err := v.parse(string(token), claims, id, device.Key, now); err != nil {
		return Session{}, err
	}
	ends := now.Add(SessionLife)
	if device.Until.Before(ends) {
		ends = device.Until
	}
	return Session{Device: id, Desk: device.Desk, Ends: ends}, nil
}

func (v *Verifier) parse(token string, claims jwt.Claims, id identity.DeviceID, key identity.Key, now time.Time) error {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{wire.TokenAlg}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithIssuer(id.String()),
		jwt.WithSubject(id.String()),
		jwt.WithAudience(v.config.Relay),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	_, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) {
		return ed25519.PublicKey(key[:]), nil
	})
	return classify(err)
}

// classify maps the errors of golang-jwt; it joins them, so the gravest is first.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenMalformed), errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse(ReasonForm, "%v", err)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse(ReasonSignature, "%v", err)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refuse(ReasonAudience, "%v", err)
	case errors.Is(err, jwt.ErrTokenInvalidIssuer), errors.Is(err, jwt.ErrTokenInvalidSubject),
		errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse(ReasonClaims, "%v", err)
	}
	return refuse(ReasonTime, "%v", err)
}

// checkClaims makes the checks that golang-jwt does not. Replay is last, so that
// only tokens that are good in every other way are remembered.
func (v *Verifier) checkClaims(c *wire.TokenClaims, nonce [32]byte, binding []byte, now time.Time) error {
	if err := checkLife(c.RegisteredClaims, now); err != nil {
		return err
	}
	switch {
	case !same(c.Nonce, nonce[:]):
		return refuse(ReasonNonce, "another nonce")
	case !same(c.Binding, binding):
		return refuse(ReasonBinding, "another channel binding")
	case !v.seen.first(c.ID, c.ExpiresAt.Time, now):
		return refuse(ReasonReplay, "token id seen before, or too many logins")
	}
	return nil
}

// checkLife is for every token: one audience, and a short life.
func checkLife(c jwt.RegisteredClaims, now time.Time) error {
	switch {
	case len(c.Audience) != 1:
		return refuse(ReasonAudience, "%d audiences", len(c.Audience))
	case c.IssuedAt == nil, c.ExpiresAt == nil:
		return refuse(ReasonClaims, "iat or exp missing")
	case c.ExpiresAt.Sub(c.IssuedAt.Time) > wire.TokenLife, c.ExpiresAt.Sub(now) > wire.TokenLife:
		return refuse(ReasonTime, "lives longer than %v", wire.TokenLife)
	}
	return nil
}

// same compares a claim with the bytes that it must have, base64url without padding.
func same(claim string, want []byte) bool {
	return subtle.ConstantTimeCompare([]byte(claim), []byte(base64.RawURLEncoding.EncodeToString(want))) == 1
}
