package casefile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Options say what the one who verifies knows already.
type Options struct {
	// Genesis is the fingerprint of the register as the root holders told it by
	// telephone. Empty: not compared, and then somebody could have made up the whole
	// register and everybody in it.
	Genesis string
}

// FaultKind is the class of what is wrong with a case file.
type FaultKind string

// The faults. Any of them means: this is not the file that was signed, or what is in
// it does not prove what it claims.
const (
	FaultArchive   FaultKind = "archief"         // not a case file, or damaged
	FaultManifest  FaultKind = "manifest"        // does not parse, or contradicts what is there
	FaultAbsent    FaultKind = "ontbreekt"       // in the manifest, and not in the archive
	FaultChanged   FaultKind = "gewijzigd"       // not what the manifest says
	FaultExtra     FaultKind = "extra"           // in the archive, and not in the manifest
	FaultSignature FaultKind = "handtekening"    // over the manifest
	FaultGenesis   FaultKind = "vingerafdruk"    // the register is not the one that was told
	FaultRegister  FaultKind = "register"        // does not verify
	FaultAgreement FaultKind = "overeenkomst"    // not the one that the register names
	FaultMessage   FaultKind = "bericht"         // an original does not verify
	FaultDelivery  FaultKind = "aflevering"      // a statement or a custody receipt does not verify
	FaultAnchor    FaultKind = "anker"           // a message is not in the anchor that it claims
	FaultContent   FaultKind = "onleesbaar"      // a file is not what its name says
	FaultPage      FaultKind = "leesbare-versie" // a page says something else than the originals
)

// Fault is one thing wrong, and in which file.
type Fault struct {
	Kind   FaultKind     `json:"kind"`
	File   string        `json:"file"`
	Text   protocol.Text `json:"text"`
	Detail string        `json:"detail,omitempty"` // for an expert
}

// Original is a message that is in the file and verifies.
type Original struct {
	Hash     string          `json:"hash"`
	ID       string          `json:"id"`
	Class    string          `json:"class"`
	Urgency  message.Urgency `json:"urgency"`
	Created  time.Time       `json:"created"`
	Protocol string          `json:"protocol"`
	Desk     identity.DeskID `json:"desk"`
	Org      string          `json:"org"`
	Device   Signer          `json:"device"`
	Person   *Signer         `json:"person,omitempty"`
	Exercise bool            `json:"exercise,omitempty"`
	Enclosed bool            `json:"enclosed,omitempty"` // not a file of its own: another message carries it
	Judged   bool            `json:"judged"`             // by the rules of its own version
	// Unsaid: every addressed desk signed that it rejected the message, so it was said to
	// nobody and counts nowhere. ClaimedUnsaid: the desk that made the file says so, not
	// every signature is here, and the message counts.
	Unsaid        bool     `json:"unsaid,omitempty"`
	ClaimedUnsaid bool     `json:"claimedUnsaid,omitempty"`
	Findings      []Breach `json:"findings"`

	Deliveries []Delivery `json:"deliveries"`      // to each desk that it was addressed to
	Fixed      *Fixed     `json:"fixed,omitempty"` // in the register: it was there by then

	Attachments []Attached `json:"attachments"` // in the order of the message
}

// Breach is a rule that a message does not keep.
type Breach struct {
	Rule      string             `json:"rule"`
	Certainty protocol.Certainty `json:"certainty"`
	Reason    protocol.Text      `json:"reason"`
}

