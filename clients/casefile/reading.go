package casefile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// contents are the files of an archive by name.
type contents map[string][]byte

func contentsOf(files []File) contents {
	c := contents{}
	for _, f := range files {
		if f.attached == nil {
			c[f.Name] = f.Raw
		}
	}
	return c
}

// attachedIn are the attachments of an archive by the name of their file.
func attachedIn(files []File) map[string]attached {
	all := map[string]attached{}
	for _, f := range files {
		if f.attached != nil {
			all[f.Name] = *f.attached
		}
	}
	return all
}

// reading is a case file as far as it proves itself.
type reading struct {
	contents
	large       map[string]attached // attachments, by their file
	manifest    Manifest
	fingerprint string
	compared    bool // with one that was told by telephone
	register    *trust.Register
	catalogue   *protocol.Catalogue // nil where the agreement cannot be read
	spoken      protocol.Versions   // that, and what else this program knows
	record      Record
	noted       notes
	signed      map[message.Hash]message.Signed // verified: originals, and what they enclose
	enclosed    map[message.Hash]bool           // not a file of its own
	relays      []trust.RelayState              // whose receipts count
	ways        ways                            // of the messages to the desks they were addressed to
	fixed       map[message.Hash]Fixed          // by the earliest anchor
	known       protocol.Case
	claimed     []message.Ref // said to nobody, says the maker, and not every rejection is proved: they count
	pages       bool          // say what the originals say
	faults      []Fault
}

// read takes from the files all that verifies, and notes what does not. The manifest
// says only whose case it is; what it says of the files is compared elsewhere.
func read(c contents, large map[string]attached, m Manifest, o Options) *reading {
	r := &reading{contents: c, large: large, manifest: m, signed: map[message.Hash]message.Signed{}, enclosed: map[message.Hash]bool{}, ways: ways{}}
	r.readRegister(o)
	r.readAgreement()
	r.spoken = spokenBeside(r.agreed())
	var err error
	if r.record, err = parseRecord(c[nameRecord]); err != nil {
		r.fault(FaultContent, nameRecord, err)
	}
	r.noted = r.record.index()
	if r.register != nil {
		known := r.readMessages()
		r.readProofs()
		r.readAnchors()
		r.readAttachments()
		r.compute(known)
	}
	return r
}

func (r *reading) readRegister(o Options) {
	reg, own, err := r.replay(o.Genesis)
	r.compared = err == nil && o.Genesis != ""
	if errors.Is(err, trust.ErrGenesis) && o.Genesis != "" {
		r.fault(FaultGenesis, folderEntries+"0001.txt", err)
		reg, own, err = r.replay("")
	}
	if err != nil {
		r.fault(FaultRegister, folderEntries+"0001.txt", err)
		return
	}
	r.register, r.fingerprint = reg, own
	if err := r.checkpointed(reg); err != nil {
		r.fault(FaultRegister, nameCheckpoint, err)
	}
}

func (r *reading) readAgreement() {
	c, err := agreement(r.contents[nameAgreement])
	if err != nil {
		r.fault(FaultContent, nameAgreement, err)
		return
	}
	r.catalogue = c
	if r.register != nil && r.register.Authority().Agreement != c.Digest() {
		r.fault(FaultAgreement, nameAgreement, fmt.Errorf("the register names %x", r.register.Authority().Agreement))
	}
}

// agreement reads an agreement. That of this program's own protocol is compiled already.
func agreement(raw []byte) (*protocol.Catalogue, error) {
	if own := protocol.V1(); bytes.Equal(own.Agreement(), raw) {
		return own, nil
	}
	return protocol.ParseAgreement(raw)
}

// agreed is the catalogue of the file, or this program's own where that cannot be read.
func (r *reading) agreed() *protocol.Catalogue {
	if r.catalogue == nil {
		return protocol.V1()
	}
	return r.catalogue
}

// spokenBeside is an agreement and, where that is of another version, this program's own
// protocol: while a chain moves from one to the next, a case has messages of both. An
// agreement that is of no version at all, in a file that somebody made up, is left out.
func spokenBeside(c *protocol.Catalogue) (v protocol.Versions) {
	var err error
	for _, side := range [][]*protocol.Catalogue{{c, protocol.V1()}, {c}, {protocol.V1()}} {
		if v, err = protocol.NewVersions(side...); err == nil {
			break
		}
	}
	return v
}

// by is the catalogue of the version that a message names, or that of the file.
func (r *reading) by(k protocol.Known) *protocol.Catalogue { return r.version(k.Protocol) }

func (r *reading) version(name string) *protocol.Catalogue {
	if c, ok := r.spoken.For(name); ok {
		return c
	}
	return r.agreed()
}

