package writing_test

import (
	"slices"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func desks() []schakel.Desk {
	return []schakel.Desk{
		{ID: "politie-ams/oc", Role: identity.RolePolitie, Region: "RE05"},
		{ID: "politie-mn/oc", Role: identity.RolePolitie, Region: "RE03"},
		{ID: "knooppunt/piket", Role: identity.RoleKnooppunt, Region: "NL"},
		{ID: "buza/dcm", Role: identity.RoleBuza},
	}
}

// A desk is offered what its role may send and no more, and acknowledging is not among it.
func TestClasses(t *testing.T) {
	c := protocol.V1()
	for role, want := range map[identity.Role]bool{identity.RoleKnooppunt: true, identity.RoleOpvang: false} {
		classes := writing.Classes(c, role)
		has := func(name string) bool {
			return slices.ContainsFunc(classes, func(k protocol.Class) bool { return k.Name == name })
		}
		if has(protocol.ClassVerify) != want || has(protocol.ClassAcknowledgement) {
			t.Errorf("%s: verificatieverzoek %t, ontvangstbevestiging %t", role, has(protocol.ClassVerify), has(protocol.ClassAcknowledgement))
		}
	}
}

func TestAddressable(t *testing.T) {
	class, _ := protocol.V1().Class(protocol.ClassReport)
	own := schakel.Status{Desk: "vt20/crisis", Role: identity.RoleVeiligThuis}
	places := writing.Places(protocol.Values{"slachtoffers": []any{protocol.Values{"gemeentecode": "GM0344"}}})
	var got []identity.DeskID
	for _, d := range writing.Addressable(class, message.Urgent, own, desks(), places) {
		got = append(got, d.ID)
	}
	if want := []identity.DeskID{"politie-mn/oc", "knooppunt/piket", "politie-ams/oc"}; !slices.Equal(got, want) {
		t.Errorf("a melding about Utrecht can go to %v, want %v", got, want)
	}
}

func TestDoubts(t *testing.T) {
	places := []string{"GM0344"}
	zaak := schakel.Overview{Messages: []schakel.Moment{{From: protocol.Party{Desk: "vt20/crisis"}, To: []protocol.Party{{Desk: "politie-mn/oc"}}}}}
	p := schakel.Prepared{To: []identity.DeskID{"politie-mn/oc", "politie-ams/oc", "knooppunt/piket", "niemand/hier", "buza/dcm", "vt20/nacht"}, Added: []identity.DeskID{"buza/dcm"}}
	all := append(desks(), schakel.Desk{ID: "vt20/nacht", Role: identity.RoleVeiligThuis, Region: "VT20"})
	got := writing.Doubts(p, all, places, &zaak, "vt20/crisis")
	want := map[identity.DeskID]writing.Doubt{"politie-ams/oc": writing.DoubtElsewhere, "knooppunt/piket": writing.DoubtOutside, "niemand/hier": writing.DoubtUnknown}
	for _, id := range p.To {
		if got[id] != want[id] {
			t.Errorf("%s: %q, want %q", id, got[id], want[id])
		}
	}
	if fresh := writing.Doubts(p, all, nil, nil, "vt20/crisis"); len(fresh) != 1 {
		t.Errorf("a new case without a municipality: %v", fresh)
	}
}
