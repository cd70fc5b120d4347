package rights_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/rights"
	"schakel/clients/schakel"
)

// open is a node that does everything it is asked and counts it.
type open struct {
	desk.Node
	asked int
}

func (o *open) Acknowledge(context.Context, string, schakel.Acknowledgement) (schakel.Sent, error) {
	o.asked++
	return schakel.Sent{}, nil
}
func (o *open) Subscribe() (<-chan schakel.Event, func()) { o.asked++; return nil, func() {} }
func (o *open) List(context.Context, schakel.Filter) ([]schakel.Summary, error) {
	o.asked++
	return nil, nil
}

func (o *open) ChangeRota(context.Context, schakel.RotaChange, schakel.By) (schakel.Rota, error) {
	o.asked++
	return schakel.Rota{}, nil
}

// methods are the operations of desk.Node as the compiler has them.
func methods() (names []rights.Operation) {
	node := reflect.TypeFor[desk.Node]()
	for i := range node.NumMethod() {
		names = append(names, rights.Operation(node.Method(i).Name))
	}
	slices.Sort(names)
	return names
}

func TestTableNamesEveryOperationOnce(t *testing.T) {
	table := rights.Operations()
	slices.Sort(table)
	if want := methods(); !slices.Equal(table, want) {
		t.Errorf("table %q\nnode  %q", table, want)
	}
}

// TestRefusals calls every operation for every role, and for somebody without one: what
// the table does not give is refused before the node hears of it. The node here is nil,
// so that an operation that gets through shows as a panic.
func TestRefusals(t *testing.T) {
	for _, role := range append(desk.Roles(), "") {
		user := desk.User{ID: "u", Roles: []desk.Role{role}}
		guarded := reflect.ValueOf(rights.As(nil, user))
		for _, op := range methods() {
			passed, err := call(guarded.MethodByName(string(op)), "")
			if passed != rights.May(user, op) {
				t.Errorf("%q, %s: reached the node is %t, want %t", role, op, passed, rights.May(user, op))
			}
			if !passed && op != "Subscribe" && !errors.Is(err, desk.ErrRight) {
				t.Errorf("%q, %s: %v", role, op, err)
			}
		}
	}
}

// call calls a method for a person, with zero values otherwise, and says whether it
// reached the nil node.
func call(m reflect.Value, person string) (reached bool, err error) {
	defer func() {
		if recover() != nil {
			reached = true
		}
	}()
	args := []reflect.Value{}
	for i := range m.Type().NumIn() {
		if m.Type().IsVariadic() && i == m.Type().NumIn()-1 {
			break
		}
		args = append(args, argument(m.Type().In(i), person))
	}
	if person != "" && m.Type().IsVariadic() {
		args = append(args, argument(m.Type().In(m.Type().NumIn()-1).Elem(), person))
	}
	out := m.Call(args)
	err, _ = out[len(out)-1].Interface().(error)
	return false, err
}

func argument(t reflect.Type, person string) reflect.Value {
	switch t {
	case reflect.TypeFor[context.Context]():
		return reflect.ValueOf(context.Background())
	case reflect.TypeFor[schakel.RotaChange]():
		return reflect.ValueOf(schakel.RotaChange{Kind: schakel.RotaTake})
	}
	v := reflect.New(t).Elem()
	if names(t) {
		v.FieldByName("Person").SetString(person)
	}
	return v
}

// names reports whether a parameter says who does something.
func names(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	f, ok := t.FieldByName("Person")
	return ok && f.Type.Kind() == reflect.String
}

