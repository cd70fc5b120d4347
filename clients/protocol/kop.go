package protocol

import (
	"encoding/json"
	"fmt"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Kop is the heading of a message as partners' own systems and case files show
// it. It is derived, never signed and never sent: the truth is the message itself.
type Kop struct {
	Protocol string          `json:"protocol"`
	ID       string          `json:"berichtId"`
	Case     string          `json:"zaakRef"`
	Class    string          `json:"klasse"`
	Urgency  message.Urgency `json:"urgentie"`
	From     Address         `json:"van"`
	To       []Address       `json:"aan"`
	Sent     time.Time       `json:"verzondenOp"`
	Expires  time.Time       `json:"vervaltOp"`
	Answers  string          `json:"antwoordOp,omitempty"`
	RestsOn  []string        `json:"steuntOp,omitempty"`
	Outcome  string          `json:"uitkomst,omitempty"`
	Exercise bool            `json:"oefening,omitempty"`
}

// Address is what the register says of a desk: its role, the OIN of its
// organisation, its region, and its mailbox.
type Address struct {
	Role    identity.Role   `json:"rol"`
	OIN     string          `json:"oin"`
	Region  string          `json:"eenheid,omitempty"`
	Mailbox identity.DeskID `json:"postbus,omitempty"`
}

// RenderKop writes the heading of m. address returns what the register says of a
// desk; a desk it does not know makes the heading invalid, and RenderKop fails.
func (c *Catalogue) RenderKop(m message.Message, address func(identity.DeskID) Address) ([]byte, error) {
	h := m.Heading
	k := Kop{Protocol: h.Protocol, ID: m.ID.String(), Case: m.Case.String(), Class: h.Class, Urgency: h.Urgency,
		From: address(m.Sender.Desk), Outcome: h.Outcome, Exercise: h.Exercise,
		Sent: time.Unix(int64(m.Created), 0).UTC(), Expires: time.Unix(int64(h.Expires), 0).UTC()}
	for _, desk := range m.Addressed {
		k.To = append(k.To, address(desk))
	}
	if len(h.Answers) > 0 {
		k.Answers = h.Answers[0].ID.String()
	}
	for _, r := range h.RestsOn {
		k.RestsOn = append(k.RestsOn, r.ID.String())
	}
	raw, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("failed to encode a heading: %w", err)
	}
	if _, refusal := readBody(c.kop, raw); refusal != nil {
		return nil, fmt.Errorf("failed to render the heading of %s: %w", m.ID, refusal)
	}
	return raw, nil
}
