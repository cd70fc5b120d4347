package custody

import "golang.org/x/mod/sumdb/tlog"

// tree holds every level of the Merkle tree of one batch, leaves first. Pairing
// neighbours and moving an odd last one up unchanged gives the tree of RFC 6962,
// 2.1. tlog computes the same from stored hashes; with a whole batch at hand the
// levels cost one hash per leaf, and that is what the relay's hot path can pay.
type tree struct {
	levels [][][32]byte
}

func newTree(leaves [][32]byte) tree {
	t := tree{levels: [][][32]byte{leaves}}
	for level := leaves; len(level) > 1; {
		up := make([][32]byte, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			up = append(up, tlog.NodeHash(level[i], level[i+1]))
		}
		if len(level)%2 == 1 {
			up = append(up, level[len(level)-1])
		}
		t.levels = append(t.levels, up)
		level = up
	}
	return t
}

func (t tree) root() [32]byte { return t.levels[len(t.levels)-1][0] }

// paths returns the audit path of every leaf (RFC 6962, 2.1.1), all cut from one
// allocation.
func (t tree) paths() [][][32]byte {
	depth := len(t.levels) - 1
	out := make([][][32]byte, len(t.levels[0]))
	all := make([][32]byte, 0, len(out)*depth)
	for leaf := range out {
		start := len(all)
		for level, i := 0, leaf; level < depth; level, i = level+1, i/2 {
			if sibling := i ^ 1; sibling < len(t.levels[level]) {
				all = append(all, t.levels[level][sibling])
			}
		}
		out[leaf] = all[start:len(all):len(all)]
	}
	return out
}
