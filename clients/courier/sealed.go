package courier

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Attachments lie beside a file of envelopes, each a sealed file of its own under its SHA-256.
// They are not in it: one can be larger than all envelopes together, a lost one costs nothing
// else, and no stick holds a file of more than 4 GiB.

// FolderOf is the folder with the attachments that go with a file.
func FolderOf(file string) string { return file + ".bijlagen" }

// ErrName means that this is not the name of a sealed file.
var ErrName = errors.New("not the name of a sealed file")

// SealedName is the name of the sealed file with that SHA-256.
func SealedName(digest [sha256.Size]byte) string { return hex.EncodeToString(digest[:]) }

// ParseSealedName returns the SHA-256 that a sealed file with that name has. It takes one
// spelling only: 64 lower-case hexadecimal digits, so no path and no name of a device.
func ParseSealedName(name string) (digest [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(digest) || SealedName([sha256.Size]byte(b)) != name {
		return digest, fmt.Errorf("%w: %.80q", ErrName, name)
	}
	return [sha256.Size]byte(b), nil
}
