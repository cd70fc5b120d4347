package digest_test

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"

	"schakel/crypto/digest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sizes are around the batch, and around nothing.
var sizes = []int{0, 1, 63, 64, 65, 64<<10 - 1, 64 << 10, 64<<10 + 1, 3 << 20}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return b
}

// Whatever the pieces, it is the SHA-256 of the whole, and nothing of a piece is kept.
func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range sizes {
		var s digest.SHA256
		content := noise(size)
		want := sha256.Sum256(content)
		for left := content; len(left) > 0; {
			n := 1 + r.IntN(min(len(left), 400<<10))
			piece := append([]byte(nil), left[:n]...)
			if got, err := s.Write(piece); got != n || err != nil {
				t.Fatal(got, err)
			}
			clear(piece) // the writer's to use again
			left = left[n:]
		}
		for range 2 { // asking changes nothing
			if s.Sum() != want || s.Len() != uint64(size) {
				t.Errorf("%d bytes: another sum, or %d counted", size, s.Len())
			}
		}
	}
}

// A clone goes its own way: what is written to the one is not in the other.
func TestClone(t *testing.T) {
	for _, size := range sizes {
		var s digest.SHA256
		content, more := noise(size), noise(size+7)
		_, _ = s.Write(content) // never fails
		c, err := s.Clone()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(more) // never fails
		if s.Sum() != sha256.Sum256(content) || s.Len() != uint64(size) {
			t.Errorf("%d bytes: the first changed", size)
		}
		if c.Sum() != sha256.Sum256(append(content, more...)) || c.Len() != uint64(2*size+7) {
			t.Errorf("%d bytes: the clone is another", size)
		}
	}
}

// One that nobody asks leaves nothing behind: goleak looks.
func TestAbandoned(t *testing.T) {
	var s digest.SHA256
	_, _ = io.Copy(&s, io.LimitReader(rand.NewChaCha8([32]byte{}), 3<<20)) // never fails
}
