// Package lanes says which desk role may write to which, and how loudly.
//
// The relay cannot read the class of a message, so it cannot check a message's
// route. It can check the lane: the union of the routes of all classes, by the
// roles that the root signed into the register. In effect this enforces rule R09:
// the ministry (buza) and its posts speak with the knooppunt only. A lane also has
// a ceiling: no class that may travel from a police expert desk to a shelter is
// acute, so nothing on that lane may page an officer at night.
//
// Clients check the whole protocol; a test in clients/protocol proves that the
// table here is exactly the union computed from the catalogue.
package lanes

import (
	"slices"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// ceilings has one row per sending role and one column per receiving role, both
// in the order of identity.Roles. A digit is the highest tier that any class
// gives the lane; a hyphen says that there is no lane.
var ceilings = [...]string{
	//  knooppunt, veilig-thuis, politie, lec-egg, om, buza, post, raad, kmar, opvang, signaleerder
	"23323333332", // knooppunt
	"33323--3332", // veilig-thuis
	"33323--3332", // politie
	"22202--0000", // lec-egg
	"33323--3002", // om
	"3----------", // buza
	"3----------", // post
	"33303--3012", // raad
	"33303--3000", // kmar
	"33303--3000", // opvang
	"33300--0000", // signaleerder
}

// Allowed reports whether a desk of role from may write to a desk of role to.
// Desks of one organisation always may. An unknown role never may.
func Allowed(from, to identity.Role, sameOrg bool) bool {
	_, ok := Ceiling(from, to, sameOrg)
	return ok
}

// Ceiling returns the highest attention tier an envelope on that lane may ask
// for, and false where there is no lane.
func Ceiling(from, to identity.Role, sameOrg bool) (envelope.Tier, bool) {
	roles := identity.Roles()
	row, column := slices.Index(roles, from), slices.Index(roles, to)
	if row < 0 || column < 0 {
		return 0, false
	}
	if sameOrg {
		return envelope.TierAcute, true
	}
	c := ceilings[row][column]
	if c == '-' {
		return 0, false
	}
	return envelope.Tier(c - '0'), true
}
