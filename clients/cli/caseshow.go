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

// showCase tells a person how a case stands. What partners wrote comes inert.
func (a *app) showCase(o schakel.Overview) error {
	a.showSafeContact(o.Safe)
	rows := [][]cell{{{"case", dim}, {o.Ref.String(), bold}}, {{"state", dim}, {stateOf(o), plain}}}
	if lead, ok := o.Lead(); ok {
		rows = append(rows, []cell{{"regiehouder", dim}, {a.leadTerm(lead), plain}})
	}
	if len(o.Restricted) > 0 {
		rows = append(rows, []cell{{"who may read it", dim}, {restrictedTo(o.Restricted), yellow}})
	}
	for _, desk := range o.Claimed() {
		rows = append(rows, []cell{{"says to lead", dim}, {inertLine(string(desk)) + ": cannot be proved here", yellow}})
	}
	if o.Closing != nil {
		rows = append(rows, []cell{{"closed", dim}, {fmt.Sprintf("%s by %s; own files until %s, keys in Schakel destroyed on %s", a.when(o.Closing.At),
			inertLine(string(o.Closing.By)), date(o.Closing.RetainUntil), date(o.Closing.DestroyOn)), plain}})
	}
	rows = append(rows, []cell{{"taking part", dim}, {parties(o.Participants), plain}},
		[]cell{{"as known at", dim}, {a.named(o, o.KnownAt), plain}})
	a.table(rows)
	a.section("WAITS FOR US", yellow, a.duties(o, o.Owed))
	a.section("WE WAIT FOR", plain, a.duties(o, o.Awaited))
	a.section("OTHERS WAIT FOR EACH OTHER", plain, a.duties(o, amongOthers(o)))
	a.section("HAND-OVER", plain, a.offers(o))
	a.section("RESTS ON", plain, rests(o))
	a.section("CORRECTED OR WITHDRAWN", plain, replacements(o))
	a.section("MISSING HERE", yellow, a.missing(o))
	a.section("WITHOUT EFFECT", yellow, a.voids(o))
	a.section("FLAGS", red, flags(o))
	return nil
}

// showSafeContact says first how to reach the victim, and whom to tell nothing (R06).
func (a *app) showSafeContact(all []schakel.SafeContact) {
	for i, s := range all {
		if i == 0 {
			a.printf("%s\n", a.in(red, "SAFE CONTACT: read before you call anybody"))
		}
		a.printf("  %s\n", a.in(dim, "says "+inertLine(string(s.From))+" in "+short(s.Message.Hash.String())))
		d := json.NewDecoder(bytes.NewReader(s.Says))
		d.UseNumber()
		v, err := ordered(d, 0)
		fields, isObject := v.([]field)
		if err != nil || !isObject {
			a.printf("    %s\n", inertLine(string(s.Says)))
			continue
		}
		a.outline(fields, "    ")
	}
	if len(all) > 0 {
		a.printf("\n")
	}
}

// section writes a heading and its lines, and nothing where there are none.
func (a *app) section(title string, c colour, lines []string) {
	if len(lines) == 0 {
		return
	}
	a.printf("\n%s\n", a.in(c, title))
	for _, l := range lines {
		a.printf("  %s\n", l)
	}
}

// stateOf says in words how a case stands.
func stateOf(o schakel.Overview) string {
	_, led := o.Lead()
	_, offered := o.OpenOffer()
	switch {
	case o.Closing != nil:
		return "closed"
	case offered:
		return "open; the regie is offered to another desk, and stays where it is until that desk accepts"
	case led:
		return "open"
	}
	return "open; nobody leads it yet"
}

