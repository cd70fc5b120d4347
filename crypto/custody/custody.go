// Package custody is the relay's signed promise that it holds a batch of envelopes.
//
// One Ed25519 signature covers a whole batch: it signs the root of an RFC 6962
// Merkle tree whose leaves are salted hashes of the envelopes. Each sender gets
// the [Batch] and, per envelope, a [Leaf] with the path to the root, and can show
// both to anybody later as a [Receipt]. The salt keeps one sender from learning
// anything about the envelopes of another whose hashes stand in the path.
//
// A receipt proves what the relay promised, never that a desk has read anything:
// the sender keeps the sealed bytes until the recipient's own signed statement.
// The package holds no secrets.
package custody

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// MaxBatch bounds the leaves under one signature, and so a path to 16 hashes.
const MaxBatch = 1 << 16

const (
	maxPath    = 16
	maxReceipt = 2048
	leafDomain = "schakel/custody-leaf/v1"
	signDomain = "schakel/custody/v1"
)

// Refusals. A bad signature is identity.ErrBadSignature.
var (
	ErrFormat = errors.New("malformed custody receipt")
	ErrProof  = errors.New("envelope is not in the batch that the relay signed")
)

// Guarantee says what had happened to a batch before the relay answered.
type Guarantee uint64

// The guarantees. From GuaranteeReplicas on, each further one counts a replica
// more: GuaranteeReplicas is one replica, GuaranteeReplicas+1 two.
const (
	GuaranteeVolatile Guarantee = 1 // in memory only; a demonstration
	GuaranteeDisk     Guarantee = 2 // synced to the relay's own disk
	GuaranteeReplicas Guarantee = 3 // and confirmed by a replica
)

// Terms is what the relay states about a batch besides its content. At is in
// seconds since 1970; StoreEpoch names the life of the store, so that a sender
// sees when a receipt was given by a store that has since been lost.
type Terms struct {
	StoreEpoch [16]byte
	Guarantee  Guarantee
	At         uint64
}

// Batch is one signed promise.
type Batch struct {
	_          struct{} `cbor:",toarray"`
	Root       [32]byte
	Size       uint64
	StoreEpoch [16]byte
	Guarantee  Guarantee
	At         uint64
	Signature  []byte
}

// Leaf ties one envelope to a batch. The same envelope put again gets the same
// salt, and so the same leaf hash, though perhaps in another batch.
type Leaf struct {
	_     struct{} `cbor:",toarray"`
	ID    envelope.ID
	Salt  [16]byte
	Index uint64
	Path  [][32]byte // sibling hashes from the leaf to the root
}

// Receipt is what a sender keeps: evidence that needs nothing but the relay's
// receipt key and the envelope's SHA-256.
type Receipt struct {
	_     struct{} `cbor:",toarray"`
	Batch Batch
	Leaf  Leaf
}

// Signer signs with the relay's receipt key.
type Signer interface {
	Sign(msg []byte) ([]byte, error)
}

// PrivateKey is a Signer that holds its key in memory.
type PrivateKey ed25519.PrivateKey

var _ Signer = PrivateKey(nil)

// Sign returns the Ed25519 signature over msg.
func (k PrivateKey) Sign(msg []byte) ([]byte, error) {
	if len(k) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("failed to sign a batch: private key of %d bytes", len(k))
	}
	return ed25519.Sign(ed25519.PrivateKey(k), msg), nil
}

// LeafHash is the hash of one leaf: salted, and bound to the envelope's
// identifier and to the SHA-256 of all its bytes.
func LeafHash(salt [16]byte, id envelope.ID, digest [32]byte) [32]byte {
	var b [len(leafDomain) + 16 + 16 + 32]byte
	n := copy(b[:], leafDomain)
	n += copy(b[n:], salt[:])
	n += copy(b[n:], id[:])
	copy(b[n:], digest[:])
	return tlog.RecordHash(b[:])
}

