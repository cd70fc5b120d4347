package schakel

import (
	"context"
	"fmt"
	"strings"

	"schakel/clients/store"
	"schakel/crypto/identity"
)

// Alarms returns what a person must act on, oldest first.
func (n *Node) Alarms(ctx context.Context) (out []Alarm, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Alarms()
		for _, a := range rows {
			if AlarmKind(a.Kind) == AlarmGlass {
				a.Code = n.nameOfText(tx, a.Code)
			}
			text, remedy := n.explain(AlarmKind(a.Kind), a)
			out = append(out, Alarm{Kind: AlarmKind(a.Kind), Subject: a.Subject, Code: a.Code, Since: a.At.UTC(), Text: text, Remedy: remedy})
		}
		return err
	})
	return out, err
}

// AlarmKinds are all kinds of alarms.
func AlarmKinds() []AlarmKind {
	return []AlarmKind{AlarmUnacknowledged, AlarmOverdue, AlarmReturned, AlarmUndelivered, AlarmGap, AlarmEquivocation, AlarmForged, AlarmNotAddressed,
		AlarmKeySwap, AlarmNewKey, AlarmNewDevice, AlarmRegister, AlarmView, AlarmAhead, AlarmOwn, AlarmFreshness, AlarmWitnesses, AlarmRoot, AlarmSilence, AlarmConflict, AlarmTampered, AlarmClock, AlarmRefused, AlarmOutdated, AlarmFlood, AlarmTranscript, AlarmRule, AlarmEpochs,
		AlarmDestruction, AlarmContested, AlarmGlass, AlarmLists, AlarmPager, AlarmRota, AlarmLog, AlarmDrill, AlarmWebhook, AlarmBackup, AlarmAttachment}
}

// ClearAlarm ends an alarm that a person has dealt with; it comes back when its
// cause does. It returns ErrNotFound when there is no such alarm.
func (n *Node) ClearAlarm(ctx context.Context, kind AlarmKind, subject string) error {
	err := n.update(ctx, func(tx *store.Tx) error {
		if err := tx.ClearAlarm(string(kind), subject); err != nil {
			return err
		}
		if err := n.silence(tx, kind, subject); err != nil {
			return err
		}
		return tx.Audit("alarm-cleared-"+string(kind), subject, identity.PersonID{}, n.now())
	})
	if isNotFound(err) {
		return fmt.Errorf("%w: alarm %s", ErrNotFound, kind)
	}
	if err == nil {
		n.learnStops(ctx)
	}
	return err
}

