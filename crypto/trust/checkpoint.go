package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"schakel/crypto/identity"
)

// ErrCheckpoint is wrapped when a note is no checkpoint of the expected log, or
// not signed by it.
var ErrCheckpoint = errors.New("not a checkpoint of this log")

const maxCheckpoint = 8 << 10

// Checkpoint is what the log signs: a C2SP tlog-checkpoint. Cosignatures of
// witnesses may follow the log's signature: see [Checkpoint.CosignedAt].
type Checkpoint struct {
	Origin string // name of the log's key
	Size   uint64
	Root   Hash
	note   signedNote
}

// SignCheckpoint makes the checkpoint note of a log: its own signature only.
func SignCheckpoint(origin string, size uint64, root Hash, log Signer) ([]byte, error) {
	if _, err := LogKey(origin, log.Public()); err != nil {
		return nil, err
	}
	n := signedNote{text: checkpointText(origin, size, root)}
	if err := n.sign(origin, log); err != nil {
		return nil, err
	}
	return n.format(), nil
}

func checkpointText(origin string, size uint64, root Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// ParseCheckpoint accepts a checkpoint of three lines and one spelling. Nobody has
// checked its signature yet: see [Checkpoint.SignedBy].
func ParseCheckpoint(raw []byte) (Checkpoint, error) {
	n, err := parseNote(raw, maxCheckpoint)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	line := strings.Split(n.text, "\n")
	if len(line) != 4 {
		return Checkpoint{}, fmt.Errorf("%w: %d lines, want 3", ErrCheckpoint, len(line)-1)
	}
	c := Checkpoint{Origin: line[0], note: n}
	size, err := strconv.ParseUint(line[1], 10, 64)
	root, err2 := base64.StdEncoding.DecodeString(line[2])
	if err != nil || err2 != nil || len(root) != len(c.Root) {
		return Checkpoint{}, fmt.Errorf("%w: size or root", ErrCheckpoint)
	}
	c.Size, c.Root = size, Hash(root)
	if checkpointText(c.Origin, c.Size, c.Root) != n.text || !validKeyName(c.Origin) {
		return Checkpoint{}, fmt.Errorf("%w: another spelling", ErrCheckpoint)
	}
	return c, nil
}

// SignedBy verifies that the log whose key this is signed, exactly once.
// Signature lines of other names are left alone: they are the witnesses' place.
func (c Checkpoint) SignedBy(log VKey) error {
	if c.Origin != log.Name {
		return fmt.Errorf("%w: its origin is %q, want %q", ErrCheckpoint, clip(c.Origin), log.Name)
	}
	signed := 0
	for _, s := range c.note.sigs {
		if s.name != log.Name {
			continue
		}
		if _, ok := c.note.verify(s, []identity.Key{log.Key}); !ok {
			return fmt.Errorf("%w: signature in the log's name by another key", ErrCheckpoint)
		}
		signed++
	}
	if signed != 1 {
		return fmt.Errorf("%w: %d signatures by the log", ErrCheckpoint, signed)
	}
	return nil
}
