package protocol

import (
	"encoding/json"
	"fmt"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// What a person says by acknowledging.
const (
	StatusTaken          = "in-behandeling"
	StatusPassedOn       = "doorgezet-intern"
	StatusWrongRecipient = "verkeerde-ontvanger"
	StatusUnreadable     = "niet-leesbaar"
)

// Acknowledgement is the content of an ontvangstbevestiging. Confirms, Name,
// Telephone and Status are required; RightRole as well when the status is
// StatusWrongRecipient.
type Acknowledgement struct {
	Confirms    message.ID
	Name        string
	Function    string
	Telephone   string // +31600000007
	Reachable   string // when, in words
	Status      string
	FirstAction string
	AnswerBy    time.Time // zero: not promised
	RightRole   identity.Role
	RightUnit   string
}

type acknowledgementBody struct {
	Confirms    string          `json:"bevestigt"`
	By          contactBody     `json:"door"`
	Status      string          `json:"status"`
	FirstAction string          `json:"eersteActie,omitempty"`
	AnswerBy    string          `json:"antwoordUiterlijk,omitempty"`
	Right       *rightRecipient `json:"juisteOntvanger,omitempty"`
}

type contactBody struct {
	Name      string `json:"naam"`
	Function  string `json:"functie,omitempty"`
	Telephone string `json:"telefoon"`
	Reachable string `json:"bereikbaar,omitempty"`
}

type rightRecipient struct {
	Role identity.Role `json:"rol"`
	Unit string        `json:"eenheid,omitempty"`
}

// AcknowledgementBody returns the body of an ontvangstbevestiging, or the
// [*Refusal] that says which field is missing or wrong.
func (c *Catalogue) AcknowledgementBody(a Acknowledgement) ([]byte, error) {
	b := acknowledgementBody{Confirms: a.Confirms.String(), Status: a.Status, FirstAction: a.FirstAction,
		By: contactBody{Name: a.Name, Function: a.Function, Telephone: a.Telephone, Reachable: a.Reachable}}
	if !a.AnswerBy.IsZero() {
		b.AnswerBy = a.AnswerBy.UTC().Format(time.RFC3339)
	}
	if a.RightRole != "" {
		b.Right = &rightRecipient{Role: a.RightRole, Unit: a.RightUnit}
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("failed to encode an acknowledgement: %w", err)
	}
	class, ok := c.Class(ClassAcknowledgement)
	if !ok {
		return nil, fmt.Errorf("%w: no class %s", ErrCatalogue, ClassAcknowledgement)
	}
	if _, refusal := readBody(class.schema, raw); refusal != nil {
		return nil, refusal
	}
	return raw, nil
}
