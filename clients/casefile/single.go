package casefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// IsArchive reports whether a file begins as the file of a case does.
func IsArchive(raw io.ReaderAt) bool {
	b := make([]byte, 4)
	return readAll(raw, b, 0) == nil && string(b) == localHeader[:4]
}

// Source is a register that somebody verifies single files by.
type Source struct {
	Register    *trust.Register
	Fingerprint string                 // of its genesis
	Compared    bool                   // with one that was told
	Logged      bool                   // the log signed exactly this register
	fixed       map[message.Hash]Fixed // by the anchors that came with it
}

// ErrSource says that a file holds no register.
var ErrSource = errors.New("no register: give the file of a case, or the entries that root holders keep")

// ReadSource reads the register out of the file of a case, or from a file of entries.
func ReadSource(raw []byte, o Options) (s Source, err error) {
	return ReadSourceFrom(bytes.NewReader(raw), int64(len(raw)), o)
}

// ReadSourceFrom is ReadSource of a file of size bytes that need not fit into memory.
func ReadSourceFrom(raw io.ReaderAt, size int64, o Options) (s Source, err error) {
	var c contents
	if IsArchive(raw) {
		files, err := readArchive(raw, size)
		if err != nil {
			return s, err
		}
		c = contentsOf(files)
	} else {
		if size > MaxArchive {
			return s, ErrSource
		}
		entries := make([]byte, size)
		if err := readAll(raw, entries, 0); err != nil {
			return s, err
		}
		c = contents{folderEntries + "0001.txt": entries}
	}
	s.Register, s.Fingerprint, err = c.replay(o.Genesis)
	if errors.Is(err, trust.ErrGenesis) {
		return Source{}, err
	}
	if err != nil {
		return Source{}, fmt.Errorf("%w: %w", ErrSource, err)
	}
	s.Compared, s.Logged = o.Genesis != "", c.checkpointed(s.Register) == nil
	s.fixed = c.anchors(s.Register)
	return s, nil
}

// Device says how a device stands that signed at a time.
func (s Source) Device(id identity.DeviceID, at time.Time) Signer {
	r := &reading{register: s.Register, manifest: Manifest{Made: at}}
	return r.device(id)
}

// Single is what one signed file proves by itself. Nothing in it says that it was made
// before a certain day: Claimed is by the clock of the device that signed.
type Single struct {
	Kind      Kind              `json:"kind"`
	Hash      string            `json:"hash,omitempty"` // of a message
	ID        string            `json:"id,omitempty"`
	Case      string            `json:"case,omitempty"`
	Class     string            `json:"class,omitempty"`
	Urgency   message.Urgency   `json:"urgency,omitempty"`
	Protocol  string            `json:"protocol,omitempty"`
	Desk      identity.DeskID   `json:"desk"` // that said it
	Org       string            `json:"org"`
	Device    Signer            `json:"device"`
	Person    *Signer           `json:"person,omitempty"`
	To        []identity.DeskID `json:"to"`
	States    []State           `json:"states,omitempty"` // of a statement
	Claimed   time.Time         `json:"claimed"`
	NotBefore time.Time         `json:"notBefore"`        // when the organisation says that the keys became valid
	Entry     uint64            `json:"entry"`            // of the register, before which these keys were in nobody's hands
	Sealed    *Sealed           `json:"sealed,omitempty"` // of what travelled
	Fixed     *Fixed            `json:"fixed,omitempty"`  // by the anchors that came with the register
}

// State is what a statement says of one message.
type State struct {
	Message  message.Hash `json:"message"`
	Received time.Time    `json:"received,omitzero"`
	Opened   time.Time    `json:"opened,omitzero"`
	Rejected time.Time    `json:"rejected,omitzero"`
	Rule     string       `json:"rule,omitempty"`
}

// Kind is what a single file is.
type Kind string

// The kinds.
const (
	KindMessage   Kind = "bericht"    // permanent bytes, as in berichten/ of a case file
	KindStatement Kind = "verklaring" // of one desk to another, as in verklaringen/
)

// Sealed is who sealed what travelled, and which register that device had seen.
type Sealed struct {
	By       Signer    `json:"by"`
	At       time.Time `json:"at"`       // by its clock
	Register uint64    `json:"register"` // entries
	Known    bool      `json:"known"`    // they are in the register that this is verified by, unchanged
}

// ErrSingle says that a file is nothing that was signed by itself.
var ErrSingle = errors.New("not a signed message or statement")