// NewBatch signs the tree over the given leaf hashes, and returns the path of each.
func NewBatch(t Terms, leaves [][32]byte, s Signer) (Batch, [][][32]byte, error) {
	if len(leaves) == 0 || len(leaves) > MaxBatch {
		return Batch{}, nil, fmt.Errorf("%w: %d leaves, want 1 to %d", ErrFormat, len(leaves), MaxBatch)
	}
	if t.Guarantee == 0 {
		return Batch{}, nil, fmt.Errorf("%w: no guarantee named", ErrFormat)
	}
	tree := newTree(leaves)
	b := Batch{Root: tree.root(), Size: uint64(len(leaves)), StoreEpoch: t.StoreEpoch, Guarantee: t.Guarantee, At: t.At}
	tbs, err := b.toBeSigned()
	if err != nil {
		return Batch{}, nil, err
	}
	if b.Signature, err = s.Sign(tbs); err != nil {
		return Batch{}, nil, err
	}
	return b, tree.paths(), nil
}

// Verify checks that key signed the batch and that the batch holds the envelope
// with that SHA-256 under the leaf's identifier.
func Verify(b Batch, l Leaf, digest [32]byte, key identity.Key) error {
	if err := l.In(b, digest); err != nil {
		return err
	}
	return b.Verify(key)
}

// Verify checks the signature alone: once per batch, where many leaves share it.
func (b Batch) Verify(key identity.Key) error {
	if err := b.check(); err != nil {
		return err
	}
	tbs, err := b.toBeSigned()
	if err != nil {
		return err
	}
	return key.Verify(tbs, b.Signature)
}

// In checks the path alone: that the leaf for that digest stands in the batch.
func (l Leaf) In(b Batch, digest [32]byte) error {
	if err := b.check(); err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return err
	}
	if l.Index >= b.Size {
		return fmt.Errorf("%w: index %d of %d", ErrProof, l.Index, b.Size)
	}
	proof := make(tlog.RecordProof, len(l.Path))
	for i := range l.Path {
		proof[i] = l.Path[i]
	}
	leaf := tlog.Hash(LeafHash(l.Salt, l.ID, digest))
	if err := tlog.CheckRecord(proof, int64(b.Size), tlog.Hash(b.Root), int64(l.Index), leaf); err != nil {
		return ErrProof
	}
	return nil
}

// Encode returns the canonical bytes of a receipt.
func (r Receipt) Encode() ([]byte, error) {
	if err := errors.Join(r.Batch.check(), r.Leaf.check()); err != nil {
		return nil, err
	}
	return canon.Marshal(r)
}

// ParseReceipt reads what Encode gives, and nothing else. It verifies nothing.
func ParseReceipt(b []byte) (Receipt, error) {
	var r Receipt
	if err := canon.Unmarshal(b, maxReceipt, &r); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := errors.Join(r.Batch.check(), r.Leaf.check()); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// toBeSigned is canonical CBOR that begins with its own domain, so that it can be
// no COSE Sig_structure and no register entry.
func (b Batch) toBeSigned() ([]byte, error) {
	return canon.Marshal(struct {
		_          struct{} `cbor:",toarray"`
		Domain     string
		Root       [32]byte
		Size       uint64
		StoreEpoch [16]byte
		Guarantee  Guarantee
		At         uint64
	}{Domain: signDomain, Root: b.Root, Size: b.Size, StoreEpoch: b.StoreEpoch, Guarantee: b.Guarantee, At: b.At})
}

func (b Batch) check() error {
	switch {
	case b.Size == 0 || b.Size > MaxBatch:
		return fmt.Errorf("%w: batch of %d leaves, want 1 to %d", ErrFormat, b.Size, MaxBatch)
	case b.Guarantee == 0:
		return fmt.Errorf("%w: no guarantee named", ErrFormat)
	case len(b.Signature) != ed25519.SignatureSize:
		return fmt.Errorf("%w: signature of %d bytes", ErrFormat, len(b.Signature))
	}
	return nil
}

func (l Leaf) check() error {
	if len(l.Path) > maxPath {
		return fmt.Errorf("%w: path of %d hashes, at most %d", ErrFormat, len(l.Path), maxPath)
	}
	return nil
}
