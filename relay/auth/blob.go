package auth

import (
	"crypto/subtle"

	"schakel/relay/wire"
)

// VerifyBlob checks the token of one request for a blob, and returns what the device
// may be at this moment: nothing is remembered of it but that the token was used, so
// a device that is revoked has no blob from its next request on. Every error wraps
// ErrToken.
func (v *Verifier) VerifyBlob(token []byte, want wire.BlobRequest) (Session, error) {
	claims := new(wire.BlobClaims)
	session, err := v.signed(token, blobForm, claims)
	if err != nil {
		return Session{}, err
	}
	now := v.config.Now()
	if err := checkLife(claims.RegisteredClaims, now); err != nil {
		return Session{}, err
	}
	switch {
	case claims.Method != want.Method:
		return Session{}, refuse(ReasonRequest, "for another method")
	case subtle.ConstantTimeCompare([]byte(claims.Blob), []byte(want.Blob.String())) != 1:
		return Session{}, refuse(ReasonRequest, "for another blob")
	case !same(claims.Binding, want.Binding):
		return Session{}, refuse(ReasonBinding, "another channel binding")
	case !v.used.first(claims.ID, claims.ExpiresAt.Time, now):
		return Session{}, refuse(ReasonReplay, "token id seen before, or too many requests")
	}
	return session, nil
}
