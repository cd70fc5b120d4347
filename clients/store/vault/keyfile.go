package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErrPermissions is wrapped when others than the owner can read a key file.
var ErrPermissions = errors.New("key file is open to others: set its mode to 0600")

// KeyFile wraps under a key in a file of mode 0600, which Wrap makes when it does
// not exist. Put it on another disk than the store, and out of its backups.
type KeyFile struct{ Path string }

var _ Way = KeyFile{}

// File names the wrapped key.
func (KeyFile) File() string { return "keyfile.wrap" }

// Wrap makes the key file when there is none.
func (k KeyFile) Wrap(_ ID, plain []byte) ([]byte, error) {
	secret, err := k.read()
	if errors.Is(err, fs.ErrNotExist) {
		var text string
		secret, text = newSecret()
		err = writeDurably(k.Path, []byte(text))
	}
	if err != nil {
		return nil, err
	}
	return sealUnder(secret, k.File(), plain)
}

// Unwrap refuses with ErrPermissions and ErrWrapped.
func (k KeyFile) Unwrap(wrapped []byte) ([]byte, error) {
	secret, err := k.read()
	if err != nil {
		return nil, err
	}
	return openUnder(secret, k.File(), wrapped)
}

func (k KeyFile) read() ([]byte, error) {
	f, err := os.Open(k.Path)
	if err != nil {
		return nil, fmt.Errorf("failed to open the key file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("failed to look at the key file: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", ErrWrapped, filepath.Base(k.Path))
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return nil, ErrPermissions
	}
	b, err := readLimited(f, k.Path)
	if err != nil {
		return nil, err
	}
	return parseSecret(string(b))
}

// Credential wraps under a key that systemd hands over at start: LoadCredential=
// or, sealed to the machine or its TPM, LoadCredentialEncrypted=. Make the key
// with [NewCredential] and store it with systemd-creds.
type Credential struct {
	Folder string // the value of $CREDENTIALS_DIRECTORY
	Name   string
}

var _ Way = Credential{}

// NewCredential returns the text of a fresh wrapping key, for systemd-creds.
func NewCredential() string {
	_, text := newSecret()
	return text
}

// File names the wrapped key.
func (Credential) File() string { return "credential.wrap" }

// Wrap needs the credential to be there already.
func (c Credential) Wrap(_ ID, plain []byte) ([]byte, error) {
	secret, err := c.read()
	if err != nil {
		return nil, err
	}
	return sealUnder(secret, c.File(), plain)
}

// Unwrap refuses with ErrWrapped, and fs.ErrNotExist where systemd gave none.
func (c Credential) Unwrap(wrapped []byte) ([]byte, error) {
	secret, err := c.read()
	if err != nil {
		return nil, err
	}
	return openUnder(secret, c.File(), wrapped)
}

func (c Credential) read() ([]byte, error) {
	if c.Folder == "" || c.Name != filepath.Base(c.Name) {
		return nil, fmt.Errorf("systemd gave no credential %q: %w", c.Name, fs.ErrNotExist)
	}
	b, err := readSmall(filepath.Join(c.Folder, c.Name))
	if err != nil {
		return nil, err
	}
	return parseSecret(string(b))
}