// Report is what a case file proves. Sound: everything in it is what was signed, by
// whom it says. Complete: no message that another one speaks of is missing, and nothing
// that was attached to one. That the
// desk which made the file left nothing out that nobody else speaks of rests on its word.
type Report struct {
	Sound    bool   `json:"sound"`
	Complete bool   `json:"complete"`
	Case     string `json:"case"`

	Desk   identity.DeskID `json:"desk"` // that made the file
	Org    string          `json:"org"`
	Device Signer          `json:"device"`
	Person *Signer         `json:"person,omitempty"`
	Made   time.Time       `json:"made"` // by that device's clock

	RegisterSize    uint64 `json:"registerSize"`
	RegisterRoot    string `json:"registerRoot"`
	RegisterSkipped int    `json:"registerSkipped"` // entries that count for nothing
	Fingerprint     string `json:"fingerprint"`     // of the genesis: compare it by telephone
	Compared        bool   `json:"compared"`        // with one that was told
	PagesCompared   bool   `json:"pagesCompared"`   // with the originals; only those of this program's layout can be

	Protocol  string `json:"protocol"`
	Agreement string `json:"agreement"` // SHA-256

	Messages   []Original         `json:"messages"`
	Missing    []protocol.Missing `json:"missing"`
	Unreadable []message.Hash     `json:"unreadable"` // were damaged where the file was made
	LeftOut    int                `json:"leftOut"`    // proofs of delivery that did not fit
	Absent     []Attached         `json:"absent"`     // attachments that are not in the file
	Faults     []Fault            `json:"faults"`
}

// Verify says what a case file proves. raw is as hostile as it gets, and nothing in it is
// believed.
func Verify(raw []byte, o Options) Report {
	return VerifyFrom(bytes.NewReader(raw), int64(len(raw)), o)
}

// VerifyFrom is Verify of a file of size bytes that need not fit into memory: what was
// attached to messages is read through and not kept, and of all else at most MaxArchive.
func VerifyFrom(raw io.ReaderAt, size int64, o Options) Report {
	files, err := readArchive(raw, size)
	if err == nil {
		return verifyFiles(files, o)
	}
	broken := fault(FaultArchive, "", err)
	if len(files) == 0 {
		return report(nil, []Fault{broken})
	}
	r := verifyFiles(files, o)
	r.Faults, r.Sound = append([]Fault{broken}, r.Faults...), false
	return r
}

func verifyFiles(files []File, o Options) Report {
	c := contentsOf(files)
	m, err := parseManifest(c[nameManifest])
	if err != nil {
		return report(nil, []Fault{fault(FaultManifest, nameManifest, err)})
	}
	r := read(c, attachedIn(files), m, o)
	r.compareFiles()
	if r.register == nil {
		return report(r, r.faults)
	}
	r.compareRegister()
	r.compareEntries()
	r.compareSignatures()
	if m.Page == pageVersion && len(r.faults) == 0 {
		r.comparePages()
		r.pages = len(r.faults) == 0
	}
	return report(r, r.faults)
}

func (r *reading) fault(kind FaultKind, file string, err error) {
	r.faults = append(r.faults, fault(kind, file, err))
}

func fault(kind FaultKind, file string, err error) Fault {
	f := Fault{Kind: kind, File: file, Text: faultTexts[kind]}
	if err != nil {
		f.Detail = err.Error()
	}
	return f
}

// compareFiles finds what was changed, taken out and put in since the manifest was signed.
func (r *reading) compareFiles() {
	said := map[string]bool{nameManifest: true, nameSignatures: true}
	for _, f := range r.manifest.Files {
		said[f.Name] = true
		raw, ok := r.contents[f.Name]
		got := Listed{f.Name, hashOf(raw), int64(len(raw))}
		if large, isLarge := r.large[f.Name]; isLarge {
			ok, got.Digest, got.Length = true, large.digest, large.length
		}
		switch {
		case !ok:
			r.fault(FaultAbsent, f.Name, nil)
		case got != f:
			r.fault(FaultChanged, f.Name, nil)
		}
	}
	for _, name := range append(r.names(""), r.attachedNames()...) {
		if !said[name] {
			r.fault(FaultExtra, name, nil)
		}
	}
}

// compareRegister checks what the manifest says beside the files.
func (r *reading) compareRegister() {
	m := r.manifest
	if m.RegisterSize != r.register.Size() || m.RegisterRoot != r.register.Root() {
		r.fault(FaultManifest, nameManifest, fmt.Errorf("register of %d entries, here are %d, or others", m.RegisterSize, r.register.Size()))
	}
	if m.Agreement != hashOf(r.contents[nameAgreement]) || m.Protocol != r.agreed().Protocol() {
		r.fault(FaultManifest, nameManifest, errors.New("another agreement or protocol version"))
	}
}