func (r *reading) readMessages() (known []protocol.Known) {
	names := r.names(folderMessages)
	if len(names) > MaxMessages {
		r.fault(FaultArchive, "", fmt.Errorf("%w: %d messages, at most %d", ErrTooLarge, len(names), MaxMessages))
		names = names[:MaxMessages]
	}
	ids := map[message.ID]string{}
	for _, name := range names {
		s, err := r.original(name)
		if err == nil && ids[s.Message.ID] != "" {
			err = fmt.Errorf("%w: %s has the same identifier: its sender said two things under one", message.ErrFormat, ids[s.Message.ID])
		}
		if err != nil {
			r.fault(FaultMessage, name, err)
			continue
		}
		ids[s.Message.ID] = name
		r.signed[s.Hash()] = s
		known = append(known, protocol.KnownOf(s, Past{r.register}))
	}
	for _, s := range r.signed {
		for _, raw := range s.Message.Enclosed {
			r.enclose(raw)
		}
	}
	return known
}

// compute makes the case of its messages. A desk that rejected a message counts as not
// having it where its own signature says so. Rejections that only the maker noted move
// nothing: it could note away what it said. What they would make unsaid is named.
func (r *reading) compute(known []protocol.Known) {
	believed, noted := slices.Clone(known), false
	for i, k := range known {
		known[i].Rejected = r.rejected(k.Hash)
		believed[i].Rejected = append(r.notedRejected(k), known[i].Rejected...)
		noted = noted || len(believed[i].Rejected) > len(known[i].Rejected)
	}
	r.known = r.spoken.CaseOf(r.manifest.Desk, r.manifest.Case, known)
	if !noted {
		return
	}
	for _, ref := range r.spoken.CaseOf(r.manifest.Desk, r.manifest.Case, believed).Unsaid {
		if !r.known.Unheard(ref.Hash) {
			r.claimed = append(r.claimed, ref)
		}
	}
}

// rejected is the desks whose signature in the file says that they rejected a message.
func (r *reading) rejected(h message.Hash) (by []identity.DeskID) {
	for desk, way := range r.ways[h] {
		if way.Rejected != nil && protocol.IsRejection(way.Rule) {
			by = append(by, desk)
		}
	}
	return by
}

// notedRejected is the desks that rejected a message by the maker's word alone.
func (r *reading) notedRejected(k protocol.Known) (by []identity.DeskID) {
	for _, x := range r.noted.sent[k.Hash] {
		way := r.ways[k.Hash][x.Desk]
		if !x.Rejected.IsZero() && protocol.IsRejection(x.Rule) && (way == nil || way.Rejected == nil) {
			by = append(by, x.Desk)
		}
	}
	return by
}

// enclose notes an original that travelled inside another. It counts where it proves
// itself; that one does not is a finding of the rules about the message around it.
func (r *reading) enclose(raw []byte) {
	s, err := message.Parse(raw)
	if err != nil || (Past{r.register}).Verify(s) != nil {
		return
	}
	if _, ok := r.signed[s.Hash()]; !ok {
		r.signed[s.Hash()], r.enclosed[s.Hash()] = s, true
	}
}

// original verifies one message: that it is the one its name says, of this case, and
// signed by whom it names.
func (r *reading) original(name string) (message.Signed, error) {
	s, err := message.Parse(r.contents[name])
	switch {
	case err != nil:
		return s, err
	case messageFile(s.Hash()) != name:
		return s, fmt.Errorf("%w: this is message %s", message.ErrFormat, s.Hash())
	case s.Message.Case != r.manifest.Case:
		return s, fmt.Errorf("%w: of another case, %s", message.ErrFormat, s.Message.Case)
	}
	return s, Past{r.register}.Verify(s)
}

// names are the files in a folder, sorted.
func (c contents) names(folder string) (out []string) {
	for name := range c {
		if strings.HasPrefix(name, folder) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// missing is what messages speak of and the file does not hold. The maker's own message
// that nobody else has is missing to the others, and not here.
func (r *reading) missing() []protocol.Missing {
	return slices.DeleteFunc(slices.Clone(r.known.Missing), func(m protocol.Missing) bool { return r.known.Unheard(m.Message.Hash) })
}

// judge runs the rules over the whole history: each message against the case as it was
// known at it, in one walk, by the version that its heading names. One of a version
// that neither the file nor this program has, and one said to nobody, is not judged.
func (r *reading) judge() map[message.Hash]protocol.Findings {
	judged := map[message.Hash]protocol.Findings{}
	if r.catalogue == nil {
		return judged
	}
	for k, known := range r.spoken.Along(r.known) {
		if c, ok := r.spoken.For(k.Protocol); ok {
			judged[k.Hash] = c.Check(protocol.DraftOf(r.signed[k.Hash].Message, Past{r.register}), known)
		}
	}
	return judged
}

// org is the registered name of a desk's organisation.
func (r *reading) org(desk identity.DeskID) string {
	o, _ := r.register.Org(desk.Org())
	return o.Name
}