// explain says in plain Dutch what an alarm means and what to do now. An alarm that
// concerns a desk names its telephone number: software that failed is no way to
// reach somebody.
func (n *Node) explain(kind AlarmKind, a store.Alarm) (text, remedy string) {
	desk, call := identity.DeskID(a.Code), n.call(identity.DeskID(a.Code))
	switch kind {
	case AlarmUnacknowledged:
		return fmt.Sprintf("%s heeft uw bericht nog niet bevestigd.", desk), call
	case AlarmOverdue:
		return fmt.Sprintf("Dit bureau heeft een bericht van %s niet op tijd bevestigd.", desk), "Lees en bevestig het nu. " + call
	case AlarmReturned:
		return fmt.Sprintf("%s neemt uw bericht niet in behandeling.", desk), "Lees het antwoord en stuur het bericht aan het juiste bureau. " + call
	case AlarmUndelivered:
		return fmt.Sprintf("%s heeft uw bericht nog niet ontvangen.", desk), call
	case AlarmGap:
		return fmt.Sprintf("Er ontbreekt een bericht van %s. Het is opnieuw gevraagd.", desk), call
	case AlarmSilence:
		return fmt.Sprintf("%s geeft geen levensteken meer.", desk), call
	case AlarmEquivocation:
		return "Een apparaat gebruikte hetzelfde nummer voor twee berichten.", "Bel het bureau. Bewaar beide berichten."
	case AlarmForged:
		return "Een bericht had niet de handtekening die erbij hoort. Het is geweigerd.", "Waarschuw de beheerder. Het bericht is apart bewaard."
	case AlarmNotAddressed:
		return "Een bericht was niet voor dit bureau ondertekend. Het is geweigerd.", "Waarschuw de beheerder."
	case AlarmKeySwap:
		return "Een sleutel is niet de sleutel uit het register.", "Waarschuw de beheerder. Verstuur niets tot dit is uitgezocht."
	case AlarmNewKey:
		return explainNewKey(a, call)
	case AlarmNewDevice:
		return explainNewDevice(a, call)
	case AlarmRegister, AlarmView, AlarmAhead, AlarmOwn:
		return n.explainRegister(kind, a)
	case AlarmFreshness, AlarmWitnesses, AlarmRoot:
		return explainAge(a.Subject, a.Code)
	case AlarmConflict:
		return "Twee verschillende berichten hebben hetzelfde kenmerk.", "Bel de afzender."
	case AlarmTampered:
		return "Een bericht is onderweg veranderd. Het is geweigerd en wordt opnieuw gestuurd.", "Gebeurt dit vaker: waarschuw de beheerder."
	case AlarmDestruction:
		return destruction(a)
	case AlarmClock:
		return explainClock(a.Code)
	case AlarmRefused:
		return fmt.Sprintf("Een acuut bericht van %s is geweigerd: het klopte niet.", desk), "Bel nu; de afzender weet ook dat het geweigerd is. " + call
	case AlarmRule:
		return "Een bericht is bewaard, maar houdt zich niet aan regel " + a.Code + ".", n.breach(a)
	case AlarmContested:
		return "Twee mensen van dit bureau hebben dezelfde zaak tegelijk opgepakt.", "Spreek af wie de zaak doet, en leg dat vast met `schakel assign`."
	case AlarmGlass, AlarmLists:
		return explainRestriction(kind, a)
	case AlarmPager, AlarmDrill:
		return explainPaging(kind, a)
	case AlarmRota:
		return explainRota(a)
	case AlarmBackup:
		return "De laatste reservekopie van dit apparaat is te oud.", "Maak er een met `schakel backup BESTAND`, en bewaar die op een andere machine."
	case AlarmLog:
		return "Het logboek van een apparaat van dit bureau is veranderd of afgeknipt.", "Gebruik dat apparaat niet. Bewaar het, en waarschuw de beveiligingsfunctionaris."
	case AlarmEpochs:
		return "Dit bureau heeft geen geldige sleutels meer. Niemand kan ons schrijven.", "Verbind dit apparaat met de relay, of bel de beheerder."
	}
	return n.explainBeside(kind, a)
}

// explainBeside explains what is about no message by itself.
func (n *Node) explainBeside(kind AlarmKind, a store.Alarm) (text, remedy string) {
	if text, remedy, ok := explainDoubt(kind, a, n.call(identity.DeskID(a.Code))); ok {
		return text, remedy
	}
	if kind == AlarmAttachment {
		return n.explainAttachment(a)
	}
	return explainProgram(kind, a)
}

