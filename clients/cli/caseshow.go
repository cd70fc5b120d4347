package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// screen shows a case in the language of a person. What a partner wrote, and the words
// of the protocol, stay as they are.
type screen struct {
	*app
	say func(protocol.Text) string
}

func (a screen) t(nl, en string) string { return a.say(text(nl, en)) }

// showCase tells a person how a case stands. What partners wrote comes inert.
func (a screen) showCase(o schakel.Overview) error {
	a.showSafeContact(o.Safe)
	rows := [][]cell{{{a.t("zaak", "case"), dim}, {o.Ref.String(), bold}}, {{a.t("stand", "state"), dim}, {a.stateOf(o), plain}}}
	if lead, ok := o.Lead(); ok {
		rows = append(rows, []cell{{"regiehouder", dim}, {a.leadTerm(lead), plain}})
	}
	if len(o.Restricted) > 0 {
		rows = append(rows, []cell{{a.t("wie mag dit lezen", "who may read it"), dim}, {a.restrictedTo(o.Restricted), yellow}})
	}
	for _, desk := range o.Claimed() {
		rows = append(rows, []cell{{a.t("zegt regie te hebben", "says to lead"), dim}, {inertLine(string(desk)) + a.t(": hier niet te bewijzen", ": cannot be proved here"), yellow}})
	}
	if o.Closing != nil {
		rows = append(rows, []cell{{a.t("gesloten", "closed"), dim}, {fmt.Sprintf(a.t("%s door %s; eigen dossiers tot %s, sleutels in Schakel vernietigd op %s",
			"%s by %s; own files until %s, keys in Schakel destroyed on %s"), a.when(o.Closing.At),
			inertLine(string(o.Closing.By)), date(o.Closing.RetainUntil), date(o.Closing.DestroyOn)), plain}})
	}
	rows = append(rows, []cell{{a.t("doen mee", "taking part"), dim}, {parties(o.Participants), plain}},
		[]cell{{a.t("zoals bekend bij", "as known at"), dim}, {a.named(o, o.KnownAt), plain}})
	a.table(rows)
	a.section(a.t("WACHT OP ONS", "WAITS FOR US"), yellow, a.duties(o, o.Owed))
	a.section(a.t("WIJ WACHTEN OP", "WE WAIT FOR"), plain, a.duties(o, o.Awaited))
	a.section(a.t("ANDEREN WACHTEN OP ELKAAR", "OTHERS WAIT FOR EACH OTHER"), plain, a.duties(o, amongOthers(o)))
	a.section(a.t("OVERDRACHT", "HAND-OVER"), plain, a.offers(o))
	a.section(a.t("STEUNT OP", "RESTS ON"), plain, a.rests(o))
	a.section(a.t("GECORRIGEERD OF INGETROKKEN", "CORRECTED OR WITHDRAWN"), plain, a.replacements(o))
	a.section(a.t("ONTBREEKT HIER", "MISSING HERE"), yellow, a.missing(o))
	a.section(a.t("DOOR ELK BUREAU GEWEIGERD", "REJECTED BY EVERY DESK"), red, a.unsaid(o))
	a.section(a.t("ZONDER GEVOLG", "WITHOUT EFFECT"), yellow, a.voids(o))
	a.section(a.t("WAARSCHUWINGEN", "FLAGS"), red, a.flags(o))
	return nil
}

// showSafeContact says first how to reach the victim, and whom to tell nothing (R06).
func (a screen) showSafeContact(all []schakel.SafeContact) {
	for i, s := range all {
		if i == 0 {
			a.printf("%s\n", a.in(red, a.t("VEILIG CONTACT: lees dit voordat u iemand belt", "SAFE CONTACT: read before you call anybody")))
		}
		a.printf("  %s\n", a.in(dim, a.t("volgens ", "says ")+inertLine(string(s.From))+a.t(" in ", " in ")+short(s.Message.Hash.String())))
		d := json.NewDecoder(bytes.NewReader(s.Says))
		d.UseNumber()
		v, err := ordered(d, 0)
		fields, isObject := v.([]field)
		if err != nil || !isObject {
			a.printf("    %s\n", inertLine(string(s.Says)))
			continue
		}
		a.outline(fields, nil, "    ")
	}
	if len(all) > 0 {
		a.printf("\n")
	}
}

// section writes a heading and its lines, and nothing where there are none.
func (a screen) section(title string, c colour, lines []string) {
	if len(lines) == 0 {
		return
	}
	a.printf("\n%s\n", a.in(c, title))
	for _, l := range lines {
		a.printf("  %s\n", l)
	}
}

