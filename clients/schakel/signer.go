package schakel

import (
	"crypto/ed25519"
	"crypto/tls"
	"strings"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// edKey signs register entries with a private key held in memory.
type edKey ed25519.PrivateKey

var _ trust.Signer = edKey(nil)

// Public is the key that others verify with.
func (k edKey) Public() identity.Key {
	var out identity.Key
	copy(out[:], ed25519.PrivateKey(k).Public().(ed25519.PublicKey))
	return out
}

// Sign returns the Ed25519 signature over msg.
func (k edKey) Sign(msg []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), msg), nil
}

// tlsFor trusts exactly the key that the register names for the relay: no
// certificate authority has a say in who the relay is.
func tlsFor(relay trust.RelayState) *tls.Config {
	if strings.HasPrefix(relay.URL, "ws://") {
		return nil
	}
	return wire.PinnedTLS(relay.TLS)
}
