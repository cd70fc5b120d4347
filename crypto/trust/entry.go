package trust

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// formatLine begins every entry, and with it what every signature covers: a
// signature made for an entry is a signature for nothing else.
const formatLine = "schakel.example/register/v1"

// Kind says what an entry is about.
type Kind string

// The kinds of entry.
const (
	KindRoot    Kind = "root"
	KindRelay   Kind = "relay"
	KindOrg     Kind = "org"
	KindDesk    Kind = "desk"
	KindDevice  Kind = "device"
	KindPerson  Kind = "person"
	KindEpoch   Kind = "epoch"
	KindRevoke  Kind = "revoke"
	KindAnchor  Kind = "anchor"
	KindRelease Kind = "release"
)

// Names of signatures: in which capacity a key signed an entry.
const (
	asRoot   = "root"   // a holder of the root
	asOrg    = "org"    // the organisation
	asDevice = "device" // the device's signing key
	asLogin  = "login"  // the device's login key
	asPerson = "person" // the person's key
)

// Subject is what a chain of entries is about: "root", "org/vt20",
// "desk/vt20/crisis", "device/<uuid>", "epoch/<uuid of the device>" and so on.
type Subject string

// Place is where an entry stands among the entries of its subject.
type Place struct {
	Seq  uint64 // 1 for the first
	Prev Hash   // EntryHash of the one before, zero for the first
}

// First is the place of the first entry of a subject.
func First() Place { return Place{Seq: 1} }

// Body is what an entry says: one of [Root], [Relay], [Org], [Desk], [Device],
// [Person], [Epochs], [Revoke], [Anchor], [Release], by value.
type Body interface {
	Kind() Kind
	Subject() Subject
	write(*writer)
	check() error
	signers() []string // in which capacities it may be signed, in order
}

// Entry is a parsed entry. Nobody has checked yet whether it is authorised: that
// depends on the register it stands in.
type Entry struct {
	Place
	Body Body
	Raw  []byte // exactly as received
	note signedNote
}

// Hash is EntryHash of the entry.
func (e Entry) Hash() Hash { return EntryHash(e.Raw) }

// By is a key and the capacity in which it signs.
type By struct {
	as  string
	key Signer
}

// ByRoot signs as a holder of the root.
func ByRoot(k Signer) By { return By{asRoot, k} }

// ByOrg signs as the organisation.
func ByOrg(k Signer) By { return By{asOrg, k} }

func byRoots(holders []Signer) (by []By) {
	for _, k := range holders {
		by = append(by, ByRoot(k))
	}
	return by
}

// ParseEntry accepts exactly one spelling of an entry and checks everything that
// can be checked without a register: form, bounds, keys.
func ParseEntry(raw []byte) (Entry, error) {
	n, err := parseNote(raw, MaxEntry)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	r := &reader{rest: n.text}
	r.literal(formatLine)
	kind, subject := Kind(r.text("kind", 16)), Subject(r.text("subject", 80))
	e := Entry{Place: Place{Seq: r.number("seq"), Prev: r.hash("prev")}, Raw: raw, note: n}
	if r.err != nil {
		return Entry{}, r.err
	}
	if e.Body, err = readBody(kind, subject, r); err != nil {
		return Entry{}, err
	}
	if !n.ordered(e.Body.signers()) {
		return Entry{}, fmt.Errorf("%w: signatures out of order, twice, or of no use on this kind", ErrFormat)
	}
	text, err := entryText(e.Body, e.Place)
	if err != nil {
		return Entry{}, err
	}
	if text != n.text {
		return Entry{}, fmt.Errorf("%w: another spelling of the same entry", ErrFormat)
	}
	return e, nil
}

