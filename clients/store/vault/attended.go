package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrAttended is wrapped where a key would open a store that only a person may open.
var ErrAttended = errors.New("this store opens with the passphrase of its officer and nothing else")

const attendedFile = "attended.age"

// Attended is the passphrase of the officer who carries a light device. It is the only
// way to the data key of its store: there is no recovery, since nothing is kept there
// that the desk's other devices do not have, and no key without a person, since whoever
// takes the machine would have that too.
type Attended Passphrase

var _ Way = Attended{}

// File names the wrapped key.
func (Attended) File() string { return attendedFile }

// Wrap refuses phrases under 12 bytes.
func (a Attended) Wrap(id ID, plain []byte) ([]byte, error) { return Passphrase(a).Wrap(id, plain) }

// Unwrap refuses with ErrPassphrase and ErrTooMuchWork.
func (a Attended) Unwrap(wrapped []byte) ([]byte, error) { return Unlock(wrapped, a.Phrase) }

// IsAttended reports whether the store in dir opens with a person's passphrase only.
// Whoever can write in the folder can make it look either way, and gains nothing: the
// file that opens it stays the one that the passphrase opens.
func IsAttended(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, folder, attendedFile))
	return err == nil
}

// alone refuses an attended store that has another way beside the passphrase.
func alone(dir string) error {
	if !IsAttended(dir) {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		return fmt.Errorf("failed to list the wrapped keys: %w", err)
	}
	for _, e := range entries {
		if e.Name() != attendedFile {
			return fmt.Errorf("%w: take %s out of its folder %s, and find out who put it there", ErrAttended, e.Name(), folder)
		}
	}
	return nil
}
