package seal_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"filippo.io/age"

	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// attach seals content and returns the file and what a message says of it.
func attach(t testing.TB, content []byte) ([]byte, message.Attachment) {
	t.Helper()
	var file bytes.Buffer
	s, err := seal.SealAttachment(&file, bytes.NewReader(content))
	must(t, err)
	if s.Length != uint64(file.Len()) || s.Length != seal.AttachmentLength(s.Size) || s.Digest != sha256.Sum256(file.Bytes()) ||
		s.Size != uint64(len(content)) || s.Content != sha256.Sum256(content) {
		t.Fatalf("%d bytes sealed in %d, and sealing says otherwise", len(content), file.Len())
	}
	return file.Bytes(), message.Attachment{Blob: s.Digest, Digest: s.Digest, Size: s.Size, Identity: s.Identity, Name: "brief.pdf", MediaType: "application/pdf"}
}

// TestAttachment: what is sealed opens, at every edge of a chunk and of the padding.
func TestAttachment(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, 3<<20 + 17} {
		content := bytes.Repeat([]byte("inhoud"), size/6+1)[:size]
		file, a := attach(t, content)
		var out bytes.Buffer
		if err := seal.OpenAttachment(&out, bytes.NewReader(file), a, sha256.Sum256(content)); err != nil || !bytes.Equal(out.Bytes(), content) {
			t.Errorf("%d bytes: %v, %d came out", size, err, out.Len())
		}
	}
	same := []byte("twee keer hetzelfde")
	one, a := attach(t, same)
	two, b := attach(t, same)
	if bytes.Equal(one, two) || a.Identity == b.Identity || a.Digest == b.Digest {
		t.Error("the same content sealed twice can be recognised")
	}
}

// TestAttachmentSizes: sizes that are far apart look alike, and none grows by more than an
// eighth. The control is the smallest that differ.
func TestAttachmentSizes(t *testing.T) {
	if seal.AttachmentLength(100_000) != seal.AttachmentLength(100_300) || seal.AttachmentLength(4_096) == seal.AttachmentLength(4_097) {
		t.Error("the padding is another")
	}
	for size := uint64(8_000); size < message.MaxAttachment; size = size*9/7 + 13 {
		if l := seal.AttachmentLength(size); l < size || float64(l) > 1.13*float64(size)+1800 {
			t.Errorf("%d bytes become %d", size, l)
		}
	}
	if seal.AttachmentLength(message.MaxAttachment) > 2<<30 {
		t.Error("the largest attachment does not fit the relay")
	}
}

// counted is a reader that knows what was read of it, and w what was written.
type counted struct{ n int }

func (c *counted) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// TestEvilAttachment: what the relay or an insider puts in the place of a sealed file gives
// not one byte of plaintext. The control is the file itself.
func TestEvilAttachment(t *testing.T) {
	content := bytes.Repeat([]byte("geheim"), 50_000)
	file, a := attach(t, content)
	other, b := attach(t, content)
	id, err := age.ParseHybridIdentity(a.Identity)
	must(t, err)
	const chunk = 64<<10 + 16
	head := len(file) - int(seal.AttachmentLength(uint64(len(content)))%chunk)
	cases := map[string][]byte{
		"E01 another blob of the same conversation":            other,
		"E02 cut at the end":                                   file[:len(file)-1],
		"E02 cut where a chunk ends":                           file[:len(file)-chunk],
		"E02 something added":                                  append(bytes.Clone(file), 0),
		"E02 chunks exchanged":                                 exchanged(file, len(file)-3*chunk, chunk),
		"E03 another file under the same one-time key":         sealTo(t, id.Recipient(), bytes.Repeat([]byte("GEHEIM"), 50_000)),
		"E04 for one partner this one, for another that one":   other,
		"E06 the right beginning, another end":                 append(bytes.Clone(file[:len(file)-40]), make([]byte, 40)...),
		"E06 the right beginning, and the rest of another one": append(bytes.Clone(file[:head]), other[head:]...),
		"nothing at all":                                       {},
	}
	for name, forged := range cases {
		var out counted
		if err := seal.OpenAttachment(&out, bytes.NewReader(forged), a, [32]byte{}); !errors.Is(err, seal.ErrDigest) || out.n != 0 {
			t.Errorf("%s: %v, and %d bytes came out", name, err, out.n)
		}
	}
	var out counted
	if err := seal.OpenAttachment(&out, bytes.NewReader(other), b, sha256.Sum256(content)); err != nil || out.n != len(content) {
		t.Errorf("E04: the one that the other message names: %v", err)
	}
	if err := seal.OpenAttachment(&out, bytes.NewReader(file), a, sha256.Sum256(content)); err != nil {
		t.Errorf("the file itself: %v", err)
	}
}

