// Package digest computes a SHA-256 beside the work that brings the bytes.
//
// Sealed attachments are hashed wherever they come by. Hashing takes as long as the
// cipher does, so whoever reads, seals or sends goes on meanwhile.
package digest

import (
	"crypto/sha256"
	"hash"
)

// A SHA-256 has two batches while it is written to, and less where there is less to hash. Each
// handing over wakes a thread, so what goes on for long is handed over in large ones.
const (
	firstBatch = 64 << 10
	batch      = 256 << 10
)

// SHA256 is a SHA-256 of what is written to it. The zero value is one of nothing. It is for
// one goroutine; what works beside that one ends by itself, also when nobody asks for the Sum.
type SHA256 struct {
	hash hash.Hash
	n    uint64
	fill []byte
	full int         // bytes of fill that are handed over; 0: firstBatch
	busy chan []byte // gives back the batch that was hashed; nil: none is under way
}

// Write implements io.Writer. It never fails, and keeps nothing of p.
func (s *SHA256) Write(p []byte) (int, error) {
	for left := p; len(left) > 0; {
		s.full = max(s.full, firstBatch)
		n := min(len(left), s.full-len(s.fill))
		s.fill = append(s.fill, left[:n]...)
		if left = left[n:]; len(s.fill) == s.full {
			s.hand()
			s.full = min(2*s.full, batch)
		}
	}
	s.n += uint64(len(p))
	return len(p), nil
}

// hand has what was gathered hashed, once the batch before it is.
func (s *SHA256) hand() {
	next := s.wait()
	if s.hash == nil {
		s.hash = sha256.New()
	}
	done := make(chan []byte, 1)
	go func(h hash.Hash, b []byte) {
		_, _ = h.Write(b) // never fails
		done <- b[:0]
	}(s.hash, s.fill)
	s.fill, s.busy = next, done
}

// wait returns the batch that was under way, for what comes next.
func (s *SHA256) wait() []byte {
	if s.busy == nil {
		return nil
	}
	b := <-s.busy
	s.busy = nil
	return b
}

// Len is how many bytes were written.
func (s *SHA256) Len() uint64 { return s.n }

// Sum is the SHA-256 of all that was written. Writing may go on behind it.
func (s *SHA256) Sum() [32]byte {
	s.Rest()
	if s.hash == nil {
		return sha256.Sum256(nil)
	}
	return [32]byte(s.hash.Sum(nil))
}

// Rest hashes what was written so far and lets go of its buffers: until the next Write it
// holds some hundred bytes.
func (s *SHA256) Rest() {
	if len(s.fill) > 0 {
		s.hand()
	}
	s.wait()
	s.fill = nil
}

// Clone is another SHA256 of what was written so far. Each goes on by itself.
func (s *SHA256) Clone() (*SHA256, error) {
	s.Rest()
	c := &SHA256{n: s.n}
	if s.hash == nil {
		return c, nil
	}
	h, err := s.hash.(hash.Cloner).Clone()
	if err != nil {
		return nil, err
	}
	c.hash = h
	return c, nil
}
