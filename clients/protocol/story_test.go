package protocol_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// register is a register of the tests: desks, and messages whose signature is false.
type register map[identity.DeskID]protocol.Party

// forger signs nothing: what comes from this desk does not verify.
const forger identity.DeskID = "vals/bureau"

func (r register) Party(d identity.DeskID) protocol.Party { return r[d] }

func (r register) Verify(s message.Signed) error {
	if s.Message.Sender.Desk == forger || s.Message.Person != nil && bytes.Equal(s.Message.Person, make([]byte, 16)) {
		return identity.ErrBadSignature
	}
	return nil
}

// world writes messages as partners would. Signatures are left out: who verifies
// them is the register, and here it believes all but the forger.
type world struct {
	desks register
	now   uint64
	count int
}

func newWorld() *world {
	w := &world{desks: register{}, now: 1_795_000_000}
	for _, r := range identity.Roles() {
		p := party(r)
		switch r {
		case identity.RoleVeiligThuis:
			p.Region = "VT20"
		case identity.RolePolitie, identity.RoleOM:
			p.Region = "RE03"
		}
		w.desks[p.Desk] = p
	}
	w.desks["vt-a/crisis"] = protocol.Party{Desk: "vt-a/crisis", Role: identity.RoleVeiligThuis, Region: "VT13"}
	w.desks["raad-b/intake"] = protocol.Party{Desk: "raad-b/intake", Role: identity.RoleRaad}
	return w
}

// plain is a message before its details: a minute after the one before.
func (w *world) plain(class string, from identity.DeskID, to ...identity.DeskID) message.Message {
	w.now += 60
	w.count++
	m := message.Message{Version: message.Version, Case: message.CaseRef{9}, Created: w.now, Body: []byte(`{}`),
		Sender: message.Sender{Desk: from, Device: identity.DeviceID{1}}, Addressed: slices.Compact(slices.Sorted(slices.Values(to))),
		Heading: message.Heading{Protocol: message.Protocol, Class: class, Urgency: message.Urgent, Expires: w.now + 1000}}
	copy(m.ID[:], fmt.Sprintf("%016d", w.count))
	if protocol.NeedsPerson(class) {
		m.Person = bytes.Repeat([]byte{7}, 16)
	}
	return m
}

// signed puts a message in its permanent form.
func signed(m message.Message) message.Signed {
	payload, _, err := m.ToBeSigned()
	if err != nil {
		panic(err)
	}
	var person []byte
	if len(m.Person) > 0 {
		person = make([]byte, 64)
	}
	s, err := message.Assemble(payload, make([]byte, 64), person)
	if err != nil {
		panic(err)
	}
	return s
}

// known is a message as a desk has it that verified it.
func (w *world) known(m message.Message) protocol.Known { return protocol.KnownOf(signed(m), w.desks) }

// told is the case that the twenty examples tell together, each in its place.
type told struct {
	*world
	messages map[string]message.Message // by class
	known    []protocol.Known
}

// tell reads the examples as one story: the acknowledgement follows the melding, and
// placeholders for hashes become the hashes.
var tell = sync.OnceValue(func() told {
	w := newWorld()
	t := told{world: w, messages: map[string]message.Message{}}
	refs := map[string]message.Ref{}
	for _, e := range inStory() {
		m := w.plain(e.Kop.Class, party(e.Kop.From.Role).Desk)
		m.ID, m.Case = message.ID(uuid(e.Kop.ID)), message.CaseRef(uuid(e.Kop.Case))
		m.Heading.Urgency, m.Heading.Outcome, m.Body = e.Kop.Urgency, e.Kop.Outcome, bytes.Clone(e.Body)
		for _, to := range e.Kop.To {
			m.Addressed = append(m.Addressed, party(to.Role).Desk)
		}
		slices.Sort(m.Addressed)
		m.Attachments = travelling(m.Heading.Class, m.Body)
		if e.Kop.Answers != "" {
			m.Heading.Answers = []message.Ref{refs[e.Kop.Answers]}
		}
		for _, on := range e.Kop.RestsOn {
			m.Heading.RestsOn = append(m.Heading.RestsOn, refs[on])
			m.Body = placeholder(m.Body, refs[on].Hash)
		}
		if m.Heading.Class == protocol.ClassHandover {
			m.Heading.RestsOn = append(m.Heading.RestsOn, w.known(t.messages[protocol.ClassAcknowledgement]).Ref())
		}
		k := w.known(m)
		refs[e.Kop.ID] = k.Ref()
		t.messages[e.Kop.Class] = m
		t.known = append(t.known, k)
	}
	return t
})

// travelling are the sealed files of what a body describes.
func travelling(class string, body []byte) (out []message.Attachment) {
	for i, f := range protocol.V1().FilesIn(class, body) {
		id := [32]byte{byte(i + 1)}
		out = append(out, message.Attachment{Blob: id, Digest: id, Size: f.Bytes, Name: f.Name, MediaType: f.MediaType,
			Identity: "AGE-SECRET-KEY-PQ-1" + strings.Repeat("Q", 57) + string("QPZRY"[i])})
	}
	return out
}

// placeholder writes the real hash where an example holds one that is made up.
func placeholder(body []byte, h message.Hash) []byte {
	for _, made := range []string{"cd", "5c"} {
		body = bytes.ReplaceAll(body, []byte(strings.Repeat(made, 32)), []byte(hex.EncodeToString(h[:])))
	}
	return body
}

func inStory() (out []protocol.Example) {
	for _, class := range protocol.V1().Classes() {
		e, err := protocol.V1().Example(class.Name)
		if err != nil {
			panic(err)
		}
		out = append(out, e)
	}
	at := func(e protocol.Example) string {
		if e.Kop.Class == protocol.ClassAcknowledgement {
			return e.Kop.Answers + "a"
		}
		return e.Kop.ID
	}
	slices.SortFunc(out, func(a, b protocol.Example) int { return strings.Compare(at(a), at(b)) })
	return out
}

func uuid(s string) [16]byte {
	u, err := identity.ParseUUID(s)
	if err != nil {
		panic(err)
	}
	return u
}

// story is what everybody together knows of the case before a draft.
func story(d protocol.Draft) protocol.Case {
	var before []protocol.Known
	for _, k := range tell().known {
		if k.Created < d.Created {
			before = append(before, k)
		}
	}
	return protocol.V1().CaseOf(d.From.Desk, d.Case, before)
}

// exampleDraft is the draft that the example of a class stands for: one desk per
// role, each of an organisation of its own.
func exampleDraft(t testing.TB, class string) protocol.Draft {
	t.Helper()
	m, ok := tell().messages[class]
	if !ok {
		t.Fatalf("no example of %s", class)
	}
	d := protocol.DraftOf(m, tell().desks)
	d.Answers, d.RestsOn, d.To = slices.Clone(d.Answers), slices.Clone(d.RestsOn), slices.Clone(d.To)
	return d
}