func (r *reading) compareSignatures() {
	raw, m := r.contents[nameManifest], r.manifest
	s, err := parseSignatures(r.contents[nameSignatures], m)
	if err != nil {
		r.fault(FaultSignature, nameSignatures, err)
		return
	}
	d, ok := r.register.Device(m.Device)
	if !ok || d.Desk != m.Desk || d.SignKey.Verify(raw, s.device) != nil {
		r.fault(FaultSignature, nameSignatures, fmt.Errorf("device %s of %s", m.Device, m.Desk))
	}
	if m.Person.IsZero() {
		return
	}
	p, ok := r.register.Person(m.Person)
	if !ok || p.Desk != m.Desk || p.Key.Verify(raw, s.person) != nil {
		r.fault(FaultSignature, nameSignatures, fmt.Errorf("person %s of %s", m.Person, m.Desk))
	}
}

// comparePages makes what people read again, the pages from the originals: whoever
// signed the file could have written another page beside them, or another fingerprint
// into the file that says how to verify.
func (r *reading) comparePages() {
	for name, text := range map[string]string{nameReadMe: readMe, namePage: string(r.page(dutch)), namePageEN: string(r.page(english))} {
		if string(r.contents[name]) != text {
			r.fault(FaultPage, name, nil)
		}
	}
}

func report(r *reading, faults []Fault) Report {
	out := Report{Sound: len(faults) == 0, Faults: faults, Messages: []Original{}, Missing: []protocol.Missing{}, Unreadable: []message.Hash{}, Absent: []Attached{}}
	if faults == nil {
		out.Faults = []Fault{}
	}
	if r == nil {
		return out
	}
	m := r.manifest
	out.Case, out.Desk, out.Made = m.Case.String(), m.Desk, m.Made
	out.Protocol, out.Agreement = m.Protocol, hex.EncodeToString(m.Agreement[:])
	if r.register == nil {
		return out
	}
	root := r.register.Root()
	out.RegisterSize, out.RegisterRoot, out.RegisterSkipped = r.register.Size(), hex.EncodeToString(root[:]), len(r.register.Skipped(0))
	out.Fingerprint, out.Compared, out.PagesCompared, out.LeftOut = r.fingerprint, r.compared, r.pages, r.record.LeftOut
	out.Org, out.Device = r.org(m.Desk), r.device(m.Device)
	if !m.Person.IsZero() {
		p := r.person(m.Person)
		out.Person = &p
	}
	judged := r.judge()
	for _, k := range r.known.History() {
		out.Messages = append(out.Messages, r.report(k, judged))
	}
	out.Missing = append(out.Missing, r.missing()...)
	out.Unreadable = append(out.Unreadable, r.record.Unreadable...)
	out.Absent = append(out.Absent, absent(out.Messages)...)
	out.Complete = len(out.Missing)+len(out.Unreadable)+len(out.Absent) == 0 && len(out.Messages) > 0
	return out
}

func (r *reading) report(k protocol.Known, judged map[message.Hash]protocol.Findings) Original {
	m := r.signed[k.Hash].Message
	o := Original{Hash: k.Hash.String(), ID: k.ID.String(), Class: k.Class, Urgency: k.Urgency, Created: time.Unix(int64(k.Created), 0).UTC(),
		Protocol: m.Heading.Protocol, Desk: k.From.Desk, Org: r.org(k.From.Desk), Device: r.device(m.Sender.Device), Exercise: k.Exercise,
		Enclosed: r.enclosed[k.Hash], Findings: []Breach{}, Unsaid: r.known.Unheard(k.Hash), ClaimedUnsaid: slices.Contains(r.claimed, k.Ref()),
		Deliveries: r.deliveries(r.signed[k.Hash]), Attachments: append([]Attached{}, r.attachments(r.signed[k.Hash])...)}
	if len(m.Person) > 0 {
		p := r.person(identity.PersonID(m.Person))
		o.Person = &p
	}
	if f, ok := r.fixed[k.Hash]; ok {
		o.Fixed = &f
	}
	findings, ok := judged[k.Hash]
	o.Judged = ok
	for _, f := range findings {
		o.Findings = append(o.Findings, Breach{f.Rule, f.Certainty, f.Reason})
	}
	return o
}
