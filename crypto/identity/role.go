package identity

import (
	"fmt"
	"slices"
)

// Role is what a desk is in the chain. The root signs it; an organisation cannot
// give itself another (attack H11). The spelling is that of the protocol's
// catalogue.
type Role string

// The eleven roles of protocol version 1.
const (
	RoleKnooppunt    Role = "knooppunt"
	RoleVeiligThuis  Role = "veilig-thuis"
	RolePolitie      Role = "politie"
	RoleLecEgg       Role = "lec-egg"
	RoleOM           Role = "om"
	RoleBuza         Role = "buza"
	RolePost         Role = "post"
	RoleRaad         Role = "raad"
	RoleKmar         Role = "kmar"
	RoleOpvang       Role = "opvang"
	RoleSignaleerder Role = "signaleerder"
)

// Roles returns all roles in the order of the catalogue.
func Roles() []Role {
	return []Role{RoleKnooppunt, RoleVeiligThuis, RolePolitie, RoleLecEgg, RoleOM, RoleBuza,
		RolePost, RoleRaad, RoleKmar, RoleOpvang, RoleSignaleerder}
}

// ParseRole accepts exactly the spellings of the catalogue.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fmt.Errorf("%w: role %q is not in the catalogue", ErrInvalid, clip(s))
}
