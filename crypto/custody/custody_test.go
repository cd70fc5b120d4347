package custody_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

var (
	private = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	public  = keyOf(private)
	terms   = custody.Terms{StoreEpoch: [16]byte{9}, Guarantee: custody.GuaranteeDisk, At: 1_795_000_000}
)

func keyOf(p ed25519.PrivateKey) identity.Key {
	k, err := identity.ParseKey(p.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	return k
}

// batch is n envelopes under one signature, with their leaves and digests.
func batch(t testing.TB, n int) (custody.Batch, []custody.Leaf, [][32]byte) {
	t.Helper()
	var leaves []custody.Leaf
	var digests, hashes [][32]byte
	for i := range n {
		l := custody.Leaf{ID: envelope.ID{1, byte(i >> 8), byte(i)}, Salt: [16]byte{byte(i), 3}, Index: uint64(i)}
		d := sha256.Sum256(fmt.Append(nil, "envelope ", i))
		leaves, digests, hashes = append(leaves, l), append(digests, d), append(hashes, custody.LeafHash(l.Salt, l.ID, d))
	}
	b, paths, err := custody.NewBatch(terms, hashes, custody.PrivateKey(private))
	if err != nil {
		t.Fatal(err)
	}
	for i := range leaves {
		leaves[i].Path = paths[i]
	}
	return b, leaves, digests
}

// TestTreeIsRFC6962 compares root and paths with those that tlog computes from
// stored hashes, for every shape of tree up to 70 leaves.
func TestTreeIsRFC6962(t *testing.T) {
	for n := 1; n <= 70; n++ {
		b, leaves, digests := batch(t, n)
		var stored []tlog.Hash
		reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(at))
			for i, x := range at {
				out[i] = stored[x]
			}
			return out, nil
		})
		for i, l := range leaves {
			more, err := tlog.StoredHashesForRecordHash(int64(i), custody.LeafHash(l.Salt, l.ID, digests[i]), reader)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
		}
		if root, err := tlog.TreeHash(int64(n), reader); err != nil || root != tlog.Hash(b.Root) {
			t.Fatalf("%d leaves: root %x, want %v, %v", n, b.Root, root, err)
		}
		for i, l := range leaves {
			want, err := tlog.ProveRecord(int64(n), int64(i), reader)
			if err != nil || !slices.EqualFunc(l.Path, want, func(a [32]byte, b tlog.Hash) bool { return a == b }) {
				t.Fatalf("%d leaves: path of %d differs", n, i)
			}
			if err := custody.Verify(b, l, digests[i], public); err != nil {
				t.Fatalf("%d leaves: %d: %v", n, i, err)
			}
		}
	}
}

