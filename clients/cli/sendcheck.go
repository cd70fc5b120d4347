package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/identity"
)

// check has Schakel complete the draft, shows what will go to whom, and asks whether
// that is right where somebody can be asked. A message cannot be called back.
func (w *sending) check(ctx context.Context) error {
	p, err := w.session.Prepare(ctx, w.draft)
	if err != nil {
		return err
	}
	w.draft.To = p.To
	if p.Refusal != nil {
		return p.Refusal
	}
	if !w.Asks {
		w.sayAdded(p)
	} else if err := w.checkPage(p); err != nil {
		return err
	}
	if w.draft.Person != "" && w.draft.PIN == "" {
		w.draft.PIN, err = w.pin(signer{cmp.Or(w.signs.Name, w.draft.Person), w.flags.signer.pinFile, w.flags.signer.asked})
	}
	return err
}

// sayAdded says on standard error what Schakel added by itself.
func (w *sending) sayAdded(p schakel.Prepared) {
	doubts := w.doubts(p)
	for _, id := range p.To {
		if doubts[id] == writing.DoubtOutside {
			w.tell("%s", w.in(yellow, "has not seen this case yet: "+inertLine(string(id))))
		}
	}
	for _, id := range p.Added {
		w.tell("also goes to %s, which must hear who leads the case", inertLine(string(id)))
	}
	for _, id := range p.Unreached {
		w.tell("%s", w.in(yellow, "cannot be told who leads the case, telephone: "+inertLine(string(id))))
	}
	for _, m := range p.RestsOn {
		w.tell("rests on %s", w.namedLine(m))
	}
	for _, m := range p.Encloses {
		w.tell("encloses %s", w.namedLine(m))
	}
}

func (w *sending) namedLine(m schakel.Named) string {
	s := short(m.Hash.String())
	if m.Class != "" {
		s = inertLine(m.Class) + " " + s + ", " + inertLine(string(m.From)) + ", " + w.when(m.Created)
	}
	if m.Outcome != "" {
		s += ": " + inertLine(m.Outcome)
	}
	return s
}

// checkPage is what a person sees before it goes: the organisations by name and role,
// with what the register proves of them, and what the message carries.
func (w *sending) checkPage(p schakel.Prepared) error {
	w.exerciseBanner(p)
	orgs := map[string]bool{}
	for _, id := range p.To {
		orgs[string(id.Org())] = true
	}
	heading := fmt.Sprintf("U verstuurt aan %d organisaties:", len(orgs))
	if len(orgs) == 1 {
		heading = "U verstuurt aan 1 organisatie:"
	}
	w.tell("\n%s", w.in(bold, w.say(text(heading, fmt.Sprintf("You send to %d organisation(s):", len(orgs))))))
	for _, id := range p.To {
		w.addressee(p, id)
	}
	w.facts(p)
	w.guard(p)
	if w.flags.yes {
		return nil
	}
	sure, err := w.yes(w.say(text("Klopt dit? Een bericht kan niet worden teruggehaald. (ja/nee)", "Is this right? A message cannot be called back. (yes/no)")))
	if err == nil && !sure {
		return errNotSent
	}
	return err
}

func (w *sending) exerciseBanner(p schakel.Prepared) {
	if p.Exercise {
		w.tell("\n%s", w.in(yellow, w.say(protocol.ExerciseBanner())))
	}
}

func (w *sending) desk(id identity.DeskID) (schakel.Desk, bool) {
	i := slices.IndexFunc(w.desks, func(d schakel.Desk) bool { return d.ID == id })
	if i < 0 {
		return schakel.Desk{}, false
	}
	return w.desks[i], true
}

func (w *sending) addressee(p schakel.Prepared, id identity.DeskID) {
	d, ok := w.desk(id)
	if !ok {
		w.tell("  %s  %s", inertLine(string(id)), w.in(red, w.say(text("NIET in het register", "NOT in the register"))))
		return
	}
	line := "  " + w.deskLine(d) + "  " + w.in(green, w.say(text("[geverifieerd in het register]", "[verified by the register]")))
	if slices.Contains(p.Added, id) {
		line += "  " + w.say(text("moet horen wie de regie heeft", "must hear who leads the case"))
	}
	if p.Telephone {
		line += "  " + w.in(red, w.say(text("bel ook: ", "call as well: "))+orDash(inertLine(d.Telephone)))
	}
	w.tell("%s", line)
}

// facts are what the message is and carries.
func (w *sending) facts(p schakel.Prepared) {
	zaak := p.Case
	if p.Opens {
		zaak = w.say(text("nieuw", "new"))
	}
	w.tell("  %s, %s, %s %s", inertLine(w.draft.Class), w.draft.Urgency, w.say(text("zaak", "case")), inertLine(zaak))
	if p.Answers != nil {
		w.tell("  %s %s", w.say(text("antwoordt op", "answers")), w.namedLine(*p.Answers))
	}
	for _, m := range p.RestsOn {
		w.tell("  %s %s", w.say(text("steunt op", "rests on")), w.namedLine(m))
	}
	for _, m := range p.Encloses {
		w.tell("  %s %s", w.say(text("stuurt mee", "encloses")), w.namedLine(m))
	}
	for _, f := range w.files {
		w.tell("  %s %s (%s, %s)", w.say(text("stuurt een bestand mee:", "takes a file along:")), inertLine(f.Name), f.MediaType, bytesOf(f.Bytes))
	}
	if !p.AckDue.IsZero() {
		w.tell("  %s %s", w.say(text("iemand moet bevestigen voor", "somebody must acknowledge before")), w.when(p.AckDue))
	}
	if len(p.Unreached) > 0 {
		names := make([]string, len(p.Unreached))
		for i, id := range p.Unreached {
			names[i] = inertLine(string(id))
		}
		w.tell("  %s %s", w.in(red, w.say(text("niet te bereiken, bel zelf:", "cannot be reached, telephone:"))), strings.Join(names, ", "))
	}
}

func (w *sending) doubts(p schakel.Prepared) map[identity.DeskID]writing.Doubt {
	return writing.Doubts(p, w.desks, w.places, w.zaak, w.status.Desk)
}

// guard warns of an addressed Veilig Thuis or police unit that does not serve any of the
// municipalities in the message, the commonest wrong recipient, and of a desk that this
// message brings into the case (F21).
func (w *sending) guard(p schakel.Prepared) {
	places := inertLine(strings.Join(w.places, ", ")) // of a draft, perhaps, that a colleague wrote
	doubts := w.doubts(p)
	for _, id := range p.To {
		name := inertLine(string(id))
		switch doubts[id] {
		case writing.DoubtElsewhere:
			w.tell("  %s", w.in(red, w.say(text("LET OP: "+name+" hoort niet bij de gemeente in dit bericht ("+places+")",
				"MIND: "+name+" does not serve the municipality in this message ("+places+")"))))
		case writing.DoubtOutside:
			w.tell("  %s", w.in(red, w.say(text("LET OP: "+name+" zag deze zaak nog niet", "MIND: "+name+" has not seen this case yet"))))
		}
	}
}

// overriding is the word of whoever sends that something acute must go by an old register.
func overriding(called string) *schakel.Override {
	if called == "" {
		return nil
	}
	return &schakel.Override{Called: called}
}
