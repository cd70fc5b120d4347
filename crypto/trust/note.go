package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"schakel/crypto/identity"
)

// Algorithm bytes of note keys (C2SP signed-note and tlog-cosignature).
const (
	algEd25519     = 1 // logs, and the signatures on entries
	algCosignature = 4 // witnesses: Ed25519 over a timed statement
)

// signature is one signature line of a note: "— name base64(hash || sig)".
type signature struct {
	name string
	hash uint32
	sig  []byte
	by   identity.Key // who made it, where that was verified ahead; zero: not yet
}

// signedNote is a note as received: its text, and signatures nobody checked yet.
type signedNote struct {
	text string
	sigs []signature
}

// keyHash is the key id of C2SP signed-note: it tells which key to try, and
// proves nothing.
func keyHash(name string, alg byte, key identity.Key) uint32 {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{'\n', alg})
	h.Write(key[:])
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// errNote says why bytes are not a signed note; callers wrap it in what they read.
var errNote = errors.New("not a signed note in its one spelling")

// parseNote accepts the one way in which format writes a note. The note library
// alone also accepts repeated signatures and loose base64 (attack C20), so the
// result is formatted again and compared.
func parseNote(raw []byte, limit int) (signedNote, error) {
	if len(raw) > limit {
		return signedNote{}, fmt.Errorf("%w: %d bytes, at most %d", errNote, len(raw), limit)
	}
	_, err := note.Open(raw, nil)
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		return signedNote{}, fmt.Errorf("%w: no text, empty line and signatures", errNote)
	}
	n := signedNote{text: unverified.Note.Text}
	for _, s := range unverified.Note.UnverifiedSigs {
		b, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || len(b) < 4 {
			return signedNote{}, fmt.Errorf("%w: signature line", errNote)
		}
		n.sigs = append(n.sigs, signature{name: s.Name, hash: s.Hash, sig: b[4:]})
	}
	if !bytes.Equal(n.format(), raw) {
		return signedNote{}, errNote
	}
	return n, nil
}

// format writes the note: text, an empty line, the signature lines.
func (n signedNote) format() []byte {
	var b bytes.Buffer
	b.WriteString(n.text)
	b.WriteByte('\n')
	for _, s := range n.sigs {
		raw := append(binary.BigEndian.AppendUint32(nil, s.hash), s.sig...)
		fmt.Fprintf(&b, "— %s %s\n", s.name, base64.StdEncoding.EncodeToString(raw))
	}
	return b.Bytes()
}

// sign appends a signature by key under name.
func (n *signedNote) sign(name string, key Signer) error {
	sig, err := key.Sign([]byte(n.text))
	if err != nil {
		return fmt.Errorf("failed to sign as %s: %w", name, err)
	}
	if err := key.Public().Verify([]byte(n.text), sig); err != nil {
		return fmt.Errorf("failed to sign as %s: the signer's own key refuses the result: %w", name, err)
	}
	n.sigs = append(n.sigs, signature{name: name, hash: keyHash(name, algEd25519, key.Public()), sig: sig})
	return nil
}

func (n signedNote) signedAlready(name string, key identity.Key) bool {
	return slices.ContainsFunc(n.sigs, func(s signature) bool {
		return s.name == name && s.hash == keyHash(name, algEd25519, key)
	})
}

// signers is who signed a note, per capacity: every one verified.
type signers map[string][]identity.Key

func (s signers) has(as string, k identity.Key) bool { return slices.Contains(s[as], k) }

// signedBy verifies every signature of the note against the keys that may sign in
// its capacity. One signature that nobody there made refuses the whole: a note
// carries nothing that was not checked (attack C20).
func (n signedNote) signedBy(may signers) (signers, error) {
	got := make(signers)
	for _, s := range n.sigs {
		k, ok := n.verify(s, may[s.name])
		if !ok {
			return nil, fmt.Errorf("%w: signature as %s by an unknown key, or not valid", ErrUnauthorised, s.name)
		}
		if !got.has(s.name, k) {
			got[s.name] = append(got[s.name], k)
		}
	}
	return got, nil
}

