package trust

import "fmt"

// Continues checks by a proof of RFC 6962 that the log of this checkpoint had root when
// it had size entries. There is one root for which that can be shown: two checkpoints that
// continue two different roots of one size are of two logs.
func (c Checkpoint) Continues(size uint64, root Hash, proof []Hash) error {
	if c.Size > MaxEntries || size > c.Size || len(proof) > maxProof || checkProof(proof, size, root, c.Size, c.Root) != nil {
		return fmt.Errorf("%w: from size %d to %d", ErrProof, size, c.Size)
	}
	return nil
}