// stateOf says in words how a case stands.
func (a screen) stateOf(o schakel.Overview) string {
	_, led := o.Lead()
	_, offered := o.OpenOffer()
	switch {
	case o.Closing != nil:
		return a.t("gesloten", "closed")
	case offered:
		return a.t("open; de regie is aan een ander bureau aangeboden, en blijft waar zij is tot dat bureau aanvaardt",
			"open; the regie is offered to another desk, and stays where it is until that desk accepts")
	case led:
		return "open"
	}
	return a.t("open; niemand heeft nog de regie", "open; nobody leads it yet")
}

func (a screen) leadTerm(t protocol.LeadTerm) string {
	s := inertLine(string(t.Holder)) + " (" + string(t.Role) + ")"
	if t.Number == 0 {
		return s + a.t(", naar eigen zeggen: de berichten die het bewijzen zijn hier niet", ", by its own word: the messages that prove it are not here")
	}
	return fmt.Sprintf(a.t("%s, termijn %d, sinds %s", "%s, term %d, since %s"), s, t.Number, a.when(t.Since))
}

func parties(all []protocol.Party) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = inertLine(string(p.Desk)) + " (" + inertLine(strings.TrimSpace(string(p.Role)+" "+p.Region)) + ")"
	}
	return strings.Join(names, ", ")
}

// moment returns a message of the overview.
func moment(o schakel.Overview, h message.Hash) (schakel.Moment, bool) {
	i := slices.IndexFunc(o.Messages, func(m schakel.Moment) bool { return m.Hash == h })
	if i < 0 {
		return schakel.Moment{}, false
	}
	return o.Messages[i], true
}

// called is a message by its class and the beginning of its hash.
func (a screen) called(o schakel.Overview, r message.Ref) string {
	m, ok := moment(o, r.Hash)
	if !ok {
		return a.t("bericht ", "message ") + short(r.Hash.String()) + a.t(" (niet hier)", " (not here)")
	}
	return inertLine(m.Class) + " " + short(r.Hash.String())
}

// named is a message with its sender and time as well.
func (a screen) named(o schakel.Overview, r message.Ref) string {
	m, ok := moment(o, r.Hash)
	if !ok {
		return a.called(o, r)
	}
	return a.called(o, r) + a.t(" van ", " of ") + inertLine(string(m.From.Desk)) + ", " + a.when(m.Created)
}

// dutyWords say what a desk owes. A duty that this version does not know is shown as it is.
var dutyWords = map[protocol.Duty]protocol.Text{
	protocol.DutyAcknowledge: text("bevestigt, door een genoemd persoon", "acknowledges, by a named person"),
	protocol.DutyAnswer:      text("antwoordt", "answers"),
	protocol.DutyForward:     text("stuurt het naar het juiste bureau", "sends it to the right desk"),
	protocol.DutyOfferBack:   text("biedt de regie terug aan", "offers the regie back"),
	protocol.DutyWeigh:       text("maakt de afweging", "makes the weighing"),
	protocol.DutyFeedback1:   text("koppelt terug na de veiligheidsbeoordeling", "gives feedback on the assessment"),
	protocol.DutyFeedback2:   text("koppelt terug na het onderzoek", "gives feedback after the investigation"),
	protocol.DutyPolice:      text("schakelt de politie in, of zegt waarom niet", "brings in the police, or says why not"),
	protocol.DutyRevise:      text("besluit opnieuw over het plan", "decides on the plan anew"),
}

func (a screen) duty(d protocol.Duty) string {
	return cmp.Or(a.say(dutyWords[d]), inertLine(string(d)))
}

func (a screen) duties(o schakel.Overview, all []protocol.Obligation) (out []string) {
	for _, d := range all {
		line := fmt.Sprintf(a.t("%s %s: %s, voor %s (%s)", "%s %s: %s, before %s (%s)"), inertLine(string(d.Owes)), a.duty(d.Duty),
			a.called(o, d.Since), a.when(d.Due), a.remaining(d.Due))
		if d.To != "" {
			line += a.t(", ten behoeve van ", ", for ") + inertLine(string(d.To))
		}
		line += " [" + inertLine(d.Rule) + "]"
		if d.Late(a.Now()) {
			line = a.in(red, line)
		}
		out = append(out, line)
	}
	return out
}