// IsSingle reports whether a file is one that VerifySingle takes.
func IsSingle(raw []byte) bool {
	if len(raw) > delivery.MaxEvidence {
		return false
	}
	if _, err := message.Parse(raw); err == nil {
		return true
	}
	_, err := delivery.ParseEvidence(raw)
	return err == nil
}

// VerifySingle verifies a message, or what travelled, by a register.
func VerifySingle(raw []byte, s Source) (Single, error) {
	r := &reading{register: s.Register, fixed: s.fixed}
	if m, err := message.Parse(raw); err == nil {
		return r.single(m)
	}
	e, err := delivery.ParseEvidence(raw)
	if err != nil {
		return Single{}, ErrSingle
	}
	h, err := e.Header()
	if err != nil {
		return Single{}, fmt.Errorf("%w: %w", ErrSingle, err)
	}
	sealer, ok := s.Register.Device(h.Sealer)
	if !ok {
		return Single{}, fmt.Errorf("%w: the register does not hold device %s", identity.ErrBadSignature, h.Sealer)
	}
	d, err := e.Verify(sealer.SignKey)
	if err != nil {
		return Single{}, fmt.Errorf("device %s: %w", h.Sealer, err)
	}
	r.manifest.Made = instant(h.Created)
	root, known := s.Register.RootAt(d.Register.Size)
	sealed := &Sealed{By: r.device(h.Sealer), At: r.manifest.Made, Register: d.Register.Size, Known: known && root == d.Register.Root}
	switch d.Kind {
	case delivery.KindMessage:
		return r.sealedMessage(d, sealer, sealed)
	case delivery.KindStatement:
		return r.sealedStatement(d, h, sealer, sealed)
	}
	return Single{}, fmt.Errorf("%w: a delivery of kind %d", ErrSingle, d.Kind)
}

func (r *reading) sealedMessage(d delivery.Delivery, sealer trust.DeviceState, sealed *Sealed) (Single, error) {
	m, err := message.Parse(d.Content)
	if err != nil {
		return Single{}, err
	}
	if m.Message.Sender.Desk != sealer.Desk {
		return Single{}, fmt.Errorf("%w: a message of %s, sealed by %s", identity.ErrBadSignature, m.Message.Sender.Desk, sealer.Desk)
	}
	out, err := r.single(m)
	out.Sealed = sealed
	return out, err
}

func (r *reading) sealedStatement(d delivery.Delivery, h envelope.Header, sealer trust.DeviceState, sealed *Sealed) (Single, error) {
	st, err := delivery.ParseStatement(d.Content)
	if err != nil {
		return Single{}, err
	}
	if st.From != sealer.Desk || st.To != h.Desk {
		return Single{}, fmt.Errorf("%w: of %s to %s, signed by a device of %s", identity.ErrBadSignature, st.From, st.To, sealer.Desk)
	}
	out := Single{Kind: KindStatement, Desk: st.From, Org: r.org(st.From), Device: sealed.By, To: []identity.DeskID{st.To}, Claimed: instant(st.At),
		NotBefore: sealer.From, Entry: sealer.Since, Sealed: sealed}
	for _, x := range st.Statuses {
		out.States = append(out.States, State{x.Message, orZero(x.Received), orZero(x.Opened), orZero(x.Rejected), x.Rule})
	}
	return out, nil
}

func orZero(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return instant(seconds)
}

// single says what a message proves, once its signatures verify.
func (r *reading) single(s message.Signed) (Single, error) {
	if err := (Past{r.register}).Verify(s); err != nil {
		return Single{}, err
	}
	m := s.Message
	r.manifest.Made = instant(m.Created)
	d, _ := r.register.Device(m.Sender.Device)
	out := Single{Kind: KindMessage, Hash: s.Hash().String(), ID: m.ID.String(), Case: m.Case.String(), Class: m.Heading.Class, Urgency: m.Heading.Urgency,
		Protocol: m.Heading.Protocol, Desk: m.Sender.Desk, Org: r.org(m.Sender.Desk), Device: r.device(d.ID), To: m.Addressed,
		Claimed: instant(m.Created), NotBefore: d.From, Entry: d.Since}
	if len(m.Person) > 0 {
		p, _ := r.register.Person(identity.PersonID(m.Person))
		who := r.person(p.ID)
		out.Person, out.NotBefore, out.Entry = &who, later(out.NotBefore, p.From), max(out.Entry, p.Since)
	}
	if f, ok := r.fixed[s.Hash()]; ok {
		out.Fixed = &f
	}
	return out, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
