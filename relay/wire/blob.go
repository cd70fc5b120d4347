package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"schakel/crypto/identity"
)

// BlobPath is where blobs are: a sealed attachment, named by its SHA-256. Device and
// relay speak HTTP there, one request a step: HEAD, PATCH, GET, DELETE on BlobPath
// and the name. [Blobs] is the device's side.
const BlobPath = "/v1/blobs/"

// The headers of our own, and those of the draft on resumable uploads
// (draft-ietf-httpbis-resumable-upload).
const (
	HeaderOffset   = "Upload-Offset"   // bytes that the relay has
	HeaderLength   = "Upload-Length"   // bytes that the blob has
	HeaderComplete = "Upload-Complete" // a boolean as RFC 9651 writes it: ?1 or ?0
	HeaderDesks    = "Schakel-Desks"   // who may fetch it, with commas between
	HeaderDone     = "Schakel-Done"    // ?1 beside 404, to the device that uploaded it: needed no more, and not lost
	HeaderDoubt    = "Schakel-Doubt"   // ?1 in a HEAD: this device got other bytes than the name says
)

// Limits of blobs.
const (
	MaxBlobPart  = 8 << 20   // bytes in one PATCH
	MinBlobPart  = 256 << 10 // in every PATCH but the last of a blob
	MaxBlob      = 4 << 30   // what a relay may be set to take
	MaxBlobDesks = 32        // named in one PATCH
	// SlowestBlob is how many bytes a second a transfer must keep up, beside BlobGrace.
	SlowestBlob = 16 << 10
	BlobGrace   = 30 * time.Second
	BlobStall   = 20 * time.Second // without a byte, then it is cut
	BlobIdle    = 5 * time.Second  // between two requests on one connection
	// DoubtTime is how long reading a blob back may take.
	DoubtTime = 10 * time.Minute

	BlobLife       = 7 * 24 * time.Hour // from the last byte, or from the last time that it was named again
	UnfinishedLife = 24 * time.Hour     // of an upload, from its first byte
)

// BlobID is the SHA-256 of a sealed attachment.
type BlobID [32]byte

func (id BlobID) String() string { return hex.EncodeToString(id[:]) }

// ErrBlobID means that a text is no name of a blob.
var ErrBlobID = errors.New("not the name of a blob")

// ParseBlobID accepts 64 hexadecimal digits in lower case.
func ParseBlobID(s string) (id BlobID, err error) {
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return id, fmt.Errorf("%w: want %d hexadecimal digits in lower case", ErrBlobID, 2*len(id))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return id, fmt.Errorf("%w: want %d hexadecimal digits in lower case", ErrBlobID, 2*len(id))
	}
	return BlobID(b), nil
}

// ErrBlobDesks means that a list of desks is none.
var ErrBlobDesks = errors.New("not a list of desks")

// FormatDesks writes the value of HeaderDesks.
func FormatDesks(desks []identity.DeskID) string {
	texts := make([]string, len(desks))
	for i, d := range desks {
		texts[i] = string(d)
	}
	return strings.Join(texts, ",")
}

// ParseDesks reads what FormatDesks writes, each desk once, and nothing else.
func ParseDesks(s string) ([]identity.DeskID, error) {
	texts := strings.Split(s, ",")
	if len(texts) > MaxBlobDesks {
		return nil, fmt.Errorf("%w: %d, at most %d", ErrBlobDesks, len(texts), MaxBlobDesks)
	}
	desks := make([]identity.DeskID, 0, len(texts))
	seen := make(map[identity.DeskID]bool, len(texts))
	for _, text := range texts {
		d, err := identity.ParseDeskID(text)
		if err != nil || seen[d] {
			return nil, fmt.Errorf("%w: an entry that is no desk, or twice the same", ErrBlobDesks)
		}
		seen[d] = true
		desks = append(desks, d)
	}
	return desks, nil
}
