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

// The parts of a login token that never vary.
const (
	TokenType = "schakel-auth+jwt"
	TokenAlg  = "Ed25519" // RFC 9864; the polymorphic "EdDSA" is refused
	TokenLife = 60 * time.Second
	tokenSkew = 5 * time.Second
)

// TokenClaims is the payload of a login token (RFC 7519). Nonce, Binding and ID
// are base64url without padding.
type TokenClaims struct {
	jwt.RegisteredClaims
	Nonce   string `json:"nonce"`
	Binding string `json:"cb"` // tls-exporter of this connection, RFC 9266
}

// TokenMethod is Ed25519 under its fully-specified name, which golang-jwt only
// knows as EdDSA. A verifier registers it with jwt.RegisterSigningMethod.
type TokenMethod struct{ *jwt.SigningMethodEd25519 }

var _ jwt.SigningMethod = TokenMethod{}

// Alg gives the name in the header.
func (TokenMethod) Alg() string { return TokenAlg }

// SignLogin makes the answer to a challenge: a token by the device's login key,
// bound to the relay named in the challenge, its nonce, and this very TLS
// connection. It lives for TokenLife at most. The caller has compared
// challenge.Relay with the relay it means to talk to, and challenge.Version with
// Version.
func SignLogin(key crypto.Signer, device identity.DeviceID, c Challenge, binding []byte, now time.Time, random io.Reader) (Login, error) {
	registered, err := tokenClaims(device, c.Relay, now, random)
	if err != nil {
		return Login{}, err
	}
	text := base64.RawURLEncoding.EncodeToString
	token := jwt.NewWithClaims(TokenMethod{jwt.SigningMethodEdDSA}, TokenClaims{
		RegisteredClaims: registered, Nonce: text(c.Nonce[:]), Binding: text(binding),
	})
	token.Header["typ"], token.Header["kid"] = TokenType, device.String()
	s, err := token.SignedString(key)
	if err != nil {
		return Login{}, fmt.Errorf("failed to sign a login token: %w", err)
	}
	return Login{Token: []byte(s)}, nil
}
