package daemon

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// signingKey is a key of the relay in memory: receipts or checkpoints.
type signingKey struct{ private ed25519.PrivateKey }

var (
	_ trust.Signer   = signingKey{}
	_ custody.Signer = signingKey{}
)

// Public is the public key.
func (k signingKey) Public() identity.Key {
	return identity.Key(k.private.Public().(ed25519.PublicKey))
}

// Sign signs msg itself.
func (k signingKey) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.private, msg), nil }

const keyBlock = "PRIVATE KEY" // PKCS#8 (RFC 5958)

// makeKey makes a key file unless it is there, and reports whether it was.
func makeKey(path string) (kept bool, err error) {
	if _, err := loadKey(path); !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return false, fmt.Errorf("failed to make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return false, fmt.Errorf("failed to make a key: %w", err)
	}
	return false, writeNew(path, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), 0o600)
}

// loadKey reads an Ed25519 key, and refuses a file that others may read.
func loadKey(path string) (signingKey, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return signingKey{}, fmt.Errorf("failed to read a key: %w", err)
	}
	if stat.Mode().Perm()&0o077 != 0 {
		return signingKey{}, fmt.Errorf("%w: %s may be read by others: chmod 600 %s", errConfig, path, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return signingKey{}, fmt.Errorf("failed to read a key: %w", err)
	}
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != keyBlock || len(rest) != 0 {
		return signingKey{}, fmt.Errorf("%w: %s is not a private key in PEM", errConfig, path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return signingKey{}, fmt.Errorf("%w: %s is not an Ed25519 key", errConfig, path)
	}
	return signingKey{private}, nil
}

// makeCertificate writes a self-signed certificate for the TLS key. Clients look at
// the key alone, which the register pins, so it names nobody and lasts.
func makeCertificate(path, keyPath string, now time.Time) (kept bool, err error) {
	if _, err := os.Stat(path); err == nil {
		return true, nil
	}
	k, err := loadKey(keyPath)
	if err != nil {
		return false, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return false, fmt.Errorf("failed to make a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "schakel relay"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(20, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.private.Public(), k.private)
	if err != nil {
		return false, fmt.Errorf("failed to make a certificate: %w", err)
	}
	return false, writeNew(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// loadCertificate reads a certificate and its key, with the leaf parsed.
func loadCertificate(certPath, keyPath string) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return nil, fmt.Errorf("%w: TLS certificate: %w", errConfig, err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, fmt.Errorf("%w: TLS certificate: %w", errConfig, err)
		}
	}
	return &c, nil
}

// writeNew writes a file that must not be there, durably.
func writeNew(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("failed to write: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("failed to write %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// replaceFile writes a file in place of another: a crash leaves one of the two.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to write: %w", err)
	}
	if err := writeNew(temporary, content, mode); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("failed to write: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("failed to write: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
