package protocol

import (
	"slices"
	"strings"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func (s subject) acute() bool { return s.Urgency == message.Acute }

// ruleRegion is R01: what is about a resident goes to the Veilig Thuis of the
// municipality. A recipient keeps a report that came to the wrong region: sending it
// back would leave the victim with nobody. It is shown as misrouted, with the right
// region, and the acknowledgement verkeerde-ontvanger sends it on.
func ruleRegion(s subject) *Finding {
	if !s.reaches(identity.RoleVeiligThuis) {
		return nil
	}
	right := ""
	for _, v := range s.facts.victims {
		region, ok := s.catalogue.region(v.municipality)
		if !ok || exempt(v.brp) {
			continue
		}
		if slices.ContainsFunc(s.To, func(p Party) bool {
			return p.Role == identity.RoleVeiligThuis && serves(p, region)
		}) {
			return nil
		}
		right = region
	}
	if right == "" {
		return nil
	}
	f := broken("R01",
		Text{"het slachtoffer staat ingeschreven in een andere regio: " + right, "the victim is registered in another region: " + right},
		Text{"stuur het aan Veilig Thuis van regio " + right, "send it to the Veilig Thuis of region " + right}).keep()
	f.Right = right
	return f
}

// serves reports whether a Veilig Thuis is that of a region. One whose entry in the
// register names no region of Veilig Thuis gets the benefit of the doubt: a careless
// administrator must not stop reports.
func serves(p Party, region string) bool {
	return p.Region == region || !strings.HasPrefix(p.Region, "VT")
}

// rulePolice is R02. A recipient keeps an acute melding that left the police out:
// then it must bring them in itself, at once.
func rulePolice(s subject) *Finding {
	if !s.acute() || s.From.Role == identity.RolePolitie || outside(s.From.Role) || s.reaches(identity.RolePolitie) {
		return nil
	}
	return broken("R02",
		Text{"een acute melding gaat ook naar de politie", "an acute melding goes to the police as well"},
		Text{"voeg de politie toe, en bel 112 bij direct gevaar", "add the police, and telephone 112 in immediate danger"}).keep()
}

// ruleUnregistered is R08: who is not registered in the Netherlands has no region,
// and is reported to the knooppunt. Kept by a recipient, as R01.
func ruleUnregistered(s subject) *Finding {
	if !s.facts.unregistered() || s.From.Role == identity.RoleKnooppunt || s.reaches(identity.RoleKnooppunt) ||
		!s.class.Carries(s.From.Role, identity.RoleKnooppunt) || s.knooppuntTakesPart() {
		return nil
	}
	return broken("R08",
		Text{"het slachtoffer staat niet in de BRP; dan gaat de melding naar het knooppunt",
			"the victim is not in the population register; then the melding goes to the knooppunt"},
		Text{"voeg het knooppunt toe", "add the knooppunt"}).keep()
}

func (s subject) knooppuntTakesPart() bool {
	return slices.ContainsFunc(s.known.Participants, func(p Party) bool { return p.Role == identity.RoleKnooppunt })
}

// ruleBorder is R16: only who watches the border is asked to stop somebody there.
func ruleBorder(s subject) *Finding {
	if s.facts.kind != "signalering-reis-verhinderen" && s.facts.kind != "uitreis-verhinderen" {
		return nil
	}
	for _, to := range s.To {
		if to.Role != identity.RolePolitie && to.Role != identity.RoleKmar {
			return broken("R16",
				Text{"een verzoek om een reis te verhinderen gaat alleen naar politie en marechaussee",
					"a request to stop a journey goes to the police and the border police only"},
				Text{"haal de andere geadresseerden weg, of stuur hun een eigen verzoek", "take the other desks away, or send them a request of their own"})
		}
	}
	return nil
}

// ruleConsent is R14, beside the schema: a minor for whom nobody can safely be asked
// to consent has a track with the Raad or the court, and it is not routine.
func ruleConsent(s subject) *Finding {
	if s.facts.consent != "geen-niet-veilig" {
		return nil
	}
	if s.Urgency != message.Acute && s.Urgency != message.Urgent {
		return broken("R14",
			Text{"zonder veilige toestemming is dit verzoek niet regulier", "without safe consent this request is not routine"},
			Text{"verstuur het met spoed of acuut", "send it as spoed or acuut"})
	}
	if slices.ContainsFunc(s.known.Participants, func(p Party) bool { return p.Role == identity.RoleRaad }) ||
		slices.ContainsFunc(s.known.messages, func(k Known) bool { return k.facts.filed }) {
		return nil
	}
	return unproved("R14",
		Text{"er is geen bericht over een verzoek aan de Raad of de rechter", "no message speaks of a request to the Raad or the court"},
		Text{"leg het verzoek aan de Raad vast met een terugkoppeling, of betrek de Raad", "record the request to the Raad with a terugkoppeling, or bring in the Raad"})
}

// ruleFourBlocks is R15, beside the schema: what is left out on purpose has a reason.
func ruleFourBlocks(s subject) *Finding {
	for _, b := range s.facts.blocks {
		if b.arranged == "nee-bewust" && blank(b.by) {
			return broken("R15",
				Text{"bij " + b.name + " staat niet waarom het bewust niet geregeld is", b.name + " does not say why it is left out on purpose"},
				Text{"schrijf de reden bij 'door'", "write the reason under 'door'"})
		}
	}
	return nil
}

func blank(s string) bool {
	for _, r := range s {
		if r != ' ' && r != '\t' && r != '\n' && r != '\r' {
			return false
		}
	}
	return true
}

// ruleVersion is R19: a new version of a plan has a higher number than the one before.
// A recipient keeps an older one: it was overtaken on the way, and the state shows
// which is the newest.
func ruleVersion(s subject) *Finding {
	for _, k := range s.known.messages {
		if k.Class == ClassPlan && k.From.Desk.Org() == s.From.Desk.Org() && k.facts.version >= s.facts.version && k.ID != s.ID {
			return broken("R19",
				Text{"er is al een plan met dit of een hoger versienummer", "there is a plan with this or a higher version number already"},
				Text{"geef de nieuwe versie het volgende nummer", "give the new version the next number"}).keep()
		}
	}
	return nil
}
