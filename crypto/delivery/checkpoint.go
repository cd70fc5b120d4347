package delivery

import "fmt"

const (
	maxNote  = 8 << 10
	maxProof = 64
)

// Checkpoint is the register as the sealing device verified it last, signed by the log:
// what it shows to a desk that stated another root, or a size that it does not know. Root
// and Proof say what the register was at the size that the other desk stated, where it was
// there already.
type Checkpoint struct {
	Version uint64     `cbor:"1,keyasint"`
	Note    []byte     `cbor:"2,keyasint"` // a signed note, as the log gave it
	Size    uint64     `cbor:"3,keyasint"` // that the other desk stated, and at most the note's
	Root    [32]byte   `cbor:"4,keyasint"` // at that size
	Proof   [][32]byte `cbor:"5,keyasint"` // RFC 6962: that the note's register continues it
}

// ParseCheckpoint reads the content of a delivery of KindCheckpoint. The note and the
// proof are still to be checked.
func ParseCheckpoint(b []byte) (Checkpoint, error) { return parse[Checkpoint](b) }

func (c Checkpoint) check() error {
	if err := checkVersion(c.Version); err != nil {
		return err
	}
	if len(c.Note) == 0 || len(c.Note) > maxNote || c.Size == 0 || len(c.Proof) > maxProof {
		return fmt.Errorf("%w: checkpoint of %d bytes for size %d with a proof of %d hashes", ErrFormat, len(c.Note), c.Size, len(c.Proof))
	}
	return nil
}