func readBody(kind Kind, subject Subject, r *reader) (b Body, err error) {
	switch kind {
	case KindRoot:
		b = readRoot(r)
	case KindRelay:
		b = readRelay(subject, r)
	case KindOrg:
		b = readOrg(subject, r)
	case KindDesk:
		b = readDesk(subject, r)
	case KindDevice:
		b = readDevice(subject, r)
	case KindPerson:
		b = readPerson(subject, r)
	case KindEpoch:
		b = readEpochs(subject, r)
	case KindRevoke:
		b = readRevoke(subject, r)
	case KindAnchor:
		b = readAnchor(subject, r)
	case KindRelease:
		b = readRelease(subject, r)
	default:
		return nil, fmt.Errorf("%w: %q", ErrUnknownKind, kind)
	}
	if r.err == nil && r.rest != "" {
		r.fail("unknown line at the end")
	}
	return b, r.err
}

func entryText(b Body, at Place) (string, error) {
	if err := b.check(); err != nil {
		return "", err
	}
	if at.Seq == 0 || (at.Seq == 1) != (at.Prev == Hash{}) {
		return "", fmt.Errorf("%w: seq %d does not fit its prev", ErrFormat, at.Seq)
	}
	var w writer
	w.b.WriteString(formatLine + "\n")
	w.text("kind", string(b.Kind()))
	w.text("subject", string(b.Subject()))
	w.number("seq", at.Seq)
	w.hash("prev", at.Prev)
	b.write(&w)
	return w.b.String(), nil
}

// signEntry makes an entry with at least one signature; [Cosign] adds the others.
func signEntry(b Body, at Place, by ...By) ([]byte, error) {
	text, err := entryText(b, at)
	if err != nil {
		return nil, err
	}
	return addSignatures(signedNote{text: text}, b.signers(), by)
}

// Cosign adds signatures to an entry: holders of a root sign one after the other,
// each on an own machine. Signing twice with one key changes nothing.
func Cosign(entry []byte, by ...By) ([]byte, error) {
	e, err := ParseEntry(entry)
	if err != nil {
		return nil, err
	}
	return addSignatures(e.note, e.Body.signers(), by)
}

// Recertify puts the signature of the organisation's present key in the place of an earlier
// one's. An entry that waited while the key was replaced counts for nothing any more; what
// its subject signed of it stays, so nobody has to be asked again.
func Recertify(entry []byte, org Signer) ([]byte, error) {
	e, err := ParseEntry(entry)
	if err != nil {
		return nil, err
	}
	n := e.note
	n.sigs = slices.DeleteFunc(slices.Clone(n.sigs), func(s signature) bool { return s.name == asOrg })
	return addSignatures(n, e.Body.signers(), []By{ByOrg(org)})
}

func addSignatures(n signedNote, names []string, by []By) ([]byte, error) {
	n.sigs = slices.Clone(n.sigs)
	for _, b := range by {
		if !slices.Contains(names, b.as) {
			return nil, fmt.Errorf("%w: a signature as %s has no use on this entry", ErrFormat, b.as)
		}
		if n.signedAlready(b.as, b.key.Public()) {
			continue
		}
		if err := n.sign(b.as, b.key); err != nil {
			return nil, err
		}
	}
	n.order(names)
	out := n.format()
	if e, err := ParseEntry(out); err != nil || !bytes.Equal(e.Raw, out) {
		return nil, fmt.Errorf("failed to make an entry that can be read back: %w", err)
	}
	return out, nil
}

// trimSubject returns what follows "kind/" in a subject.
func trimSubject(r *reader, s Subject, kind Kind) string {
	rest, ok := strings.CutPrefix(string(s), string(kind)+"/")
	if !ok {
		r.fail("subject %q does not fit kind %s", clip(string(s)), kind)
	}
	return rest
}

// subjectID parses the identifier in a subject.
func subjectID[T any](r *reader, s Subject, kind Kind, parse func(string) (T, error)) T {
	rest := trimSubject(r, s, kind)
	id, err := parse(rest)
	if err != nil {
		r.fail("subject: %w", err)
	}
	return id
}

func (s Subject) split() (Kind, string) {
	kind, id, _ := strings.Cut(string(s), "/")
	return Kind(kind), id
}
