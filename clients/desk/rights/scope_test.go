package rights_test

import (
	"slices"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
)

func TestEveryOperationIsInAScope(t *testing.T) {
	for _, op := range rights.Operations() {
		if slices.Contains(rights.Scopes(), rights.ScopeOf(op)) == slices.Contains(rights.Closed(), op) {
			t.Errorf("%s is in no scope and not closed, or both", op)
		}
	}
	if rights.ScopeOf("Nothing") != "" {
		t.Error("control: what does not exist is in a scope")
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
