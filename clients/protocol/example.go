package protocol

import (
	"encoding/json"
	"fmt"
)

// Example is one valid, entirely fictional message. Body is byte for byte as the
// example writes it. The dates and identifiers of the heading are placeholders.
type Example struct {
	Kop  Kop             `json:"kop"`
	Body json.RawMessage `json:"body"`
}

// Example returns the example of a class.
func (c *Catalogue) Example(class string) (Example, error) {
	var e Example
	if _, ok := c.Class(class); !ok {
		return e, fmt.Errorf("failed to find an example of %.40q: no such class", class)
	}
	raw, ok := c.files["voorbeelden/"+class+".json"]
	if !ok {
		return e, fmt.Errorf("failed to find an example of %s: the partners added it without one", class)
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("failed to read the example of %s: %w", class, err)
	}
	return e, nil
}
