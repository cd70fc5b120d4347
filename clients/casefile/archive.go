package casefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strings"
)

// File is one file of the archive.
type File struct {
	Name string
	Raw  []byte
	sum  uint32 // CRC-32, as the archive states it
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
const (
	MaxArchive = 256 << 20
	maxFiles   = 50_000
	maxName    = 100

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

	folderStatements = "verklaringen/"
)

var fileName = regexp.MustCompile(`^(manifest\.txt|handtekeningen\.txt|LEESMIJ\.txt|aantekeningen\.json|dossier(\.en)?\.html|overeenkomst\.txt|` +
	`register/(checkpoint|entries-[0-9]{4})\.txt|berichten/[0-9a-f]{64}\.cose|(verklaringen|bewaring|ankers)/[0-9a-f]{64}\.cbor)$`)

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
	at := 0
	for i := range files {
		files[i].sum = crc32.ChecksumIEEE(files[i].Raw)
		f := files[i]
		n, err := w.Write(append(header(localHeader, f), f.Name...))
		if err != nil {
			return err
		}
		m, err := w.Write(f.Raw)
		if err != nil {
			return err
		}
		at += n + m
	}
	_, err := w.Write(directory(files, at))
	return err
}

// checkFiles refuses what readArchive would refuse.
func checkFiles(files []File) error {
	total, last := 0, ""
	for _, f := range files {
		if !fileName.MatchString(f.Name) || place(f.Name) <= last {
			return fmt.Errorf("%w: file %.100q", ErrArchive, f.Name)
		}
		last = place(f.Name)
		total += len(f.Raw) + 2*len(f.Name) + 100
	}
	if total > MaxArchive-100 || len(files) > maxFiles || len(files) == 0 {
		return fmt.Errorf("%w: %d files of %d bytes; at most %d of %d", ErrTooLarge, len(files), total, maxFiles, MaxArchive)
	}
	return nil
}

// header is what local and central headers share, from the signature to the empty extra field.
func header(begin string, f File) []byte {
	b := []byte(begin)
	b = binary.LittleEndian.AppendUint32(b, f.sum)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Raw)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Raw)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(f.Name)))
	return append(b, 0, 0)
}

// directory is the end of the archive. at is where it begins.
func directory(files []File, at int) []byte {
	var b []byte
	from := 0
	for _, f := range files {
		b = append(b, header(centralHeader, f)...)
		b = append(b, make([]byte, 10)...)
		b = binary.LittleEndian.AppendUint32(b, uint32(from))
		b = append(b, f.Name...)
		from += 30 + len(f.Name) + len(f.Raw)
	}
	size := len(b)
	b = append(b, endHeader...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(files)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(files)))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	return append(b, 0, 0)
}

// readArchive is the inverse of writeArchive. The files are slices of raw: nothing is
// allocated on the word of a header. Where raw is not what writeArchive gives it
// returns the files that it could read, and an error that names the place.
func readArchive(raw []byte) (files []File, err error) {
	if len(raw) > MaxArchive {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxArchive)
	}
	at := 0
	for bytes.HasPrefix(raw[at:], []byte(localHeader[:4])) {
		f, size, err := readFile(raw[at:])
		if err != nil {
			return files, fmt.Errorf("%w: at byte %d, after %d files: %w", ErrArchive, at, len(files), err)
		}
		if files = append(files, f); len(files) > maxFiles {
			return nil, fmt.Errorf("%w: more than %d files", ErrTooLarge, maxFiles)
		}
		at += size
	}
	if err := checkFiles(files); err != nil {
		return files, fmt.Errorf("%w: a file stands twice, or out of order: %w", ErrArchive, err)
	}
	if !bytes.Equal(raw[at:], directory(files, at)) {
		return files, fmt.Errorf("%w: cut off, or changed, behind the last whole file (%s)", ErrArchive, files[len(files)-1].Name)
	}
	for _, f := range files {
		if crc32.ChecksumIEEE(f.Raw) != f.sum {
			return files, fmt.Errorf("%w: %s is not what its checksum says", ErrArchive, f.Name)
		}
	}
	return files, nil
}

func readFile(b []byte) (f File, size int, err error) {
	if len(b) < 30 || !strings.HasPrefix(string(b[:30]), localHeader) {
		return f, 0, errors.New("no header of a file")
	}
	length, again := binary.LittleEndian.Uint32(b[18:]), binary.LittleEndian.Uint32(b[22:])
	name := int(binary.LittleEndian.Uint16(b[26:]))
	if name > maxName || len(b) < 30+name || !fileName.Match(b[30:30+name]) {
		return f, 0, errors.New("a file with a name that no case file has")
	}
	f.Name, f.sum = string(b[30:30+name]), binary.LittleEndian.Uint32(b[14:])
	if length != again || b[28] != 0 || b[29] != 0 || uint64(length) > uint64(len(b)-30-name) {
		return f, 0, fmt.Errorf("%s is cut off, or its header is damaged", f.Name)
	}
	size = 30 + name + int(length)
	f.Raw = b[30+name : size : size]
	return f, size, nil
}