func amongOthers(o schakel.Overview) (out []protocol.Obligation) {
	for _, d := range o.Obligations {
		if d.Open() && d.Owes != o.Desk && d.To != o.Desk {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(x, y protocol.Obligation) int { return x.Due.Compare(y.Due) })
	return out
}

var offerWords = map[protocol.OfferState]protocol.Text{
	protocol.OfferOpen:      text("aangeboden, nog geen besluit", "offered, no decision yet"),
	protocol.OfferAccepted:  text("aanvaard", "accepted"),
	protocol.OfferRefused:   text("geweigerd", "refused"),
	protocol.OfferWithdrawn: text("ingetrokken", "withdrawn"),
	protocol.OfferReturned: text("teruggewezen door het bureau dat moest besluiten; trek het in, want anderen kregen het wel",
		"rejected by the desk that was to decide; withdraw it, because others got it"),
}

func (a screen) offers(o schakel.Overview) (out []string) {
	for _, f := range o.Offers {
		line := fmt.Sprintf(a.t("%s: door %s aan %s: %s", "%s: by %s to %s: %s"), a.called(o, f.Message), inertLine(string(f.By)), inertLine(string(f.To)), cmp.Or(a.say(offerWords[f.State]), inertLine(string(f.State))))
		if f.Closed != (message.Ref{}) {
			line += a.t(", door ", ", by ") + a.called(o, f.Closed)
		}
		out = append(out, line)
	}
	return out
}

func (a screen) rests(o schakel.Overview) (out []string) {
	for _, r := range o.Rests {
		line := a.called(o, r.Message) + a.t(" steunt op ", " rests on ") + a.called(o, r.On)
		if r.Outcome != "" {
			line += " (" + inertLine(r.Outcome) + ")"
		}
		out = append(out, line)
	}
	return out
}

func (a screen) replacements(o schakel.Overview) (out []string) {
	for _, r := range o.Replaced {
		out = append(out, a.called(o, r.Message)+a.t(" is ", " was ")+a.replacedHow(r)+a.t(" door ", " by ")+a.called(o, r.By))
	}
	return out
}

func (a screen) replacedHow(r protocol.Replacement) string {
	if r.Withdrawn {
		return a.t("ingetrokken", "withdrawn")
	}
	return a.t("gecorrigeerd", "corrected")
}

func (a screen) missing(o schakel.Overview) (out []string) {
	for _, m := range o.Missing {
		var by []string
		for _, r := range m.NamedBy {
			by = append(by, a.named(o, r))
		}
		out = append(out, a.t("bericht ", "message ")+m.Message.ID.String()+" ("+short(m.Message.Hash.String())+a.t("), genoemd door ", "), named by ")+strings.Join(by, "; ")+a.t(": vraag het dat bureau", ": ask that desk"))
	}
	return out
}

// unsaid is the messages of this desk that nobody has: rejected wherever they went.
func (a screen) unsaid(o schakel.Overview) (out []string) {
	for _, r := range o.Unsaid {
		out = append(out, a.called(o, r)+a.t(" telt nergens: schakel sent ", " counts nowhere: schakel sent ")+short(r.Hash.String())+a.t(" toont de regel; zeg het daarna opnieuw", " shows the rule, and then say it again"))
	}
	return out
}

func (a screen) voids(o schakel.Overview) (out []string) {
	for _, v := range o.Voids {
		line := a.named(o, v.Message)
		if v.Against != (message.Ref{}) {
			line += a.t(", vanwege ", ", because of ") + a.called(o, v.Against)
		}
		out = append(out, line+" ["+inertLine(v.Rule)+"]")
	}
	return out
}

func (a screen) flags(o schakel.Overview) (out []string) {
	for _, m := range o.Messages {
		for _, f := range m.Flags {
			out = append(out, a.called(o, m.Ref)+": "+a.flagLine(f))
		}
	}
	return out
}

// flagLine says what is wrong with a message that was taken all the same.
func (a screen) flagLine(f protocol.Flag) string {
	return inertLine(a.say(f.Reason)) + "; " + inertLine(a.say(f.Remedy)) + " [" + inertLine(f.Rule) + ", " + a.certain(f) + "]"
}

func (a screen) certain(f protocol.Flag) string {
	if f.Certainty == protocol.Broken {
		return a.t("geschonden", "broken")
	}
	return a.t("hier niet na te gaan", "cannot be checked here")
}

// remaining is how long there is still, in one unit that a person counts in.
func (a screen) remaining(due time.Time) string {
	left := due.Sub(a.Now())
	if left < 0 {
		return a.t("", "late by ") + a.span(-left) + a.t(" te laat", "")
	}
	return a.t("nog ", "") + a.span(left) + a.t("", " left")
}

func (a screen) span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf(a.t("%d dagen", "%d days"), d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf(a.t("%d uur", "%d hours"), d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf(a.t("%d minuten", "%d minutes"), d/time.Minute)
	}
	return a.t("minder dan 2 minuten", "less than 2 minutes")
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}
