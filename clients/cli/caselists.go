package cli

import (
	"cmp"
	"slices"
	"strings"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

func (a screen) showTimeline(o schakel.Overview) error {
	rows := [][]cell{heads(a.t("GEMAAKT", "CREATED"), a.t("BERICHT", "MESSAGE"), a.t("KLASSE", "CLASS"), a.t("URGENTIE", "URGENCY"), a.t("VAN", "FROM"),
		a.t("AAN", "TO"), a.t("ANTWOORD OP", "ANSWERS"), a.t("STEUNT OP", "RESTS ON"), a.t("KENMERKEN", "MARKS"))}
	for _, m := range o.Messages {
		mark, paint := a.marks(o, m)
		rows = append(rows, []cell{{a.when(m.Created), plain}, {short(m.Hash.String()), bold}, momentClass(o, m),
			{inertLine(string(m.Urgency)), urgencyColour(m.Urgency)}, {inertLine(string(m.From.Desk)), plain}, {desksOf(m.To), plain},
			{shorts(m.Answers), plain}, {shorts(m.RestsOn), plain}, {mark, paint}})
	}
	a.table(rows)
	a.section(a.t("ONTBREEKT HIER", "MISSING HERE"), yellow, a.missing(o))
	return nil
}

func momentClass(o schakel.Overview, m schakel.Moment) cell {
	if o.Exercise {
		return cell{protocol.ExerciseMark().NL + " " + inertLine(m.Class), yellow}
	}
	return cell{inertLine(m.Class), plain}
}

// marks is what stands out about a message: what took its place, what it decided, what
// is wrong with it.
func (a screen) marks(o schakel.Overview, m schakel.Moment) (string, colour) {
	var out []string
	paint := plain
	if m.Unsaid {
		out, paint = append(out, a.t("GEWEIGERD door elk bureau: telt nergens", "REJECTED by every desk: counts nowhere")), red
	}
	for _, r := range o.Replaced {
		if r.Message.Hash == m.Hash {
			out, paint = append(out, strings.ToUpper(a.replacedHow(r))+a.t(" door ", " by ")+short(r.By.Hash.String())), yellow
		}
	}
	for _, v := range o.Voids {
		if v.Message.Hash == m.Hash {
			out, paint = append(out, a.t("zonder gevolg [", "without effect [")+inertLine(v.Rule)+"]"), yellow
		}
	}
	for _, f := range m.Flags {
		out, paint = append(out, a.t("waarschuwing ", "flag ")+inertLine(f.Rule)), red
	}
	if m.Status != "" || m.Outcome != "" {
		out = append(out, inertLine(m.Status+m.Outcome))
	}
	switch {
	case m.By != "":
		out = append(out, a.t("door ", "by ")+inertLine(m.By))
	case m.Person:
		out = append(out, a.t("door een genoemd persoon", "by a named person"))
	}
	if m.Enclosed {
		out = append(out, a.t("ingesloten in een ander bericht", "enclosed in another message"))
	}
	return orDash(strings.Join(out, "; ")), paint
}

func desksOf(all []protocol.Party) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = inertLine(string(p.Desk))
	}
	return orDash(strings.Join(names, ", "))
}

func shorts(refs []message.Ref) string {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = short(r.Hash.String())
	}
	return orDash(strings.Join(names, ", "))
}

// chosen is the obligations to show: those of this desk first, then by deadline.
func chosen(o schakel.Overview, all bool) (out []protocol.Obligation) {
	for _, d := range o.Obligations {
		if all || d.Open() {
			out = append(out, d)
		}
	}
	turn := func(d protocol.Obligation) int {
		switch {
		case !d.Open():
			return 2
		case d.Owes == o.Desk:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(x, y protocol.Obligation) int { return cmp.Or(turn(x)-turn(y), x.Due.Compare(y.Due)) })
	return out
}

func (a *app) withState(all []protocol.Obligation) []statedObligation {
	out := []statedObligation{}
	for _, d := range all {
		s := statedObligation{Obligation: d, State: "met"}
		if d.Open() {
			s.State, s.Seconds = "open", int64(d.Due.Sub(a.Now()).Seconds())
		}
		if d.Late(a.Now()) {
			s.State = "late"
		}
		out = append(out, s)
	}
	return out
}

func (a screen) showObligations(o schakel.Overview, all bool) error {
	obligations := chosen(o, all)
	if len(obligations) == 0 {
		a.printf(a.t("niemand hoeft iets te doen, zoals bekend bij %s\n", "nobody owes anything, as known at %s\n"), a.named(o, o.KnownAt))
		return nil
	}
	rows := [][]cell{heads(a.t("WIE", "WHO"), a.t("DOET WAT", "DOES WHAT"), a.t("TEN BEHOEVE VAN", "FOR"), a.t("VANWEGE", "BECAUSE OF"),
		a.t("VOOR", "BEFORE"), a.t("RESTEERT", "LEFT"), a.t("REGEL", "RULE"))}
	for _, d := range obligations {
		left := cell{a.remaining(d.Due), plain}
		switch {
		case !d.Open():
			left = cell{a.t("gedaan met ", "met by ") + a.called(o, d.Closed) + ", " + a.when(d.Met), green}
		case d.Late(a.Now()):
			left.colour = red
		case d.Owes == o.Desk:
			left.colour = yellow
		}
		rows = append(rows, []cell{{inertLine(string(d.Owes)), bold}, {a.duty(d.Duty), plain},
			{orDash(inertLine(string(d.To))), plain}, {a.called(o, d.Since), plain}, {a.when(d.Due), plain}, left, {inertLine(d.Rule), plain}})
	}
	a.table(rows)
	a.printf(a.t("zoals bekend bij %s\n", "as known at %s\n"), a.named(o, o.KnownAt))
	return nil
}
