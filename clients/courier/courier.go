// Package courier is the file in which sealed envelopes travel by hand while the relay is
// down.
//
//	file, left := courier.Write(envelopes)   // as many as fit, in their order
//	p, err := courier.Parse(file)            // p.Envelopes, and how many stretches are damaged
//
// A file is [Magic] and the envelopes, one behind the other, as the relay would have had
// them: each says in its header how long it is. It adds nothing that anybody could believe.
// What is inside is judged by whoever takes it in, envelope by envelope, as if the relay had
// brought it; and whoever finds the file sees what the relay sees.
package courier

import (
	"bytes"
	"errors"
	"fmt"

	"schakel/crypto/envelope"
)

// Magic begins a file.
const Magic = "schakel-koerier/1\n"

// Bounds of a file. What does not fit goes with the next one.
const (
	MaxFile      = 8 << 20
	MaxEnvelopes = 1024
	// maxTries bounds the places where a damaged file is tried for an envelope.
	maxTries = 4 * MaxEnvelopes
)

// Refusals of a file.
var (
	// ErrFormat is a file that is none of ours, or damaged from its first byte.
	ErrFormat = errors.New("not a file of envelopes")
	// ErrTooLarge is a file beyond its bounds.
	ErrTooLarge = errors.New("too large for a file of envelopes")
)

// Parcel is what a file holds.
type Parcel struct {
	Envelopes [][]byte // slices of the file
	Damaged   int      // stretches between them that are no envelope, or not a whole one
}

// Write makes a file of as many envelopes as fit, from the first, and says how many do not.
func Write(envelopes [][]byte) (file []byte, left int) {
	file = append(file, Magic...)
	for i, e := range envelopes {
		if i == MaxEnvelopes || len(file)+len(e) > MaxFile {
			return file, len(envelopes) - i
		}
		file = append(file, e...)
	}
	return file, 0
}

// Parse finds the envelopes in a file. A damaged one costs itself and none of its
// neighbours: an envelope ends where the file ends or another one begins, or else at least
// holds no other beginning; after anything else the next beginning is looked for.
func Parse(file []byte) (p Parcel, err error) {
	if len(file) > MaxFile {
		return p, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(file), MaxFile)
	}
	rest, ok := bytes.CutPrefix(file, []byte(Magic))
	if !ok {
		return p, ErrFormat
	}
	lost := false // inside a damaged stretch
	for tries := 0; len(rest) > 0; tries++ {
		if tries == maxTries {
			return Parcel{}, fmt.Errorf("%w: rubbish", ErrFormat)
		}
		if n, whole := first(rest); whole {
			if len(p.Envelopes) == MaxEnvelopes {
				return Parcel{}, fmt.Errorf("%w: more than %d envelopes", ErrTooLarge, MaxEnvelopes)
			}
			p.Envelopes, rest, lost = append(p.Envelopes, rest[:n:n]), rest[n:], false
			continue
		}
		if !lost {
			p.Damaged++
		}
		lost, rest = true, beyond(rest)
	}
	return p, nil
}

// first is how long the envelope is that rest begins with, if it does with a whole one.
func first(rest []byte) (n int, whole bool) {
	h, sealed, err := envelope.ParsePrefix(rest)
	if err != nil || h.AgeLength > uint64(len(sealed)) {
		return 0, false
	}
	n = len(rest) - len(sealed) + int(h.AgeLength)
	magic := []byte(envelope.Magic)
	return n, n <= envelope.MaxSize && (n == len(rest) || bytes.HasPrefix(rest[n:], magic) || !bytes.Contains(rest[1:n], magic))
}

// beyond is what follows from the next beginning of an envelope on, or nothing.
func beyond(rest []byte) []byte {
	i := bytes.Index(rest[1:], []byte(envelope.Magic))
	if i < 0 {
		return nil
	}
	return rest[1+i:]
}
