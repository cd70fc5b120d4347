package vault

import (
	"errors"
	"fmt"

	"github.com/zalando/go-keyring"
)

// ErrKeyring is wrapped when the keyring of the desktop session is absent, locked
// or without our entry. On a server that is normal: use another way.
var ErrKeyring = errors.New("keyring of the desktop session not available")

const keyringService = "schakel"

// Keyring wraps under a key in the keyring of the desktop session. Account
// tells the stores of one user apart, such as the folder of the store.
type Keyring struct{ Account string }

var _ Way = Keyring{}

// File names the wrapped key.
func (Keyring) File() string { return "keyring.wrap" }

// Wrap puts a fresh wrapping key in the keyring.
func (k Keyring) Wrap(_ ID, plain []byte) ([]byte, error) {
	secret, text := newSecret()
	if err := keyring.Set(keyringService, k.Account, text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return sealUnder(secret, k.File(), plain)
}

// Unwrap refuses with ErrKeyring and ErrWrapped.
func (k Keyring) Unwrap(wrapped []byte) ([]byte, error) {
	text, err := keyring.Get(keyringService, k.Account)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	secret, err := parseSecret(text)
	if err != nil {
		return nil, err
	}
	return openUnder(secret, k.File(), wrapped)
}