// explainAttachment says which file is missing, and that nobody has to wait for it.
func (n *Node) explainAttachment(a store.Alarm) (text, remedy string) {
	message, _, _ := strings.Cut(a.Subject, " ")
	switch {
	case a.Code == reasonIdentityUsed:
		return "Een bericht is geweigerd: zijn bijlage heeft de sleutel van een eerdere bijlage.",
			"Bel de afzender: die moet het programma bijwerken en het bestand opnieuw versturen. Waarschuw de beheerder."
	case identity.DeskID(a.Code) == n.dev.Desk:
		return "Een bijlage van dit bureau is nog niet bij de relay. Het bericht zelf is wel verstuurd.",
			"Kijk wat er misgaat met `schakel attachment list " + message + "`. Is er haast bij: bel de ontvanger."
	}
	if n.moves.troubleOfSubject(a.Subject) == troubleDisk {
		return fmt.Sprintf("Een bijlage bij een bericht van %s past niet op de schijf van dit apparaat. Het bericht zelf is er wel.", a.Code),
			"Maak ruimte op die schijf: `schakel doctor` zegt hoeveel er is. De bijlage komt daarna vanzelf. Is er haast bij, wacht dan niet. " + n.call(identity.DeskID(a.Code))
	}
	return fmt.Sprintf("Een bijlage bij een bericht van %s is er nog niet. Het bericht zelf is er wel.", a.Code),
		"Probeer het nu met `schakel attachment fetch " + message + "`. Is er haast bij, wacht dan niet. " + n.call(identity.DeskID(a.Code))
}

// explainProgram says what happened to a program of the organisation's own.
func explainProgram(kind AlarmKind, a store.Alarm) (text, remedy string) {
	if kind == AlarmWebhook {
		return "Een eigen programma neemt al dagen geen gebeurtenissen meer aan. Er gaan er geen meer heen.",
			"Waarschuw de beheerder: `schakel webhook list` zegt wat er misgaat, `schakel webhook redeliver " + a.Subject + "` begint opnieuw."
	}
	return string(kind), "Waarschuw de beheerder."
}

// explainClock says whose clock is wrong, as far as that can be told.
func explainClock(code string) (text, remedy string) {
	switch code {
	case clockBehind:
		return "De klok van dit apparaat loopt achter: de getuigen van het register zagen al een later moment.",
			"Zet de klok goed, en zoek uit wie hem terugzette. Tot dan rekent dit apparaat met het moment van de getuigen."
	case codeRelay:
		return "Volgens dit apparaat moest een gesloten zaak al vernietigd zijn. De klok van de relay bevestigt dat niet. De zaak is er nog.",
			"Controleer de klok van dit apparaat en de verbinding met de relay."
	}
	return "Een bericht draagt een tijd in de toekomst. Een klok loopt verkeerd: hier of bij de afzender.", "Controleer de klok van dit apparaat. Bel daarna de afzender."
}

// explainNewKey says that an organisation has another key than before.
func explainNewKey(a store.Alarm, call string) (text, remedy string) {
	return fmt.Sprintf("Organisatie %s heeft een nieuwe sleutel. Wij versturen daar niets tot iemand die vergelijkt.", a.Subject),
		"Bel op een nummer dat u al had, en vergelijk de vingerafdruk. Klopt die niet: weiger de sleutel, en bel de houders van het register. " + call
}

// explainRestriction says what happened to a case that only named persons may read.
func explainRestriction(kind AlarmKind, a store.Alarm) (text, remedy string) {
	if kind == AlarmGlass {
		return a.Code + " heeft zaak " + a.Subject + " geopend met de noodzin, hoewel die beperkt is tot anderen.",
			"Bent u een van hen: vraag waarom, en spreek af wie de zaak doet. `schakel log --case " + a.Subject + "` toont wat is geopend."
	}
	return "Twee mensen legden tegelijk vast wie zaak " + a.Subject + " mag lezen. De eerste lijst geldt.",
		"Bekijk de lijst met `schakel case restrict " + a.Subject + "`, spreek af wie erop hoort, en leg die opnieuw vast."
}

// breach says what to do about a message that was kept though it breaks a rule.
func (n *Node) breach(a store.Alarm) string {
	_, from, _ := strings.Cut(a.Subject, " ")
	call := n.call(identity.DeskID(from))
	switch a.Code {
	case "R01":
		return "Het slachtoffer hoort bij een andere regio. Bevestig met verkeerde-ontvanger, en bel bij gevaar zelf. " + call
	case "R02":
		return "De politie weet nog niets. Schakel zelf de politie in, bij direct gevaar via 112. " + call
	case "R08":
		return "Het slachtoffer staat niet in de BRP. Betrek het knooppunt. " + call
	}
	return "Lees het bericht met de waarschuwing erbij. " + call
}

