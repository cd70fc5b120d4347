package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"schakel/clients/store/vault"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// A root key is a file of two lines: a heading and the seed in base64, with mode
// 0600; or that text as an age file under a passphrase. Trusted: whoever holds k of
// these files decides who is in the chain. They belong on offline media, each with
// another person.
const (
	rootKeyHeading = "schakel root key, version 1"
	rootKeyFile    = "root.key"
	ageHeading     = "age-encryption.org/"
)

// rootKey is one holder's key.
type rootKey struct{ private ed25519.PrivateKey }

var _ trust.Signer = rootKey{}

// Public returns the holder's public key.
func (k rootKey) Public() identity.Key { return identity.Key(k.private.Public().(ed25519.PublicKey)) }

// Sign signs msg itself (RFC 8032).
func (k rootKey) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.private, msg), nil }

func newRootKey() rootKey {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails (crypto/rand)
	return rootKey{ed25519.NewKeyFromSeed(seed)}
}

// write puts the key in folder, wrapped where there is a passphrase. It never
// replaces a key: a lost root key cannot be made again.
func (k rootKey) write(folder, passphrase string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("failed to make a folder for a root key: %w", err)
	}
	content := []byte(rootKeyHeading + "\n" + base64.StdEncoding.EncodeToString(k.private.Seed()) + "\n")
	if passphrase != "" {
		var err error
		if content, err = vault.Lock(content, passphrase, 0); err != nil {
			return err
		}
	}
	return writeNew(filepath.Join(folder, rootKeyFile), content, 0o600)
}

// readRootKey reads a key file, asking for its passphrase when it has one.
func (a *app) readRootKey(path, passphraseFile string) (rootKey, error) {
	content, err := readSecretFile(path, "root key", 0o077)
	if err != nil {
		return rootKey{}, err
	}
	if bytes.HasPrefix(content, []byte(ageHeading)) {
		phrase, err := a.read(secret{what: "passphrase of " + path, file: passphraseFile, flag: "key-passphrase-file",
			credential: "schakel-root-passphrase"})
		if err != nil {
			return rootKey{}, err
		}
		if content, err = vault.Unlock(content, phrase); err != nil {
			return rootKey{}, err
		}
	}
	heading, rest, _ := strings.Cut(string(content), "\n")
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if heading != rootKeyHeading || err != nil || len(seed) != ed25519.SeedSize {
		return rootKey{}, fmt.Errorf("%w: %s is no root key", errUnverified, path)
	}
	return rootKey{ed25519.NewKeyFromSeed(seed)}, nil
}

// writeNew writes a file that must not be there yet, and syncs it.
func writeNew(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s", errExists, path)
	}
	if err != nil {
		return fmt.Errorf("failed to write: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(fmt.Errorf("failed to write: %w", err), os.Remove(path)) // half of it looks like all
	}
	return err
}
