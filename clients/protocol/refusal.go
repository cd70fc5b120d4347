package protocol

import (
	"errors"
	"fmt"
)

// ErrRefused is what every [Refusal] is: the message breaks the protocol.
var ErrRefused = errors.New("refused by the protocol")

// What a refusal names when it is not one of the numbered rules.
const (
	RuleClass     = "klasse"
	RuleUrgency   = "urgentie"
	RuleAddressed = "geadresseerden"
	RuleRoute     = "route"
	RuleAnswers   = "antwoordOp"
	RuleOutcome   = "uitkomst"
	RuleJSON      = "json"
	RuleSchema    = "schema"
	RuleEnclosed  = "meegestuurd"
	RuleAbroad    = "R09" // buza and post speak with the knooppunt only
	RulePerson    = "R22" // a named person decides and acknowledges
)

// Text says one thing in both languages of the chain.
type Text struct {
	NL string `json:"nl"`
	EN string `json:"en"`
}

// Refusal says which rule a message breaks, why, and what to do about it. It
// quotes no value from the body, so it may be shown, sent back and logged.
type Refusal struct {
	Rule   string  `json:"rule"`
	Reason Text    `json:"reason"`
	Remedy Text    `json:"remedy"`
	Faults []Fault `json:"faults,omitempty"` // at most maxFaults, sorted by place
}

// Fault is one thing wrong with the body, and where: a JSON pointer (RFC 6901),
// empty for the body as a whole.
type Fault struct {
	At     string `json:"at"`
	Reason Text   `json:"reason"`
}

// Error is the reason and the remedy in English.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%v (%s): %s; %s", ErrRefused, r.Rule, r.Reason.EN, r.Remedy.EN)
}

// Unwrap makes every refusal an ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }

// refuse is a Refusal of the given rule.
func refuse(rule string, reason, remedy Text) *Refusal {
	return &Refusal{Rule: rule, Reason: reason, Remedy: remedy}
}
