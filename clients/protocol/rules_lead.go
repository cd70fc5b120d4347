package protocol

import (
	"slices"
	"strings"

	"schakel/crypto/identity"
)

// Rules that depend on who leads the case. Two desks may know different parts of it,
// and a message that is still on its way can make right what looks wrong: so a
// recipient keeps what the sender should not have sent, and the case state gives it
// no effect. Only what the message and the offer themselves show is rejected.

// ruleException is R07: the knooppunt leads by exception only.
func ruleException(s subject) *Finding {
	wrong := broken("R07",
		Text{"het knooppunt krijgt de regie alleen als het slachtoffer niet in de BRP staat", "the knooppunt leads only where the victim is not in the population register"},
		Text{"bied de regie aan Veilig Thuis van de gemeente aan", "offer the regie to the Veilig Thuis of the municipality"})
	switch s.Class {
	case ClassHandover:
		if s.facts.leadRole == string(identity.RoleKnooppunt) && !exempt(s.facts.brp) {
			return wrong
		}
	case ClassDecision:
		offer, ok := s.request()
		if ok && offer.Class == ClassHandover && accepting(s) && s.From.Role == identity.RoleKnooppunt && !exempt(offer.facts.brp) {
			return wrong
		}
	}
	return nil
}

func accepting(s subject) bool {
	return s.Class == ClassDecision && s.facts.subject == ClassHandover && strings.HasPrefix(s.facts.outcome, "aanvaard")
}

// ruleHandover is R20: one offer at a time, to one desk, and only its besluit counts.
func ruleHandover(s subject) *Finding {
	switch {
	case s.Class == ClassHandover:
		return ruleOffer(s)
	case s.Class == ClassDecision && s.facts.subject == ClassHandover:
		return ruleAccepts(s)
	}
	return nil
}

func ruleOffer(s subject) *Finding {
	if candidate(s.Draft) == "" {
		return broken("R20",
			Text{"de regie wordt aan precies één bureau van de nieuwe rol aangeboden", "the regie is offered to exactly one desk of the new role"},
			Text{"adresseer één bureau van de rol bij nieuweRegieRol", "address one desk of the role in nieuweRegieRol"})
	}
	lead, ok := s.known.Lead()
	if !ok {
		return nil // R21 says so
	}
	if open, ok := s.known.OpenOffer(); ok && open.Message.ID != s.ID {
		return broken("R20",
			Text{"er staat al een aanbod open in deze zaak", "an offer is open in this case already"},
			Text{"wacht op het besluit, of trek het aanbod in", "wait for the besluit, or withdraw the offer"}).keep()
	}
	if slices.ContainsFunc(s.known.Offers, func(o Offer) bool { return o.State == OfferReturned && o.Ends == lead.Begins && o.Message.ID != s.ID }) {
		return broken("R20",
			Text{"het aanbod is teruggewezen door wie erover moest besluiten, en anderen kregen het wel", "the offer was rejected by the desk that was to decide, and others did get it"},
			Text{"trek dat aanbod eerst in, en doe het dan opnieuw", "withdraw that offer first, and make it again"}).keep()
	}
	if lead.Holder == s.From.Desk && !s.rests(lead.Begins.Hash) {
		return broken("R20",
			Text{"het aanbod noemt niet de termijn van regie die het beëindigt", "the offer does not name the term of regie that it would end"},
			Text{"laat het aanbod steunen op het bericht waarmee uw regie begon", "let the offer rest on the message with which your regie began"}).keep()
	}
	return nil
}

func ruleAccepts(s subject) *Finding {
	offer, ok := s.request()
	if !ok {
		return unproved("R20",
			Text{"het aanbod waarop dit besluit antwoordt is hier niet bekend", "the offer that this besluit answers is not known here"},
			Text{"bel wie het aanbod deed", "telephone the desk that made the offer"})
	}
	if offer.Class != ClassHandover || candidate(offer.Draft) != s.From.Desk || accepting(s) && s.facts.leadWith != string(s.From.Role) {
		return broken("R20",
			Text{"alleen het bureau waaraan de regie is aangeboden besluit daarover, voor zichzelf", "only the desk to which the regie was offered decides on it, for itself"},
			Text{"laat dat bureau besluiten", "let that desk decide"})
	}
	for _, o := range s.known.Offers {
		if o.Message.Hash == offer.Hash && o.State != OfferOpen && o.Closed.ID != s.ID {
			return broken("R20",
				Text{"over dit aanbod is al besloten, of het is ingetrokken", "this offer was decided on already, or withdrawn"},
				Text{"vraag om een nieuw aanbod", "ask for a new offer"}).keep()
		}
	}
	return nil
}

// ruleHolder is R21: only the regiehouder offers the regie, and closes the case; and tells
// nobody of its end who took no part. Who took part the sender alone can tell: others
// lawfully know of fewer.
func ruleHolder(s subject) *Finding {
	if s.Class != ClassHandover && s.Class != ClassClosing {
		return nil
	}
	lead, ok := s.known.Lead()
	switch {
	case !ok:
		return unproved("R21",
			Text{"hier is niet bekend wie de regie heeft", "who leads the case is not known here"},
			Text{"bevestig eerst de melding als in behandeling, of vraag de regiehouder", "acknowledge the melding as in-behandeling first, or ask the regiehouder"})
	case lead.Holder != s.From.Desk:
		return broken("R21",
			Text{"alleen de regiehouder mag dit; voor zover hier bekend is dat " + string(lead.Holder),
				"only the regiehouder may do this; as known here that is " + string(lead.Holder)},
			Text{"vraag het de regiehouder", "ask the regiehouder"}).keep()
	case s.Class == ClassClosing && s.known.Desk == s.From.Desk && slices.ContainsFunc(s.To, s.newcomer):
		return broken("R21",
			Text{"een bureau deed niet mee in deze zaak", "a desk took no part in this case"},
			Text{"sluit af bij wie meedeed", "close it with who took part"}).keep()
	}
	return nil
}

// newcomer reports whether a desk of another organisation had no part in the case until now,
// as the sender knows it.
func (s subject) newcomer(p Party) bool {
	return p.Desk.Org() != s.From.Desk.Org() && !s.known.Takes(p.Desk)
}
