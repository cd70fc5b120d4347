package protocol

import (
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Classes that the program itself makes or treats apart.
const (
	ClassAcknowledgement = "ontvangstbevestiging"
	ClassDecision        = "besluit"
	ClassHandover        = "overdracht"
	ClassOffence         = "strafbaar-feit-melding"
	ClassReport          = "melding"
	ClassSignal          = "signaal"
	ClassAbroad          = "achterlatingssignaal"
	ClassCallBack        = "contactverzoek"
	ClassAction          = "inzetverzoek"
	ClassQuestion        = "adviesvraag"
	ClassAdvice          = "advies"
	ClassFeedback        = "terugkoppeling"
	ClassWeighing        = "afweging"
	ClassVerified        = "verificatieantwoord"
	ClassVerify          = "verificatieverzoek"
	ClassTravel          = "reisdocumentverzoek"
	ClassPlan            = "repatrieringsplan"
	ClassClosing         = "afsluiting"
	ClassCorrection      = "correctie"
	ClassWithdrawal      = "intrekking"
	ClassLink            = "koppeling"
	ClassInvitation      = "uitnodiging"
)

// Class is one kind of message.
type Class struct {
	Name      string
	Gloss     string // one line of English
	Routes    []Route
	Urgencies []message.Urgency
	Answers   []string // classes that may answer it
	Rules     []string // numbered rules that apply to it
	Person    bool     // a named person signs it, beside the device
	terms     map[message.Urgency]Terms
	schema    *jsonschema.Schema
	source    []byte // the schema as it is written
}

// Route says which roles may send a class to which. Urgencies, where there are any,
// are those of the class that this route carries: a correction goes wherever something
// can be said, but never louder than what it corrects could be.
type Route struct {
	From      []identity.Role   `json:"van"`
	To        []identity.Role   `json:"aan"`
	Urgencies []message.Urgency `json:"urgenties,omitempty"`
}

// classFile is a class as catalogus.json writes it.
type classFile struct {
	Name      string                          `json:"naam"`
	Gloss     string                          `json:"gloss"`
	Routes    []Route                         `json:"routes"`
	Urgencies []message.Urgency               `json:"urgenties"`
	Deviating map[message.Urgency]deviantFile `json:"afwijkendeTermijnen"`
	Answers   []string                        `json:"verwachteAntwoorden"`
	Rules     []string                        `json:"regels"`
	Signer    string                          `json:"ondertekenaar,omitempty"` // persoon, or nothing
	Schema    string                          `json:"schema"`
}

// signerPerson is the one signer that a class can ask for beside the device.
const signerPerson = "persoon"

// deviantFile is where one class must be answered sooner or later than its urgency says.
type deviantFile struct {
	Answered string `json:"antwoordBinnen"`
}

// Carries reports whether a desk of role from may send this class to a desk of
// role to. Desks of one organisation are not its business: they always may.
func (c Class) Carries(from, to identity.Role) bool {
	return slices.ContainsFunc(c.Routes, func(r Route) bool {
		return slices.Contains(r.From, from) && slices.Contains(r.To, to)
	})
}

// CarriesAt reports whether this class may go from role from to role to under that
// urgency.
func (c Class) CarriesAt(from, to identity.Role, u message.Urgency) bool {
	return slices.Contains(c.Urgencies, u) && slices.ContainsFunc(c.Routes, func(r Route) bool {
		return slices.Contains(r.From, from) && slices.Contains(r.To, to) && (len(r.Urgencies) == 0 || slices.Contains(r.Urgencies, u))
	})
}

// Terms returns how fast a message of this class and urgency must be delivered,
// acknowledged and answered; false where the class does not know the urgency.
func (c Class) Terms(u message.Urgency) (Terms, bool) {
	t, ok := c.terms[u]
	return t, ok
}

// NeedsPerson reports whether a message of that class must carry the signature of
// a named person (R22): a device proves an installation, not a human. Taking a
// case is an ontvangstbevestiging, and so among them.
func NeedsPerson(class string) bool {
	switch class {
	case ClassAcknowledgement, ClassDecision, ClassHandover, ClassOffence,
		ClassCorrection, ClassWithdrawal, ClassLink, ClassInvitation:
		return true
	}
	return false
}

// TierOf returns the attention tier that the envelope of a message asks for. An
// acknowledgement asks for none, however acute what it answers: nobody is paged
// to hear that somebody is awake. An urgency that does not exist asks for none
// either; Check refuses it.
func TierOf(u message.Urgency, class string) envelope.Tier {
	if class == ClassAcknowledgement {
		return envelope.TierNone
	}
	switch u {
	case message.Acute:
		return envelope.TierAcute
	case message.Urgent:
		return envelope.TierUrgent
	case message.Routine:
		return envelope.TierRoutine
	}
	return envelope.TierNone
}

func (k classFile) parse(f file, terms map[message.Urgency]Terms) (Class, error) {
	c := Class{Name: k.Name, Gloss: k.Gloss, Routes: k.Routes, Urgencies: k.Urgencies,
		Answers: k.Answers, Rules: k.Rules, Person: k.Signer == signerPerson, terms: map[message.Urgency]Terms{}}
	for _, u := range k.Urgencies {
		t, ok := terms[u]
		if !ok {
			return c, fmt.Errorf("urgency %q is not in the catalogue", u)
		}
		if d, ok := k.Deviating[u]; ok {
			var err error
			if t.Answered, err = ParseTerm(d.Answered); err != nil {
				return c, err
			}
		}
		c.terms[u] = t
	}
	return c, k.checkNames(f)
}

// checkNames refuses a class that refers to what the catalogue does not have.
func (k classFile) checkNames(f file) error {
	for u := range k.Deviating {
		if !slices.Contains(k.Urgencies, u) {
			return fmt.Errorf("a term for urgency %q, which the class does not know", u)
		}
	}
	for _, id := range k.Rules {
		if _, ok := f.Rules[id]; !ok {
			return fmt.Errorf("rule %q is not in the catalogue", id)
		}
	}
	for _, name := range k.Answers {
		if !slices.ContainsFunc(f.Classes, func(o classFile) bool { return o.Name == name }) {
			return fmt.Errorf("answer %q is not a class", name)
		}
	}
	if k.Signer != "" && k.Signer != signerPerson {
		return fmt.Errorf("signer %q: write persoon, or leave it out", k.Signer)
	}
	for _, r := range k.Routes {
		for _, u := range r.Urgencies {
			if !slices.Contains(k.Urgencies, u) {
				return fmt.Errorf("a route for urgency %q, which the class does not know", u)
			}
		}
		for _, role := range slices.Concat(r.From, r.To) {
			if _, ok := f.Roles[role]; !ok {
				return fmt.Errorf("role %q is not in the catalogue", role)
			}
		}
	}
	return nil
}