// TestEveryOperationKnowsWhoseNameItTakes calls every operation that takes a person, for
// who has every role, as another person and as oneself.
func TestEveryOperationKnowsWhoseNameItTakes(t *testing.T) {
	guarded := reflect.ValueOf(rights.As(nil, desk.User{ID: "u", Roles: desk.Roles(), Person: "p1"}))
	var taken []rights.Operation
	for _, op := range methods() {
		m := guarded.MethodByName(string(op))
		signs := false
		for i := range m.Type().NumIn() {
			in := m.Type().In(i)
			signs = signs || names(in) || in.Kind() == reflect.Slice && names(in.Elem())
		}
		if !signs {
			continue
		}
		taken = append(taken, op)
		if reached, err := call(m, "p2"); reached || !errors.Is(err, desk.ErrOwnPerson) {
			t.Errorf("%s as another: reached the node is %t, %v", op, reached, err)
		}
		if reached, err := call(m, "p1"); !reached {
			t.Errorf("control: %s as oneself: %v", op, err)
		}
	}
	for _, op := range []rights.Operation{"Send", "ReadAs", "Overview", "Progress", "Worksheet", "Drafts", "Restrict", "SetRota", "ChangeRota", "ImportCalendar", "StartDrill"} {
		if !slices.Contains(taken, op) {
			t.Errorf("%s was not tried", op)
		}
	}
}

// TestOwnShiftsOnly: who does not make the rota takes over and swaps for nobody else.
func TestOwnShiftsOnly(t *testing.T) {
	refused := []schakel.RotaChange{
		{Kind: schakel.RotaTake, Who: "p2"}, {Kind: schakel.RotaSwap, Who: "p2", Other: "p1"}, {Kind: schakel.RotaOverride},
		{Kind: schakel.RotaExchange, Other: "p2"}, {Kind: schakel.RotaLeave, Who: "p1"}, {},
	}
	own := []schakel.RotaChange{{Kind: schakel.RotaTake}, {Kind: schakel.RotaTake, Who: "p1"}, {Kind: schakel.RotaSwap, Other: "p2"}}
	for _, role := range []desk.Role{desk.RoleCaseWorker, desk.RoleOnCall, desk.RoleKeeper} {
		node := &open{}
		guarded := rights.As(node, desk.User{ID: "u", Roles: []desk.Role{role}, Person: "p1"})
		for _, c := range refused {
			if _, err := guarded.ChangeRota(t.Context(), c, schakel.By{Person: "p1"}); errors.Is(err, desk.ErrRight) == (role == desk.RoleKeeper) {
				t.Errorf("%s, %+v: %v", role, c, err)
			}
		}
		before := node.asked
		for _, c := range own {
			if _, err := guarded.ChangeRota(t.Context(), c, schakel.By{Person: "p1"}); err != nil {
				t.Errorf("%s, %+v: %v", role, c, err)
			}
		}
		if node.asked-before != len(own) || (before > 0) != (role == desk.RoleKeeper) {
			t.Errorf("%s: the node was asked %d and %d times", role, before, node.asked-before)
		}
	}
}

func TestNobodySignsAsAnother(t *testing.T) {
	node := &open{}
	user := desk.User{ID: "u", Roles: []desk.Role{desk.RoleOnCall}, Person: "p1"}
	guarded := rights.As(node, user)
	for _, person := range []string{"p2", "P. Iket"} {
		if _, err := guarded.Acknowledge(t.Context(), "4f", schakel.Acknowledgement{Person: person, PIN: "123456"}); !errors.Is(err, desk.ErrOwnPerson) {
			t.Errorf("%s: %v", person, err)
		}
	}
	if node.asked != 0 {
		t.Error("the node was asked to sign as another")
	}
	if _, err := guarded.Acknowledge(t.Context(), "4f", schakel.Acknowledgement{Person: "p1"}); err != nil || node.asked != 1 {
		t.Errorf("control: one's own person: %v", err)
	}
}

func TestWhoWatchesReadsNoCase(t *testing.T) {
	for _, role := range []desk.Role{desk.RoleKeeper, desk.RoleOfficer} {
		for _, op := range []rights.Operation{"List", "Read", "ReadAs", "Cases", "Overview", "Worksheet", "Drafts", "ExportCase", "Export", "Progress", "Restrict", "Restriction"} {
			if rights.May(desk.User{Roles: []desk.Role{role}}, op) {
				t.Errorf("%s may %s", role, op)
			}
		}
	}
	if rights.May(desk.User{Roles: []desk.Role{desk.RoleOfficer}}, "Rota") || rights.May(desk.User{Roles: []desk.Role{desk.RoleOnCall}}, "SetRota") {
		t.Error("more than a role is for")
	}
	if !rights.May(desk.User{Roles: []desk.Role{desk.RoleCaseWorker}}, "Read") {
		t.Error("control: nobody may read")
	}
}
