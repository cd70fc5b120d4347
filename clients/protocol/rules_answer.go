package protocol

import (
	"slices"

	"schakel/crypto/identity"
)

// ruleRemains is R03: advice moves nothing. It says that the responsibility stays
// with who asked.
func ruleRemains(s subject) *Finding {
	if s.Class != ClassAdvice {
		return nil
	}
	asker, ok := s.request()
	switch {
	case ok && asker.Class == ClassQuestion && string(asker.From.Role) == s.facts.remains:
		return nil
	case ok || !s.reaches(identity.Role(s.facts.remains)):
		return broken("R03",
			Text{"advies verandert de verantwoordelijkheid niet; die blijft bij wie het vroeg", "advice does not move responsibility; it stays with who asked"},
			Text{"vul bij verantwoordelijkheidBlijftBij de rol van de vrager in, en beantwoord de adviesvraag",
				"enter the role of who asked in verantwoordelijkheidBlijftBij, and answer the adviesvraag"})
	}
	return unproved("R03",
		Text{"de adviesvraag is hier niet bekend", "the adviesvraag is not known here"},
		Text{"beantwoord een adviesvraag die dit bureau heeft", "answer an adviesvraag that this desk has"})
}

// ruleAnonymous is R04, beside the schema: an advice without identifying data travels
// in a case of its own, or its reference would tie it to the person after all. What is
// said about somebody is never lost for it: a recipient keeps it, with a flag.
func ruleAnonymous(s subject) *Finding {
	remedy := Text{"open een nieuwe zaak voor dit bericht", "open a new case for this message"}
	if s.Draft.Anonymous() {
		if s.known.linkedFrom(s.Case) {
			return broken("R04",
				Text{"een andere zaak is aan deze gekoppeld; een adviesvraag zonder gegevens is hier herleidbaar",
					"another case is linked to this one; a question without identifying data is traceable here"}, remedy)
		}
		if slices.ContainsFunc(s.known.messages, func(k Known) bool { return slices.Contains(identifying(), k.Class) }) {
			return broken("R04",
				Text{"een adviesvraag zonder gegevens hoort niet in de zaak van een persoon", "a question without identifying data does not belong in the case of a person"}, remedy)
		}
		return nil
	}
	if slices.Contains(identifying(), s.Class) &&
		slices.ContainsFunc(s.known.messages, func(k Known) bool { return k.Class == ClassQuestion && k.facts.anonymous }) {
		return broken("R04",
			Text{"in deze zaak is advies gevraagd zonder gegevens; dit bericht zou het alsnog herleidbaar maken",
				"advice was asked in this case without identifying data; this message would make it traceable after all"}, remedy).keep()
	}
	return nil
}

// ruleAnswer is R12: an answer names what it answers, and goes to nobody who was not
// part of the question. Acknowledgements are tied to their message by form already.
func ruleAnswer(s subject) *Finding {
	if len(s.Answers) != 1 {
		return broken("R12",
			Text{s.Class + " hoort bij het bericht waarop het antwoord is", s.Class + " belongs to the message that it answers"},
			Text{"kies het bericht dat u beantwoordt", "choose the message that you answer"})
	}
	question, ok := s.request()
	if !ok {
		return unproved("R12",
			Text{"het beantwoorde bericht is hier niet bekend", "the message that it answers is not known here"},
			Text{"vraag de afzender wat er beantwoord wordt", "ask the sender what it answers"})
	}
	for _, to := range s.To {
		if to.Desk.Org() != s.From.Desk.Org() && to.Desk != question.From.Desk && !question.addresses(to.Desk) && !s.announces(to) {
			return s.outsider()
		}
	}
	if s.Class == ClassDecision && s.facts.subject != question.Class {
		return broken("R12",
			Text{"het besluit gaat over iets anders dan het bericht dat het beantwoordt", "the decision is about something else than the message that it answers"},
			Text{"kies bij 'betreft' wat u beantwoordt", "choose under 'betreft' what you answer"})
	}
	return nil
}

// outsider is the finding that an answer goes to somebody who was not part of the
// question. Of a besluit on the regie a recipient keeps it all the same: who takes part
// in a case is known differently at each desk, and losing it would split the regie.
func (s subject) outsider() *Finding {
	f := broken("R12",
		Text{"een antwoord gaat alleen naar wie erom vroeg en wie de vraag ook kreeg", "an answer goes only to who asked and to who got the question as well"},
		Text{"haal de andere geadresseerden weg", "take the other desks away"})
	if s.Class == ClassDecision && s.facts.subject == ClassHandover {
		return f.keep()
	}
	return f
}

// Hearers returns who is to hear, beside the desk that offered, that the regie was
// accepted: all who take part in the case and may get a besluit from this desk. BuZa
// and its posts hear it from the knooppunt.
func (c *Catalogue) Hearers(by Party, known Case) (out []identity.DeskID) {
	class, _ := c.Class(ClassDecision)
	for _, p := range known.Participants {
		if p.Desk != by.Desk && (p.Desk.Org() == by.Desk.Org() || class.Carries(by.Role, p.Role)) {
			out = append(out, p.Desk)
		}
	}
	return out
}

// MustHear returns whom a draft has to be addressed to beside those that it is: of a
// besluit that takes over the regie, all who are to hear who leads the case now.
func (c *Catalogue) MustHear(d Draft, known Case) (out []identity.DeskID) {
	if !accepts(d) {
		return nil
	}
	for _, desk := range c.Hearers(d.From, known) {
		if !d.addresses(desk) {
			out = append(out, desk)
		}
	}
	return out
}

// announces reports whether a desk hears who leads the case now: the besluit that
// accepts an overdracht goes to all who take part.
func (s subject) announces(to Party) bool {
	return s.Class == ClassDecision && s.facts.subject == ClassHandover && s.known.Takes(to.Desk)
}
