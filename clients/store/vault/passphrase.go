package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// Refusals of a passphrase.
var (
	ErrPassphrase  = errors.New("wrong passphrase or PIN, or a damaged file")
	ErrTooShort    = errors.New("passphrase or PIN too short")
	ErrTooMuchWork = errors.New("passphrase file asks for more work than this program ever writes")
)

const (
	recoveryFile = "recovery.age"
	// DefaultWorkFactor makes one guess cost about a second and 256 MiB.
	DefaultWorkFactor = 18
	// MaxWorkFactor is the largest accepted on reading. A file that asks for
	// more would stop the machine instead of opening (attack G07).
	MaxWorkFactor = 20
	minPhrase     = 12
	minPIN        = 6
)

// Passphrase is the recovery: an age scrypt file, worth as much as its phrase.
type Passphrase struct {
	Phrase     string // at least 12 bytes when wrapping; better: six random words
	WorkFactor int    // base-2 logarithm of scrypt's N; 0 means DefaultWorkFactor
}

var _ Way = Passphrase{}

// File names the recovery file.
func (Passphrase) File() string { return recoveryFile }

// Wrap refuses phrases under 12 bytes: length is all that resists guessing.
func (p Passphrase) Wrap(_ ID, plain []byte) ([]byte, error) {
	if len(p.Phrase) < minPhrase {
		return nil, fmt.Errorf("%w: use at least %d characters", ErrTooShort, minPhrase)
	}
	return lock(plain, p.Phrase, p.WorkFactor)
}

// Unwrap refuses with ErrPassphrase and ErrTooMuchWork.
func (p Passphrase) Unwrap(wrapped []byte) ([]byte, error) { return Unlock(wrapped, p.Phrase) }

// Lock seals a small secret, such as a person's signing key, under a PIN or
// passphrase of at least 6 bytes. A PIN of six digits keeps a colleague out, not
// somebody who has the store's data key and an afternoon. workFactor 0 means
// DefaultWorkFactor. It takes about a second: never call it in a transaction.
func Lock(secret []byte, pin string, workFactor int) ([]byte, error) {
	if len(pin) < minPIN {
		return nil, fmt.Errorf("%w: use at least %d characters", ErrTooShort, minPIN)
	}
	return lock(secret, pin, workFactor)
}

func lock(secret []byte, phrase string, workFactor int) ([]byte, error) {
	r, err := age.NewScryptRecipient(phrase)
	if err != nil {
		return nil, fmt.Errorf("failed to use the passphrase: %w", err)
	}
	if workFactor == 0 {
		workFactor = DefaultWorkFactor
	}
	if workFactor < 1 || workFactor > MaxWorkFactor {
		return nil, fmt.Errorf("%w: work factor %d, at most %d", ErrTooMuchWork, workFactor, MaxWorkFactor)
	}
	r.SetWorkFactor(workFactor)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r)
	if err != nil {
		return nil, fmt.Errorf("failed to seal under the passphrase: %w", err)
	}
	if _, err := w.Write(secret); err != nil {
		return nil, fmt.Errorf("failed to seal under the passphrase: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("failed to seal under the passphrase: %w", err)
	}
	return out.Bytes(), nil
}

// Unlock opens what Lock sealed. It refuses with ErrPassphrase, ErrTooMuchWork
// and ErrWrapped.
func Unlock(locked []byte, phrase string) ([]byte, error) {
	if len(locked) > maxWrapped {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrWrapped, maxWrapped)
	}
	i, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return nil, fmt.Errorf("%w: empty", ErrPassphrase)
	}
	// age's own cap would compare too, but its refusal cannot be told from others.
	if f, ok := workFactorOf(locked); ok && f > MaxWorkFactor {
		return nil, ErrTooMuchWork
	}
	i.SetMaxWorkFactor(MaxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(locked), i)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	secret, err := io.ReadAll(io.LimitReader(r, maxWrapped))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	return secret, nil
}

// workFactorOf reads the work factor from the only stanza of an age scrypt file:
// "-> scrypt SALT LOGN" on its second line.
func workFactorOf(file []byte) (int, bool) {
	lines := bytes.SplitN(file, []byte("\n"), 3)
	if len(lines) < 3 {
		return 0, false
	}
	var salt string
	var logN int
	if n, _ := fmt.Sscanf(string(lines[1]), "-> scrypt %s %d", &salt, &logN); n != 2 {
		return 0, false
	}
	return logN, true
}
