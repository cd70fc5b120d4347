package wire

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"schakel/crypto/custody"
)

// Stored is on the hot path (one leaf for every put), so its layout is fixed:
//
//	offset  size  meaning
//	0       32    root
//	32      8     size of the batch
//	40      16    store epoch
//	56      8     guarantee
//	64      8     at, seconds since 1970
//	72      64    signature
//	136     2     number of leaves, then for each
//	  0     16    envelope id
//	  16    16    salt
//	  32    8     index
//	  40    1     k, hashes in the path
//	  41    32k   path
const (
	storedFixed = 138
	leafFixed   = 41
)

func (f Stored) appendPayload(b []byte) ([]byte, error) {
	if len(f.Leaves) == 0 || len(f.Leaves) > MaxLeaves {
		return nil, tooMany("leaves", len(f.Leaves), MaxLeaves)
	}
	if len(f.Batch.Signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: signature of %d bytes", ErrFrame, len(f.Batch.Signature))
	}
	b = append(b, f.Batch.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, f.Batch.Size)
	b = append(b, f.Batch.StoreEpoch[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(f.Batch.Guarantee))
	b = binary.BigEndian.AppendUint64(b, f.Batch.At)
	b = append(b, f.Batch.Signature...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Leaves)))
	for i := range f.Leaves {
		l := &f.Leaves[i]
		if len(l.Path) > maxPath {
			return nil, tooMany("hashes in a path", len(l.Path), maxPath)
		}
		b = append(b, l.ID[:]...)
		b = append(b, l.Salt[:]...)
		b = binary.BigEndian.AppendUint64(b, l.Index)
		b = append(b, byte(len(l.Path)))
		for _, h := range l.Path {
			b = append(b, h[:]...)
		}
	}
	return b, nil
}

func parseStored(p []byte) (Frame, error) {
	if len(p) < storedFixed {
		return nil, fmt.Errorf("%w: stored of %d bytes", ErrFrame, len(p))
	}
	var f Stored
	copy(f.Batch.Root[:], p)
	f.Batch.Size = binary.BigEndian.Uint64(p[32:])
	copy(f.Batch.StoreEpoch[:], p[40:])
	f.Batch.Guarantee = custody.Guarantee(binary.BigEndian.Uint64(p[56:]))
	f.Batch.At = binary.BigEndian.Uint64(p[64:])
	f.Batch.Signature = append([]byte(nil), p[72:136]...)
	n := int(binary.BigEndian.Uint16(p[136:]))
	p = p[storedFixed:]
	if n == 0 || n > MaxLeaves || len(p) < n*leafFixed {
		return nil, fmt.Errorf("%w: stored claims %d leaves in %d bytes", ErrFrame, n, len(p))
	}
	f.Leaves = make([]custody.Leaf, n)
	for i := range f.Leaves {
		var err error
		if p, err = parseLeaf(&f.Leaves[i], p); err != nil {
			return nil, err
		}
	}
	if len(p) != 0 {
		return nil, fmt.Errorf("%w: stored has %d bytes left over", ErrFrame, len(p))
	}
	return f, nil
}

func parseLeaf(l *custody.Leaf, p []byte) ([]byte, error) {
	if len(p) < leafFixed {
		return nil, fmt.Errorf("%w: stored ends in a leaf", ErrFrame)
	}
	copy(l.ID[:], p)
	copy(l.Salt[:], p[16:])
	l.Index = binary.BigEndian.Uint64(p[32:])
	k := int(p[40])
	p = p[leafFixed:]
	if k > maxPath || len(p) < 32*k {
		return nil, fmt.Errorf("%w: stored has a path of %d hashes", ErrFrame, k)
	}
	if k > 0 {
		l.Path = make([][32]byte, k)
	}
	for i := range l.Path {
		copy(l.Path[i][:], p[32*i:])
	}
	return p[32*k:], nil
}
