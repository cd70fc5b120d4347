package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
)

// Digest is SHA-256 over the catalogue and its schemas, each with its name and
// length before it: what a root entry names as the agreement of the partners.
func (c *Catalogue) Digest() ([sha256.Size]byte, error) {
	names, err := fs.Glob(c.files, "schemas/*.json") // sorted
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("failed to list the schemas: %w", err)
	}
	h := sha256.New()
	h.Write([]byte("schakel/agreement/v1\x00"))
	for _, name := range append([]string{"catalogus.json"}, names...) {
		b, err := fs.ReadFile(c.files, name)
		if err != nil {
			return [sha256.Size]byte{}, fmt.Errorf("failed to read the agreement: %w", err)
		}
		h.Write([]byte(name + "\x00"))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
