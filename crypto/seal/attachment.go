package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"filippo.io/age"

	"schakel/crypto/digest"
	"schakel/crypto/message"
)

// An attachment is one plain age file, sealed to a hybrid identity that is made for it
// alone and stands in the signed message only:
//
//	age header with one mlkem768x25519 stanza, nonce
//	P + 16 per started 64 KiB of P
//
// and of the plaintext P: the content, and zeros up to Padmé of its size. The message
// says how long the content is and which SHA-256 the whole file has. So the stock age
// program opens one, and `head -c` with that size gives the content.

// Refusals of an attachment.
var (
	// ErrDigest: these are not the bytes that the message names. Nothing was decrypted.
	ErrDigest = errors.New("attachment is not the file that the message names")
	// ErrContent: the file is the one that was named, and its sender lied about what is in it.
	ErrContent = errors.New("attachment is not what its sender says of it")
	// ErrTooLarge: no message can name content of that size.
	ErrTooLarge = errors.New("attachment is too large")
)

// AttachmentLength is the exact length of the sealed file for content of that size.
func AttachmentLength(size uint64) uint64 {
	padded := paddedContent(size)
	chunks := (padded + chunkSize - 1) / chunkSize
	return uint64(sealedSize(1, 0)) + padded + chunks*tagSize
}

// paddedContent is Padmé of the size, at least minPadded.
func paddedContent(size uint64) uint64 {
	if size <= minPadded {
		return minPadded
	}
	exponent := bits.Len64(size) - 1
	low := exponent - bits.Len64(uint64(exponent))
	mask := uint64(1)<<low - 1
	return (size + mask) &^ mask
}

// SealedAttachment is what sealing found out about a file.
type SealedAttachment struct {
	Identity string   // the one-time secret, for the message and nowhere else
	Digest   [32]byte // SHA-256 of the sealed file
	Length   uint64   // of the sealed file
	Size     uint64   // of the content
	Content  [32]byte // SHA-256 of the content
}

// SealAttachment reads content to its end and writes it to w as a sealed file, under an
// identity made for it: the same content sealed twice is two unrelated files. It holds no
// more than a few chunks in memory. Content beyond message.MaxAttachment is refused with
// ErrTooLarge, and what was written by then is worth nothing.
func SealAttachment(w io.Writer, content io.Reader) (s SealedAttachment, err error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return s, fmt.Errorf("failed to make a one-time identity: %w", err)
	}
	var sealed, plain digest.SHA256
	to, err := age.Encrypt(io.MultiWriter(&sealed, w), id.Recipient())
	if err != nil {
		return s, fmt.Errorf("failed to seal an attachment: %w", err)
	}
	if _, err := io.CopyBuffer(io.MultiWriter(&plain, to), io.LimitReader(content, message.MaxAttachment+1), make([]byte, pieceSize)); err != nil {
		return s, fmt.Errorf("failed to seal an attachment: %w", err)
	}
	if plain.Len() > message.MaxAttachment {
		return s, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, uint64(message.MaxAttachment))
	}
	for left := paddedContent(plain.Len()) - plain.Len(); left > 0 && err == nil; {
		piece := min(left, uint64(len(zeros)))
		_, err = to.Write(zeros[:piece])
		left -= piece
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return s, fmt.Errorf("failed to seal an attachment: %w", err)
	}
	return SealedAttachment{Identity: id.String(), Digest: sealed.Sum(), Length: sealed.Len(), Size: plain.Len(), Content: plain.Sum()}, nil
}

// CheckAttachment reads a sealed file to its end, and refuses it with ErrDigest unless it
// is the very one that a has named. It needs no secret: who only carries it can ask.
func CheckAttachment(sealed io.Reader, named [32]byte, length uint64) error {
	var c digest.SHA256
	if _, err := io.CopyBuffer(&c, io.LimitReader(sealed, int64(length)+1), make([]byte, pieceSize)); err != nil {
		return fmt.Errorf("failed to read an attachment: %w", err)
	}
	if c.Len() != length || c.Sum() != named {
		return fmt.Errorf("%w: %d bytes for %d", ErrDigest, min(c.Len(), length+1), length)
	}
	return nil
}