// verify returns which of keys made the signature, if any. Two keys may share a
// key hash, so every key that fits is tried.
func (n signedNote) verify(s signature, keys []identity.Key) (identity.Key, bool) {
	if len(s.sig) != ed25519.SignatureSize {
		return identity.Key{}, false
	}
	if !s.by.IsZero() && slices.Contains(keys, s.by) {
		return s.by, true
	}
	for _, k := range keys {
		if keyHash(s.name, algEd25519, k) == s.hash && k.Verify([]byte(n.text), s.sig) == nil {
			return k, true
		}
	}
	return identity.Key{}, false
}

// order sorts signatures by the rank of their name, then by key hash: the same
// signatures always give the same bytes.
func (n *signedNote) order(names []string) {
	slices.SortFunc(n.sigs, func(a, b signature) int { return compareSignatures(names, a, b) })
}

// ordered reports whether every signature has one of names, in that order, and
// none stands there twice.
func (n signedNote) ordered(names []string) bool {
	for i, s := range n.sigs {
		if !slices.Contains(names, s.name) || len(s.sig) != ed25519.SignatureSize {
			return false
		}
		if i > 0 && compareSignatures(names, n.sigs[i-1], s) >= 0 {
			return false
		}
	}
	return len(n.sigs) > 0
}

func compareSignatures(names []string, a, b signature) int {
	if d := slices.Index(names, a.name) - slices.Index(names, b.name); d != 0 {
		return d
	}
	return int(int64(a.hash) - int64(b.hash))
}

// VKey is a note verifier key: "name+hash+base64(algorithm || key)" (C2SP
// signed-note). The base64 may contain '+' itself, so it splits from the left.
type VKey struct {
	Name string
	Key  identity.Key
	alg  byte
}

// LogKey is the verifier key of a log: what the relay entry carries.
func LogKey(name string, key identity.Key) (VKey, error) {
	return newVKey(name, algEd25519, key)
}

// WitnessKey is the verifier key of a witness (C2SP tlog-cosignature).
func WitnessKey(name string, key identity.Key) (VKey, error) {
	return newVKey(name, algCosignature, key)
}

func newVKey(name string, alg byte, key identity.Key) (VKey, error) {
	if !validKeyName(name) {
		return VKey{}, fmt.Errorf("%w: key name %q: use 1 to 64 of a-z, 0-9 and . / - _", ErrFormat, clip(name))
	}
	return VKey{Name: name, Key: key, alg: alg}, nil
}

// ParseLogKey parses the text form of a log's verifier key.
func ParseLogKey(s string) (VKey, error) { return parseVKey(s, algEd25519) }

// ParseWitnessKey parses the text form of a witness's verifier key.
func ParseWitnessKey(s string) (VKey, error) { return parseVKey(s, algCosignature) }

func parseVKey(s string, alg byte) (VKey, error) {
	name, rest, _ := strings.Cut(s, "+")
	_, key64, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.Strict().DecodeString(key64)
	if err != nil || len(b) != 1+ed25519.PublicKeySize || b[0] != alg {
		return VKey{}, fmt.Errorf("%w: verifier key %q", ErrFormat, clip(s))
	}
	key, err := identity.ParseKey(b[1:])
	if err != nil {
		return VKey{}, fmt.Errorf("%w: verifier key: %w", ErrFormat, err)
	}
	v, err := newVKey(name, alg, key)
	if err != nil {
		return VKey{}, err
	}
	if v.String() != s {
		return VKey{}, fmt.Errorf("%w: verifier key %q: wrong key hash or another spelling", ErrFormat, clip(s))
	}
	return v, nil
}

// String is the one text form.
func (v VKey) String() string {
	raw := append([]byte{v.alg}, v.Key[:]...)
	return fmt.Sprintf("%s+%08x+%s", v.Name, keyHash(v.Name, v.alg, v.Key), base64.StdEncoding.EncodeToString(raw))
}

func validKeyName(s string) bool {
	ok := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("./-_", c)
	}
	return len(s) > 0 && len(s) <= 64 && strings.IndexFunc(s, func(c rune) bool { return !ok(c) }) < 0
}

// clip keeps hostile text from filling a log line or a screen.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
