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
			passed, err := call(guarded.MethodByName(string(op)))
			if passed != rights.May(user, op) {
				t.Errorf("%q, %s: reached the node is %t, want %t", role, op, passed, rights.May(user, op))
			}
			if !passed && op != "Subscribe" && !errors.Is(err, desk.ErrRight) {
				t.Errorf("%q, %s: %v", role, op, err)
			}
		}
	}
}

// call calls a method with zero values and says whether it reached the nil node.
func call(m reflect.Value) (reached bool, err error) {
	defer func() {
		if recover() != nil {
			reached = true
		}
	}()
	args := []reflect.Value{}
	for i := range m.Type().NumIn() {
		if m.Type().In(i) == reflect.TypeFor[context.Context]() {
			args = append(args, reflect.ValueOf(context.Background()))
		} else {
			args = append(args, reflect.Zero(m.Type().In(i)))
		}
	}
	out := m.Call(args)
	err, _ = out[len(out)-1].Interface().(error)
	return false, err
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
		for _, op := range []rights.Operation{"List", "Read", "ReadAs", "Cases", "Overview", "Worksheet", "Drafts", "ExportCase", "Export", "Progress"} {
			if rights.May(desk.User{Roles: []desk.Role{role}}, op) {
				t.Errorf("%s may %s", role, op)
			}
		}
	}
	if !rights.May(desk.User{Roles: []desk.Role{desk.RoleCaseWorker}}, "Read") {
		t.Error("control: nobody may read")
	}
}
