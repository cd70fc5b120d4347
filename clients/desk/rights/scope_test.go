package rights_test

import (
	"slices"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
)

// TestEveryOperationIsInAScope, or withheld from every program.
func TestEveryOperationIsInAScope(t *testing.T) {
	for _, op := range rights.Operations() {
		withheld := slices.Contains(rights.Withheld(), op)
		if slices.Contains(rights.Scopes(), rights.ScopeOf(op)) == withheld {
			t.Errorf("%s is in scope %q, and withheld is %t", op, rights.ScopeOf(op), withheld)
		}
	}
	for _, op := range rights.Withheld() {
		if !slices.Contains(rights.Operations(), op) {
			t.Errorf("%s is withheld, and there is no such operation", op)
		}
	}
	if rights.ScopeOf("Nothing") != "" {
		t.Error("control: what does not exist is in a scope")
	}
}

// TestWithheldFromEveryProgram: a token with all roles and all scopes may not, and a
// person with those roles may.
func TestWithheldFromEveryProgram(t *testing.T) {
	for _, op := range rights.Withheld() {
		if rights.May(desk.User{Roles: desk.Roles(), Scopes: append(rights.Scopes(), "")}, op) {
			t.Errorf("a program may %s", op)
		}
		if !rights.May(desk.User{Roles: desk.Roles()}, op) {
			t.Errorf("control: no person may %s", op)
		}
	}
}

// TestScopesOnlyNarrow: for every role and scope, a token may what both give.
func TestScopesOnlyNarrow(t *testing.T) {
	for _, role := range desk.Roles() {
		person := desk.User{Roles: []desk.Role{role}}
		for _, scope := range append(rights.Scopes(), "") {
			token := desk.User{Roles: person.Roles, Scopes: []string{scope}}
			for _, op := range rights.Operations() {
				if want := rights.May(person, op) && scope != "" && rights.ScopeOf(op) == scope; rights.May(token, op) != want {
					t.Errorf("%s, scope %q: may %s is %t", role, scope, op, !want)
				}
			}
		}
		if rights.May(desk.User{Roles: person.Roles, Scopes: []string{}}, "Status") {
			t.Errorf("%s: a token without scopes may something", role)
		}
	}
}
