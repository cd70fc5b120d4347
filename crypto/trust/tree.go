package trust

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// tree is the Merkle tree over the entries (RFC 6962, 2.1), with all its hashes in
// the order of the tlog package: two per entry.
type tree struct {
	size   uint64
	hashes []tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(t.hashes)) {
			return nil, fmt.Errorf("no hash %d in a tree of %d entries", x, t.size)
		}
		out[i] = t.hashes[x]
	}
	return out, nil
}

var _ tlog.HashReader = (*tree)(nil)

func (t *tree) add(entry []byte) {
	h, err := tlog.StoredHashes(int64(t.size), entry, t)
	if err != nil {
		panic(err) // the tree holds every hash below its own size
	}
	t.hashes = append(t.hashes, h...)
	t.size++
}

func (t *tree) clone() tree { return tree{t.size, slices.Clip(t.hashes)} }

func (t *tree) root(size uint64) Hash {
	h, err := tlog.TreeHash(int64(size), t)
	if err != nil {
		panic(err) // as in add
	}
	return Hash(h)
}

// Size is the number of entries, the skipped ones included.
func (r *Register) Size() uint64 { return r.tree.size }

// Root is the Merkle root over all entries. It stands in checkpoints and in every
// delivery; for who governs the register see Authority.
func (r *Register) Root() Hash { return r.tree.root(r.tree.size) }

// RootAt is the Merkle root when the register had size entries: what to compare
// with the view that a delivery states.
func (r *Register) RootAt(size uint64) (Hash, bool) {
	if size == 0 || size > r.tree.size {
		return Hash{}, false
	}
	return r.tree.root(size), true
}

// Proof proves that the register at size newSize continues the one at oldSize
// (RFC 6962, 2.1.2). Both are at least 1 and at most Size.
func (r *Register) Proof(oldSize, newSize uint64) ([]Hash, error) {
	if oldSize < 1 || oldSize > newSize || newSize > r.tree.size {
		return nil, fmt.Errorf("no proof from %d to %d in a register of %d entries", oldSize, newSize, r.tree.size)
	}
	p, err := tlog.ProveTree(int64(newSize), int64(oldSize), &r.tree)
	if err != nil {
		return nil, fmt.Errorf("failed to prove %d to %d: %w", oldSize, newSize, err)
	}
	out := make([]Hash, len(p))
	for i, h := range p {
		out[i] = Hash(h)
	}
	return out, nil
}

// checkProof is RFC 6962's consistency check.
func checkProof(proof []Hash, oldSize uint64, oldRoot Hash, newSize uint64, newRoot Hash) error {
	p := make(tlog.TreeProof, len(proof))
	for i, h := range proof {
		p[i] = tlog.Hash(h)
	}
	return tlog.CheckTree(p, int64(newSize), tlog.Hash(newRoot), int64(oldSize), tlog.Hash(oldRoot))
}

// InclusionProof proves that entry index is in the register of size entries (RFC
// 6962, 2.1.1): for evidence outside a full copy of the log.
func (r *Register) InclusionProof(index, size uint64) ([]Hash, error) {
	if index >= size || size > r.tree.size {
		return nil, fmt.Errorf("no proof of entry %d at size %d in a register of %d entries", index, size, r.tree.size)
	}
	p, err := tlog.ProveRecord(int64(size), int64(index), &r.tree)
	if err != nil {
		return nil, fmt.Errorf("failed to prove entry %d: %w", index, err)
	}
	out := make([]Hash, len(p))
	for i, h := range p {
		out[i] = Hash(h)
	}
	return out, nil
}

// CheckInclusion verifies that entry stands at index in the log that the
// checkpoint commits to (attack C22). Whether the entry counts, only a replay
// tells.
func CheckInclusion(proof []Hash, c Checkpoint, index uint64, entry []byte) error {
	if c.Size > MaxEntries || index >= c.Size || len(proof) > maxProof {
		return fmt.Errorf("%w: entry %d of %d with %d hashes", ErrProof, index, c.Size, len(proof))
	}
	p := make(tlog.RecordProof, len(proof))
	for i, h := range proof {
		p[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(p, int64(c.Size), tlog.Hash(c.Root), int64(index), tlog.RecordHash(entry)); err != nil {
		return fmt.Errorf("%w: entry %d is not in the log of %d", ErrProof, index, c.Size)
	}
	return nil
}
