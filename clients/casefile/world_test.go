package casefile_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// world is a register, three desks in it, and a case of a few messages.
type world struct {
	chain   *trusttest.Chain
	doctor  trusttest.Device
	vt      trusttest.Device
	police  trusttest.Device
	dossier casefile.Dossier
	at      time.Time
	count   int
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld makes a register whose root names the agreement of this program.
func newWorld(t testing.TB) *world {
	t.Helper()
	now := time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)
	c := trusttest.New(now)
	root := c.Root(2, 2, c.Holders...)
	root.Agreement = protocol.V1().Digest()
	entry, err := root.Sign(c.Register().Next(root.Subject()), c.Quorum()...)
	ok(t, err)
	c.Add(entry)
	w := &world{chain: c, at: now, doctor: c.Enrol("arts/praktijk", identity.RoleSignaleerder),
		vt: c.Enrol("vt20/crisis", identity.RoleVeiligThuis), police: c.Enrol("politie-mn/oc", identity.RolePolitie)}
	w.dossier = casefile.Dossier{Case: message.CaseRef(trusttest.UUID("case")), Desk: w.vt.Desk, Device: w.vt.ID, Made: now.Add(time.Hour),
		Agreement: protocol.V1().Agreement()}
	return w
}

func body(t testing.TB, class string) string {
	t.Helper()
	e, err := protocol.V1().Example(class)
	ok(t, err)
	return string(e.Body)
}

// say signs a message into the dossier.
func (w *world) say(t testing.TB, from trusttest.Device, class string, u message.Urgency, text string, change func(*message.Message), to ...identity.DeskID) message.Signed {
	t.Helper()
	w.count++
	w.at = w.at.Add(time.Minute)
	m := message.Message{Version: message.Version, ID: message.ID(trusttest.UUID(fmt.Sprint("message", w.count))), Case: w.dossier.Case,
		Heading: message.Heading{Protocol: message.Protocol, Class: class, Urgency: u, Expires: uint64(w.at.Unix()) + 1000}, Body: []byte(text),
		Sender: message.Sender{Desk: from.Desk, Device: from.ID}, Addressed: to, Created: uint64(w.at.Unix())}
	if change != nil {
		change(&m)
	}
	return w.sign(t, from, m)
}

func (w *world) sign(t testing.TB, from trusttest.Device, m message.Message) message.Signed {
	t.Helper()
	payload, tbs, err := m.ToBeSigned()
	ok(t, err)
	var person []byte
	if len(m.Person) > 0 {
		person = ed25519.Sign(from.PersonKey.Private, tbs)
	}
	s, err := message.Assemble(payload, ed25519.Sign(from.Sign.Private, tbs), person)
	ok(t, err)
	w.dossier.Messages = append(w.dossier.Messages, s.Raw)
	return s
}

// story is an acute report to Veilig Thuis and the police, and its acknowledgement by
// a named person of Veilig Thuis.
func story(t testing.TB) *world {
	w := newWorld(t)
	report := w.say(t, w.doctor, "melding", message.Acute, body(t, "melding"), nil, "politie-mn/oc", "vt20/crisis")
	text, err := protocol.V1().AcknowledgementBody(protocol.Acknowledgement{Confirms: report.Message.ID, Name: "P. Iket", Function: "piket",
		Telephone: "+31600000007", Status: protocol.StatusTaken})
	ok(t, err)
	w.say(t, w.vt, protocol.ClassAcknowledgement, message.Acute, string(text), func(m *message.Message) {
		m.Person = w.vt.Person.ID[:]
		m.Heading.Answers = []message.Ref{report.Ref()}
	}, "arts/praktijk", "politie-mn/oc")
	w.dossier.Record = casefile.Record{Received: []casefile.Received{{Message: report.Hash(), Received: w.at, Acknowledged: w.at, By: "P. Iket"}}}
	return w
}

// finish fills in the register and writes the archive.
func (w *world) finish(t testing.TB, person bool) []byte {
	t.Helper()
	w.dossier.Entries = w.chain.Entries()
	reg := w.chain.Register()
	w.dossier.Checkpoint = w.chain.Checkpoint(reg.Size(), reg.Root())
	var second trust.Signer
	if person {
		w.dossier.Person, second = w.vt.Person.ID, w.vt.PersonKey
	}
	var out bytes.Buffer
	_, err := casefile.Write(&out, w.dossier, w.vt.Sign, second)
	ok(t, err)
	return out.Bytes()
}

// told is what the root holders say by telephone.
func (w *world) told() casefile.Options { return casefile.Options{Genesis: w.chain.Fingerprint()} }

func faults(r casefile.Report) string {
	var all []string
	for _, f := range r.Faults {
		all = append(all, string(f.Kind)+" "+f.File)
	}
	return strings.Join(all, "; ")
}
