package casefile_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/clients/protocol"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const (
	nobodyHeard = "said to nobody, counts nowhere"
	saysTheDesk = "says this desk. Not all of them signed that here: it counts here"
)

// rejects gives a case in which both addressed desks rejected the question of Veilig
// Thuis: signed by those in proved, and noted by Veilig Thuis for those in noted.
func rejects(t *testing.T, rule string, proved, noted []identity.DeskID) (*world, message.Signed) {
	w, asked := question(t)
	at := uint64(w.at.Unix())
	for _, by := range []struct {
		desk identity.DeskID
		sign func() []byte
	}{{w.police.Desk, func() []byte {
		return w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: at + 5, Rejected: at + 5, Rule: rule})
	}}, {w.doctor.Desk, func() []byte {
		return w.states(t, w.doctor, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: at + 7, Rejected: at + 7, Rule: rule})
	}}} {
		if slices.Contains(proved, by.desk) {
			w.dossier.Statements = append(w.dossier.Statements, by.sign())
		}
		if slices.Contains(noted, by.desk) {
			w.dossier.Record.Sent = append(w.dossier.Record.Sent, casefile.Sent{Message: asked.Hash(), Desk: by.desk, Rejected: w.at, Rule: rule})
		}
	}
	return w, asked
}

// What every addressed desk signed that it rejected was said to nobody, as on the desk
// itself; what only the maker of the file says of that is named, and moves nothing.
func TestSaidToNobody(t *testing.T) {
	police, doctor := identity.DeskID("politie-mn/oc"), identity.DeskID("arts/praktijk")
	both := []identity.DeskID{police, doctor}
	for name, c := range map[string]struct {
		rule            string
		proved, noted   []identity.DeskID
		unsaid, claimed bool
	}{
		"control: nobody rejected it":      {},
		"all signed it":                    {"R09", both, both, true, false},
		"all signed it, nothing noted":     {"R09", both, nil, true, false},
		"one of them signed it":            {"R09", both[:1], both[:1], false, false},
		"one signed, the other was noted":  {"R09", both[:1], both, false, true},
		"the maker's word alone":           {"R09", nil, both, false, true},
		"a person returned it, and has it": {protocol.StatusWrongRecipient, both, both, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, asked := rejects(t, c.rule, c.proved, c.noted)
			raw := w.finish(t, false)
			r := casefile.Verify(raw, w.told())
			if !r.Sound || !r.PagesCompared || !r.Complete || len(r.Messages) != 3 {
				t.Fatalf("%d messages, faults: %s", len(r.Messages), faults(r))
			}
			m := r.Messages[2]
			if m.Hash != asked.Hash().String() || m.Unsaid != c.unsaid || m.ClaimedUnsaid != c.claimed || m.Judged == c.unsaid {
				t.Errorf("unsaid %v, claimed %v, judged %v", m.Unsaid, m.ClaimedUnsaid, m.Judged)
			}
			page := string(unpack(t, raw)["dossier.en.html"])
			if strings.Contains(page, nobodyHeard) != c.unsaid || strings.Contains(page, saysTheDesk) != c.claimed || strings.Contains(page, "Said to nobody</th>") != c.unsaid {
				t.Error("the page tells otherwise")
			}
		})
	}
}

// A message of the rejecting desk that names what it rejected belies the rejection.
func TestBeliedRejection(t *testing.T) {
	w, asked := rejects(t, "R09", []identity.DeskID{"politie-mn/oc", "arts/praktijk"}, nil)
	w.say(t, w.police, protocol.ClassAcknowledgement, message.Routine, body(t, protocol.ClassAcknowledgement), func(m *message.Message) {
		m.Heading.Answers = []message.Ref{asked.Ref()}
	}, "vt20/crisis")
	r := casefile.Verify(w.finish(t, false), w.told())
	if i := slices.IndexFunc(r.Messages, func(m casefile.Original) bool { return m.Hash == asked.Hash().String() }); r.Messages[i].Unsaid {
		t.Errorf("said to nobody, and answered: %+v", r.Messages[i])
	}
}

// The maker's own message that names another which nobody took lacks nothing here.
func TestUnsaidIsNotMissing(t *testing.T) {
	w, asked := rejects(t, "R09", []identity.DeskID{"politie-mn/oc", "arts/praktijk"}, nil)
	change := func(m *message.Message) { m.Heading.RestsOn = []message.Ref{asked.Ref()} }
	w.say(t, w.vt, "signaal", message.Routine, body(t, "signaal"), change, "politie-mn/oc")
	if r := casefile.Verify(w.finish(t, false), w.told()); !r.Complete || len(r.Messages) != 4 {
		t.Errorf("%d messages, missing %v", len(r.Messages), r.Missing)
	}
	w.say(t, w.vt, "signaal", message.Routine, body(t, "signaal"), func(m *message.Message) {
		m.Heading.RestsOn = []message.Ref{{ID: message.ID{1}, Hash: message.Hash{1}}}
	}, "politie-mn/oc")
	if r := casefile.Verify(w.finish(t, false), w.told()); r.Complete || len(r.Missing) != 1 {
		t.Errorf("control: missing %v", r.Missing)
	}
}

// Where the agreement of the file is of the next version, a message is judged by the
// version that it names; of a version that nobody here knows, by none.
func TestJudgedByItsOwnVersion(t *testing.T) {
	next := bytes.Replace(protocol.V1().Agreement(), []byte(`"schakel/1"`), []byte(`"schakel/2"`), 1)
	two, err := protocol.ParseAgreement(next)
	ok(t, err)
	if two.Protocol() != "schakel/2" {
		t.Fatal("the next agreement is not the next")
	}
	w := newWorld(t)
	root := w.chain.Root(3, 2, w.chain.Holders...)
	root.Agreement = two.Digest()
	entry, err := root.Sign(w.chain.Register().Next(root.Subject()), w.chain.Quorum()...)
	ok(t, err)
	w.chain.Add(entry)
	w.dossier.Agreement = two.Agreement()
	for _, version := range []string{"schakel/1", "schakel/2", "schakel/3"} {
		w.say(t, w.doctor, "melding", message.Acute, body(t, "melding"), func(m *message.Message) { m.Heading.Protocol = version }, "politie-mn/oc", "vt20/crisis")
	}
	r := casefile.Verify(w.finish(t, false), w.told())
	if !r.Sound || r.Protocol != "schakel/2" {
		t.Fatalf("%s, faults: %s", r.Protocol, faults(r))
	}
	for _, m := range r.Messages {
		if m.Judged != (m.Protocol != "schakel/3") {
			t.Errorf("of %s, judged: %v", m.Protocol, m.Judged)
		}
	}
}
