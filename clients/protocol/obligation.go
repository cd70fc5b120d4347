package protocol

import (
	"slices"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Duty names what one desk owes another, after the rule that says so.
type Duty string

// The duties.
const (
	DutyAcknowledge Duty = "bevestigen"             // R05: a named person takes it
	DutyAnswer      Duty = "beantwoorden"           // the answer that the class expects; R10 for a sign from abroad
	DutyForward     Duty = "opnieuw-sturen"         // R01: the recipient named the right one
	DutyOfferBack   Duty = "regie-teruggeven"       // R08: a municipality became known
	DutyWeigh       Duty = "afwegen"                // R18: acute went first, the weighing follows
	DutyFeedback1   Duty = "terugkoppelen-1"        // R23: after the safety assessment
	DutyFeedback2   Duty = "terugkoppelen-2"        // R23: after the investigation
	DutyPolice      Duty = "politie-inschakelen"    // R25: within the hour, or say why not
	DutyRevise      Duty = "plan-opnieuw-beslissen" // R19: a new version asks for a new decision
)

// The terms of the duties that the urgency does not set.
var (
	termOfferBack = Term{WorkingDays: 5}
	termWeigh     = Term{WorkingDays: 1}
	termAssess    = Term{WorkingDays: 5}
	termResearch  = Term{Days: 10 * 7}
	termPolice    = Term{Fixed: time.Hour}
)

// Obligation is something that one desk owes. It closes by a message, never by time.
type Obligation struct {
	Rule   string          `json:"rule"`
	Duty   Duty            `json:"duty"`
	Owes   identity.DeskID `json:"owes"`
	To     identity.DeskID `json:"to,omitempty"` // empty: to the case
	Since  message.Ref     `json:"since"`        // the message that made it
	Due    time.Time       `json:"due"`
	By     []string        `json:"by"`              // classes that can meet it
	Closed message.Ref     `json:"closed,omitzero"` // the message that met it
	Met    time.Time       `json:"met,omitzero"`    // when
}

// Open reports whether nobody has met it.
func (o Obligation) Open() bool { return o.Closed == message.Ref{} }

// Late reports whether it is open and its time is over.
func (o Obligation) Late(now time.Time) bool { return o.Open() && now.After(o.Due) }

// Owes returns what a desk still has to do, the most pressing first.
func (k Case) Owes(desk identity.DeskID) []Obligation {
	return k.open(func(o Obligation) bool { return o.Owes == desk })
}

// Awaits returns what others still owe a desk, the most pressing first.
func (k Case) Awaits(desk identity.DeskID) []Obligation {
	return k.open(func(o Obligation) bool { return o.To == desk && o.Owes != desk })
}

func (k Case) open(which func(Obligation) bool) (out []Obligation) {
	for _, o := range k.Obligations {
		if o.Open() && which(o) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b Obligation) int { return a.Due.Compare(b.Due) })
	return out
}

// obligations finds what each message asks of whom, and what met it. What was
// withdrawn asks nothing any more; a correction takes over what it corrects.
func (s *state) obligations() {
	for _, m := range s.messages {
		for _, duties := range []func(Known) []Obligation{s.acknowledge, s.answer, s.forward, s.weigh, s.feedback, s.police} {
			for _, o := range duties(m) {
				s.owe(o, m)
			}
		}
	}
	s.offerBack()
}

// owe records an obligation, met or not.
func (s *state) owe(o Obligation, since Known) {
	among := s.meeting(o, since, s.known[answered(since)].Class)
	if replaced, ok := s.replacement[since.Hash]; ok {
		o.Closed = replaced.By
		o.Met = at(s.known[replaced.By.Hash].Created)
	} else if m, ok := s.first(s.position[since.Hash], among, func(m Known) bool { return s.meets(m, o, since) }); ok {
		o.Closed, o.Met = m.Ref(), at(m.Created)
	}
	s.Obligations = append(s.Obligations, o)
}

