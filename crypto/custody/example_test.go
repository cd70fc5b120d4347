package custody_test

import (
	"crypto/sha256"
	"fmt"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
)

// The relay signs a batch of two; the sender of the first checks its receipt.
func Example() {
	digest := sha256.Sum256([]byte("the whole envelope"))
	leaf := custody.Leaf{ID: envelope.ID{1}, Salt: [16]byte{2}, Index: 0}
	hashes := [][32]byte{custody.LeafHash(leaf.Salt, leaf.ID, digest), {3}}
	batch, paths, err := custody.NewBatch(custody.Terms{Guarantee: custody.GuaranteeDisk, At: 1_795_000_000}, hashes, custody.PrivateKey(private))
	if err != nil {
		panic(err)
	}
	leaf.Path = paths[leaf.Index]

	fmt.Println(custody.Verify(batch, leaf, digest, public))
	fmt.Println(custody.Verify(batch, leaf, sha256.Sum256([]byte("another")), public))
	// Output:
	// <nil>
	// envelope is not in the batch that the relay signed
}
