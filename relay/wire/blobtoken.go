package wire

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"schakel/crypto/identity"
)

// BlobTokenType is the type of the token that goes with one request for a blob.
const BlobTokenType = "schakel-blob+jwt"

// BlobClaims is the payload of such a token: it is good for one method on one blob,
// on one TLS connection, once. The shape is that of DPoP (RFC 9449), where htm comes
// from; the key is the device's own, so there is no other token beside it.
type BlobClaims struct {
	jwt.RegisteredClaims
	Method  string `json:"htm"`
	Blob    string `json:"blob"`
	Binding string `json:"cb"` // tls-exporter of this connection, RFC 9266
}

// BlobRequest is what a token for a blob is good for.
type BlobRequest struct {
	Relay   string // the audience
	Method  string
	Blob    BlobID
	Binding []byte // of the TLS connection; empty where TLS ends before the relay
}

// SignBlob makes the token of one request, by the device's login key. It goes into
// the header Authorization, behind "Bearer ".
func SignBlob(key crypto.Signer, device identity.DeviceID, r BlobRequest, now time.Time, random io.Reader) (string, error) {
	registered, err := tokenClaims(device, r.Relay, now, random)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(TokenMethod{jwt.SigningMethodEdDSA}, BlobClaims{
		RegisteredClaims: registered, Method: r.Method, Blob: r.Blob.String(),
		Binding: base64.RawURLEncoding.EncodeToString(r.Binding),
	})
	token.Header["typ"], token.Header["kid"] = BlobTokenType, device.String()
	s, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("failed to sign a token for a blob: %w", err)
	}
	return s, nil
}

// tokenClaims are the claims that every token has.
func tokenClaims(device identity.DeviceID, relay string, now time.Time, random io.Reader) (jwt.RegisteredClaims, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(random, id); err != nil {
		return jwt.RegisteredClaims{}, fmt.Errorf("failed to read random bits for a token: %w", err)
	}
	return jwt.RegisteredClaims{
		Issuer: device.String(), Subject: device.String(), Audience: jwt.ClaimStrings{relay},
		ID: base64.RawURLEncoding.EncodeToString(id),
		// A little back, for a relay whose clock runs behind.
		IssuedAt:  jwt.NewNumericDate(now.Add(-tokenSkew)),
		ExpiresAt: jwt.NewNumericDate(now.Add(TokenLife - 2*tokenSkew)),
	}, nil
}