// meets reports whether a message does what an obligation asks.
func (s *state) meets(m Known, o Obligation, since Known) bool {
	named := m.answers(since.Hash) || m.rests(since.Hash)
	mine := m.From.Desk == o.Owes
	if slices.Contains(m.Rejected, o.To) {
		return false // who waits for it does not have it
	}
	switch o.Duty {
	case DutyAcknowledge:
		return mine && m.Class == ClassAcknowledgement && m.Person && m.answers(since.Hash)
	case DutyForward:
		return mine && m.Class == s.known[answered(since)].Class
	case DutyWeigh:
		return m.From.Desk.Org() == o.Owes.Org() && m.Class == ClassWeighing
	case DutyFeedback1:
		return mine && m.Class == ClassFeedback && m.heardBy(o.To) && m.facts.moment != "tussentijds"
	case DutyFeedback2:
		return mine && m.Class == ClassFeedback && m.heardBy(o.To) && m.facts.moment == "na-onderzoek"
	case DutyPolice:
		return mine && (m.Class == ClassReport || m.Class == ClassAction) && anyOf(m.heard(), []identity.Role{identity.RolePolitie}) ||
			mine && m.Class == ClassFeedback && named && m.facts.explained
	}
	return mine && named && slices.Contains(o.By, m.Class)
}

// due is the end of a term, by the calendar of the agreement.
func (s *state) due(m Known, t Term) time.Time { return t.End(at(m.Created), s.by(m).calendar) }

func (s *state) acknowledge(m Known) (out []Obligation) {
	terms, ok := s.terms(m)
	if !ok || m.Class == ClassAcknowledgement || terms.Acknowledged.IsZero() {
		return nil
	}
	for _, to := range m.heard() {
		out = append(out, Obligation{Rule: "R05", Duty: DutyAcknowledge, Owes: to.Desk, To: m.From.Desk, Since: m.Ref(),
			Due: s.due(m, terms.Acknowledged), By: []string{ClassAcknowledgement}})
	}
	return out
}

func (s *state) terms(m Known) (Terms, bool) {
	class, ok := s.by(m).Class(m.Class)
	if !ok {
		return Terms{}, false
	}
	return class.Terms(m.Urgency)
}

// answer is the answer that a class expects, of each addressed desk that has a class
// and a route for it: nobody owes what the protocol does not let them send, nor what
// somebody else is the right one for.
func (s *state) answer(m Known) (out []Obligation) {
	terms, ok := s.terms(m)
	if !ok || terms.Answered.IsZero() {
		return nil
	}
	rule, duty := "antwoord", DutyAnswer
	switch {
	case m.Class == ClassAbroad:
		rule = "R10"
	case m.Class == ClassPlan && m.facts.version > 1:
		rule, duty = "R19", DutyRevise
	case m.Class == ClassHandover:
		rule = "R20"
	}
	for _, to := range m.heard() {
		if by := s.by(m).AnswersOf(m.Class, to.Role, m.From.Role); len(by) > 0 && !s.passedOn(m, to.Desk) {
			out = append(out, Obligation{Rule: rule, Duty: duty, Owes: to.Desk, To: m.From.Desk, Since: m.Ref(),
				Due: s.due(m, terms.Answered), By: by})
		}
	}
	return out
}

// AnswersOf returns the classes by which a desk of role from can answer a message of
// a class that it got from a desk of role to. Acknowledging is not answering.
func (c *Catalogue) AnswersOf(class string, from, to identity.Role) (out []string) {
	asked, _ := c.Class(class)
	expected := slices.Clone(asked.Answers)
	if class == ClassAbroad {
		expected = append(expected, ClassFeedback) // R10 names it as well
	}
	for _, name := range expected {
		if answer, ok := c.Class(name); ok && name != ClassAcknowledgement && answer.Carries(from, to) {
			out = append(out, name)
		}
	}
	return out
}

// forward: who was told that somebody else is the right recipient sends it there.
func (s *state) forward(m Known) []Obligation {
	original, ok := s.known[answered(m)]
	if m.Class != ClassAcknowledgement || m.facts.status != StatusWrongRecipient || !ok {
		return nil
	}
	terms, _ := s.terms(original)
	if terms.Acknowledged.IsZero() {
		return nil
	}
	return []Obligation{{Rule: "R01", Duty: DutyForward, Owes: original.From.Desk, Since: m.Ref(),
		Due: s.due(m, terms.Acknowledged), By: []string{original.Class}}}
}