// TestE03LyingSender: who signed for a file that is not what the message says of it is found
// out by what is in it, with an error of its own.
func TestE03LyingSender(t *testing.T) {
	content := []byte("dit is de inhoud")
	file, a := attach(t, content)
	id, err := age.ParseHybridIdentity(a.Identity)
	must(t, err)
	padded := make([]byte, 4096)
	copy(padded, content)
	speaks := bytes.Clone(padded)
	speaks[4000] = 1
	short := a
	short.Size-- // the last byte is no zero
	for name, err := range map[string]error{
		"padding that says something": openAs(sealTo(t, id.Recipient(), speaks), a, [32]byte{}),
		"sealed to another":           openAs(sealTo(t, other(t), padded), a, [32]byte{}),
		"another content":             openAs(file, a, sha256.Sum256([]byte("iets anders"))),
		"one byte less":               openAs(file, short, [32]byte{}),
	} {
		if !errors.Is(err, seal.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := openAs(sealTo(t, id.Recipient(), padded), a, sha256.Sum256(content)); err != nil {
		t.Errorf("an honest one: %v", err)
	}
}

// openAs opens a file that the sender signed for.
func openAs(file []byte, a message.Attachment, content [32]byte) error {
	a.Digest = sha256.Sum256(file)
	return seal.OpenAttachment(io.Discard, bytes.NewReader(file), a, content)
}

func other(t testing.TB) *age.HybridRecipient {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	must(t, err)
	return id.Recipient()
}

func sealTo(t testing.TB, r *age.HybridRecipient, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, r)
	must(t, err)
	_, err = w.Write(plain)
	must(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

func exchanged(file []byte, at, size int) []byte {
	out := bytes.Clone(file)
	copy(out[at:], file[at+size:at+2*size])
	copy(out[at+size:], file[at:at+size])
	return out
}

// changing is another file after it was read from the beginning to the end.
type changing struct {
	*bytes.Reader
	second []byte
	ended  bool
}

func (c *changing) ReadAt(p []byte, off int64) (int, error) {
	if c.ended && off == 0 {
		c.Reader = bytes.NewReader(c.second)
	}
	c.ended = c.ended || off+int64(len(p)) >= c.Size()
	return c.Reader.ReadAt(p, off)
}

// TestE06ChangedBetween: a file that is another one when it is read again is refused.
func TestE06ChangedBetween(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 100_000)
	file, a := attach(t, content)
	id, err := age.ParseHybridIdentity(a.Identity)
	must(t, err)
	padded := make([]byte, len(file)-int(seal.AttachmentLength(0))+4096+16-2*16)
	forged := sealTo(t, id.Recipient(), padded)
	middle := bytes.Clone(file)
	middle[len(file)/2] ^= 1
	for name, second := range map[string][]byte{"a bit": append(bytes.Clone(file[:len(file)-1]), file[len(file)-1]^1), "in the middle": middle, "all of it": forged, "half of it": file[:len(file)/2]} {
		for _, content := range [][32]byte{sha256.Sum256(content), {}} { // the disk's doing, and not its sender's
			if err := seal.OpenAttachment(io.Discard, &changing{Reader: bytes.NewReader(file), second: second}, a, content); !errors.Is(err, seal.ErrDigest) || errors.Is(err, seal.ErrContent) {
				t.Errorf("%s, content known %t: %v", name, content != [32]byte{}, err)
			}
		}
	}
	if err := seal.OpenAttachment(io.Discard, &changing{Reader: bytes.NewReader(file), second: file}, a, sha256.Sum256(content)); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

// endless gives content without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestAttachmentWriterFails: a disk that is full ends it, and is blamed itself.
func TestAttachmentWriterFails(t *testing.T) {
	full := errors.New("disk full")
	if _, err := seal.SealAttachment(failing{full}, endless{}); !errors.Is(err, full) {
		t.Errorf("sealing: %v", err)
	}
	file, a := attach(t, make([]byte, 100_000))
	if err := seal.OpenAttachment(failing{full}, bytes.NewReader(file), a, [32]byte{}); !errors.Is(err, full) || errors.Is(err, seal.ErrContent) {
		t.Errorf("opening: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// FuzzAttachment changes an honest file, and says otherwise of its size: nothing but the
// file itself opens.
func FuzzAttachment(f *testing.F) {
	content := []byte("inhoud van een bijlage")
	file, a := attach(f, content)
	f.Add(0, []byte{}, uint64(len(content)))
	f.Add(len(file)-1, []byte{1, 2}, uint64(4096))
	f.Add(30, []byte("age"), uint64(1<<63))
	f.Fuzz(func(t *testing.T, at int, patch []byte, size uint64) {
		changed := bytes.Clone(file)
		if at >= 0 && at <= len(file) {
			changed = append(changed[:at:at], patch...)
			changed = append(changed, file[min(len(file), at+len(patch)):]...)
		}
		claimed := a
		claimed.Size = size % (message.MaxAttachment + 1)
		var out bytes.Buffer
		err := seal.OpenAttachment(&out, bytes.NewReader(changed), claimed, sha256.Sum256(content))
		if honest := bytes.Equal(changed, file) && claimed.Size == a.Size; honest != (err == nil) {
			t.Fatalf("honest %t: %v", honest, err)
		}
		if err == nil && !bytes.Equal(out.Bytes(), content) {
			t.Fatal("another content")
		}
	})
}