// TestVerifyRefuses changes each thing that a receipt states.
func TestVerifyRefuses(t *testing.T) {
	other := keyOf(ed25519.NewKeyFromSeed(make([]byte, 32)))
	type receipt struct {
		b      custody.Batch
		l      custody.Leaf
		digest [32]byte
		key    identity.Key
	}
	for name, c := range map[string]struct {
		want   error
		change func(r *receipt)
	}{
		"other envelope":         {custody.ErrProof, func(r *receipt) { r.digest[0] ^= 1 }},
		"other id":               {custody.ErrProof, func(r *receipt) { r.l.ID[0] ^= 1 }},
		"other salt":             {custody.ErrProof, func(r *receipt) { r.l.Salt[0] ^= 1 }},
		"other index":            {custody.ErrProof, func(r *receipt) { r.l.Index ^= 1 }},
		"index beyond":           {custody.ErrProof, func(r *receipt) { r.l.Index = r.b.Size }},
		"index of 2^64-1":        {custody.ErrProof, func(r *receipt) { r.l.Index = 1<<64 - 1 }},
		"path cut":               {custody.ErrProof, func(r *receipt) { r.l.Path = r.l.Path[1:] }},
		"path longer":            {custody.ErrProof, func(r *receipt) { r.l.Path = append(slices.Clone(r.l.Path), [32]byte{}) }},
		"path of 17":             {custody.ErrFormat, func(r *receipt) { r.l.Path = make([][32]byte, 17) }},
		"other root":             {custody.ErrProof, func(r *receipt) { r.b.Root[0] ^= 1 }},
		"size of 2^63":           {custody.ErrFormat, func(r *receipt) { r.b.Size = 1 << 63 }},
		"size of 0":              {custody.ErrFormat, func(r *receipt) { r.b.Size = 0 }},
		"larger size, same path": {identity.ErrBadSignature, func(r *receipt) { r.b.Size++ }},
		"other store epoch":      {identity.ErrBadSignature, func(r *receipt) { r.b.StoreEpoch[0] ^= 1 }},
		"better guarantee":       {identity.ErrBadSignature, func(r *receipt) { r.b.Guarantee = custody.GuaranteeReplicas }},
		"no guarantee":           {custody.ErrFormat, func(r *receipt) { r.b.Guarantee = 0 }},
		"other time":             {identity.ErrBadSignature, func(r *receipt) { r.b.At-- }},
		"flipped signature":      {identity.ErrBadSignature, func(r *receipt) { r.b.Signature[5] ^= 1 }},
		"no signature":           {custody.ErrFormat, func(r *receipt) { r.b.Signature = nil }},
		"other relay":            {identity.ErrBadSignature, func(r *receipt) { r.key = other }},
		"zero key":               {identity.ErrBadSignature, func(r *receipt) { r.key = identity.Key{} }},
	} {
		b, leaves, digests := batch(t, 6)
		r := receipt{b, leaves[2], digests[2], public}
		if err := custody.Verify(r.b, r.l, r.digest, r.key); err != nil {
			t.Fatalf("honest receipt: %v", err)
		}
		c.change(&r)
		if err := custody.Verify(r.b, r.l, r.digest, r.key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestNewBatchRefuses(t *testing.T) {
	one := [][32]byte{{1}}
	for name, try := range map[string]func() error{
		"no leaves": func() error { _, _, err := custody.NewBatch(terms, nil, custody.PrivateKey(private)); return err },
		"65537 leaves": func() error {
			_, _, err := custody.NewBatch(terms, make([][32]byte, custody.MaxBatch+1), custody.PrivateKey(private))
			return err
		},
		"no guarantee": func() error {
			_, _, err := custody.NewBatch(custody.Terms{}, one, custody.PrivateKey(private))
			return err
		},
		"half a key":      func() error { _, _, err := custody.NewBatch(terms, one, custody.PrivateKey(private[:32])); return err },
		"unsigned, saved": func() error { _, err := custody.Receipt{}.Encode(); return err },
	} {
		if try() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestSameEnvelopeSameLeaf: putting an envelope again may give another batch, and
// gives the same leaf hash; the same bytes under another salt give another.
func TestSameEnvelopeSameLeaf(t *testing.T) {
	digest := sha256.Sum256([]byte("x"))
	a := custody.LeafHash([16]byte{1}, envelope.ID{2}, digest)
	if a != custody.LeafHash([16]byte{1}, envelope.ID{2}, digest) || a == custody.LeafHash([16]byte{3}, envelope.ID{2}, digest) {
		t.Error("leaf hash does not depend on the salt alone")
	}
}

func FuzzParseReceipt(f *testing.F) {
	for _, n := range []int{1, 2, 5} {
		b, leaves, _ := batch(f, n)
		raw, err := custody.Receipt{Batch: b, Leaf: leaves[n-1]}.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := custody.ParseReceipt(raw)
		if err != nil {
			if !errors.Is(err, custody.ErrFormat) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("comes back as %x, %v", again, err)
		}
		if custody.Verify(r.Batch, r.Leaf, [32]byte{}, public) == nil {
			t.Fatal("verified an envelope that was never there")
		}
	})
}

func BenchmarkNewBatch(b *testing.B) {
	for _, n := range []int{1, 64, 512} {
		hashes := make([][32]byte, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := custody.NewBatch(terms, hashes, custody.PrivateKey(private)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/envelope")
		})
	}
}

// BenchmarkSignatureEach is the baseline: what a signature per envelope costs.
func BenchmarkSignatureEach(b *testing.B) {
	msg := make([]byte, 120)
	for b.Loop() {
		ed25519.Sign(private, msg)
	}
}

func BenchmarkVerify(b *testing.B) {
	batch, leaves, digests := batch(b, 512)
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			if err := custody.Verify(batch, leaves[300], digests[300], public); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("path", func(b *testing.B) {
		for b.Loop() {
			if err := leaves[300].In(batch, digests[300]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
