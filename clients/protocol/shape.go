package protocol

import (
	"bytes"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"schakel/crypto/message"
)

// Shapes are the schemas within one document, such as the contract of an interface: JSON
// that is no body of a message is read by them as strictly as a body is.
type Shapes struct{ compiler *jsonschema.Compiler }

// shapesName is what the document is called within itself: an address, and no path in the
// folder where somebody is.
const shapesName = "schakel:///shapes.json"

// ReadShapes reads a document that holds schemas. None may refer to another document.
func ReadShapes(document []byte) (*Shapes, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("failed to read schemas: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(closed{})
	if err := c.AddResource(shapesName, doc); err != nil {
		return nil, fmt.Errorf("failed to read schemas: %w", err)
	}
	return &Shapes{c}, nil
}

// At returns the schema at a JSON pointer in the document.
func (s *Shapes) At(pointer string) (Shape, error) {
	schema, err := s.compiler.Compile(shapesName + "#" + pointer)
	return Shape{schema}, err
}

// Shape is one schema.
type Shape struct{ schema *jsonschema.Schema }

// Read parses raw, of at most limit bytes, and checks it. What is wrong with it is named
// by place, in both languages, and without quoting it.
func (s Shape) Read(raw []byte, limit int) *Refusal {
	v, refusal := parseWithin(raw, limit)
	if refusal != nil {
		return refusal
	}
	return s.Fits(v)
}

// Fits checks a parsed value, whose numbers are json.Number.
func (s Shape) Fits(v any) *Refusal { return validate(s.schema, v) }

func parseBody(raw []byte) (any, *Refusal) { return parseWithin(raw, message.MaxBody) }