// pieceSize is how many bytes are read at a time.
const pieceSize = 8 * chunkSize

// OpenAttachment writes the content of a sealed file to w. Not a byte of it is decrypted
// before all of it was read and proved to be what the message names (ErrDigest: attacks E01
// to E06). What then does not open, is padded otherwise, or has another content than the
// SHA-256 that the body states is its sender's doing, and refused with ErrContent: w holds
// bytes by then that must be thrown away. That SHA-256, the cipher and the padding together
// leave no room for other bytes when the file is read again; content of zeros is not
// compared, and then the whole file is hashed once more behind it. So is one that does not
// open: where the disk changed it meanwhile, that is ErrDigest, and no sender is blamed.
func OpenAttachment(w io.Writer, sealed io.ReaderAt, a message.Attachment, content [32]byte) error {
	id, err := age.ParseHybridIdentity(a.Identity)
	if err != nil {
		return fmt.Errorf("%w: no one-time identity", ErrContent) // age's error may quote the secret
	}
	length := AttachmentLength(a.Size)
	check := func() error {
		return CheckAttachment(io.NewSectionReader(sealed, 0, int64(length)+1), a.Digest, length)
	}
	if err := check(); err != nil {
		return err
	}
	err = openContent(w, sealed, id, a.Size, content)
	if errors.Is(err, ErrContent) || err == nil && content == ([32]byte{}) {
		if e := check(); e != nil {
			return fmt.Errorf("it changed while it was read: %w", e)
		}
	}
	return err
}

// openContent decrypts what was found to be the file that the message names.
func openContent(w io.Writer, sealed io.ReaderAt, id *age.HybridIdentity, size uint64, content [32]byte) error {
	once := &strictIdentity{key: newEpochKey(0, id), index: 0, count: 1}
	plain, padded, err := age.DecryptReaderAt(sealed, int64(AttachmentLength(size)), once)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	if uint64(padded) != paddedContent(size) {
		return fmt.Errorf("%w: %d bytes with their padding", ErrContent, padded)
	}
	return copyContent(w, io.NewSectionReader(plain, 0, padded), size, content)
}

// copyContent writes the content and demands that nothing but zeros follows.
func copyContent(w io.Writer, plain io.Reader, size uint64, content [32]byte) error {
	var c digest.SHA256
	written := &writing{to: w}
	piece := make([]byte, pieceSize)
	n, err := io.CopyBuffer(io.MultiWriter(&c, written), io.LimitReader(plain, int64(size)), piece)
	if err == nil && uint64(n) < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		if written.err != nil {
			return fmt.Errorf("failed to write an attachment: %w", written.err)
		}
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	if content != ([32]byte{}) && c.Sum() != content {
		return fmt.Errorf("%w: another content than the message describes", ErrContent)
	}
	if _, err := io.CopyBuffer(onlyZeros{}, plain, piece); err != nil {
		return fmt.Errorf("%w: its padding: %w", ErrContent, err)
	}
	return nil
}

// onlyZeros refuses to be written anything else.
type onlyZeros struct{}

func (onlyZeros) Write(p []byte) (int, error) {
	for left := p; len(left) > 0; left = left[min(len(left), len(zeros)):] {
		if n := min(len(left), len(zeros)); !bytes.Equal(left[:n], zeros[:n]) {
			return 0, errors.New("not all zeros")
		}
	}
	return len(p), nil
}

// writing remembers why nothing more could be written: that is not the sender's doing.
type writing struct {
	to  io.Writer
	err error
}

func (w *writing) Write(p []byte) (n int, err error) {
	n, err = w.to.Write(p)
	w.err = err
	return n, err
}

// String and GoString keep the one-time secret out of whatever prints the struct.
func (s SealedAttachment) String() string               { return redacted }
func (s SealedAttachment) GoString() string             { return redacted }
func (s SealedAttachment) MarshalJSON() ([]byte, error) { return nil, errSecret }
