package message

import (
	"fmt"
	"regexp"
	"unicode/utf8"
)

// Attachment names a sealed file that travels beside the message: see crypto/seal.
type Attachment struct {
	_         struct{} `cbor:",toarray"`
	Blob      [32]byte // name at the relay: the Digest
	Size      uint64   // of the content; the length of the sealed file follows from it
	Digest    [32]byte // SHA-256 of the sealed file
	Identity  string   // one-time age identity
	Name      string   // as its sender calls it; hostile to whoever saves it
	MediaType string
}

const (
	maxName      = 200 // characters
	maxMediaType = 100
)

var (
	// oneTimeIdentity is how age writes a hybrid post-quantum identity. Whether it is one
	// is found out where it is used; here nothing else gets through.
	oneTimeIdentity = regexp.MustCompile(`^AGE-SECRET-KEY-PQ-1[02-9AC-HJ-NP-Z]{58}$`)
	mediaType       = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*$`)
)

// checkAttachments: a blob is named after what it is, and within one message no blob and
// no identity stands twice: who has the secret of one file opens no other (attack E09).
func (m Message) checkAttachments() error {
	blobs, identities := map[[32]byte]bool{}, map[string]bool{}
	for i, a := range m.Attachments {
		if err := a.check(); err != nil {
			return fmt.Errorf("%w: attachment %d: %s", ErrFormat, i+1, err)
		}
		if blobs[a.Blob] || identities[a.Identity] {
			return fmt.Errorf("%w: attachment %d: its blob or its identity stands there twice", ErrFormat, i+1)
		}
		blobs[a.Blob], identities[a.Identity] = true, true
	}
	return nil
}

func (a Attachment) check() error {
	switch {
	case a.Blob != a.Digest || a.Blob == [32]byte{}:
		return fmt.Errorf("a blob is named after its SHA-256")
	case a.Size > MaxAttachment:
		return fmt.Errorf("%d bytes, at most %d", a.Size, uint64(MaxAttachment))
	case !oneTimeIdentity.MatchString(a.Identity):
		return fmt.Errorf("no hybrid post-quantum identity") // never quoted: it is a secret
	case a.Name == "" || len(a.Name) > utf8.UTFMax*maxName || !utf8.ValidString(a.Name) || utf8.RuneCountInString(a.Name) > maxName:
		return fmt.Errorf("name of %d bytes, want 1 to %d characters", len(a.Name), maxName)
	case len(a.MediaType) > maxMediaType || !mediaType.MatchString(a.MediaType):
		return fmt.Errorf("media type %.40q", a.MediaType)
	}
	return nil
}
