package vault

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	magic      = "SKV1"
	secretSize = 32
)

// sealUnder wraps plain under a key-wrapping key: "SKV1" | nonce 24 | XChaCha20-
// Poly1305. way is part of the derivation, so that no file stands for another.
func sealUnder(secret []byte, way string, plain []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "schakel/vault/v1/"+way, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("failed to derive a wrapping key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("failed to use a wrapping key: %w", err)
	}
	out := make([]byte, len(magic)+chacha20poly1305.NonceSizeX, len(magic)+chacha20poly1305.NonceSizeX+len(plain)+16)
	copy(out, magic)
	rand.Read(out[len(magic):])
	return aead.Seal(out, out[len(magic):], plain, []byte(magic)), nil
}

func openUnder(secret []byte, way string, wrapped []byte) ([]byte, error) {
	rest, ok := strings.CutPrefix(string(wrapped), magic)
	if !ok || len(rest) < chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, ErrWrapped
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "schakel/vault/v1/"+way, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("failed to derive a wrapping key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("failed to use a wrapping key: %w", err)
	}
	nonce, box := []byte(rest[:chacha20poly1305.NonceSizeX]), []byte(rest[chacha20poly1305.NonceSizeX:])
	plain, err := aead.Open(nil, nonce, box, []byte(magic))
	if err != nil {
		return nil, fmt.Errorf("%w: another key, or changed bytes", ErrWrapped)
	}
	return plain, nil
}

func newSecret() (secret []byte, text string) {
	secret = make([]byte, secretSize)
	rand.Read(secret)
	return secret, base64.StdEncoding.EncodeToString(secret) + "\n"
}

// parseSecret accepts exactly the line that newSecret writes, with or without its
// line end: systemd-creds and keyrings drop one easily.
func parseSecret(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(text, "\n"))
	if err != nil || len(b) != secretSize {
		return nil, fmt.Errorf("%w: a wrapping key is base64 of %d bytes", ErrWrapped, secretSize)
	}
	return b, nil
}

// LockUnder seals a small secret, such as a person's signing key, under 32 bytes that
// nobody can guess, such as what a passkey derives. use says for whom and what for: what
// was locked for one use opens for no other.
func LockUnder(secret []byte, use string, plain []byte) ([]byte, error) {
	if len(secret) != secretSize {
		return nil, fmt.Errorf("%w: a wrapping key has %d bytes", ErrWrapped, secretSize)
	}
	return sealUnder(secret, "use/"+use, plain)
}

// UnlockUnder opens what LockUnder sealed, or refuses with ErrWrapped.
func UnlockUnder(secret []byte, use string, wrapped []byte) ([]byte, error) {
	if len(secret) != secretSize || len(wrapped) > maxWrapped {
		return nil, ErrWrapped
	}
	return openUnder(secret, "use/"+use, wrapped)
}
