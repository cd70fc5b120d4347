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
		c[f.Name] = f.Raw
	}
	return c
}

// reading is a case file as far as it proves itself.
type reading struct {
	contents
	manifest    Manifest
	fingerprint string
	compared    bool // with one that was told by telephone
	register    *trust.Register
	catalogue   *protocol.Catalogue // nil where the agreement cannot be read
	record      Record
	noted       notes
	signed      map[message.Hash]message.Signed // verified: originals, and what they enclose
	enclosed    map[message.Hash]bool           // not a file of its own
	relays      []trust.RelayState              // whose receipts count
	ways        ways                            // of the messages to the desks they were addressed to
	known       protocol.Case
	pages       bool // say what the originals say
	faults      []Fault
}

// read takes from the files all that verifies, and notes what does not. The manifest
// says only whose case it is; what it says of the files is compared elsewhere.
func read(c contents, m Manifest, o Options) *reading {
	r := &reading{contents: c, manifest: m, signed: map[message.Hash]message.Signed{}, enclosed: map[message.Hash]bool{}, ways: ways{}}
	r.readRegister(o)
	r.readAgreement()
	var err error
	if r.record, err = parseRecord(c[nameRecord]); err != nil {
		r.fault(FaultContent, nameRecord, err)
	}
	r.noted = r.record.index()
	if r.register != nil {
		r.readMessages()
		r.readProofs()
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

// spoken is the catalogue to judge by.
func (r *reading) spoken() *protocol.Catalogue {
	if r.catalogue == nil {
		return protocol.V1()
	}
	return r.catalogue
}

func (r *reading) readMessages() {
	var known []protocol.Known
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
	r.known = r.spoken().CaseOf(r.manifest.Desk, r.manifest.Case, known)
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

// inOrder are the messages of the case that are here, in the order of the case.
func (r *reading) inOrder() []protocol.Known {
	if r.known.KnownAt == (message.Ref{}) {
		return nil
	}
	return r.known.Before(r.known.KnownAt.Hash)
}

// judge runs the rules over the whole history: each message against the case as it was
// known at it, in one walk. One written under another version is not judged.
func (r *reading) judge() map[message.Hash]protocol.Findings {
	judged := map[message.Hash]protocol.Findings{}
	if r.catalogue == nil {
		return judged
	}
	for k, known := range r.catalogue.Along(r.known) {
		if m := r.signed[k.Hash].Message; m.Heading.Protocol == r.catalogue.Protocol() {
			judged[k.Hash] = r.catalogue.Check(protocol.DraftOf(m, Past{r.register}), known)
		}
	}
	return judged
}

// org is the registered name of a desk's organisation.
func (r *reading) org(desk identity.DeskID) string {
	o, _ := r.register.Org(desk.Org())
	return o.Name
}
