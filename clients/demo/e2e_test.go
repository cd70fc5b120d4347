package demo_test

import (
	"bytes"
	"slices"
	"testing"

	"schakel/clients/demo"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// TestTheWholeCase walks the case of the demonstration through a real relay and
// eight devices, and then looks for itself into every inbox.
func TestTheWholeCase(t *testing.T) {
	s := scenario(t)
	w, l := newWorld(t, s), &listener{t: t}
	p := demo.Player{Scenario: s, World: w, Teller: l}
	if err := p.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, class := range protocol.V1().Classes() {
		switch class.Name {
		case protocol.ClassAcknowledgement, protocol.ClassOffence, protocol.ClassTravel, protocol.ClassCorrection, protocol.ClassWithdrawal, protocol.ClassLink, protocol.ClassInvitation:
			// Their bodies name other messages and cases, which an example cannot.
		default:
			checkExample(t, w, s, class.Name)
		}
	}
	for kind, want := range map[demo.FactKind]int{demo.FactForbidden: 2, demo.FactLead: 4, demo.FactRefused: 1, demo.FactRepaired: 1, demo.FactAcknowledged: 2, demo.FactWaiting: 2} {
		if got := count(l.facts, kind); got != want {
			t.Errorf("%d facts %q, want %d", got, kind, want)
		}
	}
}

// checkExample finds the example of a class, byte for byte, in the inbox of each
// desk that the scenario sends it to, and nowhere else.
func checkExample(t *testing.T, w *world, s demo.Scenario, class string) {
	t.Helper()
	e, err := protocol.V1().Example(class)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Steps, func(st demo.Step) bool { return st.Do == demo.ActSend && st.Class == class })
	if i < 0 {
		t.Errorf("class %s does not occur in the scenario", class)
		return
	}
	for id, m := range w.members {
		got := bodies(t, m.Node, class)
		want, verbatim := 0, 0
		for _, st := range s.Steps {
			if st.Do == demo.ActSend && st.Class == class && slices.Contains(st.To, id) {
				want++
				if len(st.With) == 0 {
					verbatim++
				}
			}
		}
		same := 0
		for _, b := range got {
			if bytes.Equal(b, e.Body) {
				same++
			}
		}
		if len(got) != want || same != verbatim {
			t.Errorf("%s: %d of class %s, %d byte for byte, want %d and %d", id, len(got), class, same, want, verbatim)
		}
	}
}

func bodies(t *testing.T, n *schakel.Node, class string) (out [][]byte) {
	t.Helper()
	list, err := n.List(t.Context(), schakel.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Class != class {
			continue
		}
		l, err := n.Read(t.Context(), m.Hash)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Body)
	}
	return out
}

func count(facts []demo.Fact, kind demo.FactKind) (n int) {
	for _, f := range facts {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// TestScenarioFollowsTheExamples holds each step to the heading of its example:
// roles, organisations, units, what it answers and rests on, its outcome.
func TestScenarioFollowsTheExamples(t *testing.T) {
	s := scenario(t)
	if len(s.Desks) != 8 {
		t.Errorf("%d desks, want 8", len(s.Desks))
	}
	for _, st := range s.Steps {
		if st.Do != demo.ActSend && st.Name != protocol.ClassAcknowledgement {
			continue
		}
		e, err := protocol.V1().Example(st.Class)
		if err != nil {
			t.Fatal(err)
		}
		k := e.Kop
		var to []protocol.Address
		for _, id := range st.To {
			to = append(to, address(s, id))
		}
		if address(s, st.From) != plain(k.From) || !slices.Equal(to, each(k.To, plain)) {
			t.Errorf("%s: from %v to %v, the example from %v to %v", st.Class, address(s, st.From), to, k.From, k.To)
		}
		if (st.Answers != "") != (k.Answers != "") || len(st.RestsOn) != len(k.RestsOn) || len(st.With) == 0 && st.Outcome != k.Outcome {
			t.Errorf("%s: answers %q, rests on %v, outcome %q; the example %q, %v, %q", st.Class, st.Answers, st.RestsOn, st.Outcome, k.Answers, k.RestsOn, k.Outcome)
		}
		if needs := protocol.NeedsPerson(st.Class); needs != (st.Person != "") {
			t.Errorf("%s: person %q, needed: %v", st.Class, st.Person, needs)
		}
	}
}

func address(s demo.Scenario, id identity.DeskID) protocol.Address {
	d, _ := s.Desk(id)
	return plain(protocol.Address{Role: d.Role, OIN: d.OIN, Region: d.Region})
}

// plain leaves out what the examples leave out: a mailbox, and "the whole country".
func plain(a protocol.Address) protocol.Address {
	a.Mailbox = ""
	if a.Region == "NL" {
		a.Region = ""
	}
	return a
}

func each[T any](in []T, f func(T) T) (out []T) {
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}
