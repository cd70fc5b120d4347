package casefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strings"
)

// File is one file of the archive. What was attached to a message can be large: of that
// only what it comes to is in memory, and it is read from where it lies.
type File struct {
	Name     string
	Raw      []byte // nil of an attachment
	attached *attached
	sum      uint32 // CRC-32, as the archive states it
}

// attached is a file that lies elsewhere.
type attached struct {
	digest [sha256.Size]byte
	length int64
	open   func() (io.ReadCloser, error) // nil in an archive that is only read
}

func (f File) length() int64 {
	if f.attached != nil {
		return f.attached.length
	}
	return int64(len(f.Raw))
}

func (f File) digest() [sha256.Size]byte {
	if f.attached != nil {
		return f.attached.digest
	}
	return hashOf(f.Raw)
}

// The archive is a ZIP file in the one shape below, which every machine opens and in
// which there is nothing to hide: nothing is compressed, so there is no bomb; names
// are of a fixed list, so there is no way out of the folder; the files follow each
// other without gaps, and the directory at the end says again what stands before it
// and nothing else. Two archives of the same files are the same bytes.
//
//	for each file, manifest.txt and handtekeningen.txt first, then by name:
//	  50 4b 03 04 | 14 00 | 00 00 | 00 00 | 00 00 | 21 00 | CRC-32 4 | length 4 | length 4 |
//	  length of the name 2 | 00 00 | name | bytes
//	for each file, in the same order:
//	  50 4b 01 02 | 14 00 | 14 00 | 00 00 | 00 00 | 00 00 | 21 00 | CRC-32 4 | length 4 | length 4 |
//	  length of the name 2 | 00 00 | 00 00 | 00 00 | 00 00 | 00 00 00 00 | place of the file 4 | name
//	  50 4b 05 06 | 00 00 | 00 00 | files 2 | files 2 | length of the directory 4 | its place 4 | 00 00
//
// Numbers are little endian.
//
// MaxAttached bounds the attachments, so that every place fits into four bytes; MaxArchive
// all else.
const (
	MaxArchive  = 256 << 20
	MaxAttached = 3 << 30
	maxFiles    = 50_000
	maxName     = 100

	localHeader   = "PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"
	centralHeader = "PK\x01\x02\x14\x00\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"
	endHeader     = "PK\x05\x06\x00\x00\x00\x00"
)

const (
	nameManifest   = "manifest.txt"
	nameSignatures = "handtekeningen.txt"
	nameReadMe     = "LEESMIJ.txt"
	nameRecord     = "aantekeningen.json"
	namePage       = "dossier.html"
	namePageEN     = "dossier.en.html"
	nameAgreement  = "overeenkomst.txt"
	nameCheckpoint = "register/checkpoint.txt"
	folderEntries  = "register/entries-"
	folderMessages = "berichten/"
	folderCustody  = "bewaring/"
	folderAnchors  = "ankers/"

	folderStatements  = "verklaringen/"
	folderAttachments = "bijlagen/"
)

var fileName = regexp.MustCompile(`^(manifest\.txt|handtekeningen\.txt|LEESMIJ\.txt|aantekeningen\.json|dossier(\.en)?\.html|overeenkomst\.txt|` +
	`register/(checkpoint|entries-[0-9]{4})\.txt|berichten/[0-9a-f]{64}\.cose|(verklaringen|bewaring|ankers)/[0-9a-f]{64}\.cbor|` +
	`bijlagen/[0-9a-f]{64}\.(pdf|jpg|png|txt|bin))$`)

// ErrArchive is wrapped by every refusal of the archive itself, whatever is in it.
var ErrArchive = errors.New("not a case file of Schakel, or damaged")

// place of a file in the archive: the manifest and its signatures stand first, so
// that whoever reads knows what is to come.
func place(name string) string {
	switch name {
	case nameManifest:
		return "\x00"
	case nameSignatures:
		return "\x01"
	}
	return name
}

// writeArchive writes files, which are in their order, to w.
func writeArchive(w io.Writer, files []File) error {
	if err := checkFiles(files); err != nil {
		return err
	}
	at := int64(0)
	for i := range files {
		if files[i].attached == nil {
			files[i].sum = crc32.ChecksumIEEE(files[i].Raw)
		}
		f := files[i]
		n, err := w.Write(append(header(localHeader, f), f.Name...))
		if err != nil {
			return err
		}
		if err := f.writeTo(w); err != nil {
			return err
		}
		at += int64(n) + f.length()
	}
	_, err := w.Write(directory(files, at))
	return err
}