// explainRegister says what is wrong with the register, or with what another desk sees of it.
func (n *Node) explainRegister(kind AlarmKind, a store.Alarm) (text, remedy string) {
	call := n.call(identity.DeskID(a.Subject))
	switch {
	case kind == AlarmOwn:
		return explainOwn(a)
	case kind == AlarmRegister:
		return "Het register klopt niet: " + registerWord(a.Code) + ".", "Verstuur niets. Bel de houders van het register. Het bewijs: `schakel register evidence list`."
	case kind == AlarmView:
		return fmt.Sprintf("%s ziet een ander register dan wij. Wij versturen daar niets tot iemand dit wegzet.", a.Subject),
			call + " Vergelijk wie wat ziet, en bel de houders van het register. Het bewijs: `schakel register evidence list`."
	case a.Code == codeOld:
		return fmt.Sprintf("Een acuut bericht van %s is gemaakt met een register van meer dan drie dagen oud.", a.Subject),
			"Behandel het bericht. De afzender weet misschien niet wie intussen is ingetrokken. " + call
	}
	return fmt.Sprintf("%s kent een langer register dan de relay ons laat zien. Berichten van dat bureau wachten.", a.Subject),
		call + " Vraag wat er is gestuurd. Waarschuw de beheerder van de relay."
}

func registerWord(code string) string {
	if code == codeSplit {
		return "het logboek ondertekende er twee die elkaar tegenspreken"
	}
	if code == "skipped" {
		return "een regel is niet bevoegd ondertekend en telt niet"
	}
	return "de relay toont een ander register dan eerst"
}

func (n *Node) call(desk identity.DeskID) string {
	state, ok := n.directory().Desk(desk)
	if !ok || strings.TrimSpace(state.Phone) == "" {
		return "Bel het bureau."
	}
	return "Bel " + state.Phone + "."
}

// destruction says when a case is destroyed, and what to think of before.
func destruction(a store.Alarm) (text, remedy string) {
	date, _, _ := strings.Cut(a.Code, " ")
	text = "Zaak " + a.Subject + " wordt vernietigd op " + date + "."
	if strings.Contains(a.Code, codeOpen) {
		text += " Er staat nog iets open."
	}
	if strings.Contains(a.Code, codeNotExported) {
		text += " De zaak is nog nooit geëxporteerd."
	}
	return text, "Exporteer de zaak als het dossier nog nodig is: schakel case export " + a.Subject + " --out dossier.zip"
}

// explainPaging says what to do where nobody can be paged, or a drill is owed.
func explainPaging(kind AlarmKind, a store.Alarm) (text, remedy string) {
	switch {
	case kind == AlarmDrill:
		return "De oefening van deze maand is nog niet begonnen.", "Begin er een met `schakel oncall drill --to BUREAU`. Bel het bureau als niemand bevestigt."
	case a.Subject == pagerDamaged:
		return "Wat dit apparaat over oproepen bijhield, is beschadigd. Wie piket heeft, wordt opnieuw opgeroepen.",
			"Kijk in de inbox. Waarschuw de beheerder: laat `schakel doctor` de opslag nakijken, en de schijf van deze machine."
	case a.Subject == pagerBlind:
		return "Een deel van wat wacht kan niet worden gelezen. Daarvoor wordt niemand opgeroepen.", "Kijk zelf in de inbox en in de zaken. Waarschuw de beheerder, en laat `schakel doctor` de opslag nakijken."
	}
	return "Er wacht iets op dit bureau, en niemand kon worden opgeroepen.", "Kijk nu zelf. Controleer daarna het rooster en de contactgegevens: schakel oncall readiness"
}
