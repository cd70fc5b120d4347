package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"schakel/clients/desk/rights"
	"schakel/clients/protocol"
)

//go:embed openapi.json
var contract []byte

// base is where all paths of the contract begin.
const base = "/v1"

// operation is one of the contract, with what does it here.
type operation struct {
	id        string
	method    string
	path      string
	status    int              // of success
	node      rights.Operation // "": needs a token and no right
	open      bool             // needs no token
	noted     string           // "each": every use; "list": now and then; "": never
	keyed     bool             // takes an Idempotency-Key
	long      bool             // takes as long as something moves
	takesFile bool             // its body is a file, and no JSON
	body      *protocol.Shape
	params    []parameter
	do        act
}

// parameter is something a request says beside its body.
type parameter struct {
	name, in string
	kind     string // of JSON Schema: string, integer or boolean
	required bool
	shape    protocol.Shape
}

// document is as much of OpenAPI 3.1 as this package goes by.
type document struct {
	Paths      map[string]map[string]described `json:"paths"`
	Components struct {
		Parameters map[string]described1 `json:"parameters"`
	} `json:"components"`
}

type described struct {
	ID         string                     `json:"operationId"`
	Node       string                     `json:"x-operation"`
	Noted      any                        `json:"x-noted"`
	Long       bool                       `json:"x-long"`
	Security   []map[string][]string      `json:"security"`
	Parameters []described1               `json:"parameters"`
	Body       *content                   `json:"requestBody"`
	Responses  map[string]json.RawMessage `json:"responses"`
}

// content is what a request brings, by media type.
type content struct {
	Content map[string]json.RawMessage `json:"content"`
}

// described1 is a parameter, or a reference to one.
type described1 struct {
	Ref      string `json:"$ref"`
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Schema   struct {
		Type string `json:"type"`
	} `json:"schema"`
}

// readContract reads the operations of a contract, and ties each to what does it.
func readContract(raw []byte, acts map[string]act) ([]*operation, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("failed to read the contract: %w", err)
	}
	shapes, err := protocol.ReadShapes(raw)
	if err != nil {
		return nil, err
	}
	var out []*operation
	for path, methods := range doc.Paths {
		for method, d := range methods {
			op, err := doc.read(path, method, d, shapes)
			if err != nil {
				return nil, fmt.Errorf("contract, %s %s: %w", method, path, err)
			}
			if op.do = acts[op.id]; op.do == nil {
				return nil, fmt.Errorf("contract, %s %s: nothing does %q", method, path, op.id)
			}
			out = append(out, op)
		}
	}
	if len(out) != len(acts) {
		return nil, fmt.Errorf("contract: %d operations, and %d are done", len(out), len(acts))
	}
	return out, nil
}

func (doc document) read(path, method string, d described, shapes *protocol.Shapes) (op *operation, err error) {
	op = &operation{id: d.ID, method: strings.ToUpper(method), path: path, node: rights.Operation(d.Node), long: d.Long, open: d.Security != nil && len(d.Security) == 0}
	at := "/paths/" + escape(path) + "/" + method
	switch d.Noted {
	case true:
		op.noted = "each"
	case "list":
		op.noted = "list"
	}
	for status := range d.Responses {
		if n, err := strconv.Atoi(status); err == nil && n < 300 {
			op.status = n
		}
	}
	if d.Body != nil && d.Body.Content["application/octet-stream"] != nil {
		op.takesFile = true
	} else if d.Body != nil {
		shape, err := shapes.At(at + "/requestBody/content/application~1json/schema")
		if err != nil {
			return op, err
		}
		op.body = &shape
	}
	for i, p := range d.Parameters {
		place := at + "/parameters/" + strconv.Itoa(i)
		if name, isRef := strings.CutPrefix(p.Ref, "#/components/parameters/"); isRef {
			p, place = doc.Components.Parameters[name], "/components/parameters/"+name
		}
		read := parameter{name: p.Name, in: p.In, kind: p.Schema.Type, required: p.Required}
		if read.shape, err = shapes.At(place + "/schema"); err != nil {
			return op, err
		}
		op.keyed = op.keyed || p.Name == headerKey
		op.params = append(op.params, read)
	}
	return op, nil
}

func escape(pointer string) string {
	return strings.ReplaceAll(strings.ReplaceAll(pointer, "~", "~0"), "/", "~1")
}

// knows reports whether the contract has a query parameter of this name.
func (op *operation) knows(name string) bool {
	return slices.ContainsFunc(op.params, func(p parameter) bool { return p.in == "query" && p.name == name })
}