// writeTo writes what is in a file. An attachment that is not what it was a moment ago
// spoils the archive: it was signed already, and whoever reads it will say so.
func (f File) writeTo(w io.Writer) error {
	if f.attached == nil {
		_, err := w.Write(f.Raw)
		return err
	}
	r, err := f.attached.open()
	if err != nil {
		return err
	}
	defer r.Close()
	if n, err := io.Copy(w, io.LimitReader(r, f.attached.length)); err != nil || n != f.attached.length {
		return fmt.Errorf("%s: %w", f.Name, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nil
}

// checkFiles refuses what readArchive would refuse.
func checkFiles(files []File) error {
	total, large, last := int64(0), int64(0), ""
	for _, f := range files {
		if !fileName.MatchString(f.Name) || place(f.Name) <= last || isAttachment(f.Name) != (f.attached != nil) {
			return fmt.Errorf("%w: file %.100q", ErrArchive, f.Name)
		}
		last = place(f.Name)
		total += int64(len(f.Raw)) + 2*int64(len(f.Name)) + 100
		if f.attached != nil {
			large += f.length()
		}
	}
	if total > MaxArchive-100 || large > MaxAttached || len(files) > maxFiles || len(files) == 0 {
		return fmt.Errorf("%w: %d files of %d bytes, and attachments of %d; at most %d of %d, and %d", ErrTooLarge, len(files), total, large, maxFiles, MaxArchive, int64(MaxAttached))
	}
	return nil
}

func isAttachment(name string) bool { return strings.HasPrefix(name, folderAttachments) }

// header is what local and central headers share, from the signature to the empty extra field.
func header(begin string, f File) []byte {
	b := []byte(begin)
	b = binary.LittleEndian.AppendUint32(b, f.sum)
	b = binary.LittleEndian.AppendUint32(b, uint32(f.length()))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.length()))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(f.Name)))
	return append(b, 0, 0)
}

// directory is the end of the archive. at is where it begins.
func directory(files []File, at int64) []byte {
	var b []byte
	from := int64(0)
	for _, f := range files {
		b = append(b, header(centralHeader, f)...)
		b = append(b, make([]byte, 10)...)
		b = binary.LittleEndian.AppendUint32(b, uint32(from))
		b = append(b, f.Name...)
		from += 30 + int64(len(f.Name)) + f.length()
	}
	size := len(b)
	b = append(b, endHeader...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(files)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(files)))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	return append(b, 0, 0)
}

// readArchive is the inverse of writeArchive, of an archive of size bytes. Nothing is
// allocated on the word of a header alone, and of attachments nothing at all. Where it is
// not what writeArchive gives it returns the files that it could read, and an error that
// names the place.
func readArchive(r io.ReaderAt, size int64) (files []File, err error) {
	if size > MaxArchive+MaxAttached {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, int64(MaxArchive+MaxAttached))
	}
	a := archive{r: r, size: size}
	for a.at < size && a.begins(localHeader[:4]) {
		f, err := a.file()
		if errors.Is(err, ErrTooLarge) {
			return nil, err
		}
		if err != nil {
			return files, fmt.Errorf("%w: at byte %d, after %d files: %w", ErrArchive, a.at, len(files), err)
		}
		if files = append(files, f); len(files) > maxFiles {
			return nil, fmt.Errorf("%w: more than %d files", ErrTooLarge, maxFiles)
		}
	}
	if err := checkFiles(files); err != nil {
		return files, fmt.Errorf("%w: a file stands twice, or out of order: %w", ErrArchive, err)
	}
	want := directory(files, a.at)
	rest := make([]byte, len(want))
	if size-a.at != int64(len(want)) || readAll(r, rest, a.at) != nil || !bytes.Equal(rest, want) {
		return files, fmt.Errorf("%w: cut off, or changed, behind the last whole file (%s)", ErrArchive, files[len(files)-1].Name)
	}
	return files, a.damaged
}

// archive is one walk over an archive.
type archive struct {
	r       io.ReaderAt
	size    int64
	at      int64
	held    int64 // bytes of files in memory
	damaged error // the first file that is not what its checksum says
}

func readAll(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	return err
}

func (a *archive) begins(with string) bool {
	b := make([]byte, len(with))
	return a.size-a.at >= int64(len(b)) && readAll(a.r, b, a.at) == nil && string(b) == with
}

// file reads the file at which the walk is, and goes on behind it.
func (a *archive) file() (f File, err error) {
	if !a.begins(localHeader) {
		return f, errors.New("no header of a file")
	}
	b := make([]byte, 30)
	if a.size-a.at < 30 || readAll(a.r, b, a.at) != nil {
		return f, errors.New("no header of a file")
	}
	length, again := binary.LittleEndian.Uint32(b[18:]), binary.LittleEndian.Uint32(b[22:])
	name := make([]byte, binary.LittleEndian.Uint16(b[26:]))
	if len(name) > maxName || a.size-a.at-30 < int64(len(name)) || readAll(a.r, name, a.at+30) != nil || !fileName.Match(name) {
		return f, errors.New("a file with a name that no case file has")
	}
	f.Name, f.sum = string(name), binary.LittleEndian.Uint32(b[14:])
	from := a.at + 30 + int64(len(name))
	if length != again || b[28] != 0 || b[29] != 0 || int64(length) > a.size-from {
		return f, fmt.Errorf("%s is cut off, or its header is damaged", f.Name)
	}
	sum := uint32(0)
	if isAttachment(f.Name) {
		f.attached, sum, err = measure(io.NewSectionReader(a.r, from, int64(length)))
	} else if a.held += int64(length); a.held > MaxArchive {
		return f, fmt.Errorf("%w: more than %d bytes beside attachments", ErrTooLarge, MaxArchive)
	} else {
		f.Raw = make([]byte, length)
		err = readAll(a.r, f.Raw, from)
		sum = crc32.ChecksumIEEE(f.Raw)
	}
	if sum != f.sum && a.damaged == nil {
		a.damaged = fmt.Errorf("%w: %s is not what its checksum says", ErrArchive, f.Name)
	}
	a.at = from + int64(length)
	return f, err
}

// measure reads something to its end for what it comes to.
func measure(r io.Reader) (*attached, uint32, error) {
	h, c := sha256.New(), crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(h, c), r)
	return &attached{digest: [sha256.Size]byte(h.Sum(nil)), length: n}, c.Sum32(), err
}