// weigh: what is acute goes to the police first; whoever can weigh does so after.
func (s *state) weigh(m Known) []Obligation {
	class, _ := s.by(m).Class(m.Class)
	if m.Urgency != message.Acute || !slices.Contains(class.Rules, "R18") || !anyOf(m.heard(), []identity.Role{identity.RolePolitie, identity.RoleOM}) ||
		!s.by(m).Sends(ClassWeighing, m.From.Role) {
		return nil
	}
	return []Obligation{{Rule: "R18", Duty: DutyWeigh, Owes: m.From.Desk, Since: m.Ref(), Due: s.due(m, termWeigh), By: []string{ClassWeighing}}}
}

// Sends reports whether a desk of that role may send a class to anybody.
func (c *Catalogue) Sends(class string, from identity.Role) bool {
	k, ok := c.Class(class)
	return ok && slices.ContainsFunc(k.Routes, func(r Route) bool { return slices.Contains(r.From, from) })
}

// feedback: Veilig Thuis tells the reporter twice what it did, unless it was not the
// right recipient.
func (s *state) feedback(m Known) (out []Obligation) {
	class, _ := s.by(m).Class(m.Class)
	if !slices.Contains(class.Rules, "R23") || m.Class == ClassFeedback {
		return nil
	}
	feedback, _ := s.by(m).Class(ClassFeedback)
	for _, to := range m.heard() {
		if to.Role != identity.RoleVeiligThuis || !feedback.Carries(to.Role, m.From.Role) || s.passedOn(m, to.Desk) {
			continue
		}
		o := Obligation{Rule: "R23", Owes: to.Desk, To: m.From.Desk, Since: m.Ref(), By: []string{ClassFeedback}}
		o.Duty, o.Due = DutyFeedback1, s.due(m, termAssess)
		out = append(out, o)
		o.Duty, o.Due = DutyFeedback2, s.due(m, termResearch)
		out = append(out, o)
	}
	return out
}

// passedOn reports whether a desk answered that it is not the right recipient.
func (s *state) passedOn(m Known, desk identity.DeskID) bool {
	return slices.ContainsFunc(s.of(m.Hash, ClassAcknowledgement), func(k *Known) bool {
		return k.From.Desk == desk && k.answers(m.Hash) && k.facts.status == StatusWrongRecipient
	})
}

// police: what is acute and comes from abroad makes the knooppunt bring in the police
// within the hour, or say why they cannot act.
func (s *state) police(m Known) (out []Obligation) {
	class, _ := s.by(m).Class(m.Class)
	if m.Urgency != message.Acute || !slices.Contains(class.Rules, "R25") || !outside(m.From.Role) {
		return nil
	}
	for _, to := range m.heard() {
		if to.Role == identity.RoleKnooppunt {
			out = append(out, Obligation{Rule: "R25", Duty: DutyPolice, Owes: to.Desk, To: m.From.Desk, Since: m.Ref(),
				Due: s.due(m, termPolice), By: []string{ClassReport, ClassAction, ClassFeedback}})
		}
	}
	return out
}

// offerBack: the knooppunt leads by exception only, and offers the regie back when
// it becomes known in which municipality the victim is registered.
func (s *state) offerBack() {
	for i, t := range s.Terms {
		if t.Role != identity.RoleKnooppunt {
			continue
		}
		from, until := s.position[t.Begins.Hash], len(s.messages)
		if i+1 < len(s.Terms) {
			until = s.position[s.Terms[i+1].Begins.Hash]
		}
		for _, m := range s.messages[min(from, until):until] {
			if m.facts.settled() && m.Class != ClassHandover && m.Hash != t.Begins.Hash {
				s.oweOffer(t, m)
				break
			}
		}
	}
}

func (s *state) oweOffer(t LeadTerm, m Known) {
	o := Obligation{Rule: "R08", Duty: DutyOfferBack, Owes: t.Holder, Since: m.Ref(), Due: s.due(m, termOfferBack), By: []string{ClassHandover}}
	for _, offer := range s.Offers {
		if k := s.known[offer.Message.Hash]; o.Open() && offer.Ends == t.Begins && k.facts.leadRole == string(identity.RoleVeiligThuis) {
			o.Closed, o.Met = offer.Message, at(k.Created)
		}
	}
	s.Obligations = append(s.Obligations, o)
}

// outside reports whether a role is the ministry or one of its posts.
func outside(r identity.Role) bool { return r == identity.RoleBuza || r == identity.RolePost }
