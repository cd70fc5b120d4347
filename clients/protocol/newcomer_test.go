package protocol_test

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	"schakel/clients/protocol"
	"schakel/crypto/identity"
)

// begins are the classes that begin something with who gets them: a report, a question, a
// request, advice, a plan, a weighing, an offer of the regie, an invitation. By each a desk
// can come into a case, signed by a desk whose role may say that to its role.
var begins = []string{"signaal", "adviesvraag", "advies", "melding", "achterlatingssignaal", "contactverzoek", "informatieverzoek", "verificatieverzoek",
	"reisdocumentverzoek", "repatrieringsplan", "inzetverzoek", "afweging", "strafbaar-feit-melding", "overdracht", "uitnodiging"}

// withNewcomer is the example of a class, addressed as well to a desk of a role that had no
// part in its case.
func withNewcomer(t *testing.T, class string, role identity.Role) protocol.Draft {
	d := exampleDraft(t, class)
	d.To = append(d.To, protocol.Party{Desk: identity.DeskID("nieuw-" + string(role) + "/piket"), Role: role, Region: "VT20"})
	slices.SortFunc(d.To, func(a, b protocol.Party) int { return cmp.Compare(a.Desk, b.Desk) })
	return d
}

// TestF21OnlyWhatBeginsReachesANewcomer: answers, decisions, feedback, corrections, links and
// the closing of a case reach nobody who had no part in it, and what begins something goes
// only where the role of its sender may send it.
func TestF21OnlyWhatBeginsReachesANewcomer(t *testing.T) {
	for _, class := range protocol.V1().Classes() {
		var reached []identity.Role
		for _, role := range identity.Roles() {
			var refusal *protocol.Refusal
			switch err := check(withNewcomer(t, class.Name, role)); {
			case err == nil:
				reached = append(reached, role)
			case !errors.As(err, &refusal) || refusal.Rule == "":
				t.Errorf("%s to %s is refused without a rule: %v", class.Name, role, err)
			}
		}
		if brings := slices.Contains(begins, class.Name); !brings && len(reached) > 0 {
			t.Errorf("%s reaches %v, who had no part in the case", class.Name, reached)
		}
	}
	control := withNewcomer(t, "inzetverzoek", identity.RolePolitie)
	if err := check(control); err != nil {
		t.Errorf("control: what is asked of the police does not reach them: %v", err)
	}
	if err := check(withNewcomer(t, "inzetverzoek", identity.RoleOM)); err == nil {
		t.Error("an inzetverzoek reaches a role that nobody may ask that of")
	}
}

// TestF21ClosingStaysAmongParticipants: the sender refuses; a recipient, who may lawfully
// know of fewer, holds nothing against it.
func TestF21ClosingStaysAmongParticipants(t *testing.T) {
	d := withNewcomer(t, protocol.ClassClosing, identity.RolePolitie)
	var refusal *protocol.Refusal
	if err := check(d); !errors.As(err, &refusal) || refusal.Rule != "R21" {
		t.Errorf("the sender: %v", err)
	}
	for _, desk := range d.To {
		known := protocol.V1().CaseOf(desk.Desk, d.Case, tell().known)
		if f := protocol.V1().Check(d, known); f.Rejection() != nil {
			t.Errorf("%s rejects it: %v", desk.Desk, f.Rejection())
		}
	}
	colleague := exampleDraft(t, protocol.ClassClosing)
	colleague.To = append(colleague.To, protocol.Party{Desk: identity.DeskID(string(colleague.From.Desk.Org()) + "/archief"), Role: colleague.From.Role})
	if err := check(colleague); errors.As(err, &refusal) && refusal.Rule == "R21" {
		t.Errorf("a colleague of the own organisation: %v", err)
	}
}
