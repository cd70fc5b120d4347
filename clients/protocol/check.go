package protocol

import (
	"fmt"
	"slices"
	"strings"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Party is a desk and what the root signed for it.
type Party struct {
	Desk   identity.DeskID `json:"desk"`
	Role   identity.Role   `json:"role"`
	Region string          `json:"region,omitempty"` // such as VT20
}

// Draft is what a message says, as both ends see it: the sender before it seals,
// the recipient after it verified the signatures. The roles come from the
// register, never from the message.
type Draft struct {
	ID       message.ID
	Case     message.CaseRef
	Protocol string // the version that its heading names
	Created  uint64 // seconds since 1970
	Class    string
	Urgency  message.Urgency
	From     Party
	To       []Party       // every addressed desk
	Answers  []message.Ref // antwoordOp: none or one
	RestsOn  []message.Ref // steuntOp
	Outcome  string        // uitkomst, with a besluit
	Person   bool          // a named person signs, or has signed, this message
	Exercise bool          // inside what is signed (R30)
	Body     []byte        // JSON
	Enclosed []Known       // signed originals that travel with it, verified
	Unproved int           // enclosed originals that do not parse or verify
	// Attachments are the files that travel beside it, without their secrets.
	Attachments []message.Attachment
	facts       facts
}

// DraftOf is the draft of a message. Both ends check what it returns.
func DraftOf(m message.Message, r Register) Draft {
	d := draftOf(m, r)
	for _, raw := range m.Enclosed {
		original, err := message.Parse(raw)
		if err != nil || r.Verify(original) != nil {
			d.Unproved++
			continue
		}
		d.Enclosed = append(d.Enclosed, Known{Draft: draftOf(original.Message, r), Hash: original.Hash()})
	}
	return d
}

// draftOf leaves out what is enclosed: an enclosed original is looked at itself, and
// not for what it brought in its turn.
func draftOf(m message.Message, r Register) Draft {
	h := m.Heading
	d := Draft{ID: m.ID, Case: m.Case, Protocol: h.Protocol, Created: m.Created, Class: h.Class, Urgency: h.Urgency, Answers: h.Answers, RestsOn: h.RestsOn,
		Outcome: h.Outcome, From: r.Party(m.Sender.Desk), Person: len(m.Person) > 0, Exercise: IsExercise(m), Body: m.Body, Attachments: attachedTo(m)}
	d.From.Desk = m.Sender.Desk
	for _, desk := range m.Addressed {
		to := r.Party(desk)
		to.Desk = desk
		d.To = append(d.To, to)
	}
	if body, refusal := parseBody(m.Body); refusal == nil {
		d.facts = factsOf(body)
	}
	return d
}

// The checks of heading and form are tried in order, cheap ones first, and the first
// refusal is the answer: the numbered rules look at what has a known form only.
var (
	headingChecks = []func(Class, Draft) *Refusal{checkUrgency, checkAddressed, checkRoutes, checkPerson}
	bodyChecks    = []func(Class, Draft, any) *Refusal{checkOutcome, checkAcknowledgement, checkReplaced, checkLink, checkInvitation, checkAttachments}
)

// Check says what is wrong with a message, given what the desk that asks knows of its
// case (the zero Case: nothing). Both ends call it, and differ only in what they do
// about it: a sender refuses to seal ([Findings.Refusal]), a recipient rejects what
// can never become right and keeps the rest with a flag ([Findings.Rejection],
// [Findings.Flags]).
func (c *Catalogue) Check(d Draft, known Case) Findings {
	class, ok := c.Class(d.Class)
	if !ok {
		return rejected(refuse(RuleClass,
			Text{"deze klasse bestaat niet in " + c.protocol, "this class does not exist in " + c.protocol},
			Text{"kies een klasse uit de catalogus, of werk Schakel bij", "choose a class of the catalogue, or update Schakel"}))
	}
	for _, check := range headingChecks {
		if refusal := check(class, d); refusal != nil {
			return rejected(refusal)
		}
	}
	body, refusal := readBody(class.schema, d.Body)
	if refusal != nil {
		return rejected(refusal)
	}
	for _, check := range bodyChecks {
		if refusal := check(class, d, body); refusal != nil {
			return rejected(refusal)
		}
	}
	d.facts = factsOf(body)
	return c.checkNumbered(subject{Draft: d, class: class, known: known, catalogue: c})
}

func checkUrgency(class Class, d Draft) *Refusal {
	if slices.Contains(class.Urgencies, d.Urgency) {
		return nil
	}
	names := make([]string, len(class.Urgencies))
	for i, u := range class.Urgencies {
		names[i] = string(u)
	}
	list := strings.Join(names, ", ")
	return refuse(RuleUrgency,
		Text{class.Name + " kent deze urgentie niet", class.Name + " does not know this urgency"},
		Text{"kies uit " + list + "; bij acuut gevaar: bel 112 en verstuur een melding",
			"choose from " + list + "; in acute danger telephone 112 and send a melding"})
}

func checkAddressed(_ Class, d Draft) *Refusal {
	remedy := Text{"noem elk bureau één keer, en niet het eigen bureau", "name each desk once, and not your own"}
	if len(d.To) == 0 || len(d.To) > message.MaxAddressed {
		return refuse(RuleAddressed, Text{
			fmt.Sprintf("%d geadresseerde bureaus; dat moet tussen 1 en %d zijn", len(d.To), message.MaxAddressed),
			fmt.Sprintf("%d addressed desks; 1 to %d are possible", len(d.To), message.MaxAddressed)}, remedy)
	}
	seen := map[identity.DeskID]bool{d.From.Desk: true}
	for _, to := range d.To {
		if seen[to.Desk] {
			return refuse(RuleAddressed, Text{
				"een bureau staat er twee keer, of is het eigen bureau",
				"a desk stands there twice, or is the sender's own"}, remedy)
		}
		seen[to.Desk] = true
	}
	return nil
}

// checkRoutes asks a route of the class for every addressed desk. Desks of one
// organisation may always write to each other, in any class.
func checkRoutes(class Class, d Draft) *Refusal {
	for _, to := range d.To {
		if to.Role == "" || d.From.Role == "" {
			return refuse(RuleRoute,
				Text{"een bureau staat niet in het register", "a desk is not in the register"},
				Text{"controleer het adres met schakel status, of bel het bureau", "check the address with schakel status, or telephone the desk"})
		}
		if d.From.Desk.Org() == to.Desk.Org() || class.CarriesAt(d.From.Role, to.Role, d.Urgency) {
			continue
		}
		if class.Carries(d.From.Role, to.Role) {
			return refuse(RuleUrgency,
				Text{fmt.Sprintf("%s gaat van %s naar %s niet met deze urgentie", class.Name, d.From.Role, to.Role),
					fmt.Sprintf("%s does not go from %s to %s under this urgency", class.Name, d.From.Role, to.Role)},
				Text{"kies een lagere urgentie; bij acuut gevaar: bel", "choose a lower urgency; in acute danger telephone"})
		}
		if abroad(d.From.Role, to.Role) {
			return refuse(RuleAbroad,
				Text{"buza en posten wisselen alleen met het knooppunt uit", "the ministry and its posts exchange with the knooppunt only"},
				Text{"stuur het aan het knooppunt; dat stuurt door wat nodig is", "send it to the knooppunt, which passes on what is needed"})
		}
		return refuse(RuleRoute, Text{
			fmt.Sprintf("%s gaat niet van %s naar %s", class.Name, d.From.Role, to.Role),
			fmt.Sprintf("%s does not go from %s to %s", class.Name, d.From.Role, to.Role)},
			routeRemedy(class, d.From.Role))
	}
	return nil
}

// abroad reports whether a pair of roles breaks R09.
func abroad(from, to identity.Role) bool {
	return outside(from) && to != identity.RoleKnooppunt || outside(to) && from != identity.RoleKnooppunt
}

func routeRemedy(class Class, from identity.Role) Text {
	var to []string
	for _, r := range identity.Roles() {
		if class.Carries(from, r) {
			to = append(to, string(r))
		}
	}
	if len(to) == 0 {
		return Text{string(from) + " kan deze klasse niet versturen; kies een andere",
			string(from) + " cannot send this class; choose another"}
	}
	list := strings.Join(to, ", ")
	return Text{"deze klasse kan naar: " + list, "this class can go to: " + list}
}

// checkPerson is R22: a device proves an installation, not a human.
func checkPerson(class Class, d Draft) *Refusal {
	if d.Person || !class.Person {
		return nil
	}
	return refuse(RulePerson,
		Text{class.Name + " moet door een genoemd persoon ondertekend zijn", class.Name + " must be signed by a named person"},
		Text{"onderteken met uw eigen sleutel en pincode", "sign with your own key and PIN"})
}

// checkOutcome keeps the heading from saying another outcome than the decision does.
func checkOutcome(class Class, d Draft, body any) *Refusal {
	if d.Outcome == "" || class.Name == ClassDecision && d.Outcome == field(body, "uitkomst") {
		return nil
	}
	return refuse(RuleOutcome,
		Text{"de uitkomst in de kop is niet die van het besluit", "the outcome in the heading is not that of the decision"},
		Text{"laat de kop door Schakel maken", "let Schakel make the heading"})
}

// checkAcknowledgement ties what a person signed for to what the message answers:
// otherwise an acknowledgement of one message could be shown for another.
func checkAcknowledgement(class Class, d Draft, body any) *Refusal {
	if class.Name != ClassAcknowledgement {
		return nil
	}
	if len(d.Answers) == 1 && field(body, "bevestigt") == d.Answers[0].ID.String() {
		return nil
	}
	return refuse(RuleAnswers,
		Text{"een ontvangstbevestiging hoort bij precies één bericht, in kop en inhoud hetzelfde",
			"an acknowledgement belongs to exactly one message, the same in heading and body"},
		Text{"bevestig het bericht met schakel ack", "acknowledge the message with schakel ack"})
}

// field returns a text field of a validated body, or "".
func field(body any, name string) string {
	o, _ := body.(map[string]any)
	s, _ := o[name].(string)
	return s
}
