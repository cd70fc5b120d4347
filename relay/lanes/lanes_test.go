package lanes_test

import (
	"testing"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/lanes"
)

// R09: the ministry and its posts exchange case data with the knooppunt only.
func TestBuzaAndPostSpeakWithTheKnooppuntOnly(t *testing.T) {
	for _, abroad := range []identity.Role{identity.RoleBuza, identity.RolePost} {
		for _, other := range identity.Roles() {
			want := other == identity.RoleKnooppunt
			if got := lanes.Allowed(abroad, other, false); got != want {
				t.Errorf("%s to %s: allowed = %v", abroad, other, got)
			}
			if got := lanes.Allowed(other, abroad, false); got != want {
				t.Errorf("%s to %s: allowed = %v", other, abroad, got)
			}
		}
	}
}

// A statement travels back along the lane of the message it is about. A lane
// without its return would leave a sender never knowing.
func TestEveryLaneHasItsReturn(t *testing.T) {
	for _, from := range identity.Roles() {
		for _, to := range identity.Roles() {
			if lanes.Allowed(from, to, false) && !lanes.Allowed(to, from, false) {
				t.Errorf("%s may write to %s, and no receipt can come back", from, to)
			}
		}
	}
}

func TestDesksOfOneOrganisationAlwaysMay(t *testing.T) {
	if lanes.Allowed(identity.RoleBuza, identity.RolePost, false) {
		t.Error("control: a ministry and a foreign organisation's post have no lane")
	}
	tier, ok := lanes.Ceiling(identity.RoleBuza, identity.RolePost, true)
	if !ok || tier != envelope.TierAcute {
		t.Errorf("one organisation: tier %d, %v", tier, ok)
	}
}

func TestUnknownRolesNeverMay(t *testing.T) {
	for _, r := range []identity.Role{"", "minister", "KNOOPPUNT", "knooppunt "} {
		if lanes.Allowed(r, identity.RoleKnooppunt, true) || lanes.Allowed(identity.RoleKnooppunt, r, true) {
			t.Errorf("role %q has a lane", r)
		}
	}
}

// A desk that may only acknowledge on a lane cannot make it page at night.
func TestCeiling(t *testing.T) {
	for _, c := range []struct {
		from, to identity.Role
		want     envelope.Tier
	}{
		{identity.RoleSignaleerder, identity.RoleVeiligThuis, envelope.TierAcute},
		{identity.RoleKnooppunt, identity.RoleSignaleerder, envelope.TierUrgent},
		{identity.RoleRaad, identity.RoleOpvang, envelope.TierRoutine},
		{identity.RoleLecEgg, identity.RoleOpvang, envelope.TierNone},
	} {
		if got, ok := lanes.Ceiling(c.from, c.to, false); !ok || got != c.want {
			t.Errorf("%s to %s: tier %d, %v; want %d", c.from, c.to, got, ok, c.want)
		}
	}
}

func BenchmarkAllowed(b *testing.B) {
	for b.Loop() {
		lanes.Allowed(identity.RoleVeiligThuis, identity.RoleSignaleerder, false)
	}
}
