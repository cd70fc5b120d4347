package protocol

import (
	"slices"

	"schakel/crypto/message"
)

// Rules of the classes that speak about other messages and cases, and of exercises.

// ruleReplaced is R27 with the case: who said something corrects or withdraws it, and
// tells those who had heard it. A correction that looks wrong is kept: it may be about
// a safe way of contact, and the state gives it no effect.
func ruleReplaced(s subject) *Finding {
	if len(s.RestsOn) != 1 {
		return nil // the form says so
	}
	old, ok := s.original(s.RestsOn[0].Hash)
	if !ok {
		return unproved(RuleReplaced,
			Text{"het bericht waar dit over gaat is hier niet bekend", "the message that this is about is not known here"},
			Text{"vraag de afzender om dat bericht", "ask the sender for that message"})
	}
	if old.From.Desk != s.From.Desk {
		return broken(RuleReplaced,
			Text{"dit bureau kan een bericht van een ander niet veranderen", "this desk cannot change a message of another"},
			Text{"vraag de afzender van dat bericht om het te corrigeren", "ask the sender of that message to correct it"})
	}
	if slices.ContainsFunc(s.To, func(p Party) bool { return p.Desk.Org() != s.From.Desk.Org() && !old.addresses(p.Desk) }) {
		return broken(RuleReplaced,
			Text{"een bureau heeft het eerdere bericht niet gekregen", "a desk did not get the earlier message"},
			Text{"adresseer alleen wie het eerdere bericht kreeg", "address only who got the earlier message"})
	}
	return nil
}

// ruleLink is R28: that two cases are about one victim is said to who is in the case, and
// never of a case in which advice was asked without a name. No recipient takes that one:
// it says nothing of the victim that is not known already, and whom it would name.
func ruleLink(s subject) *Finding {
	if s.known.askedAnonymously(s.facts.links) {
		return broken(RuleLink,
			Text{"in de andere zaak is advies gevraagd zonder gegevens; deze koppeling zou het alsnog herleidbaar maken",
				"advice was asked in the other case without identifying data; this link would make it traceable after all"},
			Text{"koppel die zaak niet; begin zo nodig een nieuwe zaak", "do not link that case; begin a new case if need be"})
	}
	for _, to := range s.To {
		if !s.known.Takes(to.Desk) {
			f := broken(RuleLink,
				Text{"een bureau doet niet mee in deze zaak", "a desk takes no part in this case"},
				Text{"adresseer alleen wie meedoet, of nodig het bureau eerst uit", "address only who takes part, or invite the desk first"})
			if len(s.known.messages) == 0 {
				f.Certainty, f.Kept = Unproved, true
			}
			return f
		}
	}
	return nil
}

// ruleInvitation is R29: what an invitation encloses and what it lists are the same,
// and each original could have come by a route of its own.
func ruleInvitation(s subject) *Finding {
	remedy := Text{"laat Schakel de lijst maken uit wat u insluit", "let Schakel make the list from what you enclose"}
	for _, ref := range s.facts.listed {
		if !slices.ContainsFunc(s.Enclosed, func(k Known) bool { return k.Ref() == ref }) {
			return broken(RuleInvitation, Text{"een bericht op de lijst is niet ingesloten", "a message on the list is not enclosed"}, remedy)
		}
	}
	for _, e := range s.Enclosed {
		if !s.catalogue.maySee(s.Draft, e) {
			return broken(RuleInvitation,
				Text{"een ingesloten bericht kan niet naar dit bureau", "an enclosed message may not go to this desk"},
				Text{"noem het zonder het in te sluiten", "list it without enclosing it"})
		}
	}
	return nil
}

// ruleExercise is R30: an exercise and a real message never meet. A recipient keeps a
// real message that came into an exercise: somebody may be in real danger.
func ruleExercise(s subject) *Finding {
	other := func(k Known) bool { return k.Exercise != s.Exercise }
	if !slices.ContainsFunc(s.known.messages, other) && !slices.ContainsFunc(s.Enclosed, other) {
		return nil
	}
	if s.Exercise {
		return broken(RuleExercise,
			Text{"dit is een echte zaak; een oefening hoort hier niet", "this is a real case; an exercise does not belong here"},
			Text{"begin voor de oefening een nieuwe zaak", "begin a new case for the exercise"})
	}
	return broken(RuleExercise,
		Text{"deze zaak is een oefening; een echt bericht hoort hier niet", "this case is an exercise; a real message does not belong here"},
		Text{"is het echt? Begin een nieuwe zaak zonder oefening, en bel bij gevaar 112",
			"is it real? Begin a new case that is no exercise, and in danger telephone 112"}).keep()
}

// names reports whether a message says that it rests on an original, in its heading or,
// an invitation, in its list.
func (s subject) names(ref message.Ref) bool {
	return slices.Contains(s.RestsOn, ref) || slices.Contains(s.facts.listed, ref)
}
