package api_test

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
)

// called is what the contract calls a type whose own name another one has.
var called = map[string]string{"roster.Person": "RosterPerson", "playbook.Step": "PlaybookStep"}

// TestSchemasFitTheTypes: each schema has the fields that our type of that name has in
// JSON, no more and no fewer: what a node can say of something, the contract says too.
func TestSchemasFitTheTypes(t *testing.T) {
	schemas := openapi["components"].(map[string]any)["schemas"].(map[string]any)
	types := map[string]reflect.Type{}
	node := reflect.TypeFor[desk.Node]()
	for i := range node.NumMethod() {
		for out := range node.Method(i).Type.Outs() {
			gather(types, out)
		}
	}
	for _, more := range []reflect.Type{reflect.TypeFor[schakel.Draft](), reflect.TypeFor[schakel.Acknowledgement](), reflect.TypeFor[schakel.Forwarding](), reflect.TypeFor[schakel.By](), reflect.TypeFor[schakel.RotaChange](), reflect.TypeFor[schakel.TestPage]()} {
		gather(types, more)
	}
	checked := 0
	for name, typ := range types {
		schema, known := schemas[name].(map[string]any)
		if !known {
			continue // only inside what the API takes apart, such as a list of lines
		}
		checked++
		properties, _ := schema["properties"].(map[string]any)
		said, is := slices.Sorted(maps.Keys(properties)), slices.Sorted(slices.Values(fieldsOf(typ)))
		if !slices.Equal(said, is) {
			t.Errorf("%s: the contract says %q, %s has %q", name, said, typ, is)
		}
	}
	if checked < 50 {
		t.Errorf("only %d types were found in the contract", checked)
	}
}

// text reports whether a type is a string in JSON.
func text(t reflect.Type) bool {
	marshaler := reflect.TypeFor[encoding.TextMarshaler]()
	return t == reflect.TypeFor[time.Time]() || t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)
}

// gather finds the structs in a type.
func gather(types map[string]reflect.Type, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		gather(types, t.Elem())
	case reflect.Struct:
		name := t.Name()
		if other, ok := called[t.String()]; ok {
			name = other
		}
		if text(t) || types[name] != nil {
			return
		}
		types[name] = t
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				gather(types, t.Field(i).Type)
			}
		}
	}
}

// fieldsOf are the names in JSON, those of what is embedded among them.
func fieldsOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct && !text(f.Type):
			names = append(names, fieldsOf(f.Type)...)
		case !f.IsExported() || name == "-":
		case name == "":
			names = append(names, f.Name)
		default:
			names = append(names, name)
		}
	}
	return names
}
