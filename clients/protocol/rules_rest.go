package protocol

import (
	"encoding/hex"
	"slices"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Rules about what a message rests on. The original is enclosed, or the desk has it:
// a sender shows it, a recipient needs nobody's word. Its absence is the refusal.

// Outcomes of a weighing.
var (
	reporting = []string{"melden-aan-politie", "melden-aan-om", "aangifte-ondersteunen"}
	secret    = []string{"nu-niet-melden", "overleg-zonder-naam"}
)

// ruleWeighed is R17: a suspected offence is reported on a weighing that says so, of
// the same organisation and case, not one that another has replaced since.
func ruleWeighed(s subject) *Finding {
	if s.Class == ClassWeighing || s.From.Role == identity.RolePolitie && s.acute() {
		return nil
	}
	remedy := Text{"maak eerst de afweging, of steun op de laatste, en stuur haar mee", "make the weighing first, or rest on the latest one, and enclose it"}
	ref, ok := s.named(s.facts.weighing)
	if !ok || "sha256:"+hex.EncodeToString(ref.Hash[:]) != s.facts.weighingHash {
		return broken("R17",
			Text{"de afweging in de inhoud is niet die waarop het bericht steunt", "the weighing in the body is not the one that the message rests on"}, remedy)
	}
	weighing, ok := s.original(ref.Hash)
	switch {
	case !ok:
		return broken("R17", Text{"de afweging is niet meegestuurd en hier niet bekend", "the weighing is not enclosed and not known here"}, remedy)
	case weighing.ID != ref.ID || weighing.Class != ClassWeighing || weighing.Case != s.Case || weighing.From.Desk.Org() != s.From.Desk.Org():
		return broken("R17", Text{"dit is geen afweging van deze organisatie in deze zaak", "this is no weighing of this organisation in this case"}, remedy)
	case !slices.Contains(reporting, weighing.facts.outcome):
		return broken("R17", Text{"de uitkomst van de afweging is niet dat er gemeld wordt", "the outcome of the weighing is not to report"}, remedy)
	case s.stale(weighing):
		return broken("R17", Text{"er is een latere afweging, of deze is ingetrokken", "there is a later weighing, or this one was withdrawn"}, remedy)
	}
	return nil
}

// stale reports whether an original was withdrawn or corrected, or a later one of the
// same class and organisation stands in its place: among what is known of the case,
// or enclosed. One that came after the message itself says nothing of it.
func (s subject) stale(k Known) bool {
	if _, replaced := s.known.replacedBy(k.Hash); replaced {
		return true
	}
	later := func(o Known) bool {
		return o.Hash != k.Hash && o.Class == k.Class && o.Case == k.Case && o.From.Desk.Org() == k.From.Desk.Org() &&
			o.moment() > k.moment() && o.moment() <= s.moment() && s.sameSubject(o, k)
	}
	return slices.ContainsFunc(s.known.messages, later) || slices.ContainsFunc(s.Enclosed, later)
}

// sameSubject: a later verification stands in the place of one only where it speaks of
// the identity too.
func (s subject) sameSubject(later, k Known) bool {
	return k.Class != ClassVerified || later.facts.verified["identiteit"] != ""
}

// ruleIdentity is R13: no travel document without a verified identity.
func ruleIdentity(s subject) *Finding {
	if s.Class == ClassVerified {
		return nil
	}
	remedy := Text{"laat de identiteit eerst verifiëren en steun op dat antwoord", "have the identity verified first, and rest on that answer"}
	ref, ok := s.named(s.facts.verification)
	if !ok {
		return broken("R13",
			Text{"het verzoek steunt niet op de verificatie die het noemt", "the request does not rest on the verification that it names"}, remedy)
	}
	k, ok := s.original(ref.Hash)
	switch {
	case !ok:
		return broken("R13", Text{"de verificatie is niet meegestuurd en hier niet bekend", "the verification is not enclosed and not known here"}, remedy)
	case k.ID != ref.ID || k.Class != ClassVerified || k.Case != s.Case:
		return broken("R13", Text{"dit is geen verificatie in deze zaak", "this is no verification in this case"}, remedy)
	case k.facts.verified["identiteit"] != "bevestigd":
		return broken("R13", Text{"de identiteit is niet bevestigd", "the identity is not confirmed"}, remedy)
	case s.stale(k):
		return broken("R13", Text{"er is een latere verificatie, of deze is ingetrokken", "there is a later verification, or this one was withdrawn"}, remedy)
	}
	return nil
}

// ruleSecret is R26: a weighing that ends in not reporting, or in asking advice without
// a name, never reaches police or prosecutor: not addressed, and not enclosed.
func ruleSecret(s subject) *Finding {
	hidden := s.Class == ClassWeighing && slices.Contains(secret, s.facts.outcome)
	for _, e := range s.Enclosed {
		hidden = hidden || e.Class == ClassWeighing && slices.Contains(secret, e.facts.outcome)
	}
	if !hidden {
		return nil
	}
	for _, to := range s.To {
		if to.Desk.Org() != s.From.Desk.Org() && to.Role != identity.RoleKnooppunt && to.Role != identity.RoleVeiligThuis {
			return broken("R26",
				Text{"een afweging om nu niet te melden gaat niet naar politie of justitie", "a weighing not to report now does not go to police or prosecutor"},
				Text{"adresseer alleen het eigen bureau, het knooppunt of Veilig Thuis", "address your own organisation, the knooppunt or Veilig Thuis only"})
		}
	}
	return nil
}

// checkEnclosed holds for every class: what is enclosed is an original that proves
// itself, that the message names as what it rests on, and that its addressees may see.
func checkEnclosed(s subject) *Finding {
	remedy := Text{"stuur alleen ondertekende originelen mee waarop dit bericht steunt", "enclose only signed originals that this message rests on"}
	if s.Unproved > 0 {
		return broken(RuleEnclosed, Text{"een meegestuurd origineel is niet echt", "an enclosed original is not genuine"}, remedy)
	}
	for _, e := range s.Enclosed {
		switch {
		case !s.names(e.Ref()):
			return broken(RuleEnclosed, Text{"het bericht steunt niet op wat is meegestuurd", "the message does not rest on what is enclosed"}, remedy)
		case e.Case != s.Case:
			return broken(RuleEnclosed, Text{"een meegestuurd origineel hoort bij een andere zaak", "an enclosed original belongs to another case"}, remedy)
		case e.Class == ClassPlan && !s.addressedBefore(e):
			return broken("R19",
				Text{"een reisplan gaat alleen naar wie het plan zelf noemt", "a return plan goes only to the desks that the plan itself is addressed to"},
				Text{"stuur die bureaus een eigen versie van het plan", "send those desks a version of the plan of their own"})
		}
	}
	return nil
}

// addressedBefore reports whether every addressee had the original already.
func (s subject) addressedBefore(e Known) bool {
	return !slices.ContainsFunc(s.To, func(p Party) bool {
		return p.Desk.Org() != e.From.Desk.Org() && !e.addresses(p.Desk)
	})
}

// MustRestOn returns what a draft has to name beside what it names already: the
// beginning of the term that an overdracht would end, the refusal after which it
// comes, and for who accepts the term that ends. So every desk can follow the regie,
// whatever it misses in between.
func (k Case) MustRestOn(d Draft) (out []message.Ref) {
	add := func(ref message.Ref) {
		if (ref != message.Ref{}) && !d.rests(ref.Hash) && !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	switch d.Class {
	case ClassHandover:
		lead, ok := k.Lead()
		if !ok || lead.Holder != d.From.Desk {
			return nil
		}
		add(lead.Begins)
		for _, o := range k.Offers {
			if o.Ends == lead.Begins && !o.waits() {
				add(o.Closed)
			}
		}
	case ClassDecision:
		for _, o := range k.Offers {
			if d.answers(o.Message.Hash) {
				add(o.Ends)
			}
		}
	}
	return out
}

// MustEnclose returns which of the originals that a draft rests on must travel with
// it, because an addressed desk may lack one and a rule needs it there: the weighing
// (R17), the verification (R13), and the beginning of a term of regie, to desks that
// could have got it themselves. An uitnodiging encloses what its list says that it does;
// whether the invited may see that is for R29 to say.
func (c *Catalogue) MustEnclose(d Draft, known Case) (out []message.Ref) {
	for _, ref := range append(slices.Clone(d.RestsOn), d.facts.listed...) {
		k, ok := known.Message(ref.Hash)
		if !ok || !travels(d, k) || len(out) == message.MaxEnclosed {
			continue
		}
		lacks := func(p Party) bool { return p.Desk != k.From.Desk && !k.heardBy(p.Desk) }
		if slices.ContainsFunc(d.To, lacks) && (d.Class != ClassHandover && d.Class != ClassDecision || c.maySee(d, k)) {
			out = append(out, ref)
		}
	}
	return out
}

func travels(d Draft, k Known) bool {
	switch d.Class {
	case ClassOffence:
		return k.Class == ClassWeighing
	case ClassTravel:
		return k.Class == ClassVerified
	case ClassHandover, ClassDecision:
		return k.Class == ClassAcknowledgement || k.Class == ClassDecision
	case ClassInvitation:
		return slices.Contains(d.facts.listed, k.Ref())
	}
	return false
}

// maySee reports whether every addressee could have got an original from its sender:
// enclosing is no way around the routes (R09).
func (c *Catalogue) maySee(d Draft, k Known) bool {
	class, _ := c.Class(k.Class)
	return !slices.ContainsFunc(d.To, func(p Party) bool {
		return p.Desk != k.From.Desk && p.Desk.Org() != k.From.Desk.Org() && !class.Carries(k.From.Role, p.Role)
	})
}
