package protocol_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func goodAcknowledgement(t testing.TB) protocol.Acknowledgement {
	return protocol.Acknowledgement{
		Confirms: message.ID(uuid("019ab2c0-6004-7b00-8a00-000000000004")), Name: "P. Iket", Function: "piketdienst",
		Telephone: "+31600000007", Reachable: "24/7", Status: protocol.StatusTaken,
		FirstAction: "Gebeld met meldkamer.", AnswerBy: time.Date(2026, 11, 24, 0, 15, 0, 0, time.FixedZone("CET", 3600)),
	}
}

// What the builder writes is the example of the class, field for field, and passes
// the same check as anything else.
func TestAcknowledgementBody(t *testing.T) {
	a := goodAcknowledgement(t)
	a.Function, a.FirstAction = "piketdienst Veilig Thuis", "Gebeld met meldkamer, eenheid rijdt aan."
	body, err := protocol.V1().AcknowledgementBody(a)
	if err != nil {
		t.Fatal(err)
	}
	d := exampleDraft(t, protocol.ClassAcknowledgement)
	if got, want := fields(t, body), fields(t, d.Body); !reflect.DeepEqual(got, want) {
		t.Errorf("body  %v\nwant  %v", got, want)
	}
	d.Body = body
	if err := check(d); err != nil {
		t.Error(err)
	}
}

func TestAcknowledgementBodyRefuses(t *testing.T) {
	for name, change := range map[string]func(*protocol.Acknowledgement){
		"no name":              func(a *protocol.Acknowledgement) { a.Name = "" },
		"no telephone":         func(a *protocol.Acknowledgement) { a.Telephone = "" },
		"no such number":       func(a *protocol.Acknowledgement) { a.Telephone = "06 1234" },
		"no status":            func(a *protocol.Acknowledgement) { a.Status = "" },
		"unknown status":       func(a *protocol.Acknowledgement) { a.Status = "gezien" },
		"confirms nothing":     func(a *protocol.Acknowledgement) { a.Confirms = message.ID{} },
		"wrong, but who then?": func(a *protocol.Acknowledgement) { a.Status = protocol.StatusWrongRecipient },
		"unknown role":         func(a *protocol.Acknowledgement) { a.RightRole = "minister" },
		"escape sequence":      func(a *protocol.Acknowledgement) { a.FirstAction = "\x1b[2J" },
	} {
		a := goodAcknowledgement(t)
		change(&a)
		_, err := protocol.V1().AcknowledgementBody(a)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		refusal(t, err)
	}
	a := goodAcknowledgement(t)
	a.Status, a.RightRole, a.RightUnit = protocol.StatusWrongRecipient, identity.RoleVeiligThuis, "VT20"
	if _, err := protocol.V1().AcknowledgementBody(a); err != nil {
		t.Errorf("control: %v", err)
	}
}

// The heading of every example, taken apart into a message and rendered again, is
// the heading of the example.
func TestRenderKop(t *testing.T) {
	for _, class := range protocol.V1().Classes() {
		e, err := protocol.V1().Example(class.Name)
		if err != nil {
			t.Fatal(err)
		}
		m, directory := messageOf(t, e)
		raw, err := protocol.V1().RenderKop(m, func(d identity.DeskID) protocol.Address { return directory[d] })
		if err != nil {
			t.Fatal(err)
		}
		var got protocol.Kop
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, e.Kop) {
			t.Errorf("%s: rendered %+v\nwant %+v", class.Name, got, e.Kop)
		}
	}
}

func TestRenderKopRefusesAnUnknownDesk(t *testing.T) {
	e, err := protocol.V1().Example("melding")
	if err != nil {
		t.Fatal(err)
	}
	m, _ := messageOf(t, e)
	_, err = protocol.V1().RenderKop(m, func(identity.DeskID) protocol.Address { return protocol.Address{} })
	refusal(t, err)
}

func messageOf(t *testing.T, e protocol.Example) (message.Message, map[identity.DeskID]protocol.Address) {
	t.Helper()
	directory := map[identity.DeskID]protocol.Address{}
	desk := func(a protocol.Address) identity.DeskID {
		d := identity.DeskID(string(a.Role) + "/piket")
		directory[d] = a
		return d
	}
	m := message.Message{ID: message.ID(uuid(e.Kop.ID)), Case: message.CaseRef(message.ID(uuid(e.Kop.Case))),
		Sender: message.Sender{Desk: desk(e.Kop.From)}, Created: uint64(e.Kop.Sent.Unix()),
		Heading: message.Heading{Protocol: e.Kop.Protocol, Class: e.Kop.Class, Urgency: e.Kop.Urgency,
			Outcome: e.Kop.Outcome, Expires: uint64(e.Kop.Expires.Unix())}}
	for _, a := range e.Kop.To {
		m.Addressed = append(m.Addressed, desk(a))
	}
	if e.Kop.Answers != "" {
		m.Heading.Answers = []message.Ref{{ID: message.ID(uuid(e.Kop.Answers))}}
	}
	for _, id := range e.Kop.RestsOn {
		m.Heading.RestsOn = append(m.Heading.RestsOn, message.Ref{ID: message.ID(uuid(id))})
	}
	return m, directory
}

func TestUnknownExample(t *testing.T) {
	if _, err := protocol.V1().Example("../catalogus"); err == nil {
		t.Error("an example outside the examples")
	}
}

// From a Friday afternoon of winter time, where Amsterdam is an hour ahead. Before
// there was a calendar a working day was 24 hours, which warned too early: no end may
// be earlier than the instant that partners agreed on, and none later.
func TestTermEnd(t *testing.T) {
	start := time.Date(2026, 11, 27, 15, 0, 0, 0, time.UTC)
	for word, want := range map[string]string{"PT15M": "2026-11-27T15:15:00Z", "PT4H": "2026-11-27T19:00:00Z",
		"PT24H": "2026-11-28T15:00:00Z", "P7D": "2026-12-04T23:00:00Z", "1WD": "2026-11-30T23:00:00Z", "5WD": "2026-12-04T23:00:00Z"} {
		term, err := protocol.ParseTerm(word)
		if err != nil {
			t.Fatal(err)
		}
		if got := term.End(start, protocol.V1().Calendar()).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s ends at %s, want %s", word, got, want)
		}
	}
}

func FuzzParseTerm(f *testing.F) {
	for _, s := range []string{"PT15M", "PT24H", "P7D", "5WD (veiligheidsbeoordeling)", "P0D", "PT-1M", "5", "WD", "PT99999M", "PT٣M"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		term, err := protocol.ParseTerm(s)
		if err != nil {
			return
		}
		if term.IsZero() || term.Fixed < 0 || term.Days < 0 || term.WorkingDays < 0 {
			t.Fatalf("%q is %+v", s, term)
		}
		if again, err := protocol.ParseTerm(term.String()); err != nil || again != term {
			t.Fatalf("%q is %v, which reads as %v, %v", s, term, again, err)
		}
	})
}
