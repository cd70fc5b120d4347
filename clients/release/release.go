// Package release is the signed list of the programs of one release, and whether a file
// is one of them.
//
// Who releases makes a [List] of what was built and signs it ([List.Sign]); who runs the
// programs opens it with the key that was pinned before ([Open]) and looks for the file
// in it ([List.Find]). The signature says who built; that everybody can build the same
// bytes says from what; and the register of the chain, which has [List.Digest], that all
// were given the same list.
package release

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"schakel/crypto/trust"
)

// MaxList is the most bytes of a signed list.
const MaxList = 64 << 10

// MaxProgram is the largest program that is listed, in bytes.
const MaxProgram = 1 << 30

const (
	formatLine = "schakel.example/release/v1"
	maxFiles   = 64
	maxName    = 100
)

// What a caller can decide about a list and a file.
var (
	ErrFormat     = errors.New("not a list of a release in its one spelling")
	ErrKey        = errors.New("not a verifier key of who releases")
	ErrUnknownKey = errors.New("signed by nobody whose key was pinned")
	ErrSignature  = errors.New("the signature of the list is not valid")
	ErrNotListed  = errors.New("no program of this release")
	ErrOtherHash  = errors.New("not the program that was released under this name")
)

// List is what was built for one release.
type List struct {
	Version string // such as "v1.2.0"
	Commit  string // the commit that was built, 40 hexadecimal digits
	Go      string // the toolchain, such as "go1.26.8"
	Files   []File // by name, ascending
}

// File is one program.
type File struct {
	Name string // with its platform, such as "linux-amd64/schakel"
	Size int64  // bytes
	Hash [sha256.Size]byte
}

// NewKey makes a key of who releases: secret is the text of a note signer, to be kept
// apart, and verifier the text to pin (C2SP signed-note). It fails where name is none.
func NewKey(name string) (secret, verifier string, err error) {
	secret, verifier, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	return secret, verifier, CheckKey(verifier)
}

// CheckKey returns an error that wraps ErrKey unless verifier can be pinned: one spelling,
// and no key for which anybody can sign.
func CheckKey(verifier string) error {
	if _, err := trust.ParseLogKey(verifier); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	return nil
}

// Text is the list as it is signed: lines of fixed names in fixed order.
func (l List) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nversion %s\ncommit %s\ngo %s\n", formatLine, l.Version, l.Commit, l.Go)
	for _, f := range l.Files {
		fmt.Fprintf(&b, "file %s %d %x\n", f.Name, f.Size, f.Hash)
	}
	return b.String()
}

// Digest is what the register says of a release: SHA-256 of the list's text, whoever
// signed it.
func (l List) Digest() trust.Hash { return sha256.Sum256([]byte(l.Text())) }

// ParseText reads the text of a list. It accepts what Text writes and nothing else.
func ParseText(text string) (l List, err error) {
	head, rest, ok := strings.Cut(text, "\nfile ")
	fields := strings.Split(head, "\n")
	if !ok || len(fields) != 4 {
		return l, fmt.Errorf("%w: want a heading of four lines, and files", ErrFormat)
	}
	l.Version, l.Commit, l.Go = after(fields[1], "version "), after(fields[2], "commit "), after(fields[3], "go ")
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\nfile ")
	if len(lines) > maxFiles {
		return l, fmt.Errorf("%w: %d files, at most %d", ErrFormat, len(lines), maxFiles)
	}
	for _, line := range lines {
		f, err := parseFile(line)
		if err != nil {
			return l, err
		}
		l.Files = append(l.Files, f)
	}
	if err := l.check(); err != nil {
		return l, err
	}
	if l.Text() != text {
		return l, fmt.Errorf("%w: another spelling", ErrFormat)
	}
	return l, nil
}

func after(line, name string) string {
	rest, _ := strings.CutPrefix(line, name)
	return rest
}

func parseFile(line string) (f File, err error) {
	words := strings.Split(line, " ")
	if len(words) != 3 || len(words[2]) != 2*sha256.Size {
		return f, fmt.Errorf("%w: a line of a file", ErrFormat)
	}
	f.Name = words[0]
	if f.Size, err = strconv.ParseInt(words[1], 10, 64); err != nil {
		return f, fmt.Errorf("%w: size of a file", ErrFormat)
	}
	if _, err := hex.Decode(f.Hash[:], []byte(words[2])); err != nil {
		return f, fmt.Errorf("%w: hash of a file", ErrFormat)
	}
	return f, nil
}

func (l List) check() error {
	_, err := hex.DecodeString(l.Commit)
	switch {
	case !trust.ValidVersion(l.Version):
		return fmt.Errorf("%w: version", ErrFormat)
	case err != nil || len(l.Commit) != 40 || l.Commit != strings.ToLower(l.Commit):
		return fmt.Errorf("%w: commit", ErrFormat)
	case !strings.HasPrefix(l.Go, "go") || !plain(l.Go):
		return fmt.Errorf("%w: version of Go", ErrFormat)
	case len(l.Files) == 0 || len(l.Files) > maxFiles:
		return fmt.Errorf("%w: %d files", ErrFormat, len(l.Files))
	}
	for i, f := range l.Files {
		if !plain(f.Name) || path.Clean("/"+f.Name) != "/"+f.Name || f.Size < 1 || f.Size > MaxProgram {
			return fmt.Errorf("%w: name or size of a file", ErrFormat)
		}
		if i > 0 && l.Files[i-1].Name >= f.Name {
			return fmt.Errorf("%w: files out of order, or twice", ErrFormat)
		}
	}
	return nil
}

// plain reports whether s is a name without a space, and short.
func plain(s string) bool {
	bad := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-", c))
	}
	return len(s) > 0 && len(s) <= maxName && strings.IndexFunc(s, bad) < 0
}

// Sign writes the list as a signed note, with the secret that NewKey made.
func (l List) Sign(secret string) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(strings.TrimSpace(secret))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	signed, err := note.Sign(&note.Note{Text: l.Text()}, signer)
	if err != nil {
		return nil, fmt.Errorf("failed to sign a list: %w", err)
	}
	return signed, nil
}

// Open reads a signed list and demands a signature by the key that was pinned. Signatures
// of others beside it say nothing and do no harm.
func Open(signed []byte, verifier string) (List, error) {
	if err := CheckKey(verifier); err != nil {
		return List{}, err
	}
	if len(signed) > MaxList {
		return List{}, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(signed), MaxList)
	}
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	var stranger *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &stranger):
		return List{}, fmt.Errorf("%w: %s", ErrUnknownKey, v.Name())
	case errors.As(err, &invalid):
		return List{}, fmt.Errorf("%w: %s", ErrSignature, v.Name())
	case err != nil:
		return List{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return ParseText(n.Text)
}

// Find returns the program that a file is, by the last part of its name and its hash. A
// file under the name of a listed program must be that one: another program of the same
// release in its place is not what was meant to run. Under a name of nobody's, the hash
// decides.
func (l List) Find(name string, hash [sha256.Size]byte) (File, error) {
	base := path.Base(name)
	named := slices.ContainsFunc(l.Files, func(f File) bool { return path.Base(f.Name) == base })
	for _, f := range l.Files {
		if f.Hash == hash && (!named || path.Base(f.Name) == base) {
			return f, nil
		}
	}
	if named {
		return File{}, fmt.Errorf("%w: %s of %s", ErrOtherHash, base, l.Version)
	}
	return File{}, fmt.Errorf("%w: %s", ErrNotListed, l.Version)
}