func (a *app) leadTerm(t protocol.LeadTerm) string {
	s := inertLine(string(t.Holder)) + " (" + string(t.Role) + ")"
	if t.Number == 0 {
		return s + ", by its own word: the messages that prove it are not here"
	}
	return fmt.Sprintf("%s, term %d, since %s", s, t.Number, a.when(t.Since))
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
func called(o schakel.Overview, r message.Ref) string {
	m, ok := moment(o, r.Hash)
	if !ok {
		return "message " + short(r.Hash.String()) + " (not here)"
	}
	return inertLine(m.Class) + " " + short(r.Hash.String())
}

// named is a message with its sender and time as well.
func (a *app) named(o schakel.Overview, r message.Ref) string {
	m, ok := moment(o, r.Hash)
	if !ok {
		return called(o, r)
	}
	return called(o, r) + " of " + inertLine(string(m.From.Desk)) + ", " + a.when(m.Created)
}

// dutyWords say what a desk owes. A duty that this version does not know is shown as it is.
var dutyWords = map[protocol.Duty]string{
	protocol.DutyAcknowledge: "acknowledges, by a named person", protocol.DutyAnswer: "answers", protocol.DutyForward: "sends it to the right desk",
	protocol.DutyOfferBack: "offers the regie back", protocol.DutyWeigh: "makes the weighing", protocol.DutyFeedback1: "gives feedback on the assessment",
	protocol.DutyFeedback2: "gives feedback after the investigation", protocol.DutyPolice: "brings in the police, or says why not",
	protocol.DutyRevise: "decides on the plan anew",
}

func (a *app) duties(o schakel.Overview, all []protocol.Obligation) (out []string) {
	for _, d := range all {
		line := fmt.Sprintf("%s %s: %s, before %s (%s)", inertLine(string(d.Owes)), cmp.Or(dutyWords[d.Duty], inertLine(string(d.Duty))),
			called(o, d.Since), a.when(d.Due), a.remaining(d.Due))
		if d.To != "" {
			line += ", for " + inertLine(string(d.To))
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

var offerWords = map[protocol.OfferState]string{protocol.OfferOpen: "offered, no decision yet", protocol.OfferAccepted: "accepted",
	protocol.OfferRefused: "refused", protocol.OfferWithdrawn: "withdrawn"}

func (a *app) offers(o schakel.Overview) (out []string) {
	for _, f := range o.Offers {
		line := fmt.Sprintf("%s: by %s to %s: %s", called(o, f.Message), inertLine(string(f.By)), inertLine(string(f.To)), cmp.Or(offerWords[f.State], string(f.State)))
		if f.Closed != (message.Ref{}) {
			line += ", by " + called(o, f.Closed)
		}
		out = append(out, line)
	}
	return out
}

func rests(o schakel.Overview) (out []string) {
	for _, r := range o.Rests {
		line := called(o, r.Message) + " rests on " + called(o, r.On)
		if r.Outcome != "" {
			line += " (" + inertLine(r.Outcome) + ")"
		}
		out = append(out, line)
	}
	return out
}

func replacements(o schakel.Overview) (out []string) {
	for _, r := range o.Replaced {
		out = append(out, called(o, r.Message)+" was "+replacedHow(r)+" by "+called(o, r.By))
	}
	return out
}

func replacedHow(r protocol.Replacement) string {
	if r.Withdrawn {
		return "withdrawn"
	}
	return "corrected"
}

func (a *app) missing(o schakel.Overview) (out []string) {
	for _, m := range o.Missing {
		var by []string
		for _, r := range m.NamedBy {
			by = append(by, a.named(o, r))
		}
		out = append(out, "message "+m.Message.ID.String()+" ("+short(m.Message.Hash.String())+"), named by "+strings.Join(by, "; ")+": ask that desk")
	}
	return out
}

func (a *app) voids(o schakel.Overview) (out []string) {
	for _, v := range o.Voids {
		line := a.named(o, v.Message)
		if v.Against != (message.Ref{}) {
			line += ", because of " + called(o, v.Against)
		}
		out = append(out, line+" ["+inertLine(v.Rule)+"]")
	}
	return out
}

func flags(o schakel.Overview) (out []string) {
	for _, m := range o.Messages {
		for _, f := range m.Flags {
			out = append(out, called(o, m.Ref)+": "+flagLine(f))
		}
	}
	return out
}

// flagLine says what is wrong with a message that was taken all the same.
func flagLine(f protocol.Flag) string {
	return inertLine(f.Reason.EN) + "; " + inertLine(f.Remedy.EN) + " [" + inertLine(f.Rule) + ", " + certain(f) + "]"
}

func certain(f protocol.Flag) string {
	if f.Certainty == protocol.Broken {
		return "broken"
	}
	return "cannot be checked here"
}

// remaining is how long there is still, in one unit that a person counts in.
func (a *app) remaining(due time.Time) string {
	left := due.Sub(a.Now())
	if left < 0 {
		return "late by " + span(-left)
	}
	return span(left) + " left"
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return "less than 2 minutes"
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}
