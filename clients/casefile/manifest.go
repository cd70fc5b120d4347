package casefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// Manifest says what is in an archive, who made it, and when. It is text that
// sha256sum can check, and the signatures are over its bytes. Its first line is the
// beginning of nothing else that Schakel signs, so no signature on one can be passed
// off as another.
type Manifest struct {
	Version      int // of the format; 1 had no attachments
	Case         message.CaseRef
	Desk         identity.DeskID
	Device       identity.DeviceID
	Person       identity.PersonID // zero: none
	Made         time.Time         // whole seconds, by the clock of the device
	Page         int               // version of the pages' layout
	Protocol     string            // that the desk wrote in
	Agreement    [sha256.Size]byte
	RegisterSize uint64
	RegisterRoot trust.Hash
	Files        []Listed
}

// Listed is one file of the manifest: all but the manifest and its signatures.
type Listed struct {
	Name   string
	Digest [sha256.Size]byte
	Length int64
}

const (
	manifestHead   = "schakel/zaakdossier/"
	signaturesTail = "/handtekeningen"
	manifestFormat = 2
	nobody         = "-"
	maxManifest    = 10 << 20
)

var errManifest = errors.New("not a manifest of this version")

func (d Dossier) manifest() Manifest {
	return Manifest{Version: manifestFormat, Case: d.Case, Desk: d.Desk, Device: d.Device, Person: d.Person, Made: d.Made.UTC().Truncate(time.Second), Page: pageVersion}
}

func hashOf(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }

func listed(files []File) (all []Listed, err error) {
	for i, f := range files {
		if i > 0 && files[i-1].Name == f.Name {
			return nil, fmt.Errorf("%w: %s twice", ErrArchive, f.Name)
		}
		all = append(all, Listed{f.Name, f.digest(), f.length()})
	}
	return all, nil
}

// head is the first line.
func (m Manifest) head() string { return manifestHead + strconv.Itoa(m.Version) }

func (m Manifest) encode() []byte {
	var b bytes.Buffer
	person := nobody
	if !m.Person.IsZero() {
		person = m.Person.String()
	}
	fmt.Fprintf(&b, "%s\nzaak %s\nbureau %s\napparaat %s\npersoon %s\ngemaakt %s\nopmaak %d\nprotocol %s\n", m.head(), m.Case, m.Desk, m.Device,
		person, m.Made.Format(time.RFC3339), m.Page, m.Protocol)
	fmt.Fprintf(&b, "overeenkomst %x\nregister %d %x\n", m.Agreement, m.RegisterSize, m.RegisterRoot)
	for _, f := range m.Files {
		fmt.Fprintf(&b, "bestand %x %d %s\n", f.Digest, f.Length, f.Name)
	}
	return b.Bytes()
}

// lines reads "name value" lines in a fixed order.
type lines struct {
	rest []string
	err  error
}

func (l *lines) next(name string) string {
	if l.err != nil || len(l.rest) == 0 {
		l.err = errManifest
		return ""
	}
	value, ok := strings.CutPrefix(l.rest[0], name+" ")
	if !ok {
		l.err = errManifest
	}
	l.rest = l.rest[1:]
	return value
}

// get reads a value and remembers that it could not be read.
func get[T any](l *lines, parse func(string) (T, error), value string) (v T) {
	if l.err != nil {
		return v
	}
	v, err := parse(value)
	if err != nil {
		l.err = fmt.Errorf("%w: %w", errManifest, err)
	}
	return v
}

// parseManifest accepts one spelling.
func parseManifest(raw []byte) (m Manifest, err error) {
	if len(raw) > maxManifest {
		return m, fmt.Errorf("%w: %d bytes", errManifest, len(raw))
	}
	head, rest, _ := strings.Cut(string(raw), "\n")
	for m.Version = manifestFormat; m.Version > 0 && m.head() != head; m.Version-- {
	}
	if m.Version == 0 || !strings.HasSuffix(rest, "\n") {
		return m, errManifest
	}
	l := &lines{rest: strings.Split(strings.TrimSuffix(rest, "\n"), "\n")}
	m.Case = get(l, parseCase, l.next("zaak"))
	m.Desk = get(l, identity.ParseDeskID, l.next("bureau"))
	m.Device = get(l, identity.ParseDeviceID, l.next("apparaat"))
	m.Person = get(l, parsePerson, l.next("persoon"))
	m.Made = get(l, func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }, l.next("gemaakt")).UTC()
	m.Page = get(l, strconv.Atoi, l.next("opmaak"))
	m.Protocol = l.next("protocol")
	m.Agreement = get(l, parseDigest, l.next("overeenkomst"))
	size, root, _ := strings.Cut(l.next("register"), " ")
	m.RegisterSize = get(l, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 32) }, size)
	m.RegisterRoot = get(l, parseDigest, root)
	for l.err == nil && len(l.rest) > 0 {
		m.Files = append(m.Files, get(l, parseListed, l.next("bestand")))
	}
	if l.err == nil && !bytes.Equal(m.encode(), raw) {
		l.err = errManifest
	}
	return m, l.err
}

func parseCase(s string) (c message.CaseRef, err error) {
	u, err := identity.ParseUUID(s)
	return message.CaseRef(u), err
}

func parsePerson(s string) (p identity.PersonID, err error) {
	if s == nobody {
		return p, nil
	}
	return identity.ParsePersonID(s)
}

func parseDigest(s string) (d [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(s)
	if err == nil && len(b) != len(d) {
		err = errManifest
	}
	if err != nil {
		return d, err
	}
	return [sha256.Size]byte(b), nil
}

func parseListed(s string) (f Listed, err error) {
	words := strings.Split(s, " ")
	if len(words) != 3 || !fileName.MatchString(words[2]) {
		return f, errManifest
	}
	if f.Digest, err = parseDigest(words[0]); err != nil {
		return f, err
	}
	f.Name = words[2]
	f.Length, err = strconv.ParseInt(words[1], 10, 64)
	return f, err
}

// sign makes the file with the signatures over the bytes of a manifest.
func sign(m Manifest, raw []byte, device, person trust.Signer) ([]byte, error) {
	b := []byte(m.head() + signaturesTail + "\n")
	for _, by := range []struct {
		name   string
		signer trust.Signer
		needed bool
	}{{"apparaat", device, true}, {"persoon", person, !m.Person.IsZero()}} {
		if !by.needed {
			continue
		}
		sig, err := by.signer.Sign(raw)
		if err != nil {
			return nil, fmt.Errorf("failed to sign the case file: %w", err)
		}
		b = fmt.Appendf(b, "%s %s\n", by.name, base64.StdEncoding.EncodeToString(sig))
	}
	return b, nil
}

// signatures are those in the file beside a manifest.
type signatures struct{ device, person []byte }

func parseSignatures(raw []byte, m Manifest) (s signatures, err error) {
	rest, ok := strings.CutPrefix(string(raw), m.head()+signaturesTail+"\n")
	l := &lines{rest: strings.Split(strings.TrimSuffix(rest, "\n"), "\n")}
	s.device = get(l, base64.StdEncoding.Strict().DecodeString, l.next("apparaat"))
	if !m.Person.IsZero() {
		s.person = get(l, base64.StdEncoding.Strict().DecodeString, l.next("persoon"))
	}
	if !ok || l.err != nil || len(l.rest) != 0 || !strings.HasSuffix(rest, "\n") {
		return s, errors.New("not the signatures of a manifest")
	}
	return s, nil
}
